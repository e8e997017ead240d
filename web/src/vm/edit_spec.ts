// SPDX-License-Identifier: Apache-2.0
// What was changed in the form, and nothing else, as the API's struct; and as a command where one can do it.
import { quoted } from "../ui/format";
import type {
  ResourceAllocationInfo, VirtualDevice, VirtualDeviceConfigSpec, VirtualMachineBootOptionsBootableDevice, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
} from "../vim/types.gen";
import {
  AHCI, connected, diskSpec, edit, freeUnit, isoBacking, networkBacking, newCard, newCdrom, newController, newPort, portBacking, remove, STORAGE,
} from "./devices";
import type { Allocation, Card, Disk, Drive, Form, Port } from "./edit_form";

type Change = VirtualDeviceConfigSpec;
const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);

/** Devices as they will be, so that each new one finds a place of its own. */
type Places = VirtualDevice[];

function placeOf(devices: Places, at: string, kind: RegExp, what: string) {
  const place = freeUnit(devices, kind, at);
  if (!place) throw new Error(`No controller has room for ${what}.`);
  devices.push({ key: -1000 - devices.length, ...place } as VirtualDevice);
  return place;
}

function diskChange(was: Disk | undefined, now: Disk, key: number, devices: Places, store: string): Change[] {
  if (now.device && now.gone) return [remove(now.device, now.destroy)];
  if (now.gone) return [];
  if (!now.device) {
    const { controllerKey, unitNumber } = placeOf(devices, now.at, STORAGE, "another disk");
    return [diskSpec(key, controllerKey, unitNumber, now, store)];
  }
  const backing = { ...now.device.backing, diskMode: now.mode };
  return [
    ...(now.size !== was!.size ? [edit(now.device, { capacityInKB: Math.round(Number(now.size) * 1024 * 1024), capacityInBytes: undefined, backing })]
      : now.mode !== was!.mode ? [edit(now.device, { backing })] : []),
  ];
}

function driveChange(was: Drive | undefined, now: Drive, key: number, devices: Places): Change[] {
  if (now.device && now.gone) return [remove(now.device)];
  if (now.gone) return [];
  if (!now.device) {
    const { controllerKey, unitNumber } = placeOf(devices, now.at, AHCI, "another CD drive");
    return [newCdrom(key, controllerKey, unitNumber, now.iso, now.on)];
  }
  return differs(was, now) ? [edit(now.device, { backing: isoBacking(now.iso), connectable: connected(now.on) })] : [];
}

function cardChange(was: Card | undefined, now: Card, key: number): Change[] {
  if (now.device && now.gone) return [remove(now.device)];
  if (now.gone) return [];
  const address = now.manual ? { addressType: "manual", macAddress: now.mac } : {};
  if (!now.device) return [newCard(key, now.type, now.network, now.on, address)];
  return differs(was, now) ? [edit(now.device, { backing: networkBacking(now.network), connectable: connected(now.on), ...address })] : [];
}

function portChange(was: Port | undefined, now: Port, key: number): Change[] {
  if (now.device && now.gone) return [remove(now.device)];
  if (now.gone) return [];
  if (!now.device) return [newPort(key, now.kind, now.target)];
  if (now.kind === "host" && was!.kind !== "host") return [remove(now.device), newPort(key, "host", "")]; // an edit cannot take a backing away
  return differs(was, now) ? [edit(now.device, { backing: portBacking(now.kind, now.target) })] : [];
}

function deviceChanges(was: Form, now: Form, c: VirtualMachineConfigInfo, store: string): Change[] {
  const gone = new Set([...now.controllers, ...now.disks, ...now.drives].filter((p) => p.gone && p.device).map((p) => p.device!.key));
  const added = now.controllers.filter((p) => !p.device && !p.gone);
  const devices: Places = [
    ...(c.hardware.device ?? []).filter((d) => !gone.has(d.key)), ...added.map((p) => ({ _typeName: p.type, key: p.key, busNumber: p.bus }) as unknown as VirtualDevice),
  ];
  return [
    ...added.map((p) => newController(p.key, p.type, p.bus)),
    ...now.disks.flatMap((d, i) => diskChange(was.disks[i], d, -100 - i, devices, store)),
    ...now.drives.flatMap((d, i) => driveChange(was.drives[i], d, -200 - i, devices)),
    ...now.cards.flatMap((d, i) => cardChange(was.cards[i], d, -300 - i)),
    ...now.ports.flatMap((d, i) => portChange(was.ports[i], d, -500 - i)),
    ...now.controllers.filter((p) => p.device && p.gone).map((p) => remove(p.device!)),
  ];
}

function bootDevice(word: string): VirtualMachineBootOptionsBootableDevice {
  const [kind, key] = word.split(":"), type = { disk: "Disk", nic: "Ethernet", cdrom: "Cdrom", floppy: "Floppy" }[kind!];
  return { _typeName: `VirtualMachineBootOptionsBootable${type}Device`, ...(key && { deviceKey: Number(key) }) } as VirtualMachineBootOptionsBootableDevice;
}

