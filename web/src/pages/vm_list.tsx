// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { bytes, duration, hertz, megabytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { Menu, type Action } from "../ui/menu";
import { Empty, Table, type Column } from "../ui/table";
import { go, vmHref } from "../shell/route";
import { vms, type VmRecord } from "../vim/inventory";
import { powerOff, powerOn, rowActions, vmActions } from "../vm/actions";
import { cannotCreateVm, openCreateVm } from "../vm/create";
import { cannotImport, openImport, useImportDrop } from "../vm/import";
import { cannotRegister, openRegisterVm } from "../vm/register";
import { powerOf, VmState } from "../vm/state";

const provisioned = (v: VmRecord) => (v["summary.storage"]?.committed ?? 0) + (v["summary.storage"]?.uncommitted ?? 0);
const whileOn = <T,>(v: VmRecord, value: T) => (powerOf(v) === "poweredOn" ? value : "–");

const columns: Column<VmRecord>[] = [
  { name: "Name", cell: (v) => <a class="name" href={vmHref(v.ref.value)}>{v.name}</a>, by: (v) => v.name },
  { name: "Status", cell: (v) => <VmState vm={v} />, by: powerOf },
  { name: "Used space", cell: (v) => bytes(v["summary.storage"]?.committed), by: (v) => v["summary.storage"]?.committed, right: true },
  { name: "Guest OS", cell: (v) => <span class="line">{v["summary.config"]?.guestFullName}</span>, by: (v) => v["summary.config"]?.guestFullName, minor: true },
  { name: "Host name", cell: (v) => v["summary.guest"]?.hostName ?? "–", by: (v) => v["summary.guest"]?.hostName, optional: true },
  { name: "IP address", cell: (v) => v["summary.guest"]?.ipAddress ?? "–", by: (v) => v["summary.guest"]?.ipAddress },
  { name: "CPU", cell: (v) => whileOn(v, hertz(v["summary.quickStats"]?.overallCpuUsage ?? 0)), by: (v) => v["summary.quickStats"]?.overallCpuUsage ?? 0, right: true },
  { name: "Memory", cell: (v) => megabytes(v["summary.config"]?.memorySizeMB), by: (v) => v["summary.config"]?.memorySizeMB, right: true },
  { name: "Memory in use", cell: (v) => whileOn(v, megabytes(v["summary.quickStats"]?.hostMemoryUsage)), by: (v) => v["summary.quickStats"]?.hostMemoryUsage, right: true, optional: true },
  { name: "CPUs", cell: (v) => v["summary.config"]?.numCpu, by: (v) => v["summary.config"]?.numCpu, right: true, optional: true },
  { name: "Provisioned", cell: (v) => bytes(provisioned(v)), by: provisioned, right: true, optional: true },
  { name: "Uptime", cell: (v) => whileOn(v, duration(v["summary.quickStats"]?.uptimeSeconds)), by: (v) => v["summary.quickStats"]?.uptimeSeconds, right: true, optional: true },
  { name: "Compatibility", cell: (v) => v["config.version"], by: (v) => v["config.version"], optional: true },
  { name: "Notes", cell: (v) => <span class="short" title={v["config.annotation"]}>{v["config.annotation"]}</span>, by: (v) => v["config.annotation"], optional: true },
];

const asButton = (a: Action) => <Button key={a.text} icon={a.icon!} because={a.because} onClick={a.run}>{a.text}</Button>;

export function VmList() {
  useImportDrop();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const all = vms(), picked = all.filter((v) => chosen.has(v.ref.value));
  return (
    <>
      <div class="page-head"><h1><Icon name="vm" />Virtual machines</h1></div>
      <Table label="Virtual machines" noun="virtual machine" rows={all} columns={columns} keyOf={(v) => v.ref.value} choosable
        chosen={new Set(picked.map((v) => v.ref.value))} onChoose={setChosen} actions={(v) => rowActions(picked.length > 1 && picked.includes(v) ? picked : [v])}
        tools={
          <>
            <Button kind="primary" icon="plus" because={cannotCreateVm()} onClick={openCreateVm}>Create VM</Button>
            <Button icon="folder" because={cannotRegister()} onClick={openRegisterVm}>Register VM</Button>
            <Button icon="upload" because={cannotImport()} onClick={() => openImport()}>Import</Button>
            {asButton(powerOn(picked))}{asButton(powerOff(picked))}
            <Menu label="Actions" actions={() => vmActions(picked)}>Actions</Menu>
          </>
        }
        empty={<Empty title="No virtual machines yet" icon="vm" actions={<Button kind="link" icon="help" onClick={() => go("host")}>First steps</Button>}>Create one, import an OVA, or register one that lies on a datastore.</Empty>} />
    </>
  );
}
