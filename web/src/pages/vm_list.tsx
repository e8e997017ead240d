// SPDX-License-Identifier: Apache-2.0
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { bytes, duration, hertz, megabytes } from "../ui/format";
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

/** Columns that somebody may want besides; the choice stays in the browser. */
const more: Column<VmRecord>[] = [
  { name: "IP address", cell: (v) => v["summary.guest"]?.ipAddress ?? "–", by: (v) => v["summary.guest"]?.ipAddress },
  { name: "CPUs", cell: (v) => v["summary.config"]?.numCpu, by: (v) => v["summary.config"]?.numCpu, right: true },
  { name: "Provisioned", cell: (v) => bytes(provisioned(v)), by: provisioned, right: true },
  { name: "Uptime", cell: (v) => (powerOf(v) === "poweredOn" ? duration(v["summary.quickStats"]?.uptimeSeconds) : "–"), by: (v) => v["summary.quickStats"]?.uptimeSeconds, right: true },
  { name: "Compatibility", cell: (v) => v["config.version"], by: (v) => v["config.version"] },
  { name: "Notes", cell: (v) => <span class="short" title={v["config.annotation"]}>{v["config.annotation"]}</span>, by: (v) => v["config.annotation"] },
];
function provisioned(v: VmRecord): number {
  return (v["summary.storage"]?.committed ?? 0) + (v["summary.storage"]?.uncommitted ?? 0);
}
const wanted = signal<readonly string[]>((localStorage.getItem("vm-columns") ?? "").split(",").filter(Boolean));
function toggle(name: string): void {
  wanted.value = wanted.value.includes(name) ? wanted.value.filter((n) => n !== name) : [...wanted.value, name];
  localStorage.setItem("vm-columns", wanted.value.join());
}

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
      <Table label="Virtual machines" noun="virtual machine" rows={all} columns={[...columns, ...more.filter((c) => wanted.value.includes(c.name))]} keyOf={(v) => v.ref.value}
        chosen={new Set(picked.map((v) => v.ref.value))} onChoose={setChosen}
        tools={
          <>
            <Button kind="primary" icon="plus" onClick={openCreateVm}>Create VM</Button>
            <Button icon="folder" onClick={openRegisterVm}>Register VM</Button>
            <Button icon="upload" onClick={openImport}>Import</Button>
            {asButton(powerOn(picked))}{asButton(powerOff(picked))}
            <Menu label="Actions" actions={vmActions(picked)}>Actions</Menu>
            <Menu label="Columns" actions={more.map((c) => ({ text: c.name, checked: wanted.value.includes(c.name), run: () => toggle(c.name) }))}>Columns</Menu>
          </>
        }
        empty={<Empty title="No virtual machines yet" icon="vm">Create one, or register one that lies on a datastore.</Empty>} />
    </>
  );
}
