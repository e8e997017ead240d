// SPDX-License-Identifier: Apache-2.0
// What can be done with one VM or many at once. Each action says what it would lose, why it can not be done now,
// and how it is done as a command.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { attempt } from "../ui/alert";
import type { Commands } from "../ui/command";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { call, type AnyRef } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { done } from "../vim/task";
import { powerOf } from "./state";
import { openCloneVm } from "./clone";
import { openEditVm } from "./edit";
import { openExportVm } from "./export";
import { openTakeSnapshot } from "./snapshot";

type Power = "poweredOn" | "poweredOff" | "suspended";

const names = (vms: readonly VmRecord[]) => vms.map((v) => quoted(v.name ?? "")).join(" ");
const titleOf = (vms: readonly VmRecord[]) => (vms.length === 1 ? `“${vms[0]!.name}”` : plural(vms.length, "virtual machine"));

/** Why none of them is in a state for it. */
function unless(vms: readonly VmRecord[], states: readonly Power[], because: string): string | false {
  if (!vms.length) return "No virtual machine is selected.";
  return vms.some((v) => states.includes(powerOf(v)!)) ? false : because;
}

function each(what: string, vms: readonly VmRecord[], states: readonly Power[], method: string, args: object = {}): void {
  for (const vm of vms.filter((v) => states.includes(powerOf(v)!)))
    void attempt(`${what}: ${vm.name}`, async () => {
      const answer = await call(vm.ref, method, args);
      if (answer) await done(answer as AnyRef);
    });
}

function confirm(title: string, button: string, loss: ComponentChildren, commands: Commands, doing: () => void | Promise<unknown>): void {
  openDialog(<Dialog title={title} confirm={button} danger onConfirm={doing} commands={commands}>{loss}</Dialog>);
}

export const powerOn = (vms: readonly VmRecord[]): Action => ({
  text: "Power on", icon: "play", because: unless(vms, ["poweredOff", "suspended"], "It is powered on already."),
  run: () => each("Power on", vms, ["poweredOff", "suspended"], "PowerOnVM_Task"),
});

export const powerOff = (vms: readonly VmRecord[]): Action => ({
  text: "Power off", icon: "stop", danger: true, because: unless(vms, ["poweredOn", "suspended"], "It is powered off already."),
  run: () => confirm(`Power off ${titleOf(vms)}?`, "Power off",
    <p>This is like pulling the plug: what the guest has not written to its disks yet is lost. “Shut down guest” lets it end by itself.</p>,
    { socle: `socle vm stop ${names(vms)}`, govc: `govc vm.power -off ${names(vms)}` },
    () => each("Power off", vms, ["poweredOn", "suspended"], "PowerOffVM_Task")),
});

export const suspend = (vms: readonly VmRecord[]): Action => ({
  text: "Suspend", icon: "pause", because: unless(vms, ["poweredOn"], "Only a running virtual machine can be suspended."),
  run: () => each("Suspend", vms, ["poweredOn"], "SuspendVM_Task"),
});

export const reset = (vms: readonly VmRecord[]): Action => ({
  text: "Reset", icon: "reset", danger: true, because: unless(vms, ["poweredOn"], "Only a running virtual machine can be reset."),
  run: () => confirm(`Reset ${titleOf(vms)}?`, "Reset",
    <p>The guest starts anew at once: what it has not written to its disks yet is lost.</p>,
    { socle: `socle vm reset ${names(vms)}`, govc: `govc vm.power -reset ${names(vms)}` },
    () => each("Reset", vms, ["poweredOn"], "ResetVM_Task")),
});

export const shutDown = (vms: readonly VmRecord[]): Action => ({
  text: "Shut down guest", icon: "power", because: unless(vms, ["poweredOn"], "It is not running."),
  run: () => each("Shut down guest", vms, ["poweredOn"], "ShutdownGuest"),
});

export const restart = (vms: readonly VmRecord[]): Action => ({
  text: "Restart guest", icon: "reset", because: unless(vms, ["poweredOn"], "It is not running."),
  run: () => each("Restart guest", vms, ["poweredOn"], "RebootGuest"),
});

const destroy = (vms: readonly VmRecord[]): Action => ({
  text: "Delete", icon: "trash", danger: true, apart: true,
  because: unless(vms, ["poweredOff", "suspended"], "It runs: power it off first."),
  run: () => confirm(`Delete ${titleOf(vms)}?`, "Delete",
    <>
      <p>Its folder is deleted: configuration, disks and snapshots. They can not be brought back.</p>
      {vms.length > 1 && <ul class="pf-v6-c-list">{vms.map((v) => <li key={v.ref.value}>{v.name}</li>)}</ul>}
    </>,
    { socle: `socle vm delete ${names(vms)}`, govc: `govc vm.destroy ${names(vms)}` },
    () => each("Delete", vms, ["poweredOff", "suspended"], "Destroy_Task")),
});

const unregister = (vms: readonly VmRecord[]): Action => ({
  text: "Unregister", because: unless(vms, ["poweredOff", "suspended"], "It runs: power it off first."),
  run: () => confirm(`Unregister ${titleOf(vms)}?`, "Unregister",
    <p>It is taken off this list. Its files stay on the datastore and can be registered again.</p>,
    { socle: `socle vm unregister ${names(vms)}`, govc: `govc vm.unregister ${names(vms)}` },
    () => each("Unregister", vms, ["poweredOff", "suspended"], "UnregisterVM")),
});

function RenameDialog({ vm }: { vm: VmRecord }) {
  const [name, setName] = useState(vm.name ?? "");
  const wrong = !name.trim() ? "A name is needed." : new TextEncoder().encode(name).length > 80 ? "At most 80 bytes." : undefined;
  return (
    <Dialog title={`Rename “${vm.name}”`} confirm="Rename" because={wrong ?? (name === vm.name && "It is its name already.")}
      onConfirm={async () => done((await call(vm.ref, "Rename_Task", { newName: name })) as AnyRef)}
      commands={{ socle: `socle vm rename ${quoted(vm.name ?? "")} ${quoted(name)}`, govc: `govc object.rename vm/${quoted(vm.name ?? "")} ${quoted(name)}` }}>
      <TextField label="Name" value={name} onValue={setName} error={wrong} autoFocus />
    </Dialog>
  );
}

export function vmActions(vms: readonly VmRecord[]): Action[] {
  const one = vms.length === 1 ? vms[0] : undefined;
  const single = one ? false : "One virtual machine at a time.";
  return [
    shutDown(vms), restart(vms), suspend(vms), reset(vms),
    { text: "Edit settings", icon: "settings", apart: true, because: single, run: () => void attempt("The settings can not be read", () => openEditVm(one!)) },
    { text: "Take snapshot", icon: "camera", because: single, run: () => openTakeSnapshot(one!) },
    { text: "Clone", icon: "copy", because: single, run: () => openCloneVm(one!) },
    { text: "Export", icon: "download", because: single || (powerOf(one!) !== "poweredOff" && "It runs: power it off first."), run: () => openExportVm(one!) },
    { text: "Rename", icon: "edit", because: single, run: () => openDialog(<RenameDialog vm={one!} />) },
    unregister(vms), destroy(vms),
  ];
}
