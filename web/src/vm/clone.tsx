// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { on } from "../vim/client";
import { datastores, vms, type VmRecord } from "../vim/inventory";
import { done } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { rootPool, vmFolder } from "./place";

function CloneVm({ vm }: { vm: VmRecord }) {
  const [name, setName] = useState(`${vm.name} copy`);
  const [store, setStore] = useState(vm.datastore?.[0]?.value ?? datastores()[0]?.ref.value ?? "");
  const [powerOn, setPowerOn] = useState(false);
  const wrong = !name.trim() ? "A name is needed." : vms().some((v) => v.name === name) ? "Another virtual machine has this name." : undefined;
  const clone = async () => {
    const datastore = datastores().find((d) => d.ref.value === store)!.ref;
    return done(await on<VirtualMachine>(vm.ref).CloneVM_Task({
      folder: await vmFolder(), name,
      spec: { _typeName: "VirtualMachineCloneSpec", location: { _typeName: "VirtualMachineRelocateSpec", datastore, pool: rootPool() }, powerOn, template: false },
    }));
  };
  return (
    <Dialog title={`Clone “${vm.name}”`} confirm="Clone" because={wrong} onConfirm={clone}
      commands={{ socle: `socle vm clone ${quoted(vm.name ?? "")} ${quoted(name)}`, govc: `govc vm.clone -vm ${quoted(vm.name ?? "")} -on=${powerOn} ${quoted(name)}` }}>
      <TextField label="Name of the copy" value={name} onValue={setName} error={wrong} autoFocus />
      <SelectField label="Datastore" value={store} onValue={setStore} choices={datastores().map((d) => [d.ref.value, d.name ?? ""] as const)} />
      <CheckField label="Power it on when it is there" checked={powerOn} onValue={setPowerOn} />
    </Dialog>
  );
}

export const openCloneVm = (vm: VmRecord) => openDialog(<CloneVm vm={vm} />);
