// SPDX-License-Identifier: Apache-2.0
// What the machine is made of: processors, memory and its nodes, firmware, power policy, PCI devices.
import { attempt } from "../ui/alert";
import { Spinner } from "../ui/button";
import { Card, Facts } from "../ui/card";
import { Select } from "../ui/field";
import { bytes, hertz, plural } from "../ui/format";
import { Table, type Column } from "../ui/table";
import { request } from "../vim/client";
import { host, useProperties, type HostRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostHardwareInfo, HostNumaNode, HostPciDevice, HostPowerSystem, HostSystem } from "../vim/types.gen";

const hex = (n: number) => (n & 0xffff).toString(16).padStart(4, "0");
/** The high byte of a PCI class (PCI Code and ID Assignment Specification, 1). */
const CLASSES = ["Unclassified", "Storage", "Network", "Display", "Multimedia", "Memory", "Bridge", "Communication", "System", "Input", "Docking station", "Processor",
  "Serial bus", "Wireless", "Intelligent I/O", "Satellite", "Encryption", "Signal processing", "Accelerator"];
const classOf = (d: HostPciDevice) => d.deviceClassName ?? CLASSES[(d.classId >> 8) & 0xff] ?? "Other";

const pciColumns: Column<HostPciDevice>[] = [
  { name: "Address", cell: (d) => <code>{d.id}</code>, by: (d) => d.id },
  { name: "Kind", cell: classOf, by: classOf },
  { name: "Device", cell: (d) => d.deviceName, by: (d) => d.deviceName },
  { name: "Vendor", cell: (d) => d.vendorName, by: (d) => d.vendorName },
  { name: "IDs", cell: (d) => <code>{`${hex(d.vendorId)}:${hex(d.deviceId)}, ${hex(d.subVendorId)}:${hex(d.subDeviceId)}`}</code>, by: (d) => hex(d.vendorId) + hex(d.deviceId) },
];

const numaColumns: Column<HostNumaNode>[] = [
  { name: "Node", cell: (n) => n.typeId, by: (n) => n.typeId },
  { name: "Logical processors", cell: (n) => n.cpuID.join(", "), by: (n) => n.cpuID.length },
  { name: "Memory", cell: (n) => bytes(n.memorySize ?? n.memoryRangeLength), by: (n) => n.memorySize ?? n.memoryRangeLength, right: true },
];

function Power({ h }: { h: HostRecord }) {
  const system = h.configManager?.powerSystem;
  const power = useProperties<HostPowerSystem, "capability" | "info">(system, ["capability", "info"]);
  if (!system || !power?.info) return null;
  const cannot = forbids(h, "Host.Config.Power");
  const choose = (key: string) => void attempt("Power policy", () => perform(request<HostPowerSystem>(system).ConfigurePowerPolicy({ key: Number(key) })));
  return (
    <Card title="Power policy">
      <Select label="Power policy" value={String(power.info.currentPolicy.key)} onValue={choose} off={Boolean(cannot)}
        choices={(power.capability?.availablePolicy ?? []).map((p) => [String(p.key), p.description] as const)} />
      <p class="subtle">{cannot || "How the processors trade speed for energy. A policy is set where the machine lets us, otherwise it says why not."}</p>
    </Card>
  );
}

function System({ hardware, threads }: { hardware: HostHardwareInfo; threads: boolean | undefined }) {
  const { systemInfo, cpuInfo, cpuPkg, biosInfo } = hardware;
  const tag = systemInfo.otherIdentifyingInfo?.find((i) => i.identifierType.key === "ServiceTag")?.identifierValue;
  return (
    <>
      <Card title="Processors">
        <Facts of={[
          ["Model", cpuPkg?.[0]?.description], ["Sockets", cpuInfo.numCpuPackages], ["Cores", cpuInfo.numCpuCores],
          ["Logical processors", cpuInfo.numCpuThreads], ["Speed", hertz(cpuInfo.hz / 1e6)], ["Hyper-threading", threads === undefined ? undefined : threads ? "Active" : "Not active"],
        ]} />
      </Card>
      <Card title="Memory"><Facts of={[["Capacity", bytes(hardware.memorySize)], ["NUMA", plural(hardware.numaInfo?.numNodes ?? 0, "node")]]} /></Card>
      <Card title="System">
        <Facts of={[["Manufacturer", systemInfo.vendor], ["Model", systemInfo.model], ["Service tag", tag], ["UUID", systemInfo.uuid], ["Firmware", biosInfo && `${biosInfo.vendor ?? ""} ${biosInfo.biosVersion ?? ""}`], ["Released", biosInfo?.releaseDate]]} />
      </Card>
    </>
  );
}

export function Hardware() {
  const h = host();
  const found = useProperties<HostSystem, "hardware" | "config.hyperThread">(h?.ref, ["hardware", "config.hyperThread"]);
  const hardware = found?.hardware;
  if (!h || !hardware) return <Spinner />;
  return (
    <>
      <div class="cards"><System hardware={hardware} threads={found["config.hyperThread"]?.active} /><Power h={h} /></div>
      <h2 class="section">NUMA nodes</h2>
      <Table label="NUMA nodes" noun="node" rows={hardware.numaInfo?.numaNode ?? []} columns={numaColumns} keyOf={(n) => String(n.typeId)} filter={false} />
      <h2 class="section">PCI devices</h2>
      <Table label="PCI devices" noun="device" rows={hardware.pciDevice ?? []} columns={pciColumns} keyOf={(d) => d.id} />
    </>
  );
}
