// SPDX-License-Identifier: Apache-2.0
// A file on a datastore: typed, or looked for in the datastores' folders.
import { useEffect, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Bar } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { bytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { datastores } from "../vim/inventory";
import { listFolder, transfers, upload } from "../vim/files";
import type { FileInfo } from "../vim/types.gen";

interface Props {
  label: string;
  value: string;
  onValue: (path: string) => void;
  pattern: RegExp; // of the file's name
  placeholder?: string;
  help?: string;
}

function Chooser({ label, pattern, onValue }: Props) {
  const [store, setStore] = useState(datastores()[0]?.name ?? "");
  const [folder, setFolder] = useState("");
  const [files, setFiles] = useState<FileInfo[]>();
  const [chosen, setChosen] = useState("");
  const [failed, setFailed] = useState<string>();
  const [round, setRound] = useState(0);

  useEffect(() => {
    let here = true;
    const browser = datastores().find((d) => d.name === store)?.browser;
    setFiles(undefined);
    if (browser)
      listFolder(browser, `[${store}] ${folder}`).then((f) => here && (setFiles(f), setFailed(undefined)), (e) => here && setFailed(String(e.message ?? e)));
    return () => void (here = false);
  }, [store, folder, round]);

  const send = (list: FileList | null) => {
    for (const file of list ?? [])
      upload(store, folder, file, () => (setRound((r) => r + 1), pattern.test(file.name) && setChosen(inside(file.name))));
  };
  const pick = () => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", onchange: () => send(input.files) });
    input.click();
  };
  const running = transfers.value.filter((t) => t.state === "running" || t.state === "failed");
  const inside = (name: string) => (folder ? `${folder}/${name}` : name);
  const shown = (files ?? []).filter((f) => f._typeName === "FolderFileInfo" || pattern.test(f.path));
  return (
    <Dialog title={label} confirm="Choose" because={!chosen && "No file is chosen."} onConfirm={() => onValue(`[${store}] ${chosen}`)}>
      <SelectField label="Datastore" value={store} onValue={(s) => (setStore(s), setFolder(""), setChosen(""))} choices={datastores().map((d) => [d.name ?? "", d.name ?? ""] as const)} />
      <ul class="chooser" aria-label={`[${store}] ${folder}`}>
        {folder && <li><button type="button" onClick={() => setFolder(folder.split("/").slice(0, -1).join("/"))}><Icon name="folder" />..</button></li>}
        {shown.map((f) => (
          <li key={f.path}>
            <button type="button" aria-pressed={chosen === inside(f.path)} onClick={() => (f._typeName === "FolderFileInfo" ? (setFolder(inside(f.path)), setChosen("")) : setChosen(inside(f.path)))}>
              <Icon name={f._typeName === "FolderFileInfo" ? "folder" : "disc"} tone="muted" />{f.path}
              {f.fileSize !== undefined && f._typeName !== "FolderFileInfo" && <span class="subtle">{bytes(f.fileSize)}</span>}
            </button>
          </li>
        ))}
        {files && !shown.length && <li class="subtle">Nothing of that kind is here.</li>}
        {failed && <li class="wrong">{failed}</li>}
      </ul>
      <div><Button icon="upload" onClick={pick}>Upload one of this computer</Button></div>
      {running.map((t) => <div key={t.id} class="transfer"><span class="name">{t.name}</span><Bar label={`Upload of ${t.name}`} share={t.size ? Math.round((t.sent / t.size) * 100) : 100} /><span class="wrong">{t.error}</span></div>)}
    </Dialog>
  );
}

export function FileField(p: Props) {
  return (
    <div class="file-field">
      <TextField label={p.label} value={p.value} onValue={p.onValue} placeholder={p.placeholder ?? ""} help={p.help} />
      <Button icon="folder" label={`Browse for ${p.label}`} onClick={() => openDialog(<Chooser {...p} />)} />
    </div>
  );
}

export const ISO = /\.(iso|img)$/i;
