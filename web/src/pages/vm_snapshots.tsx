// SPDX-License-Identifier: Apache-2.0
// The tree of snapshots, the running state among them as "You are here".
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { time } from "../ui/format";
import { Icon } from "../ui/icon";
import { Menu } from "../ui/menu";
import { Empty } from "../ui/table";
import { request, type AnyRef } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine, VirtualMachineSnapshotTree } from "../vim/types.gen";
import { openExportSnapshot } from "../vm/export";
import { openEditSnapshot, openRemoveAll, openRemoveSnapshot, openRevert, openTakeSnapshot } from "../vm/snapshot";

function Node({ vm, node, current }: { vm: VmRecord; node: VirtualMachineSnapshotTree; current: AnyRef | undefined }) {
  const here = current?.value === node.snapshot.value, children = node.childSnapshotList ?? [];
  const cannotRevert = forbids(vm, "VirtualMachine.State.RevertToSnapshot"), cannotRemove = forbids(vm, "VirtualMachine.State.RemoveSnapshot");
  return (
    <li class="snapshot">
      <div class="snapshot-line">
        <Icon name="camera" tone={node.state === "poweredOn" ? "success" : "muted"} />
        <span class="grow">
          <strong>{node.name}</strong>{" "}
          <span class="subtle">{time(node.createTime)}, {node.state === "poweredOn" ? "running, with memory" : "disks alone"}{node.quiesced ? ", quiesced" : ""}</span>
          {node.description && <div class="subtle description">{node.description}</div>}
        </span>
        <Button small because={cannotRevert} onClick={() => openRevert(vm, node)}>Revert</Button>
        <Menu kind="plain" label={`Actions of ${node.name}`} actions={[
          { text: "Export", icon: "download", because: forbids(vm, "VApp.Export"), run: () => openExportSnapshot(vm, node) },
          { text: "Edit name and description", icon: "edit", because: forbids(vm, "VirtualMachine.State.RenameSnapshot"), run: () => openEditSnapshot(node) },
          { text: "Delete", icon: "trash", danger: true, because: cannotRemove, run: () => openRemoveSnapshot(vm, node) },
        ]} />
      </div>
      {(children.length > 0 || here) && (
        <ul>
          {children.map((child) => <Node key={child.snapshot.value} vm={vm} node={child} current={current} />)}
          {here && <Here />}
        </ul>
      )}
    </li>
  );
}

const Here = () => <li class="snapshot here" aria-current="true"><div class="snapshot-line"><Icon name="vm" tone="info" /><em>You are here</em></div></li>;

export function VmSnapshots({ vm }: { vm: VmRecord }) {
  const tree = vm.snapshot?.rootSnapshotList ?? [];
  const consolidate = () => attempt("Consolidate", () => perform(request<VirtualMachine>(vm.ref).ConsolidateVMDisks_Task({})));
  return (
    <>
      <div class="table-tools spaced">
        <Button kind="primary" icon="camera" because={forbids(vm, "VirtualMachine.State.CreateSnapshot")} onClick={() => openTakeSnapshot(vm)}>Take snapshot</Button>
        <Button icon="trash" because={tree.length ? forbids(vm, "VirtualMachine.State.RemoveSnapshot") : "There is none."} onClick={() => openRemoveAll(vm)}>Delete all</Button>
        <Button because={!vm["summary.runtime"]?.consolidationNeeded && "Its disks need none."} onClick={() => void consolidate()}>Consolidate</Button>
      </div>
      {tree.length
        ? <ul class="snapshots" aria-label="Snapshots">{tree.map((n) => <Node key={n.snapshot.value} vm={vm} node={n} current={vm.snapshot?.currentSnapshot} />)}{!vm.snapshot?.currentSnapshot && <Here />}</ul>
        : <Empty title="No snapshots" icon="camera">A snapshot keeps what the virtual machine is now, so that you can go back to it.</Empty>}
    </>
  );
}
