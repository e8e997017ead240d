// SPDX-License-Identifier: Apache-2.0
// Edit settings: processors, memory, disks, CD drives, network cards, options. What can not be changed now is grey and
// says why; only what was changed is sent, with the configuration's version that it was made from.
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { bytes, quoted } from "../ui/format";
import { get, on } from "../vim/client";
import { datastores, networks, type VmRecord } from "../vim/inventory";
import { done } from "../vim/task";
import type { VirtualDevice, VirtualDeviceConfigSpec, VirtualMachine, VirtualMachineConfigInfo, VirtualMachineConfigSpec } from "../vim/types.gen";
import {
  AHCI, capacityOf, connected, edit, freeUnit, isCard, isCdrom, isDisk, isoBacking, isoOf, labelOf, networkBacking, networkOf, newCard, newCdrom,
  newDisk, remove, SCSI,
} from "./devices";
import { FileField, ISO } from "./file_field";
import { powerOf } from "./state";

interface Disk { device?: VirtualDevice; label: string; size: string; least: number; thin: boolean; gone: boolean; destroy: boolean }
interface Drive { device?: VirtualDevice; label: string; iso: string; on: boolean; gone: boolean }
interface Card { device?: VirtualDevice; label: string; network: string; type: string; on: boolean; gone: boolean }

interface Form {
  cpus: string; cores: string; memory: string; guest: string; firmware: string; secure: boolean; setup: boolean; delay: string;
  disks: Disk[]; drives: Drive[]; cards: Card[];
}

const GIB = 2 ** 30;

function read(c: VirtualMachineConfigInfo): Form {
  const devices = c.hardware.device ?? [];
  return {
    cpus: String(c.hardware.numCPU), cores: String(c.hardware.numCoresPerSocket ?? 1), memory: String(c.hardware.memoryMB), guest: c.guestId,
    firmware: c.firmware ?? "bios", secure: c.bootOptions?.efiSecureBootEnabled ?? false, setup: c.bootOptions?.enterBIOSSetup ?? false,
    delay: String(c.bootOptions?.bootDelay ?? 0),
    disks: devices.filter(isDisk).map((d) => ({ device: d, label: labelOf(d), size: String(capacityOf(d) / GIB), least: capacityOf(d) / GIB, thin: true, gone: false, destroy: false })),
    drives: devices.filter(isCdrom).map((d) => ({ device: d, label: labelOf(d), iso: isoOf(d), on: d.connectable?.connected || d.connectable?.startConnected || false, gone: false })),
    cards: devices.filter(isCard).map((d) => ({ device: d, label: labelOf(d), network: networkOf(d), type: d._typeName ?? "", on: d.connectable?.connected || d.connectable?.startConnected || false, gone: false })),
  };
}

function diskChanges(was: Form, now: Form, c: VirtualMachineConfigInfo, store: string): VirtualDeviceConfigSpec[] {
  const changes: VirtualDeviceConfigSpec[] = [], devices = [...(c.hardware.device ?? [])];
  now.disks.forEach((d, i) => {
    if (d.device && d.gone) changes.push(remove(d.device, d.destroy));
    else if (d.device && d.size !== was.disks[i]!.size)
      changes.push(edit(d.device, { capacityInKB: Math.round(Number(d.size) * 1024 * 1024), capacityInBytes: undefined }));
    else if (!d.device && !d.gone) {
      const place = freeUnit(devices, SCSI, 64);
      if (!place) throw new Error("No SCSI controller has room for another disk.");
      devices.push({ key: -100 - i, ...place } as VirtualDevice);
      changes.push(newDisk(-100 - i, place.controllerKey, place.unitNumber, Number(d.size), d.thin, store));
    }
  });
  return changes;
}

function driveChanges(was: Form, now: Form, c: VirtualMachineConfigInfo): VirtualDeviceConfigSpec[] {
  const changes: VirtualDeviceConfigSpec[] = [], devices = [...(c.hardware.device ?? [])];
  now.drives.forEach((d, i) => {
    if (d.device && d.gone) changes.push(remove(d.device));
    else if (d.device && (d.iso !== was.drives[i]!.iso || d.on !== was.drives[i]!.on))
      changes.push(edit(d.device, { backing: isoBacking(d.iso), connectable: connected(d.on) }));
    else if (!d.device && !d.gone) {
      const place = freeUnit(devices, AHCI, 30);
      if (!place) throw new Error("No SATA controller has room for another CD drive.");
      devices.push({ key: -200 - i, ...place } as VirtualDevice);
      changes.push(newCdrom(-200 - i, place.controllerKey, place.unitNumber, d.iso));
    }
  });
  return changes;
}

