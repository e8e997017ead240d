// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Card, Facts, Gauge } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { bytes, duration, hertz, megabytes, quoted } from "../ui/format";
import { request } from "../vim/client";
import { host, nameOf, type VmRecord } from "../vim/inventory";
import { perform } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { Thumbnail } from "../console/thumbnail";
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

export function VmSummary({ vm }: { vm: VmRecord }) {
  const config = vm["summary.config"], guest = vm["summary.guest"], quick = vm["summary.quickStats"], storage = vm["summary.storage"];
  const running = powerOf(vm) === "poweredOn";
  const mhz = (host()?.["summary.hardware"]?.cpuMhz ?? 0) * (config?.numCpu ?? 0);
  const memory = (config?.memorySizeMB ?? 0) * 1024 * 1024, used = (quick?.hostMemoryUsage ?? 0) * 1024 * 1024;
  const committed = storage?.committed ?? 0, all = committed + (storage?.uncommitted ?? 0);
  return (
    <div class="cards">
      <Card title="Console"><Thumbnail vm={vm} /></Card>
      <Card title="General">
        <Facts of={[
          ["Guest OS", config?.guestFullName],
          ["Compatibility", versionText(vm["config.version"])],
          ["VMware Tools", guest?.toolsRunningStatus === "guestToolsRunning" ? "Running" : "Not running"],
          ["CPUs", config?.numCpu], ["Memory", megabytes(config?.memorySizeMB)],
          ["Firmware", vm["config.firmware"] === "efi" ? "EFI" : "BIOS"],
          ["Host name", guest?.hostName], ["IP address", guest?.ipAddress],
          ["Uptime", running ? duration(quick?.uptimeSeconds) : undefined],
        ]} />
      </Card>
      <Card title="Resources in use">
        <div class="gauges">
          <Gauge name="CPU" used={running ? quick?.overallCpuUsage ?? 0 : 0} total={mhz} text={running ? hertz(quick?.overallCpuUsage ?? 0) : "Powered off"} />
          <Gauge name="Memory" used={running ? used : 0} total={memory} text={`${bytes(running ? used : 0)} of ${bytes(memory)}`} />
          <Gauge name="Storage" used={committed} total={all} text={`${bytes(committed)} of ${bytes(all)} allotted`} />
        </div>
      </Card>
      <Card title="Where it is">
        <Facts of={[
          ["Configuration", config?.vmPathName],
          ["Datastores", vm.datastore?.map((d) => <div key={d.value}><a href={`#/host/datastores/${d.value}`}>{nameOf(d)}</a></div>)],
          ["Networks", vm.network?.map((n) => <div key={n.value}><a href={`#/host/networking/${n.value}`}>{nameOf(n)}</a></div>)],
          ["UUID", config?.uuid],
        ]} />
      </Card>
      <Card title="Notes">
        <pre class="notes">{vm["config.annotation"] || <span class="subtle">None.</span>}</pre>
        <Button kind="link" icon="edit" small onClick={() => openDialog(<NotesDialog vm={vm} />)}>Edit notes</Button>
      </Card>
    </div>
  );
}
