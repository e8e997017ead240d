// SPDX-License-Identifier: Apache-2.0
// Files of this computer go to a folder of a datastore. What is there under the same name is asked about first.
import { attempt, say } from "../ui/alert";
import { Dialog, openDialog } from "../ui/dialog";
import { plural } from "../ui/format";
import { fileUrl, listFolder } from "../vim/files";
import type { DatastoreRecord } from "../vim/inventory";
import { isBegun, upload } from "../vim/upload";

function Replace({ files, onReplace }: { files: readonly File[]; onReplace: () => void }) {
  return (
    <Dialog title={files.length === 1 ? `Replace “${files[0]!.name}”?` : `Replace ${plural(files.length, "file")}?`} confirm="Replace" danger onConfirm={onReplace}>
      <p>{files.length === 1 ? "There is a file of this name already." : "There are files of these names already."} What is there is lost as soon as the new one is whole.</p>
      {files.length > 1 && <ul class="pf-v6-c-list">{files.map((f) => <li key={f.name}>{f.name}</li>)}</ul>}
    </Dialog>
  );
}

/** `whenSent` is called for each file that has arrived. */
export function sendFiles(store: DatastoreRecord, folder: string, files: readonly File[], whenSent: (file: File) => void): void {
  if (!files.length) return say("info", "Nothing was uploaded", "A folder cannot be: drop the files that are in it.");
  void attempt("Upload", async () => {
    const there = new Set((await listFolder(store.browser!, `[${store.name}] ${folder}`)).map((f) => f.path));
    const send = (file: File) => upload(store.name ?? "", folder, file, () => whenSent(file));
    const urlOf = (file: File) => fileUrl(store.name ?? "", folder ? `${folder}/${file.name}` : file.name);
    const old = files.filter((f) => there.has(f.name) && !isBegun(urlOf(f), f));
    files.filter((f) => !old.includes(f)).forEach(send);
    if (old.length) openDialog(<Replace files={old} onReplace={() => old.forEach(send)} />);
  });
}
