// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { pageOf, vmHref } from "../shell/route";
import { Button } from "../ui/button";
import { Card, Copied, Facts, Gauge } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { bytes, duration, hertz, megabytes, plural, quoted, time } from "../ui/format";
import { request, type AnyRef } from "../vim/client";
import { host, nameOf, type VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine, VirtualMachineSnapshotTree } from "../vim/types.gen";
import { Thumbnail } from "../console/thumbnail";
import { capacityOf, isCard, isCdrom, isDisk, isoOf, networkOf } from "../vm/devices";
import { powerOf } from "../vm/state";
import { versionText } from "../vm/upgrade";

function NotesDialog({ vm }: { vm: VmRecord }) {
  const [text, setText] = useState(vm["config.annotation"] ?? "");
  const save = request<VirtualMachine>(vm.ref).ReconfigVM_Task({ spec: { _typeName: "VirtualMachineConfigSpec", annotation: text } });
  return (
    <Dialog title={`Notes of “${vm.name}”`} confirm="Save" onConfirm={() => perform(save)}
      commands={{ socle: `socle vm set ${quoted(vm.name ?? "")} --note ${quoted(text)}`, govc: `govc vm.change -vm ${quoted(vm.name ?? "")} -annotation ${quoted(text)}`, request: save }}>
      <TextField label="Notes" value={text} onValue={setText} lines={8} autoFocus />
    </Dialog>
  );
}

const links = (refs: readonly AnyRef[] | undefined) => (refs?.length ? refs.map((r) => <div key={r.value}><a href={pageOf(r.type, r.value)}>{nameOf(r)}</a></div>) : undefined);

function General({ vm }: { vm: VmRecord }) {
  const config = vm["summary.config"], guest = vm["summary.guest"], running = powerOf(vm) === "poweredOn";
  return (
    <Card title="General">
      <Facts of={[
        ["Guest OS", config?.guestFullName], ["Compatibility", versionText(vm["config.version"])],
        ["VMware Tools", guest?.toolsRunningStatus === "guestToolsRunning" ? "Running" : "Not running"],
        ["Host name", guest?.hostName && <Copied text={guest.hostName} />], ["IP address", guest?.ipAddress && <Copied text={guest.ipAddress} />],
        ["Uptime", running ? duration(vm["summary.quickStats"]?.uptimeSeconds) : undefined],
      ]} />
    </Card>
  );
}

function Use({ vm }: { vm: VmRecord }) {
  const config = vm["summary.config"], quick = vm["summary.quickStats"], storage = vm["summary.storage"], running = powerOf(vm) === "poweredOn";
  const mhz = (host()?.["summary.hardware"]?.cpuMhz ?? 0) * (config?.numCpu ?? 0), busy = running ? quick?.overallCpuUsage ?? 0 : 0;
  const memory = (config?.memorySizeMB ?? 0) * 1024 * 1024, used = running ? (quick?.hostMemoryUsage ?? 0) * 1024 * 1024 : 0;
  const committed = storage?.committed ?? 0, all = committed + (storage?.uncommitted ?? 0);
  return (
    <Card title="Resources in use" more={<a href={vmHref(vm.ref.value, "performance")}>Performance</a>}>
      <div class="gauges">
        <Gauge name="CPU" used={busy} total={mhz} text={running ? `${hertz(busy)} of ${hertz(mhz)}` : "Powered off"} />
        <Gauge name="Memory" used={used} total={memory} text={running ? `${bytes(used)} of ${bytes(memory)}` : "Powered off"} />
        <Gauge name="Storage" used={committed} total={all} text={`${bytes(committed)} of ${bytes(all)} allotted`} />
      </div>
    </Card>
  );
}

function Hardware({ vm }: { vm: VmRecord }) {
  const config = vm["summary.config"], devices = vm["config.hardware.device"] ?? [];
  return (
    <Card title="Hardware" more={<a href={vmHref(vm.ref.value, "hardware")}>All devices</a>}>
      <Facts of={[
        ["CPU", plural(config?.numCpu ?? 0, "CPU")], ["Memory", megabytes(config?.memorySizeMB)], ["Firmware", vm["config.firmware"] === "efi" ? "EFI" : "BIOS"],
        ...devices.filter(isDisk).map((d) => [d.deviceInfo?.label ?? "Disk", bytes(capacityOf(d))] as const),
        ...devices.filter(isCdrom).map((d) => [d.deviceInfo?.label ?? "CD", isoOf(d) || "Empty"] as const),
        ...devices.filter(isCard).map((d) => [d.deviceInfo?.label ?? "Card", <>{networkOf(d)}{d.connectable?.connected === false ? " (not connected)" : ""}<br /><Copied text={d.macAddress} /></>] as const),
      ]} />
    </Card>
  );
}

const inTree = (nodes: readonly VirtualMachineSnapshotTree[]): VirtualMachineSnapshotTree[] => nodes.flatMap((n) => [n, ...inTree(n.childSnapshotList ?? [])]);

function Places({ vm }: { vm: VmRecord }) {
  const config = vm["summary.config"], all = inTree(vm.snapshot?.rootSnapshotList ?? []), newest = all.map((s) => s.createTime).sort().at(-1);
  return (
    <Card title="Where it is">
      <Facts of={[
        ["Datastores", links(vm.datastore)], ["Networks", links(vm.network)],
        ["Snapshots", <a href={vmHref(vm.ref.value, "snapshots")}>{all.length ? `${all.length}, the last of ${time(newest)}` : "None"}</a>],
        ["Configuration", <Copied text={config?.vmPathName} />], ["UUID", <Copied text={config?.uuid} />],
      ]} />
    </Card>
  );
}

export function VmSummary({ vm }: { vm: VmRecord }) {
  const cannot = forbids(vm, "VirtualMachine.Config.Annotation");
  return (
    <div class="cards">
      <Card title="Console"><Thumbnail vm={vm} /></Card>
      <General vm={vm} /><Use vm={vm} /><Hardware vm={vm} /><Places vm={vm} />
      <Card title="Notes" more={<Button kind="link" icon="edit" small because={cannot} onClick={() => openDialog(<NotesDialog vm={vm} />)}>Edit notes</Button>}>
        <pre class="notes">{vm["config.annotation"] || <span class="subtle">None.</span>}</pre>
      </Card>
    </div>
  );
}
