// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { bytes, hertz, megabytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { Menu, type Action } from "../ui/menu";
import { Empty, Table, type Column } from "../ui/table";
import { vmHref } from "../shell/route";
import { vms, type VmRecord } from "../vim/inventory";
import { powerOff, powerOn, vmActions } from "../vm/actions";
import { openCreateVm } from "../vm/create";
import { openImport } from "../vm/import";
import { openRegisterVm } from "../vm/register";
import { powerOf, VmState } from "../vm/state";

const columns: Column<VmRecord>[] = [
  { name: "Name", cell: (v) => <a class="name" href={vmHref(v.ref.value)}>{v.name}</a>, by: (v) => v.name },
  { name: "Status", cell: (v) => <VmState vm={v} />, by: powerOf },
  { name: "Guest OS", cell: (v) => v["summary.config"]?.guestFullName, by: (v) => v["summary.config"]?.guestFullName },
  { name: "Used space", cell: (v) => bytes(v["summary.storage"]?.committed), by: (v) => v["summary.storage"]?.committed, right: true },
  { name: "Host name", cell: (v) => v["summary.guest"]?.hostName ?? "–", by: (v) => v["summary.guest"]?.hostName },
  { name: "CPU", cell: (v) => (powerOf(v) === "poweredOn" ? hertz(v["summary.quickStats"]?.overallCpuUsage ?? 0) : "–"), by: (v) => v["summary.quickStats"]?.overallCpuUsage ?? 0, right: true },
  { name: "Memory", cell: (v) => megabytes(v["summary.config"]?.memorySizeMB), by: (v) => v["summary.config"]?.memorySizeMB, right: true },
];

const asButton = (a: Action) => (
  <Button key={a.text} icon={a.icon!} because={a.because} onClick={a.run}>{a.text}</Button>
);

export function VmList() {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const all = vms();
  const picked = all.filter((v) => chosen.has(v.ref.value));
  return (
    <>
      <div class="page-head"><h1><Icon name="vm" />Virtual machines</h1></div>
      <Table label="Virtual machines" noun="virtual machine" rows={all} columns={columns} keyOf={(v) => v.ref.value}
        chosen={new Set(picked.map((v) => v.ref.value))} onChoose={setChosen}
        tools={
          <>
            <Button kind="primary" icon="plus" onClick={openCreateVm}>Create VM</Button>
            <Button icon="folder" onClick={openRegisterVm}>Register VM</Button>
            <Button icon="upload" onClick={openImport}>Import</Button>
            {asButton(powerOn(picked))}{asButton(powerOff(picked))}
            <Menu label="Actions" actions={vmActions(picked)}>Actions</Menu>
          </>
        }
        empty={<Empty title="No virtual machines yet" icon="vm">Create one, or register one that lies on a datastore.</Empty>} />
    </>
  );
}