function allocation(a: Allocation): ResourceAllocationInfo {
  return {
    _typeName: "ResourceAllocationInfo", reservation: Number(a.reservation), limit: a.limit ? Number(a.limit) : -1,
    shares: { _typeName: "SharesInfo", level: a.level as "normal", shares: Number(a.shares) },
  };
}

/** A value that was emptied or taken away: an empty one removes the key. */
function extraChanges(was: Form, now: Form) {
  const text = (value: string) => ({ _typeName: "string", _value: value });
  const before = new Map(was.extra.map((e) => [e.key, e.value])), after = new Map(now.extra.map((e) => [e.key.trim(), e.value]));
  return [
    ...[...after].filter(([key, value]) => before.get(key) !== value && (value || before.has(key))),
    ...[...before.keys()].filter((key) => !after.has(key)).map((key): [string, string] => [key, ""]),
  ].map(([key, value]) => ({ _typeName: "OptionValue", key, value: text(value) }));
}

export function specOf(was: Form, now: Form, c: VirtualMachineConfigInfo, store: string): VirtualMachineConfigSpec {
  const deviceChange = deviceChanges(was, now, c, store), extraConfig = extraChanges(was, now), reordered = differs(was.order, now.order);
  const boot = now.secure !== was.secure || now.setup !== was.setup || now.delay !== was.delay || reordered;
  return {
    _typeName: "VirtualMachineConfigSpec", changeVersion: c.changeVersion,
    ...(now.guest !== was.guest && { guestId: now.guest }),
    ...(now.cpus !== was.cpus && { numCPUs: Number(now.cpus) }),
    ...(now.cores !== was.cores && { numCoresPerSocket: Number(now.cores) }),
    ...(now.memory !== was.memory && { memoryMB: Number(now.memory) }),
    ...(differs(was.cpu, now.cpu) && { cpuAllocation: allocation(now.cpu) }),
    ...(differs(was.ram, now.ram) && { memoryAllocation: allocation(now.ram) }),
    ...(now.firmware !== was.firmware && { firmware: now.firmware }),
    ...(boot && {
      bootOptions: {
        _typeName: "VirtualMachineBootOptions", bootDelay: Number(now.delay), enterBIOSSetup: now.setup,
        ...(now.firmware === "efi" && { efiSecureBootEnabled: now.secure }), ...(reordered && { bootOrder: now.order.map(bootDevice) }),
      },
    }),
    ...(now.diskUuid !== was.diskUuid && { flags: { _typeName: "VirtualMachineFlagInfo", diskUuidEnabled: now.diskUuid } }),
    ...(deviceChange.length && { deviceChange }), ...(extraConfig.length && { extraConfig }),
  };
}

/** `socle vm set` for what it can set; undefined when something else was changed. */
export function socleOf(name: string, spec: VirtualMachineConfigSpec): string | undefined {
  const { _typeName, changeVersion, numCPUs, memoryMB, firmware, guestId, bootOptions, extraConfig, ...rest } = spec;
  if (Object.keys(rest).length || bootOptions) return undefined;
  const extra = (extraConfig ?? []).map((o) => ` --set ${quoted(`${o.key}=${(o.value as { _value: string })._value}`)}`).join("");
  const options = `${numCPUs ? ` --cpus ${numCPUs}` : ""}${memoryMB ? ` --memory ${memoryMB}M` : ""}${firmware ? ` --firmware ${firmware}` : ""}${guestId ? ` --guest ${guestId}` : ""}${extra}`;
  return options ? `socle vm set ${name}${options}` : undefined;
}

export function govcOf(name: string, spec: VirtualMachineConfigSpec): string | undefined {
  const extra = (spec.extraConfig ?? []).map((o) => ` -e ${quoted(`${o.key}=${(o.value as { _value: string })._value}`)}`).join("");
  if (spec.deviceChange || spec.bootOptions || spec.firmware || spec.numCoresPerSocket || spec.flags) return undefined;
  const share = (of: ResourceAllocationInfo | undefined, flag: string) =>
    of ? ` -${flag}.reservation ${of.reservation} -${flag}.limit ${of.limit} -${flag}.shares ${of.shares?.level === "custom" ? of.shares.shares : of.shares?.level}` : "";
  const options = `${spec.numCPUs ? ` -c ${spec.numCPUs}` : ""}${spec.memoryMB ? ` -m ${spec.memoryMB}` : ""}${spec.guestId ? ` -g ${spec.guestId}` : ""}${share(spec.cpuAllocation, "cpu")}${share(spec.memoryAllocation, "mem")}${extra}`;
  return options ? `govc vm.change -vm ${name}${options}` : undefined;
}
