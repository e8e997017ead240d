// SPDX-License-Identifier: Apache-2.0
// Storage: datastores, and the devices that the machine shows.
import { href } from "../shell/route";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Usage } from "../ui/card";
import { bytes, capital } from "../ui/format";
import { Icon } from "../ui/icon";
import { Empty, Table, type Column } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { request } from "../vim/client";
import { datastores, host, useProperties, type DatastoreRecord } from "../vim/inventory";
import { perform } from "../vim/task";
import type { HostScsiDisk, HostStorageSystem, ScsiLun } from "../vim/types.gen";
import { cannotCreate, datastoreActions, openNewDatastore } from "../storage/datastores";

const columns: Column<DatastoreRecord>[] = [
  { name: "Name", cell: (d) => <a class="name" href={href("host", "datastores", d.ref.value)}>{d.name}</a>, by: (d) => d.name },
  { name: "State", cell: (d) => <DatastoreState d={d} />, by: (d) => String(d.summary?.accessible) },
  { name: "Type", cell: (d) => (d.summary?.type === "OTHER" ? "Local folder" : d.summary?.type), by: (d) => d.summary?.type },
  { name: "Capacity", cell: (d) => bytes(d.summary?.capacity), by: (d) => d.summary?.capacity, right: true },
  { name: "Free", cell: (d) => bytes(d.summary?.freeSpace), by: (d) => d.summary?.freeSpace, right: true },
  { name: "Used", cell: (d) => <Usage name={`Used of ${d.name}`} used={usedOf(d)} total={d.summary?.capacity ?? 0} />, by: (d) => usedOf(d) / (d.summary?.capacity || 1) },
  { name: "Virtual machines", cell: (d) => d.vm?.length ?? 0, by: (d) => d.vm?.length, right: true },
];
function usedOf(d: DatastoreRecord): number {
  return (d.summary?.capacity ?? 0) - (d.summary?.freeSpace ?? 0);
}

export function DatastoreState({ d }: { d: DatastoreRecord }) {
  return d.summary?.accessible === false
    ? <span class="status"><Icon name="warning" tone="danger" />Not accessible</span>
    : <span class="status"><Icon name="check" tone="success" />Normal</span>;
}

const isDisk = (l: ScsiLun): l is HostScsiDisk => l._typeName === "HostScsiDisk";
const sizeOf = (l: ScsiLun) => (isDisk(l) ? l.capacity.block * l.capacity.blockSize : undefined);
const deviceColumns: Column<ScsiLun>[] = [
  { name: "Name", cell: (l) => l.displayName ?? l.canonicalName, by: (l) => l.displayName ?? l.canonicalName },
  { name: "Kind", cell: (l) => capital(l.lunType), by: (l) => l.lunType },
  { name: "Capacity", cell: (l) => bytes(sizeOf(l)), by: sizeOf, right: true },
  { name: "Vendor", cell: (l) => l.vendor, by: (l) => l.vendor },
  { name: "Model", cell: (l) => l.model, by: (l) => l.model },
];

const tabs = [["datastores", "Datastores"], ["devices", "Devices"]] as const;
const Head = ({ current }: { current: string }) => (
  <>
    <div class="page-head"><h1><Icon name="database" />Storage</h1></div>
    <Tabs label="Storage" tabs={tabs} current={current} href={(t) => (t === "devices" ? href("host", "datastores", "devices") : href("host", "datastores"))} />
  </>
);

export function DatastoreList() {
  return (
    <>
      <Head current="datastores" />
      <Table label="Datastores" noun="datastore" rows={datastores()} columns={columns} keyOf={(d) => d.ref.value} actions={datastoreActions}
        tools={<Button kind="primary" icon="plus" because={cannotCreate()} onClick={openNewDatastore}>New datastore</Button>}
        empty={<Empty title="No datastores" icon="database" actions={<Button kind="primary" icon="plus" because={cannotCreate()} onClick={openNewDatastore}>New datastore</Button>}>Virtual machines need a place for their files: a folder on one of the host's disks.</Empty>} />
    </>
  );
}

export function DeviceList() {
  const system = host()?.configManager?.storageSystem;
  const info = useProperties<HostStorageSystem, "storageDeviceInfo">(system, ["storageDeviceInfo"])?.storageDeviceInfo;
  const rescan = () => void attempt("Rescan", () => perform(request<HostStorageSystem>(system!).RescanAllHba({})));
  return (
    <>
      <Head current="devices" />
      <Table label="Devices" noun="device" rows={system ? info && (info.scsiLun ?? []) : []} columns={deviceColumns} keyOf={(l) => l.uuid}
        tools={<Button icon="reset" because={!system && "This host has no storage to manage."} onClick={rescan}>Rescan</Button>}
        empty={<Empty title="No devices" icon="disk">In hosted mode the machine's disks are its owner's. Folders on them can be datastores.</Empty>} />
    </>
  );
}
