// SPDX-License-Identifier: Apache-2.0
// A datastore and the files on it. Files can be dropped on the list.
import { useEffect, useState } from "preact/hooks";
import { href, vmHref } from "../shell/route";
import { held, pickFiles, useDrop } from "../shell/drop";
import { attempt, say } from "../ui/alert";
import { Button } from "../ui/button";
import { Card, Facts, Gauge } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { bytes, plural, quoted, time } from "../ui/format";
import { Icon, type IconName } from "../ui/icon";
import { Menu } from "../ui/menu";
import { Empty, Table, type Column } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { ref, request } from "../vim/client";
import { find, vms, type DatastoreRecord, type VmRecord } from "../vim/inventory";
import { DATACENTER, fileUrl, listFolder } from "../vim/files";
import { forbids } from "../vim/privilege";
import { content } from "../vim/session";
import { perform } from "../vim/task";
import type { FileInfo, FileManager } from "../vim/types.gen";
import { Permissions } from "../manage/permissions";
import { datastoreActions } from "../storage/datastores";
import { sendFiles } from "../storage/send";
import { cannotRegister, openRegisterAt } from "../vm/register";
import { VmState } from "../vm/state";
import { DatastoreState } from "./datastore_list";
import { Events } from "./events";
import { TaskList } from "./task_list";

const isFolder = (f: FileInfo) => f._typeName === "FolderFileInfo";
const icons: { [type: string]: IconName } = { FolderFileInfo: "folder", VmDiskFileInfo: "disk", IsoImageFileInfo: "disc", VmConfigFileInfo: "vm" };
const manager = () => request<FileManager>(content.value!.fileManager!);
const datacenter = ref("Datacenter", DATACENTER);

interface Place {
  store: string;
  folder: string; // "" or "a/b"
  again: () => void;
}
const pathOf = (at: Place, name: string) => `[${at.store}] ${at.folder ? `${at.folder}/` : ""}${name}`;

function NewFolder({ at }: { at: Place }) {
  const [name, setName] = useState("");
  const wrong = !name || /[/\\]|^\.\.?$/.test(name) ? "A name without slashes is needed." : undefined;
  const make = manager().MakeDirectory({ name: pathOf(at, name), datacenter, createParentDirectories: false });
  return (
    <Dialog title="New folder" confirm="Create" because={wrong} onConfirm={async () => { await perform(make); at.again(); }}
      commands={{ socle: `socle datastore mkdir ${quoted(pathOf(at, name))}`, govc: `govc datastore.mkdir -ds ${quoted(at.store)} ${quoted(name)}`, request: make }}>
      <TextField label="Name" value={name} onValue={setName} error={name && wrong} autoFocus />
    </Dialog>
  );
}

function Transport({ at, file, copy }: { at: Place; file: FileInfo; copy: boolean }) {
  const [to, setTo] = useState(pathOf(at, file.path));
  const from = pathOf(at, file.path), verb = copy ? "Copy" : "Move";
  const args = { sourceName: from, sourceDatacenter: datacenter, destinationName: to, destinationDatacenter: datacenter, force: false };
  const carry = copy ? manager().CopyDatastoreFile_Task(args) : manager().MoveDatastoreFile_Task(args);
  return (
    <Dialog title={`${verb} “${file.path}”`} confirm={verb} because={to === from && "It is there already."} onConfirm={async () => { await perform(carry); at.again(); }}
      commands={{ socle: `socle datastore ${copy ? "cp" : "mv"} ${quoted(from)} ${quoted(to)}`, request: carry }}>
      <TextField label="To" value={to} onValue={setTo} help="A datastore in brackets, a blank, the path: [datastore1] iso/debian.iso" autoFocus />
    </Dialog>
  );
}

/** VMs whose folder these files are in, or are. */
function users(at: Place, names: readonly string[]): VmRecord[] {
  const folderOf = (v: VmRecord) => (v["summary.config"]?.vmPathName ?? "").replace(/[^/]*$/, "");
  return vms().filter((v) => folderOf(v) && names.some((name) => folderOf(v).startsWith(`${pathOf(at, name)}/`) || `${pathOf(at, name)}`.startsWith(folderOf(v))));
}

