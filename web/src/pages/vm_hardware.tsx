// SPDX-License-Identifier: Apache-2.0
// All that the VM has, what people look for first.
import { Icon, type IconName } from "../ui/icon";
import { bytes } from "../ui/format";
import { Table, type Column } from "../ui/table";
import type { VmRecord } from "../vim/inventory";
import type { VirtualDevice, VirtualDeviceFileBackingInfo, VirtualMachineVideoCard } from "../vim/types.gen";
import { capacityOf, CARD_TYPES, CONTROLLERS, isCard, isCdrom, isDisk, isPort, labelOf, MODES, networkOf, placeText } from "../vm/devices";
import { flatOf } from "../vm/edit_form";

const kinds: readonly [is: (d: VirtualDevice) => boolean, icon: IconName][] = [
  [isDisk, "disk"], [isCdrom, "disc"], [isCard, "network"], [isPort, "terminal"], [(d) => /VideoCard/.test(d._typeName ?? ""), "vm"], [(d) => /Controller/.test(d._typeName ?? ""), "settings"],
];
const rank = (d: VirtualDevice) => kinds.findIndex(([is]) => is(d)) >>> 0;
const fileOf = (d: VirtualDevice) => (d.backing as VirtualDeviceFileBackingInfo | undefined)?.fileName;
const names = new Map<string, string>([...CARD_TYPES, ...CONTROLLERS]);

function detailOf(d: VirtualDevice): string {
  if (isDisk(d))
    return `${bytes(capacityOf(d))}, ${flatOf(d)?.thinProvisioned ? "thin" : "thick"}, ${MODES.find(([mode]) => mode === flatOf(d)?.diskMode)?.[1].split(":")[0]!.toLowerCase() ?? flatOf(d)?.diskMode}; ${fileOf(d)}`;
  if (isCard(d)) return `${names.get(d._typeName ?? "") ?? d._typeName}, ${d.macAddress ?? ""}, ${networkOf(d)}`;
  const ram = (d as VirtualMachineVideoCard).videoRamSizeInKB;
  return fileOf(d) || (ram ? `${bytes(ram * 1024)} of video memory` : names.get(d._typeName ?? "") ?? d.deviceInfo?.summary ?? "");
}

export function VmHardware({ vm }: { vm: VmRecord }) {
  const devices = vm["config.hardware.device"] ?? [];
  const columns: Column<VirtualDevice>[] = [
    { name: "Device", cell: (d) => <span class="status"><Icon name={kinds[rank(d)]?.[1] ?? "cpu"} />{labelOf(d)}</span>, by: (d) => rank(d) * 1e6 + d.key },
    { name: "Details", cell: (d) => (detailOf(d) === labelOf(d) ? "–" : detailOf(d)), by: detailOf },
    { name: "Place", cell: (d) => (isDisk(d) || isCdrom(d) ? placeText(d, devices) : "–"), by: (d) => placeText(d, devices) },
    { name: "Connected", cell: (d) => (d.connectable ? (d.connectable.connected ? "Yes" : d.connectable.startConnected ? "At power on" : "No") : "–"), by: (d) => String(d.connectable?.connected) },
  ];
  return <Table label="Devices" noun="device" rows={devices} columns={columns} keyOf={(d) => String(d.key)} />;
}
