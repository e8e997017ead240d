// SPDX-License-Identifier: Apache-2.0
import { Icon, type IconName } from "../ui/icon";
import { bytes } from "../ui/format";
import { Table, type Column } from "../ui/table";
import type { VmRecord } from "../vim/inventory";
import type { VirtualDevice, VirtualDeviceFileBackingInfo, VirtualDisk, VirtualEthernetCard } from "../vim/types.gen";

const icons: [RegExp, IconName][] = [
  [/^VirtualDisk$/, "disk"], [/Cdrom/, "disc"], [/Controller/, "settings"], [/^Virtual(E1000|Vmxnet|PCNet|Sriov|Ethernet|VirtioNet)/, "network"],
  [/VideoCard/, "vm"], [/SerialPort/, "terminal"],
];

function iconOf(device: VirtualDevice): IconName {
  return icons.find(([type]) => type.test(device._typeName ?? ""))?.[1] ?? "cpu";
}

function detailOf(device: VirtualDevice): string {
  const file = (device.backing as VirtualDeviceFileBackingInfo | undefined)?.fileName;
  if (device._typeName === "VirtualDisk") return `${bytes((device as VirtualDisk).capacityInBytes ?? (device as VirtualDisk).capacityInKB * 1024)}  ${file ?? ""}`;
  if ("macAddress" in device) return `${(device as VirtualEthernetCard).macAddress ?? ""}  ${device.deviceInfo?.summary ?? ""}`;
  return file || device.deviceInfo?.summary || "";
}

const columns: Column<VirtualDevice>[] = [
  { name: "Device", cell: (d) => <span class="status"><Icon name={iconOf(d)} />{d.deviceInfo?.label ?? d._typeName}</span>, by: (d) => d.key },
  { name: "Details", cell: detailOf, by: detailOf },
  { name: "Connected", cell: (d) => (d.connectable ? (d.connectable.connected ? "Yes" : "No") : "–"), by: (d) => String(d.connectable?.connected) },
];

export function VmHardware({ vm }: { vm: VmRecord }) {
  return <Table label="Devices" noun="device" rows={vm["config.hardware.device"] ?? []} columns={columns} keyOf={(d) => String(d.key)} />;
}
