// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { request } from "../vim/client";
import { datastores, vms, type VmRecord } from "../vim/inventory";
import { perform } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { rootPool, vmFolder } from "./place";

function CloneVm({ vm }: { vm: VmRecord }) {
  const [name, setName] = useState(`${vm.name} copy`);
  const [store, setStore] = useState(vm.datastore?.[0]?.value ?? datastores()[0]?.ref.value ?? "");
  const [linked, setLinked] = useState(false);
  const [powerOn, setPowerOn] = useState(false);
  const wrong = !name.trim() ? "A name is needed." : vms().some((v) => v.name === name) ? "Another virtual machine has this name." : undefined;
  const chosen = datastores().find((d) => d.ref.value === store);
  const clone = request<VirtualMachine>(vm.ref).CloneVM_Task({
    folder: vmFolder(), name,
    spec: {
      _typeName: "VirtualMachineCloneSpec", powerOn, template: false,
      location: { _typeName: "VirtualMachineRelocateSpec", ...(chosen && { datastore: chosen.ref }), pool: rootPool(), ...(linked && { diskMoveType: "createNewChildDiskBacking" }) },
      ...(linked && { snapshot: vm.snapshot!.currentSnapshot! }),
    },
  });
  return (
    <Dialog title={`Clone “${vm.name}”`} confirm="Clone" because={wrong} onConfirm={() => perform(clone)}
      commands={{
        socle: `socle vm clone ${quoted(vm.name ?? "")} ${quoted(name)}${chosen ? ` --datastore ${quoted(chosen.name ?? "")}` : ""}${linked ? " --linked" : ""}${powerOn ? " --start" : ""}`,
        govc: `govc vm.clone -vm ${quoted(vm.name ?? "")} -on=${powerOn}${linked ? " -link" : ""} ${quoted(name)}`, request: clone,
      }}>
      <TextField label="Name of the copy" value={name} onValue={setName} error={wrong} autoFocus />
      <SelectField label="Datastore" value={store} onValue={setStore} choices={datastores().map((d) => [d.ref.value, d.name ?? ""] as const)} />
      <CheckField label="Linked clone: it shares the disks of the current snapshot and keeps what it changes" checked={linked} onValue={setLinked}
        because={!vm.snapshot?.currentSnapshot && "It has no snapshot whose disks could be shared."} help="Made in a moment. The snapshot cannot be deleted as long as the clone is there." />
      <CheckField label="Power it on when it is there" checked={powerOn} onValue={setPowerOn} />
    </Dialog>
  );
}

export const openCloneVm = (vm: VmRecord) => openDialog(<CloneVm vm={vm} />);
