// SPDX-License-Identifier: Apache-2.0
// What "edit settings" shows of a VM, as texts that are typed and boxes that are ticked. A device that the VM has keeps
// its struct of the API beside it; one without is new.
import type {
  ResourceAllocationInfo, VirtualController, VirtualDevice, VirtualDisk, VirtualDiskFlatVer2BackingInfo, VirtualEthernetCard,
  VirtualMachineBootOptionsBootableDevice, VirtualMachineConfigInfo,
} from "../vim/types.gen";
import { unbox } from "../vim/client";
import { capacityOf, isCard, isCdrom, isDisk, isoOf, isPort, labelOf, networkOf } from "./devices";

interface Part { device?: VirtualDevice; label: string; gone: boolean }

export interface Controller extends Part { type: string; key: number; bus: number }
export interface Disk extends Part {
  size: string; // GB
  least: number;
  provisioning: "thin" | "thick" | "eager";
  mode: string;
  at: string; // the controller's key; "" is the first with room
  file: string; // of a disk that is there already
  existing: boolean; // such a file is to be attached
  destroy: boolean;
}
export interface Drive extends Part { iso: string; on: boolean; at: string }
export interface Card extends Part { network: string; type: string; on: boolean; manual: boolean; mac: string }
export interface Port extends Part { kind: "host" | "file" | "pipe"; target: string }
export interface Allocation { reservation: string; limit: string; level: string; shares: string }
export interface Extra { key: string; value: string; old: boolean }

export interface Form {
  guest: string; cpus: string; cores: string; memory: string;
  controllers: Controller[]; disks: Disk[]; drives: Drive[]; cards: Card[]; ports: Port[];
  cpu: Allocation; ram: Allocation; // "limit" empty: none
  firmware: string; secure: boolean; setup: boolean; delay: string; order: string[];
  diskUuid: boolean; extra: Extra[];
}
export type Parts = "controllers" | "disks" | "drives" | "cards" | "ports";

export const GIB = 2 ** 30;
export const flatOf = (d: VirtualDevice | undefined) => d?.backing as VirtualDiskFlatVer2BackingInfo | undefined;
const isStorage = (d: VirtualDevice): d is VirtualController => /SCSI|LsiLogic|BusLogic|AHCI|NVME/.test(d._typeName ?? "");
const isOn = (d: VirtualDevice, runs: boolean) => (runs ? d.connectable?.connected : d.connectable?.startConnected) ?? false;

function readAllocation(a: ResourceAllocationInfo | undefined): Allocation {
  const limit = a?.limit ?? -1;
  return { reservation: String(a?.reservation ?? 0), limit: limit < 0 ? "" : String(limit), level: a?.shares?.level ?? "normal", shares: String(a?.shares?.shares ?? 0) };
}

const readDisk = (d: VirtualDisk): Disk => ({
  device: d, label: labelOf(d), gone: false, size: String(capacityOf(d) / GIB), least: capacityOf(d) / GIB,
  provisioning: flatOf(d)?.thinProvisioned ? "thin" : flatOf(d)?.eagerlyScrub ? "eager" : "thick",
  mode: flatOf(d)?.diskMode ?? "persistent", at: String(d.controllerKey), file: flatOf(d)?.fileName ?? "", existing: false, destroy: false,
});

function readPort(d: VirtualDevice): Port {
  const b = d.backing as { _typeName?: string; fileName?: string; pipeName?: string } | undefined;
  const kind = b?.fileName ? "file" : b?.pipeName ? "pipe" : "host";
  return { device: d, label: labelOf(d), gone: false, kind, target: b?.fileName ?? b?.pipeName ?? "" };
}

/** "disk:2000", "nic:4000", "cdrom". */
function wordOf(d: VirtualMachineBootOptionsBootableDevice): string {
  const key = (d as { deviceKey?: number }).deviceKey;
  return /Disk/.test(d._typeName ?? "") ? `disk:${key}` : /Ethernet/.test(d._typeName ?? "") ? `nic:${key}` : /Cdrom/.test(d._typeName ?? "") ? "cdrom" : "floppy";
}

/** What stands in the VM's order, and after it whatever else could be booted from. */
function readOrder(c: VirtualMachineConfigInfo): string[] {
  const devices = c.hardware.device ?? [], said = (c.bootOptions?.bootOrder ?? []).map(wordOf);
  const all = [
    ...devices.filter(isDisk).map((d) => `disk:${d.key}`), ...(devices.some(isCdrom) ? ["cdrom"] : []), ...devices.filter(isCard).map((d) => `nic:${d.key}`),
  ];
  return [...said.filter((w) => all.includes(w)), ...all.filter((w) => !said.includes(w))];
}

