// SPDX-License-Identifier: Apache-2.0
// A file on a datastore: typed, or looked for in the datastores' folders.
import { useEffect, useState } from "preact/hooks";
import { held, pickFiles, useDrop } from "../shell/drop";
import { sendFiles } from "../storage/send";
import { say } from "../ui/alert";
import { Button } from "../ui/button";
import { Bar } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { bytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { datastores } from "../vim/inventory";
import { listFolder } from "../vim/files";
import { forbids } from "../vim/privilege";
import { transfers } from "../vim/upload";
import type { FileInfo } from "../vim/types.gen";

interface Props {
  label: string;
  value: string;
  onValue: (path: string) => void;
  pattern: RegExp; // of the file's name
  placeholder?: string;
  help?: string;
}

function Chooser({ label, pattern, onValue, first }: Props & { first?: readonly File[] }) {
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

  const record = datastores().find((d) => d.name === store), cannot = forbids(record, "Datastore.FileManagement");
  const send = (list: readonly File[]) => {
    const here = folder;
    if (cannot || !record) say("warning", "Nothing was uploaded", cannot || "");
    else sendFiles(record, here, list, (file) => (setRound((r) => r + 1), pattern.test(file.name) && setChosen(here ? `${here}/${file.name}` : file.name)));
  };
  useDrop(send);
  useEffect(() => void (first?.length && send(first)), []);
  const running = transfers.value.filter((t) => t.state !== "done");
  const inside = (name: string) => (folder ? `${folder}/${name}` : name);
  const shown = (files ?? []).filter((f) => f._typeName === "FolderFileInfo" || pattern.test(f.path));
  return (
    <Dialog title={label} confirm="Choose" because={!chosen && "No file is chosen."} onConfirm={() => onValue(`[${store}] ${chosen}`)}>
      <SelectField label="Datastore" value={store} onValue={(s) => (setStore(s), setFolder(""), setChosen(""))} choices={datastores().map((d) => [d.name ?? "", d.name ?? ""] as const)} />
      <ul class={`chooser drop${held.value ? " over" : ""}`} aria-label={`[${store}] ${folder}`}>
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
      <div><Button icon="upload" because={cannot} onClick={() => pickFiles(send)}>Upload one of this computer</Button> <span class="subtle">or drop it here</span></div>
      {running.map((t) => <div key={t.id} class="transfer"><span class="name">{t.name}</span><Bar label={`Upload of ${t.name}`} share={t.size ? Math.round((t.sent / t.size) * 100) : 100} /><span class={t.state === "failed" ? "wrong" : "subtle"}>{t.error}</span></div>)}
    </Dialog>
  );
}

/** A file that is dropped beside it goes to a folder that is asked for. */
export function FileField(p: Props) {
  useDrop((files) => openDialog(<Chooser {...p} first={files} />));
  return (
    <div class="file-field">
      <TextField label={p.label} value={p.value} onValue={p.onValue} placeholder={p.placeholder ?? ""} help={p.help} />
      <Button icon="folder" label={`Browse for ${p.label}`} onClick={() => openDialog(<Chooser {...p} />)} />
    </div>
  );
}

export const ISO = /\.(iso|img)$/i;
