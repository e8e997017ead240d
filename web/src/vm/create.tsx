// SPDX-License-Identifier: Apache-2.0
// A new virtual machine: what it is to be, where it goes, what it has.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { bytes, quoted } from "../ui/format";
import { on } from "../vim/client";
import { datastores, networks, host, vms } from "../vim/inventory";
import { done } from "../vim/task";
import type { Folder, VirtualMachineConfigSpec } from "../vim/types.gen";
import { go } from "../shell/route";
import { add, newCard, newCdrom, newDisk } from "./devices";
import { FileField, ISO } from "./file_field";
import { rootPool, vmFolder } from "./place";

const guests = [
  ["debian12_64Guest", "Debian GNU/Linux 12 (64-bit)"], ["ubuntu64Guest", "Ubuntu Linux (64-bit)"], ["rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)"],
  ["otherLinux64Guest", "Other Linux (64-bit)"], ["freebsd14_64Guest", "FreeBSD 14 (64-bit)"], ["windows2022srvNext_64Guest", "Windows Server 2022 (64-bit)"],
  ["windows11_64Guest", "Windows 11 (64-bit)"], ["otherGuest64", "Other (64-bit)"],
] as const;

interface Form { name: string; guest: string; firmware: string; store: string; cpus: string; memory: string; disk: string; thin: boolean; network: string; iso: string; start: boolean }

/** New devices have negative keys, by which they name each other. */
export function specOf(f: Form): VirtualMachineConfigSpec {
  const store = datastores().find((d) => d.ref.value === f.store)?.name ?? "";
  const network = networks().find((n) => n.ref.value === f.network)?.name;
  return {
    _typeName: "VirtualMachineConfigSpec",
    name: f.name, guestId: f.guest, firmware: f.firmware, numCPUs: Number(f.cpus), memoryMB: Number(f.memory),
    files: { _typeName: "VirtualMachineFileInfo", vmPathName: `[${store}]` },
    deviceChange: [
      add({ _typeName: "ParaVirtualSCSIController", key: -1, busNumber: 0, sharedBus: "noSharing" }),
      ...(Number(f.disk) > 0 ? [newDisk(-2, -1, 0, Number(f.disk), f.thin, store)] : []),
      add({ _typeName: "VirtualAHCIController", key: -3, busNumber: 0 }),
      ...(f.iso ? [newCdrom(-4, -3, 0, f.iso)] : []),
      ...(network ? [newCard(-5, "VirtualVmxnet3", network)] : []),
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
    network: networks()[0]?.ref.value ?? "", iso: "", start: false,
  });
  const put = <K extends keyof Form>(key: K) => (value: Form[K]) => set((f) => ({ ...f, [key]: value }));
  const wrong = problems(f);
  const advice = wrong.cpus?.startsWith("The host has");
  const stop = Object.entries(wrong).find(([key]) => !(key === "cpus" && advice))?.[1];
  const create = async () => {
    const folder = on<Folder>(await vmFolder());
    const info = await done(await folder.CreateVM_Task({ config: specOf(f), pool: rootPool(), ...(host() && { host: host()!.ref }) }));
    const vm = info.result as { value: string } & Parameters<typeof on>[0];
    if (f.start) void on<import("../vim/types.gen").VirtualMachine>(vm).PowerOnVM_Task({});
    go("host", "vms", vm.value);
  };
  const name = quoted(f.name || "NAME");
  return (
    <Dialog title="Create a virtual machine" confirm="Create" because={stop} wide onConfirm={create}
      commands={{
        socle: `socle vm create ${name} --guest ${f.guest} --cpus ${f.cpus} --memory ${f.memory}M --disk ${f.disk}G${f.iso ? ` --cdrom ${quoted(f.iso)}` : ""}`,
        govc: `govc vm.create -g ${f.guest} -c ${f.cpus} -m ${f.memory} -disk ${f.disk}GB -firmware ${f.firmware}${f.iso ? ` -iso ${quoted(f.iso)}` : ""} -on=${f.start} ${name}`,
      }}>
      <div class="columns">
        <TextField label="Name" value={f.name} onValue={put("name")} error={f.name && wrong.name} autoFocus />
        <SelectField label="Guest OS" value={f.guest} onValue={put("guest")} choices={guests} />
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
      <CheckField label="Power it on" checked={f.start} onValue={put("start")} />
    </Dialog>
  );
}

export const openCreateVm = () => openDialog(<CreateVm />);