export function readForm(c: VirtualMachineConfigInfo, runs: boolean): Form {
  const devices = c.hardware.device ?? [];
  return {
    guest: c.guestId, cpus: String(c.hardware.numCPU), cores: String(c.hardware.numCoresPerSocket ?? 1), memory: String(c.hardware.memoryMB),
    controllers: devices.filter(isStorage).map((d) => ({ device: d, label: labelOf(d), gone: false, type: d._typeName ?? "", key: d.key, bus: d.busNumber })),
    disks: devices.filter(isDisk).map(readDisk),
    drives: devices.filter(isCdrom).map((d) => ({ device: d, label: labelOf(d), gone: false, iso: isoOf(d), on: isOn(d, runs), at: String(d.controllerKey) })),
    cards: devices.filter(isCard).map((d) => ({
      device: d, label: labelOf(d), gone: false, network: networkOf(d), type: d._typeName ?? "", on: isOn(d, runs),
      manual: (d as VirtualEthernetCard).addressType?.toLowerCase() === "manual", mac: (d as VirtualEthernetCard).macAddress ?? "",
    })),
    ports: devices.filter(isPort).map(readPort),
    cpu: readAllocation(c.cpuAllocation), ram: readAllocation(c.memoryAllocation),
    firmware: c.firmware ?? "bios", secure: c.bootOptions?.efiSecureBootEnabled ?? false, setup: c.bootOptions?.enterBIOSSetup ?? false,
    delay: String(c.bootOptions?.bootDelay ?? 0), order: readOrder(c), diskUuid: c.flags?.diskUuidEnabled ?? false,
    extra: (c.extraConfig ?? []).map((o) => ({ key: o.key, value: String(unbox(o.value)), old: true })),
  };
}

const whole = (text: string, least = 0) => /^\d+$/.test(text) && Number(text) >= least;

function wrongAllocation(a: Allocation, name: string, unit: string): string | undefined {
  if (!whole(a.reservation)) return `${name}, reservation: a number of ${unit}.`;
  if (a.limit && !whole(a.limit, 1)) return `${name}, limit: a number of ${unit}, or empty for none.`;
  if (a.limit && Number(a.limit) < Number(a.reservation)) return `${name}: the limit is below the reservation.`;
  return a.level === "custom" && !whole(a.shares, 1) ? `${name}, shares: a number from 1.` : undefined;
}

function wrongDisk(d: Disk): string | undefined {
  if (d.existing) return /^\[.+\] .+\.vmdk$/i.test(d.file) ? undefined : `${d.label}: the name of a .vmdk file is needed.`;
  if (!(Number(d.size) > 0)) return `${d.label}: a size is needed.`;
  return Number(d.size) < d.least ? `${d.label}: a disk can grow, it cannot shrink.` : undefined;
}

/** The first thing that cannot be, or undefined. */
export function wrongOf(f: Form): string | undefined {
  const cpus = Number(f.cpus), cores = Number(f.cores), memory = Number(f.memory);
  const there = <T extends Part>(parts: T[]) => parts.filter((p) => !p.gone);
  const keys = f.extra.filter((e) => e.value !== "").map((e) => e.key);
  const card = there(f.cards).find((c) => c.manual && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(c.mac));
  if (!(whole(f.cpus, 1) && cpus <= 768)) return "CPUs: 1 to 768.";
  if (!(whole(f.cores, 1) && cpus % cores === 0)) return "Cores of a socket: must divide the number of CPUs.";
  if (!(memory >= 4 && memory % 4 === 0)) return "Memory: a multiple of 4 MB.";
  if (card) return `${card.label}: a MAC address such as 00:50:56:00:00:01.`;
  if (!whole(f.delay)) return "Wait before the start: a number of milliseconds.";
  if (f.extra.some((e) => !e.key.trim())) return "Configuration parameters: each has a name.";
  if (new Set(keys).size < keys.length) return "Configuration parameters: one name stands there twice.";
  const port = there(f.ports).find((p) => p.kind !== "host" && !p.target.trim());
  if (port) return `${port.label}: ${port.kind === "file" ? "a file" : "a pipe's name"} is needed.`;
  return there(f.disks).map(wrongDisk).find(Boolean) ?? wrongAllocation(f.cpu, "CPU", "MHz") ?? wrongAllocation(f.ram, "Memory", "MB");
}