function cardChanges(was: Form, now: Form): VirtualDeviceConfigSpec[] {
  const changes: VirtualDeviceConfigSpec[] = [];
  now.cards.forEach((d, i) => {
    if (d.device && d.gone) changes.push(remove(d.device));
    else if (d.device && (d.network !== was.cards[i]!.network || d.on !== was.cards[i]!.on))
      changes.push(edit(d.device, { backing: networkBacking(d.network), connectable: connected(d.on) }));
    else if (!d.device && !d.gone) changes.push(newCard(-300 - i, d.type, d.network));
  });
  return changes;
}

function specOf(was: Form, now: Form, c: VirtualMachineConfigInfo, store: string): VirtualMachineConfigSpec {
  const deviceChange = [...diskChanges(was, now, c, store), ...driveChanges(was, now, c), ...cardChanges(was, now)];
  const boot = now.secure !== was.secure || now.setup !== was.setup || now.delay !== was.delay;
  return {
    _typeName: "VirtualMachineConfigSpec", changeVersion: c.changeVersion,
    ...(now.cpus !== was.cpus && { numCPUs: Number(now.cpus) }),
    ...(now.cores !== was.cores && { numCoresPerSocket: Number(now.cores) }),
    ...(now.memory !== was.memory && { memoryMB: Number(now.memory) }),
    ...(now.firmware !== was.firmware && { firmware: now.firmware }),
    ...(boot && { bootOptions: { _typeName: "VirtualMachineBootOptions", bootDelay: Number(now.delay), enterBIOSSetup: now.setup, ...(now.firmware === "efi" && { efiSecureBootEnabled: now.secure }) } }),
    ...(deviceChange.length && { deviceChange }),
  };
}

function wrongOf(f: Form): string | undefined {
  const cpus = Number(f.cpus), cores = Number(f.cores), memory = Number(f.memory);
  if (!(Number.isInteger(cpus) && cpus >= 1 && cpus <= 768)) return "CPUs: 1 to 768.";
  if (!(Number.isInteger(cores) && cores >= 1 && cpus % cores === 0)) return "Cores of a socket: must divide the number of CPUs.";
  if (!(memory >= 4 && memory % 4 === 0)) return "Memory: a multiple of 4 MB.";
  for (const d of f.disks.filter((d) => !d.gone)) {
    if (!(Number(d.size) > 0)) return `${d.label}: a size is needed.`;
    if (Number(d.size) < d.least) return `${d.label}: a disk can grow, it can not shrink.`;
  }
  return undefined;
}

