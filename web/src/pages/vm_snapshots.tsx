// SPDX-License-Identifier: Apache-2.0
// The tree of snapshots, the running state among them as "You are here".
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { quoted, time } from "../ui/format";
import { Icon } from "../ui/icon";
import { Empty } from "../ui/table";
import { on, type AnyRef } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { done } from "../vim/task";
import type { VirtualMachine, VirtualMachineSnapshot, VirtualMachineSnapshotTree } from "../vim/types.gen";
import { openTakeSnapshot } from "../vm/snapshot";

function revert(vm: VmRecord, node: VirtualMachineSnapshotTree) {
  openDialog(
    <Dialog title={`Revert to “${node.name}”`} confirm="Revert" danger
      onConfirm={async () => done(await on<VirtualMachineSnapshot>(node.snapshot).RevertToSnapshot_Task({}))}
      commands={{ socle: `socle vm snapshot revert ${quoted(vm.name ?? "")} ${quoted(node.name)}`, govc: `govc snapshot.revert -vm ${quoted(vm.name ?? "")} ${quoted(node.name)}` }}>
      <p>What the virtual machine is now, its memory and its disks, is lost, unless a snapshot has it.</p>
    </Dialog>);
}

function remove(vm: VmRecord, node: VirtualMachineSnapshotTree) {
  openDialog(
    <Dialog title={`Delete snapshot “${node.name}”?`} confirm="Delete" danger
      onConfirm={async () => done(await on<VirtualMachineSnapshot>(node.snapshot).RemoveSnapshot_Task({ removeChildren: false, consolidate: true }))}
      commands={{ socle: `socle vm snapshot delete ${quoted(vm.name ?? "")} ${quoted(node.name)}`, govc: `govc snapshot.remove -vm ${quoted(vm.name ?? "")} ${quoted(node.name)}` }}>
      <p>You can no longer go back to this state. What the virtual machine is now stays as it is.</p>
    </Dialog>);
}

function removeAll(vm: VmRecord) {
  openDialog(
    <Dialog title={`Delete all snapshots of “${vm.name}”?`} confirm="Delete all" danger
      onConfirm={async () => done(await on<VirtualMachine>(vm.ref).RemoveAllSnapshots_Task({ consolidate: true }))}
      commands={{ socle: `socle vm snapshot delete ${quoted(vm.name ?? "")} --all`, govc: `govc snapshot.remove -vm ${quoted(vm.name ?? "")} '*'` }}>
      <p>What the virtual machine is now stays as it is; all states to which you could have gone back are lost.</p>
    </Dialog>);
}

function Node({ vm, node, current }: { vm: VmRecord; node: VirtualMachineSnapshotTree; current: AnyRef | undefined }) {
  const here = current?.value === node.snapshot.value;
  return (
    <li role="treeitem" class="snapshot">
      <div class="snapshot-line">
        <Icon name="camera" tone={node.state === "poweredOn" ? "success" : "muted"} />
        <span class="grow">
          <strong>{node.name}</strong> <span class="subtle">{time(node.createTime)}{node.state === "poweredOn" ? ", with memory" : ""}</span>
          {node.description && <div class="subtle">{node.description}</div>}
        </span>
        <Button small onClick={() => revert(vm, node)}>Revert</Button>
        <Button small kind="plain" icon="trash" label={`Delete ${node.name}`} onClick={() => remove(vm, node)} />
      </div>
      <ul role="group">
        {node.childSnapshotList?.map((child) => <Node key={child.snapshot.value} vm={vm} node={child} current={current} />)}
        {here && <li role="treeitem" class="snapshot here"><div class="snapshot-line"><Icon name="vm" tone="info" /><em>You are here</em></div></li>}
      </ul>
    </li>
  );
}

export function VmSnapshots({ vm }: { vm: VmRecord }) {
  const tree = vm.snapshot?.rootSnapshotList ?? [];
  return (
    <>
      <div class="table-tools spaced">
        <Button kind="primary" icon="camera" onClick={() => openTakeSnapshot(vm)}>Take snapshot</Button>
        <Button icon="trash" because={!tree.length && "There is none."} onClick={() => removeAll(vm)}>Delete all</Button>
        <Button because={!vm["summary.runtime"]?.consolidationNeeded && "Its disks need none."}
          onClick={() => void attempt("Consolidate", async () => done(await on<VirtualMachine>(vm.ref).ConsolidateVMDisks_Task({})))}>Consolidate</Button>
      </div>
      {tree.length
        ? <ul role="tree" class="snapshots" aria-label="Snapshots">{tree.map((n) => <Node key={n.snapshot.value} vm={vm} node={n} current={vm.snapshot?.currentSnapshot} />)}</ul>
        : <Empty title="No snapshots" icon="camera">A snapshot keeps what the virtual machine is now, so that you can go back to it.</Empty>}
    </>
  );
}
