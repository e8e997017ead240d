// SPDX-License-Identifier: Apache-2.0
// What can be done with one VM or many at once. Each action says what it would lose, why it cannot be done now,
// and how it is done as a command.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { go } from "../shell/route";
import { attempt } from "../ui/alert";
import type { Commands } from "../ui/command";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { request, type Request } from "../vim/client";
import { datastores, type VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { openCloneVm } from "./clone";
import { cannotEdit, openEditVm } from "./edit";
import { openExportVm } from "./export";
import { rootPool } from "./place";
import { openTakeSnapshot } from "./snapshot";
import { powerOf, templateOf } from "./state";
import { upgradeCompatibility } from "./upgrade";

type Power = "poweredOn" | "poweredOff" | "suspended";
const OFF: readonly Power[] = ["poweredOff", "suspended"], ON: readonly Power[] = ["poweredOn"];

const names = (vms: readonly VmRecord[]) => vms.map((v) => quoted(v.name ?? "")).join(" ");
const titleOf = (vms: readonly VmRecord[]) => (vms.length === 1 ? `“${vms[0]!.name}”` : plural(vms.length, "virtual machine"));
const vmOf = (vm: VmRecord) => request<VirtualMachine>(vm.ref);

/** What is done to each VM that is in one of some states. */
interface Deed {
  what: string;
  in: readonly Power[];
  privilege: string;
  otherwise: string; // why not in another state
  request: (vm: VmRecord) => Request;
}

function whyNot(vms: readonly VmRecord[], d: Deed): string | false {
  if (!vms.length) return "No virtual machine is selected.";
  const able = vms.filter((v) => d.in.includes(powerOf(v)!));
  if (vms.length === 1 && able[0]?.["summary.runtime"]?.question) return "It has a question: answer it first.";
  return able.length ? forbids(able[0], d.privilege) : d.otherwise;
}

const requestsOf = (vms: readonly VmRecord[], d: Deed) => vms.filter((v) => d.in.includes(powerOf(v)!)).map((v) => ({ vm: v, request: d.request(v) }));

/** All at once: each has its line among the tasks, and what fails is said. */
function carryOut(vms: readonly VmRecord[], d: Deed): void {
  for (const { vm, request } of requestsOf(vms, d)) void attempt(`${d.what}: ${vm.name}`, () => perform(request));
}

/** Asks first: `loss` says what is lost by it. */
function confirm(vms: readonly VmRecord[], d: Deed, loss: ComponentChildren, commands: (names: string) => Commands): void {
  const concerned = requestsOf(vms, d), of = concerned.map((c) => c.vm);
  openDialog(
    <Dialog title={`${d.what} ${titleOf(of)}?`} confirm={d.what} danger onConfirm={() => carryOut(of, d)} commands={{ ...commands(names(of)), request: concerned.map((c) => c.request) }}>
      {loss}
      {of.length > 1 && <ul class="pf-v6-c-list">{of.map((v) => <li key={v.ref.value}>{v.name}</li>)}</ul>}
    </Dialog>);
}

const POWER_ON: Deed = { what: "Power on", in: OFF, privilege: "VirtualMachine.Interact.PowerOn", otherwise: "It is powered on already.", request: (v) => vmOf(v).PowerOnVM_Task({}) };
const POWER_OFF: Deed = { what: "Power off", in: ["poweredOn", "suspended"], privilege: "VirtualMachine.Interact.PowerOff", otherwise: "It is powered off already.", request: (v) => vmOf(v).PowerOffVM_Task({}) };
const SUSPEND: Deed = { what: "Suspend", in: ON, privilege: "VirtualMachine.Interact.Suspend", otherwise: "Only a running virtual machine can be suspended.", request: (v) => vmOf(v).SuspendVM_Task({}) };
const RESET: Deed = { what: "Reset", in: ON, privilege: "VirtualMachine.Interact.Reset", otherwise: "Only a running virtual machine can be reset.", request: (v) => vmOf(v).ResetVM_Task({}) };
const SHUT_DOWN: Deed = { what: "Shut down guest", in: ON, privilege: "VirtualMachine.Interact.PowerOff", otherwise: "It is not running.", request: (v) => vmOf(v).ShutdownGuest({}) };
const RESTART: Deed = { what: "Restart guest", in: ON, privilege: "VirtualMachine.Interact.Reset", otherwise: "It is not running.", request: (v) => vmOf(v).RebootGuest({}) };
const DESTROY: Deed = { what: "Delete", in: OFF, privilege: "VirtualMachine.Inventory.Delete", otherwise: "It runs: power it off first.", request: (v) => vmOf(v).Destroy_Task({}) };
const UNREGISTER: Deed = { what: "Unregister", in: OFF, privilege: "VirtualMachine.Inventory.Unregister", otherwise: "It runs: power it off first.", request: (v) => vmOf(v).UnregisterVM({}) };

export const powerOn = (vms: readonly VmRecord[]): Action => ({
  text: "Power on", icon: "play", because: vms.some(templateOf) ? "A template does not run: make a clone of it." : whyNot(vms, POWER_ON), run: () => carryOut(vms, POWER_ON),
});

export const powerOff = (vms: readonly VmRecord[]): Action => ({
  text: "Power off", icon: "stop", danger: true, because: whyNot(vms, POWER_OFF),
  run: () => confirm(vms, POWER_OFF,
    <p>{vms.every((v) => powerOf(v) === "suspended") ? "The memory that was kept when it was suspended is lost, and with it what the guest had not written to its disks."
      : "This is like pulling the plug: what the guest has not written to its disks yet is lost. “Shut down guest” lets it end by itself."}</p>,
    (of) => ({ socle: `socle vm stop ${of}`, govc: `govc vm.power -off ${of}` })),
});

const suspend = (vms: readonly VmRecord[]): Action => ({ text: "Suspend", icon: "pause", because: whyNot(vms, SUSPEND), run: () => carryOut(vms, SUSPEND) });

const reset = (vms: readonly VmRecord[]): Action => ({
  text: "Reset", icon: "reset", danger: true, because: whyNot(vms, RESET),
  run: () => confirm(vms, RESET, <p>The guest starts anew at once: what it has not written to its disks yet is lost.</p>,
    (of) => ({ socle: `socle vm reset ${of}`, govc: `govc vm.power -reset ${of}` })),
});

const shutDown = (vms: readonly VmRecord[]): Action => ({ text: "Shut down guest", icon: "power", because: whyNot(vms, SHUT_DOWN), run: () => carryOut(vms, SHUT_DOWN) });

const hasTools = (vm: VmRecord) => vm["summary.guest"]?.toolsRunningStatus === "guestToolsRunning";
const restart = (vms: readonly VmRecord[]): Action => ({
  text: "Restart guest", icon: "reset",
  because: whyNot(vms, RESTART) || (!vms.some(hasTools) && "No tools in the guest answer. Shut it down and power it on, or reset it."),
  run: () => carryOut(vms, RESTART),
});

const destroy = (vms: readonly VmRecord[]): Action => ({
  text: "Delete", icon: "trash", danger: true, apart: true, because: whyNot(vms, DESTROY),
  run: () => confirm(vms, DESTROY, <p>Its folder is deleted: configuration, disks and snapshots. They cannot be brought back.</p>,
    (of) => ({ socle: `socle vm delete --force ${of}`, govc: `govc vm.destroy ${of}` })),
});

const unregister = (vms: readonly VmRecord[]): Action => ({
  text: "Unregister", because: whyNot(vms, UNREGISTER),
  run: () => confirm(vms, UNREGISTER, <p>It is taken off this list, its place in autostart and its permissions are lost. Its files stay on the datastore and can be registered again.</p>,
    (of) => ({ socle: `socle vm unregister ${of}`, govc: `govc vm.unregister ${of}` })),
});

function RenameDialog({ vm }: { vm: VmRecord }) {
  const [name, setName] = useState(vm.name ?? "");
  const wrong = !name.trim() ? "A name is needed." : new TextEncoder().encode(name).length > 80 ? "At most 80 bytes." : undefined;
  const rename = vmOf(vm).Rename_Task({ newName: name });
  return (
    <Dialog title={`Rename “${vm.name}”`} confirm="Rename" because={wrong ?? (name === vm.name && "It is its name already.")} onConfirm={() => perform(rename)}
      commands={{ socle: `socle vm rename ${quoted(vm.name ?? "")} ${quoted(name)}`, govc: `govc object.rename vm/${quoted(vm.name ?? "")} ${quoted(name)}`, request: rename }}>
      <TextField label="Name" value={name} onValue={setName} error={wrong} autoFocus help="Its folder and files keep their names." />
    </Dialog>
  );
}

/** A template cannot be changed or run, only be cloned. */
function template(vm: VmRecord | undefined): Action {
  const is = vm !== undefined && templateOf(vm);
  return {
    text: is ? "Convert to virtual machine" : "Convert to template", icon: "copy",
    because: !vm ? "One virtual machine at a time." : powerOf(vm) !== "poweredOff" ? "It runs: power it off first."
      : forbids(vm, `VirtualMachine.Provisioning.${is ? "MarkAsVM" : "MarkAsTemplate"}`),
    run: () => void attempt("Template", () => perform(is ? vmOf(vm!).MarkAsVirtualMachine({ pool: rootPool() }) : vmOf(vm!).MarkAsTemplate({}))),
  };
}

/** For a line of the list: all that there is. */
export function rowActions(vms: readonly VmRecord[]): Action[] {
  const one = vms.length === 1 ? vms[0]! : undefined, [first, ...rest] = vmActions(vms);
  return [
    powerOn(vms), powerOff(vms),
    { text: "Open console", icon: "terminal", because: !one && "One virtual machine at a time.", run: () => go("host", "vms", one!.ref.value, "console") },
    { ...first!, apart: true }, ...rest,
  ];
}

/** To the folder of its files. */
function browse(vm: VmRecord): void {
  const [, store, folder = ""] = /^\[(.*?)\] (.*)\/[^/]*$/.exec(vm["summary.config"]?.vmPathName ?? "") ?? [];
  const at = datastores().find((d) => d.name === store);
  if (at) go("host", "datastores", at.ref.value, "files", ...folder.split("/").filter(Boolean));
}

export function vmActions(vms: readonly VmRecord[]): Action[] {
  const one = vms.length === 1 ? vms[0] : undefined;
  const single = one ? false : "One virtual machine at a time.";
  const may = (privilege: string) => single || forbids(one, privilege);
  return [
    shutDown(vms), restart(vms), suspend(vms), reset(vms),
    { text: "Edit settings", icon: "settings", apart: true, because: single || (templateOf(one!) && "A template is not changed.") || cannotEdit(one!), run: () => void attempt("The settings cannot be read", () => openEditVm(one!)) },
    { text: "Take snapshot", icon: "camera", because: may("VirtualMachine.State.CreateSnapshot"), run: () => openTakeSnapshot(one!) },
    { text: "Clone", icon: "copy", because: may("VirtualMachine.Provisioning.Clone"), run: () => openCloneVm(one!) },
    { text: "Export", icon: "download", because: may("VApp.Export") || (powerOf(one!) !== "poweredOff" && "It runs: power it off first, or export one of its snapshots."), run: () => openExportVm(one!) },
    { text: "Rename", icon: "edit", because: may("VirtualMachine.Config.Rename"), run: () => openDialog(<RenameDialog vm={one!} />) },
    upgradeCompatibility(one), template(one),
    { text: "Browse files", icon: "folder", because: single, run: () => browse(one!) },
    { text: "Autostart", icon: "power", because: single, run: () => go("host", "manage", "autostart") },
    { text: "Permissions", icon: "lock", because: single, run: () => go("host", "vms", one!.ref.value, "permissions") },
    unregister(vms), destroy(vms),
  ];
}
