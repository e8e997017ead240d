// SPDX-License-Identifier: Apache-2.0
// A new virtual machine: what it is to be, where it goes, what it has.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { bytes, quoted } from "../ui/format";
import { attempt } from "../ui/alert";
import { request, type AnyRef } from "../vim/client";
import { datastores, networks, host, vms } from "../vim/inventory";
import { perform } from "../vim/task";
import type { Folder, GuestOsDescriptor, VirtualMachine, VirtualMachineConfigSpec } from "../vim/types.gen";
import { go } from "../shell/route";
import { diskSpec, newCard, newCdrom, newController } from "./devices";
import { openEditVm } from "./edit";
import { FileField, ISO } from "./file_field";
import { guestChoices, useGuests } from "./guests";
import { cannotPlace, rootPool, vmFolder } from "./place";

interface Form { name: string; guest: string; firmware: string; store: string; cpus: string; memory: string; disk: string; thin: boolean; network: string; iso: string; start: boolean; more: boolean }

/** New devices have negative keys, by which they name each other. */
function specOf(f: Form, guest: GuestOsDescriptor | undefined): VirtualMachineConfigSpec {
  const store = datastores().find((d) => d.ref.value === f.store)?.name ?? "";
  const network = networks().find((n) => n.ref.value === f.network)?.name;
  return {
    _typeName: "VirtualMachineConfigSpec",
    name: f.name, guestId: f.guest, firmware: f.firmware, numCPUs: Number(f.cpus), memoryMB: Number(f.memory),
    files: { _typeName: "VirtualMachineFileInfo", vmPathName: `[${store}]` },
    deviceChange: [
      newController(-1, guest?.recommendedDiskController ?? "ParaVirtualSCSIController", 0),
      ...(Number(f.disk) > 0 ? [diskSpec(-2, -1, 0, { size: f.disk, provisioning: f.thin ? "thin" : "thick", mode: "persistent", file: "", existing: false }, store)] : []),
      newController(-3, "VirtualAHCIController", 0),
      ...(f.iso ? [newCdrom(-4, -3, 0, f.iso)] : []),
      ...(network ? [newCard(-5, guest?.recommendedEthernetCard ?? "VirtualVmxnet3", network)] : []),
    ],
  };
}

function problems(f: Form): { [K in keyof Form]?: string } {
  const threads = host()?.["summary.hardware"]?.numCpuThreads ?? 768;
  const free = datastores().find((d) => d.ref.value === f.store)?.summary?.freeSpace ?? Infinity;
  const cpus = Number(f.cpus), memory = Number(f.memory), disk = Number(f.disk);
  return {
    ...(!f.name.trim() ? { name: "A name is needed." } : vms().some((v) => v.name === f.name) ? { name: "Another virtual machine has this name." } : {}),
    ...(!(Number.isInteger(cpus) && cpus >= 1 && cpus <= 768) ? { cpus: "1 to 768." } : cpus > threads ? { cpus: `The host has ${threads}; more than these will not be faster.` } : {}),
    ...(!(memory >= 4 && memory % 4 === 0) ? { memory: "A multiple of 4 MB." } : {}),
    ...(!(disk >= 0) ? { disk: "0 for none." } : !f.thin && disk * 2 ** 30 > free ? { disk: `Only ${bytes(free)} are free.` } : {}),
  };
}

