// SPDX-License-Identifier: Apache-2.0
import { bytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { Table, type Column } from "../ui/table";
import { href } from "../shell/route";
import { datastores, type DatastoreRecord } from "../vim/inventory";

const columns: Column<DatastoreRecord>[] = [
  { name: "Name", cell: (d) => <a class="name" href={href("host", "datastores", d.ref.value)}>{d.name}</a>, by: (d) => d.name },
  { name: "Type", cell: (d) => d.summary?.type, by: (d) => d.summary?.type },
  { name: "Capacity", cell: (d) => bytes(d.summary?.capacity), by: (d) => d.summary?.capacity, right: true },
  { name: "Free", cell: (d) => bytes(d.summary?.freeSpace), by: (d) => d.summary?.freeSpace, right: true },
  { name: "Virtual machines", cell: (d) => d.vm?.length ?? 0, by: (d) => d.vm?.length, right: true },
];

export function DatastoreList() {
  return (
    <>
      <div class="page-head"><h1><Icon name="database" />Storage</h1></div>
      <Table label="Datastores" noun="datastore" rows={datastores()} columns={columns} keyOf={(d) => d.ref.value} />
    </>
  );
}