function removeFiles(at: Place, files: FileInfo[]) {
  const names = files.map((f) => f.path), removals = names.map((name) => manager().DeleteDatastoreFile_Task({ name: pathOf(at, name), datacenter }));
  openDialog(
    <Dialog title={`Delete ${names.length === 1 ? `“${names[0]}”` : plural(names.length, "file")}?`} confirm="Delete" danger
      onConfirm={async () => {
        for (const removal of removals) await perform(removal);
        at.again();
      }}
      commands={{ socle: `socle datastore rm ${names.map((n) => quoted(pathOf(at, n))).join(" ")}`, govc: names.map((n) => `govc datastore.rm -ds ${quoted(at.store)} ${quoted(n)}`).join("\n"), request: removals }}>
      {users(at, names).map((v) => <p key={v.ref.value} class="wrong">{`It belongs to the virtual machine “${v.name}”, which cannot run without it.`}</p>)}
      <p>{files.some(isFolder) ? "Folders are deleted with all that is in them. " : ""}There is no way back.</p>
    </Dialog>);
}

function Crumbs({ id, store, folder }: { id: string; store: string; folder: string[] }) {
  return (
    <nav class="pf-v6-c-breadcrumb" aria-label="Folder">
      <ol class="pf-v6-c-breadcrumb__list">
        {[store, ...folder].map((name, i) => (
          <li key={i} class="pf-v6-c-breadcrumb__item">
            {i > 0 && <span class="pf-v6-c-breadcrumb__item-divider"><Icon name="right" /></span>}
            <a class="pf-v6-c-breadcrumb__link" href={href("host", "datastores", id, "files", ...folder.slice(0, i))}>{name}</a>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Files({ store, folder }: { store: DatastoreRecord; folder: string[] }) {
  const [files, setFiles] = useState<FileInfo[]>(), barred = forbids(store, "Datastore.Browse");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const path = folder.join("/"), id = store.ref.value;
  const again = () => void (barred || attempt("The folder cannot be read", async () => setFiles(await listFolder(store.browser!, `[${store.name}] ${path}`))));
  useEffect(() => (setFiles(undefined), setChosen(new Set()), again()), [path, barred]);

  const at: Place = { store: store.name ?? "", folder: path, again };
  const cannot = forbids(store, "Datastore.FileManagement"), send = (files: File[]) => (cannot ? say("warning", "Nothing was uploaded", cannot) : sendFiles(store, path, files, again));
  useDrop(send);
  const picked = (files ?? []).filter((f) => chosen.has(f.path));
  const one = picked.length === 1 ? picked[0] : undefined;
  const single = !one && "One file at a time.";
  const columns: Column<FileInfo>[] = [
    {
      name: "Name", by: (f) => (isFolder(f) ? " " : "") + f.path,
      cell: (f) => (
        <span class="status wrap"><Icon name={icons[f._typeName ?? ""] ?? "file"} tone={isFolder(f) ? "info" : "muted"} />
          {isFolder(f) ? <a href={href("host", "datastores", id, "files", ...folder, f.path)}>{f.path}</a>
            : <a href={fileUrl(at.store, path ? `${path}/${f.path}` : f.path)} download={f.path}>{f.path}</a>}
        </span>),
    },
    { name: "Size", cell: (f) => (isFolder(f) ? "–" : bytes(f.fileSize)), by: (f) => f.fileSize, right: true },
    { name: "Modified", cell: (f) => time(f.modification), by: (f) => f.modification },
  ];
  return (
    <div class={`drop${held.value ? " over" : ""}`}>
      {held.value ? <p class="drop-here">Drop files here to upload them to {pathOf(at, "")}</p> : <Crumbs id={id} store={at.store} folder={folder} />}
      <Table label="Files" noun="file" rows={files ?? []} columns={columns} keyOf={(f) => f.path} chosen={chosen} onChoose={setChosen}
        tools={
          <>
            <Button kind="primary" icon="upload" because={barred || cannot} onClick={() => pickFiles(send)}>Upload</Button>
            <Button icon="folder" because={cannot} onClick={() => openDialog(<NewFolder at={at} />)}>New folder</Button>
            <Button icon="reset" because={barred} onClick={again}>Refresh</Button>
            <Menu label="Actions" actions={[
              { text: "Register VM", icon: "vm", because: single || (!/\.vmx$/i.test(one!.path) && "Not a .vmx file.") || cannotRegister(), run: () => openRegisterAt(pathOf(at, one!.path)) },
              { text: "Move or rename", icon: "edit", because: single || cannot, run: () => openDialog(<Transport at={at} file={one!} copy={false} />) },
              { text: "Copy", icon: "copy", because: single || cannot, run: () => openDialog(<Transport at={at} file={one!} copy />) },
              { text: "Delete", icon: "trash", danger: true, apart: true, because: cannot || (!picked.length && "Nothing is selected."), run: () => removeFiles(at, picked) },
            ]}>Actions</Menu>
          </>
        }
        empty={barred ? <Empty title="You may not see the files" icon="lock">{barred}</Empty> : <Empty title={files ? "This folder is empty" : "Reading the folder …"} icon="folder">{files ? "Upload files, or drop them here." : ""}</Empty>} />
    </div>
  );
}

const tabs = [["files", "Files"], ["details", "Details"], ["events", "Events"], ["tasks", "Tasks"], ["permissions", "Permissions"]] as const;

function Details({ store }: { store: DatastoreRecord }) {
  const s = store.summary, machines = vms().filter((v) => store.vm?.some((r) => r.value === v.ref.value));
  const columns: Column<VmRecord>[] = [
    { name: "Virtual machine", cell: (v) => <a href={vmHref(v.ref.value)}>{v.name}</a>, by: (v) => v.name },
    { name: "Status", cell: (v) => <VmState vm={v} />, by: (v) => v["summary.runtime"]?.powerState },
    { name: "Used space", cell: (v) => bytes(v["summary.storage"]?.committed), by: (v) => v["summary.storage"]?.committed, right: true },
    { name: "Could still grow by", cell: (v) => bytes(v["summary.storage"]?.uncommitted), by: (v) => v["summary.storage"]?.uncommitted, right: true },
  ];
  const growth = machines.reduce((sum, v) => sum + (v["summary.storage"]?.uncommitted ?? 0), 0);
  return (
    <>
      <div class="cards">
        <Card title="Datastore">
          <Facts of={[
            ["State", <DatastoreState d={store} />], ["Type", s?.type === "OTHER" ? "Local folder" : s?.type], ["Location", s?.url],
            ["Largest file", bytes(store.info?.maxFileSize)], ["Capacity", bytes(s?.capacity)], ["Free", bytes(s?.freeSpace)],
            ["Thin disks", growth > (s?.freeSpace ?? 0) ? <span class="wrong">{`could grow by ${bytes(growth)}, more than is free`}</span> : `could grow by ${bytes(growth)}`],
          ]} />
        </Card>
      </div>
      <Table label="Virtual machines" noun="virtual machine" rows={machines} columns={columns} keyOf={(v) => v.ref.value} empty={<Empty title="No virtual machine is on it" icon="vm" />} />
    </>
  );
}

export function DatastorePage({ id, tab, folder }: { id: string; tab: string; folder: string[] }) {
  const store = find<DatastoreRecord>("Datastore", id);
  if (!store) return <Empty title="This datastore is gone" icon="database">It was removed, or you may not see it.</Empty>;
  const capacity = store.summary?.capacity ?? 0, free = store.summary?.freeSpace ?? 0;
  return (
    <>
      <div class="page-head">
        <h1><Icon name="database" />{store.name}</h1>
        <div class="tools"><Menu label="Actions" actions={datastoreActions(store)}>{tab === "files" ? "Datastore" : "Actions"}</Menu></div>
      </div>
      <Tabs label={store.name ?? ""} tabs={tabs} current={tab} href={(t) => href("host", "datastores", id, t)} />
      {tab === "files" && <div class="spaced"><Gauge name="Used" used={capacity - free} total={capacity} text={`${bytes(capacity - free)} of ${bytes(capacity)}`} free={`${bytes(free)} free`} /></div>}
      {tab === "details" ? <Details store={store} /> : tab === "permissions" ? <Permissions of={store.ref} /> : tab === "events" ? <Events of={store.ref} /> : tab === "tasks" ? <TaskList of={store.ref} />
        : store.browser ? <Files store={store} folder={folder} /> : <p>You may not see its files.</p>}
    </>
  );
}