function CreateVm() {
  const [f, set] = useState<Form>({
    name: "", guest: "debian12_64Guest", firmware: "efi", store: datastores()[0]?.ref.value ?? "", cpus: "1", memory: "2048", disk: "16", thin: true,
    network: networks()[0]?.ref.value ?? "", iso: "", start: false, more: false,
  });
  const guests = useGuests(), guest = guests.find((g) => g.id === f.guest);
  const put = <K extends keyof Form>(key: K) => (value: Form[K]) => set((f) => ({ ...f, [key]: value }));
  const wrong = problems(f);
  const advice = wrong.cpus?.startsWith("The host has");
  const stop = Object.entries(wrong).find(([key]) => !(key === "cpus" && advice))?.[1];
  const make = request<Folder>(vmFolder()).CreateVM_Task({ config: specOf(f, guest), pool: rootPool(), ...(host() && { host: host()!.ref }) });
  const create = async () => {
    const vm = (await perform(make)) as AnyRef;
    go("host", "vms", vm.value);
    if (f.more) setTimeout(() => void openEditVm({ ref: vm, name: f.name })); // when this dialog has closed
    else if (f.start) void attempt(`Power on: ${f.name}`, () => perform(request<VirtualMachine>(vm).PowerOnVM_Task({})));
  };
  const store = datastores().find((d) => d.ref.value === f.store)?.name ?? "", network = networks().find((n) => n.ref.value === f.network)?.name;
  const name = quoted(f.name || "NAME");
  return (
    <Dialog title="Create a virtual machine" confirm="Create" because={stop} wide onConfirm={create}
      commands={{
        request: make,
        socle: `socle vm create ${name} --guest ${f.guest} --firmware ${f.firmware} --cpus ${f.cpus} --memory ${f.memory}M --disk ${f.disk}G --datastore ${quoted(store)}${network ? ` --nic ${quoted(network)}` : " --no-nic"}${f.iso ? ` --cd ${quoted(f.iso)}` : ""}${f.start ? " --start" : ""}`,
        govc: `govc vm.create -g ${f.guest} -c ${f.cpus} -m ${f.memory} -disk ${f.disk}GB -firmware ${f.firmware}${f.iso ? ` -iso ${quoted(f.iso)}` : ""} -ds ${quoted(store)}${network ? ` -net ${quoted(network)}` : ""} -on=${f.start} ${name}`,
      }}>
      <div class="columns">
        <TextField label="Name" value={f.name} onValue={put("name")} error={f.name && wrong.name} autoFocus />
        <SelectField label="Guest OS" value={f.guest} onValue={put("guest")} choices={guestChoices(guests, f.guest, "Debian GNU/Linux 12 (64-bit)")} />
      </div>
      <div class="columns">
        <SelectField label="Datastore" value={f.store} onValue={put("store")}
          choices={datastores().map((d) => [d.ref.value, `${d.name} (${bytes(d.summary?.freeSpace)} free)`] as const)} />
        <SelectField label="Firmware" value={f.firmware} onValue={put("firmware")} choices={[["efi", "EFI"], ["bios", "BIOS"]]} />
      </div>
      <div class="columns">
        <TextField label="CPUs" type="number" min={1} max={768} value={f.cpus} onValue={put("cpus")} error={!advice && wrong.cpus} help={advice && wrong.cpus} />
        <TextField label="Memory" type="number" min={4} step={4} unit="MB" value={f.memory} onValue={put("memory")} error={wrong.memory} />
        <TextField label="Disk" type="number" min={0} unit="GB" value={f.disk} onValue={put("disk")} error={wrong.disk} />
      </div>
      <div class="columns">
        <SelectField label="Network" value={f.network} onValue={put("network")} choices={[...networks().map((n) => [n.ref.value, n.name ?? ""] as const), ["", "None"]]} />
        <FileField label="CD image" value={f.iso} onValue={put("iso")} pattern={ISO} placeholder="[datastore1] iso/debian.iso" />
      </div>
      <CheckField label="Thin provisioning: the disk takes room as it is written to" checked={f.thin} onValue={put("thin")} />
      <CheckField label="Power it on" checked={f.start && !f.more} because={f.more && "When the other settings are made."} onValue={put("start")} />
      <CheckField label="Go on to all settings: more disks and cards, controllers, boot order" checked={f.more} onValue={put("more")} />
    </Dialog>
  );
}

export const cannotCreateVm = () => cannotPlace("VirtualMachine.Inventory.Create");
export const openCreateVm = () => openDialog(<CreateVm />);
