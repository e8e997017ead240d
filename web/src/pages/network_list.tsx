// SPDX-License-Identifier: Apache-2.0
import { Icon } from "../ui/icon";
import { Table, type Column } from "../ui/table";
import { networks, type NetworkRecord } from "../vim/inventory";

const columns: Column<NetworkRecord>[] = [
  { name: "Name", cell: (n) => <span class="name">{n.name}</span>, by: (n) => n.name },
  { name: "Virtual machines", cell: (n) => n.vm?.length ?? 0, by: (n) => n.vm?.length, right: true },
  { name: "Reachable", cell: (n) => (n.summary?.accessible ? "Yes" : "No"), by: (n) => String(n.summary?.accessible) },
];

export function NetworkList() {
  return (
    <>
      <div class="page-head"><h1><Icon name="network" />Networking</h1></div>
      <Table label="Port groups" noun="port group" rows={networks()} columns={columns} keyOf={(n) => n.ref.value} />
    </>
  );
}
