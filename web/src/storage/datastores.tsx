// SPDX-License-Identifier: Apache-2.0
// Datastores come, get other names, go.
import { useState } from "preact/hooks";
import { go } from "../shell/route";
import { attempt } from "../ui/alert";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { request } from "../vim/client";
import { datastores, host, vms, type DatastoreRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { Datastore, HostDatastoreSystem } from "../vim/types.gen";

const system = () => request<HostDatastoreSystem>(host()!.configManager!.datastoreSystem!);
const nameWrong = (name: string) =>
  !name.trim() ? "A name is needed." : /[/\\[\]]/.test(name) ? "No slashes and brackets." : datastores().some((d) => d.name === name) ? "Another datastore has this name." : undefined;

function NewDatastore() {
  const [name, setName] = useState("");
  const [path, setPath] = useState("");
  const wrong = nameWrong(name) ?? (path && !path.startsWith("/") ? "A path that begins with a slash." : undefined);
  const create = system().CreateLocalDatastore({ name, path });
  return (
    <Dialog title="New datastore" confirm="Create" because={wrong} onConfirm={() => perform(create)}
      commands={{ govc: `govc datastore.create -type local -name ${quoted(name || "NAME")} -path ${quoted(path || `/vmfs/volumes/${name}`)} ${quoted(host()?.name ?? "")}`, request: create }}>
      <TextField label="Name" value={name} onValue={setName} error={name && nameWrong(name)} autoFocus />
      <TextField label="Folder on the host" value={path} onValue={setPath} placeholder="/srv/vms" error={path && !path.startsWith("/") && wrong}
        help="One that is there and belongs to the host's user, on another disk for example. Empty: a new one beside the host's own." />
    </Dialog>
  );
}
export const openNewDatastore = () => openDialog(<NewDatastore />);
/** Why there can be no new one. */
export const cannotCreate = () => forbids(host(), "Host.Config.Storage");

function RenameDatastore({ d }: { d: DatastoreRecord }) {
  const [name, setName] = useState(d.name ?? "");
  const wrong = name === d.name ? "It is its name already." : nameWrong(name);
  const rename = request<Datastore>(d.ref).RenameDatastore({ newName: name });
  return (
    <Dialog title={`Rename “${d.name}”`} confirm="Rename" because={wrong} onConfirm={() => perform(rename)}
      commands={{ govc: `govc object.rename datastore/${quoted(d.name ?? "")} ${quoted(name)}`, request: rename }}>
      <TextField label="Name" value={name} onValue={setName} error={name !== d.name && wrong} autoFocus help="Virtual machines find it by its own id, not by the name." />
    </Dialog>
  );
}

function removeDatastore(d: DatastoreRecord): void {
  const remove = system().RemoveDatastore({ datastore: d.ref });
  openDialog(
    <Dialog title={`Remove “${d.name}”?`} confirm="Remove" danger onConfirm={async () => { await perform(remove); go("host", "datastores"); }}
      commands={{ govc: `govc datastore.remove -ds ${quoted(d.name ?? "")} ${quoted(host()?.name ?? "")}`, request: remove }}>
      <p>The host forgets it, and with it the permissions on it. No file is lost: a folder elsewhere stays as it is and can be made a datastore again; one of the host's own is removed only when it is empty.</p>
    </Dialog>);
}

export function datastoreActions(d: DatastoreRecord): Action[] {
  const used = vms().filter((v) => v.datastore?.some((r) => r.value === d.ref.value)).length;
  return [
    { text: "Rename", icon: "edit", because: forbids(d, "Datastore.Rename"), run: () => openDialog(<RenameDatastore d={d} />) },
    { text: "Refresh", icon: "reset", run: () => void attempt("Refresh", () => perform(request<Datastore>(d.ref).RefreshDatastore({}))) },
    { text: "Remove", icon: "trash", danger: true, apart: true, because: used ? "Virtual machines are on it." : forbids(d, "Datastore.Delete"), run: () => removeDatastore(d) },
  ];
}
