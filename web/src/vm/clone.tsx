// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { request } from "../vim/client";
import { datastores, vms, type VmRecord } from "../vim/inventory";
import { perform } from "../vim/task";
import type { VirtualMachine, VirtualMachineSnapshotTree } from "../vim/types.gen";
import { rootPool, vmFolder } from "./place";
import { powerOf } from "./state";

const flatten = (list: readonly VirtualMachineSnapshotTree[]): VirtualMachineSnapshotTree[] => list.flatMap((s) => [s, ...flatten(s.childSnapshotList ?? [])]);

function CloneVm({ vm }: { vm: VmRecord }) {
  const snapshots = flatten(vm.snapshot?.rootSnapshotList ?? []), current = vm.snapshot?.currentSnapshot?.value ?? "", off = powerOf(vm) === "poweredOff";
  const [name, setName] = useState(`${vm.name} copy`);
  const [store, setStore] = useState(vm.datastore?.[0]?.value ?? datastores()[0]?.ref.value ?? "");
  const [from, setFrom] = useState(off ? "" : current);
  const [linked, setLinked] = useState(false);
  const [powerOn, setPowerOn] = useState(false);
  const snapshot = snapshots.find((s) => s.snapshot.value === (from || (linked ? current : "")));
  const wrong = !name.trim() ? "A name is needed." : vms().some((v) => v.name === name) ? "Another virtual machine has this name."
    : !off && !snapshot ? "It is not off: power it off first, or take a snapshot and clone that." : undefined;
  const chosen = datastores().find((d) => d.ref.value === store);
  const clone = request<VirtualMachine>(vm.ref).CloneVM_Task({
    folder: vmFolder(), name,
    spec: {
      _typeName: "VirtualMachineCloneSpec", powerOn, template: false,
      location: { _typeName: "VirtualMachineRelocateSpec", ...(chosen && { datastore: chosen.ref }), pool: rootPool(), ...(linked && { diskMoveType: "createNewChildDiskBacking" }) },
      ...(snapshot && { snapshot: snapshot.snapshot }),
    },
  });
  const isCurrent = snapshot?.snapshot.value === current;
  return (
    <Dialog title={`Clone “${vm.name}”`} confirm="Clone" because={wrong} onConfirm={() => perform(clone)}
      commands={{
        socle: snapshot && !(linked && isCurrent) ? undefined
          : `socle vm clone ${quoted(vm.name ?? "")} ${quoted(name)}${chosen ? ` --datastore ${quoted(chosen.name ?? "")}` : ""}${linked ? " --linked" : ""}${powerOn ? " --start" : ""}`,
        govc: snapshot && !linked ? undefined
          : `govc vm.clone -vm ${quoted(vm.name ?? "")} -on=${powerOn}${chosen ? ` -ds ${quoted(chosen.name ?? "")}` : ""}${linked ? ` -link -snapshot ${quoted(snapshot?.name ?? "")}` : ""} ${quoted(name)}`, request: clone,
      }}>
      <TextField label="Name of the copy" value={name} onValue={setName} error={name !== `${vm.name} copy` && wrong} autoFocus />
      <SelectField label="Datastore" value={store} onValue={setStore} choices={datastores().map((d) => [d.ref.value, d.name ?? ""] as const)} />
      <SelectField label="A copy of" value={from} onValue={setFrom} help={!off && "It runs: what a snapshot has kept can be copied meanwhile, its disks without its memory."}
        choices={[["", off ? "What it is now" : "What it is now (when it is off)"], ...snapshots.map((s) => [s.snapshot.value, `Snapshot “${s.name}”`] as const)]} />
      <CheckField label="Linked clone: it shares the disks of the snapshot and keeps what it changes" checked={linked} onValue={setLinked}
        because={!current && "It has no snapshot whose disks could be shared."} help="Made in a moment. The snapshot cannot be deleted as long as the clone is there." />
      <CheckField label="Power it on when it is there" checked={powerOn} onValue={setPowerOn} />
    </Dialog>
  );
}

export const openCloneVm = (vm: VmRecord) => openDialog(<CloneVm vm={vm} />);
