// SPDX-License-Identifier: Apache-2.0
// The host at a glance.
import { Alert } from "../ui/alert";
import { Card, Facts, Gauge } from "../ui/card";
import { bytes, duration, hertz, plural } from "../ui/format";
import { Icon } from "../ui/icon";
import { Button } from "../ui/button";
import { Menu } from "../ui/menu";
import { hostActions } from "../manage/host_actions";
import { datastores, host, vms } from "../vim/inventory";
import { content } from "../vim/session";
import { Performance } from "./performance";
import { openCreateVm } from "../vm/create";
import { openImport } from "../vm/import";
import { openRegisterVm } from "../vm/register";

export function HostPage() {
  const h = host();
  if (!h) return null;
  const hardware = h["summary.hardware"], quick = h["summary.quickStats"], runtime = h["summary.runtime"];
  const mhz = (hardware?.cpuMhz ?? 0) * (hardware?.numCpuCores ?? 0);
  const memory = hardware?.memorySize ?? 0, used = (quick?.overallMemoryUsage ?? 0) * 1024 * 1024;
  const room = datastores().reduce((sum, d) => sum + (d.summary?.capacity ?? 0), 0);
  const free = datastores().reduce((sum, d) => sum + (d.summary?.freeSpace ?? 0), 0);
  const on = vms().filter((v) => v["summary.runtime"]?.powerState === "poweredOn").length;
  return (
    <>
      <div class="page-head">
        <h1><Icon name="host" />{h.name}</h1>
        <div class="tools">
          <Button kind="primary" icon="plus" onClick={openCreateVm}>Create VM</Button>
          <Button icon="folder" onClick={openRegisterVm}>Register VM</Button>
          <Button icon="upload" onClick={openImport}>Import</Button>
          <Menu label="Actions" actions={hostActions(h)}>Actions</Menu>
        </div>
      </div>
      {runtime?.inMaintenanceMode && <Alert kind="warning" title="The host is in maintenance mode.">No virtual machine starts until it is left (Actions).</Alert>}
      <div class="cards">
        <Card title="Capacity">
          <div class="gauges">
            <Gauge name="CPU" used={quick?.overallCpuUsage ?? 0} total={mhz} text={`${hertz(quick?.overallCpuUsage)} of ${hertz(mhz)} used`} free={`${hertz(mhz - (quick?.overallCpuUsage ?? 0))} free`} />
            <Gauge name="Memory" used={used} total={memory} text={`${bytes(used)} of ${bytes(memory)} used`} free={`${bytes(memory - used)} free`} />
            <Gauge name="Storage" used={room - free} total={room} text={`${bytes(room - free)} of ${bytes(room)} used`} free={`${bytes(free)} free`} />
          </div>
        </Card>
        <Card title="Hardware">
          <Facts of={[
            ["Manufacturer", hardware?.vendor], ["Model", hardware?.model],
            ["CPU", `${plural(hardware?.numCpuCores ?? 0, "core")}, ${plural(hardware?.numCpuThreads ?? 0, "thread")} x ${hardware?.cpuModel ?? ""}`],
            ["Memory", bytes(memory)],
            ["Network cards", hardware?.numNics],
            ["More", <a href="#/host/manage/hardware">Processors, memory, PCI devices</a>],
          ]} />
        </Card>
        <Card title="Host">
          <Facts of={[
            ["Version", content.value?.about.fullName],
            ["State", runtime?.inMaintenanceMode ? "Maintenance mode" : runtime?.connectionState === "connected" ? "Normal" : runtime?.connectionState],
            ["Uptime", duration(quick?.uptime)],
            ["Virtual machines", <a href="#/host/vms">{`${vms().length}, ${on} powered on`}</a>],
            ["API", `vim25 ${content.value?.about.apiVersion ?? ""}`],
          ]} />
        </Card>
        <Card title="Last hour" wide><Performance of={h.ref} only={["CPU", "Memory"]} /></Card>
      </div>
    </>
  );
}