function EditVm({ vm, config }: { vm: VmRecord; config: VirtualMachineConfigInfo }) {
  const [was] = useState(() => read(config));
  const [f, set] = useState(was);
  const runs = powerOf(vm) !== "poweredOff" && "It runs: power it off first.";
  const snapshots = Boolean(vm.snapshot) && "It has snapshots, which hold the disk as it is.";
  const wrong = wrongOf(f), store = /^\[(.*?)\]/.exec(config.files.vmPathName ?? "")?.[1] ?? datastores()[0]?.name ?? "";
  const names = networks().map((n) => [n.name ?? "", n.name ?? ""] as const);
  const put = (to: Partial<Form>) => set({ ...f, ...to });
  const at = <K extends "disks" | "drives" | "cards">(key: K, i: number, to: Partial<Form[K][number]>) =>
    put({ [key]: f[key].map((d, n) => (n === i ? { ...d, ...to } : d)) } as Partial<Form>);
  const save = async () => done(await on<VirtualMachine>(vm.ref).ReconfigVM_Task({ spec: specOf(was, f, config, store) }));
  const name = quoted(vm.name ?? "");

  return (
    <Dialog title={`Edit “${vm.name}”`} confirm="Save" wide because={wrong} onConfirm={save}
      commands={{
        socle: `socle vm set ${name}${f.cpus !== was.cpus ? ` --cpus ${f.cpus}` : ""}${f.memory !== was.memory ? ` --memory ${f.memory}M` : ""}`,
        govc: `govc vm.change -vm ${name}${f.cpus !== was.cpus ? ` -c ${f.cpus}` : ""}${f.memory !== was.memory ? ` -m ${f.memory}` : ""}`,
      }}>
      {wrong && <p class="wrong" role="status">{wrong}</p>}
      <fieldset class="part">
        <legend>Processors and memory</legend>
        <div class="columns">
          <TextField label="CPUs" type="number" min={1} max={768} value={f.cpus} onValue={(cpus) => put({ cpus })} because={runs} />
          <TextField label="Cores of a socket" type="number" min={1} value={f.cores} onValue={(cores) => put({ cores })} because={runs} />
          <TextField label="Memory" type="number" min={4} step={4} unit="MB" value={f.memory} onValue={(memory) => put({ memory })} because={runs} />
        </div>
      </fieldset>
      <fieldset class="part">
        <legend>Disks</legend>
        {f.disks.map((d, i) => d.gone ? (
          <div key={i} class="device"><s>{d.label}</s>
            {d.device && <CheckField label="Delete its file as well" checked={d.destroy} onValue={(destroy) => at("disks", i, { destroy })} />}
            <Button kind="link" small onClick={() => at("disks", i, { gone: false, destroy: false })}>Keep it</Button></div>
        ) : (
          <div key={i} class="device">
            <TextField label={d.label} type="number" min={d.least} unit="GB" value={d.size} onValue={(size) => at("disks", i, { size })} because={d.device && snapshots} help={d.device && (d.device.backing as { fileName?: string } | undefined)?.fileName} />
            {!d.device && <CheckField label="Thin" checked={d.thin} onValue={(thin) => at("disks", i, { thin })} />}
            <Button kind="plain" icon="trash" label={`Remove ${d.label}`} because={d.device && runs} onClick={() => at("disks", i, { gone: true })} />
          </div>
        ))}
        <Button kind="link" icon="plus" small because={runs} onClick={() => put({ disks: [...f.disks, { label: "New disk", size: "16", least: 0, thin: true, gone: false, destroy: false }] })}>Add a disk</Button>
      </fieldset>
      <fieldset class="part">
        <legend>CD drives</legend>
        {f.drives.map((d, i) => !d.gone && (
          <div key={i} class="device">
            <FileField label={d.label} value={d.iso} pattern={ISO} placeholder="[datastore1] iso/debian.iso" onValue={(iso) => at("drives", i, { iso })} help="Empty: no disc." />
            <CheckField label="Connected" checked={d.on} onValue={(v) => at("drives", i, { on: v })} />
            <Button kind="plain" icon="trash" label={`Remove ${d.label}`} because={d.device && runs} onClick={() => at("drives", i, { gone: true })} />
          </div>
        ))}
        <Button kind="link" icon="plus" small because={runs} onClick={() => put({ drives: [...f.drives, { label: "New CD drive", iso: "", on: true, gone: false }] })}>Add a CD drive</Button>
      </fieldset>
      <fieldset class="part">
        <legend>Network cards</legend>
        {f.cards.map((d, i) => !d.gone && (
          <div key={i} class="device">
            <SelectField label={d.label} value={d.network} onValue={(network) => at("cards", i, { network })} choices={names} />
            {d.device ? <span class="subtle">{d.type.replace("Virtual", "")}<br />{(d.device as { macAddress?: string }).macAddress}</span>
              : <SelectField label="Kind" value={d.type} onValue={(type) => at("cards", i, { type })} choices={[["VirtualVmxnet3", "VMXNET3"], ["VirtualE1000e", "E1000E"], ["VirtualE1000", "E1000"]]} />}
            <CheckField label="Connected" checked={d.on} onValue={(v) => at("cards", i, { on: v })} />
            <Button kind="plain" icon="trash" label={`Remove ${d.label}`} because={d.device && runs} onClick={() => at("cards", i, { gone: true })} />
          </div>
        ))}
        <Button kind="link" icon="plus" small because={runs} onClick={() => put({ cards: [...f.cards, { label: "New network card", network: names[0]?.[0] ?? "", type: "VirtualVmxnet3", on: true, gone: false }] })}>Add a network card</Button>
      </fieldset>
      <fieldset class="part">
        <legend>Start</legend>
        <div class="columns">
          <SelectField label="Firmware" value={f.firmware} onValue={(firmware) => put({ firmware })} choices={[["efi", "EFI"], ["bios", "BIOS"]]} because={runs} help={f.firmware !== was.firmware && "A guest that is installed will most likely not start any more."} />
          <TextField label="Wait before the start" type="number" min={0} unit="ms" value={f.delay} onValue={(delay) => put({ delay })} />
        </div>
        <CheckField label="Secure Boot" checked={f.secure && f.firmware === "efi"} because={f.firmware !== "efi" ? "Only with EFI." : runs} onValue={(secure) => put({ secure })} />
        <CheckField label="Open the firmware's setup at the next start" checked={f.setup} onValue={(setup) => put({ setup })} />
      </fieldset>
      <p class="subtle">Guest OS: {config.guestFullName}. Room left on {store}: {bytes(datastores().find((d) => d.name === store)?.summary?.freeSpace)}.</p>
    </Dialog>
  );
}

export async function openEditVm(vm: VmRecord): Promise<void> {
  const config = await get<VirtualMachineConfigInfo>(vm.ref, "config");
  openDialog(<EditVm vm={vm} config={config} />);
}
