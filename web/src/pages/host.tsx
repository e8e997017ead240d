// SPDX-License-Identifier: Apache-2.0
// The host at a glance.
import { href } from "../shell/route";
import { release } from "../shell/brand";
import { Card, Facts, Gauge } from "../ui/card";
import { bytes, duration, hertz, plural } from "../ui/format";
import { Icon } from "../ui/icon";
import { Button } from "../ui/button";
import { Menu } from "../ui/menu";
import { hostActions } from "../manage/host_actions";
import { datastores, host, vms, type HostRecord } from "../vim/inventory";
import { content } from "../vim/session";
import { Events } from "./events";
import { FirstSteps } from "./first_steps";
import { Performance } from "./performance";
import { Problems } from "./problems";
import { cannotCreateVm, openCreateVm } from "../vm/create";
import { cannotImport, openImport, useImportDrop } from "../vm/import";
import { cannotRegister, openRegisterVm } from "../vm/register";
import { powerOf } from "../vm/state";

function Capacity({ h }: { h: HostRecord }) {
  const hardware = h["summary.hardware"], quick = h["summary.quickStats"];
  const mhz = (hardware?.cpuMhz ?? 0) * (hardware?.numCpuCores ?? 0), busy = quick?.overallCpuUsage ?? 0;
  const memory = hardware?.memorySize ?? 0, used = (quick?.overallMemoryUsage ?? 0) * 1024 * 1024;
  const room = datastores().reduce((sum, d) => sum + (d.summary?.capacity ?? 0), 0);
  const free = datastores().reduce((sum, d) => sum + (d.summary?.freeSpace ?? 0), 0);
  return (
    <Card title="Capacity">
      <div class="gauges">
        <Gauge name="CPU" used={busy} total={mhz} text={`${hertz(busy)} of ${hertz(mhz)} used`} free={`${hertz(Math.max(0, mhz - busy))} free`} />
        <Gauge name="Memory" used={used} total={memory} text={`${bytes(used)} of ${bytes(memory)} used`} free={`${bytes(memory - used)} free`} />
        <Gauge name="Storage" used={room - free} total={room} text={`${bytes(room - free)} of ${bytes(room)} used`} free={`${bytes(free)} free`} />
      </div>
    </Card>
  );
}

function Hardware({ h }: { h: HostRecord }) {
  const hardware = h["summary.hardware"];
  return (
    <Card title="Hardware" more={<a href={href("host", "manage", "hardware")}>Details</a>}>
      <Facts of={[
        ["Manufacturer", hardware?.vendor], ["Model", hardware?.model], ["CPU", hardware?.cpuModel],
        ["Processors", `${plural(hardware?.numCpuPkgs ?? 0, "socket")}, ${plural(hardware?.numCpuCores ?? 0, "core")}, ${plural(hardware?.numCpuThreads ?? 0, "thread")}`],
        ["Memory", bytes(hardware?.memorySize)], ["Network cards", hardware?.numNics],
      ]} />
    </Card>
  );
}

function System({ h }: { h: HostRecord }) {
  const runtime = h["summary.runtime"], all = vms(), on = all.filter((v) => powerOf(v) === "poweredOn").length;
  return (
    <Card title="Host">
      <Facts of={[
        ["Version", `Socle ${release()}`], ["API", `vim25 ${content.value?.about.apiVersion ?? ""}`],
        ["State", runtime?.inMaintenanceMode ? "Maintenance mode" : runtime?.connectionState === "connected" ? "Normal" : runtime?.connectionState],
        ["Uptime", duration(h["summary.quickStats"]?.uptime)],
        ["Virtual machines", <a href={href("host", "vms")}>{all.length ? `${all.length}, ${on} powered on` : "None"}</a>],
        ["Datastores", <a href={href("host", "datastores")}>{datastores().length}</a>],
      ]} />
    </Card>
  );
}

export function HostPage() {
  useImportDrop();
  const h = host();
  if (!h) return null;
  return (
    <>
      <div class="page-head">
        <h1><Icon name="host" />{h.name}</h1>
        <div class="tools">
          <Button kind="primary" icon="plus" because={cannotCreateVm()} onClick={openCreateVm}>Create VM</Button>
          <Button icon="folder" because={cannotRegister()} onClick={openRegisterVm}>Register VM</Button>
          <Button icon="upload" because={cannotImport()} onClick={() => openImport()}>Import</Button>
          <Menu label="Actions" actions={() => hostActions(h)}>Actions</Menu>
        </div>
      </div>
      <Problems h={h} />
      <div class="cards">
        {!vms().length && <FirstSteps />}
        <Capacity h={h} /><Hardware h={h} /><System h={h} />
        <Card title="Last hour" wide more={<a href={href("host", "monitor", "performance")}>All performance plots</a>}><Performance of={h.ref} only={["CPU", "Memory"]} /></Card>
        <Card title="Recent events" wide more={<a href={href("host", "monitor", "events")}>All events</a>}><Events recent={5} /></Card>
      </div>
    </>
  );
}
