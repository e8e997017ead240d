// SPDX-License-Identifier: Apache-2.0
// What is done with snapshots: take one, go back to one, change its name, delete one, those below it, all.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import { request } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { perform } from "../vim/task";
import type { VirtualMachine, VirtualMachineSnapshot, VirtualMachineSnapshotTree } from "../vim/types.gen";
import { powerOf } from "./state";

function TakeSnapshot({ vm }: { vm: VmRecord }) {
  const running = powerOf(vm) === "poweredOn";
  const [name, setName] = useState(`${vm.name} ${new Date().toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}`);
  const [description, setDescription] = useState("");
  const [memory, setMemory] = useState(running);
  const take = request<VirtualMachine>(vm.ref).CreateSnapshot_Task({ name, description, memory: memory && running, quiesce: false });
  const shell = quoted(vm.name ?? "");
  return (
    <Dialog title={`Take a snapshot of “${vm.name}”`} confirm="Take snapshot" because={!name.trim() && "A name is needed."} onConfirm={() => perform(take)}
      commands={{
        request: take,
        socle: `socle vm snapshot take ${shell} ${quoted(name)}${description ? ` --note ${quoted(description)}` : ""}${memory && running ? " --memory" : ""}`,
        govc: `govc snapshot.create -vm ${shell} -m=${memory && running} -d ${quoted(description)} ${quoted(name)}`,
      }}>
      <TextField label="Name" value={name} onValue={setName} autoFocus error={!name.trim() && "A name is needed."} />
      <TextField label="Description" value={description} onValue={setDescription} lines={3} />
      <CheckField label="Include the memory" checked={memory && running} because={!running && "It is powered off and has none."} onValue={setMemory}
        help="Reverting goes on where the guest was, rather than with a start from its disks." />
    </Dialog>
  );
}

export const openTakeSnapshot = (vm: VmRecord) => openDialog(<TakeSnapshot vm={vm} />);

type Node = VirtualMachineSnapshotTree;
const snapshotOf = (node: Node) => request<VirtualMachineSnapshot>(node.snapshot);

export function openRevert(vm: VmRecord, node: Node): void {
  const revert = snapshotOf(node).RevertToSnapshot_Task({});
  openDialog(
    <Dialog title={`Revert to “${node.name}”`} confirm="Revert" danger onConfirm={() => perform(revert)}
      commands={{ socle: `socle vm snapshot revert ${quoted(vm.name ?? "")} ${quoted(node.name)}`, govc: `govc snapshot.revert -vm ${quoted(vm.name ?? "")} ${quoted(node.name)}`, request: revert }}>
      <p>What the virtual machine is now, its memory, its disks and its settings, is lost, unless a snapshot has it.
        {node.state === "poweredOn" ? " It goes on running where it was when the snapshot was taken." : powerOf(vm) === "poweredOn" ? " It is powered off: the snapshot has no memory." : ""}</p>
    </Dialog>);
}

const below = (node: Node): number => (node.childSnapshotList ?? []).reduce((n, child) => n + 1 + below(child), 0);

function RemoveSnapshot({ vm, node }: { vm: VmRecord; node: Node }) {
  const [children, setChildren] = useState(false);
  const remove = snapshotOf(node).RemoveSnapshot_Task({ removeChildren: children, consolidate: true });
  return (
    <Dialog title={`Delete snapshot “${node.name}”?`} confirm="Delete" danger onConfirm={() => perform(remove)}
      commands={{ socle: `socle vm snapshot delete ${quoted(vm.name ?? "")} ${quoted(node.name)}${children ? " --children" : ""}`, govc: `govc snapshot.remove -vm ${quoted(vm.name ?? "")} -r=${children} ${quoted(node.name)}`, request: remove }}>
      <p>You can no longer go back to {children ? "these states" : "this state"}. What the virtual machine is now stays as it is.</p>
      {below(node) > 0 && <CheckField label={`Delete the ${below(node) === 1 ? "snapshot" : plural(below(node), "snapshot")} below it as well`} checked={children} onValue={setChildren} />}
    </Dialog>
  );
}
export const openRemoveSnapshot = (vm: VmRecord, node: Node) => openDialog(<RemoveSnapshot vm={vm} node={node} />);

export function openRemoveAll(vm: VmRecord): void {
  const remove = request<VirtualMachine>(vm.ref).RemoveAllSnapshots_Task({ consolidate: true });
  openDialog(
    <Dialog title={`Delete all snapshots of “${vm.name}”?`} confirm="Delete all" danger onConfirm={() => perform(remove)}
      commands={{ socle: `socle vm snapshot delete ${quoted(vm.name ?? "")} --all`, govc: `govc snapshot.remove -vm ${quoted(vm.name ?? "")} '*'`, request: remove }}>
      <p>What the virtual machine is now stays as it is; all states to which you could have gone back are lost.</p>
    </Dialog>);
}

function EditSnapshot({ node }: { node: Node }) {
  const [name, setName] = useState(node.name);
  const [description, setDescription] = useState(node.description);
  const save = snapshotOf(node).RenameSnapshot({ name, description });
  return (
    <Dialog title={`Edit snapshot “${node.name}”`} confirm="Save" because={!name.trim() && "A name is needed."} onConfirm={() => perform(save)} commands={{ request: save }}>
      <TextField label="Name" value={name} onValue={setName} autoFocus error={!name.trim() && "A name is needed."} />
      <TextField label="Description" value={description} onValue={setDescription} lines={3} />
    </Dialog>
  );
}
export const openEditSnapshot = (node: Node) => openDialog(<EditSnapshot node={node} />);
