// SPDX-License-Identifier: Apache-2.0
// What can be done with the host as a whole.
import { useState } from "preact/hooks";
import { go } from "../shell/route";
import { attempt } from "../ui/alert";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { request } from "../vim/client";
import { vms, type HostRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostSystem } from "../vim/types.gen";
import { saveBundle } from "./bundle";

/** Why what belongs to the machine is not changed from here, or false where the machine is Socle's own. */
export const hosted = (h: HostRecord | undefined): string | false =>
  h?.capability?.shutdownSupported === false && "In hosted mode the machine is its owner's: this is done there.";

function EnterMaintenance({ h }: { h: HostRecord }) {
  const [timeout, setTimeout] = useState("0");
  const running = vms().filter((v) => v["summary.runtime"]?.powerState === "poweredOn");
  const wrong = /^\d+$/.test(timeout) ? undefined : "A number of seconds; 0 waits as long as it takes.";
  const enter = request<HostSystem>(h.ref).EnterMaintenanceMode_Task({ timeout: Number(timeout) });
  // The task ends when the last VM does: nobody sits before a dialog as long.
  return (
    <Dialog title="Enter maintenance mode" confirm="Enter" because={wrong} onConfirm={() => void attempt("Maintenance mode", () => perform(enter))}
      commands={{ socle: "socle host maintenance on", govc: `govc host.maintenance.enter ${quoted(h.name ?? "")}`, request: enter }}>
      <p>No virtual machine starts until it is left. {running.length ? "It is entered when those that run have been shut down, suspended or powered off:" : "None runs now."}</p>
      {running.length > 0 && <ul class="pf-v6-c-list">{running.map((v) => <li key={v.ref.value}>{v.name}</li>)}</ul>}
      {running.length > 0 && <TextField label="Give up after" type="number" min={0} unit="s" value={timeout} onValue={setTimeout} error={wrong} help="0: never. The task can be cancelled." />}
    </Dialog>
  );
}

function stop(h: HostRecord, reboot: boolean): void {
  const what = reboot ? request<HostSystem>(h.ref).RebootHost_Task({ force: true }) : request<HostSystem>(h.ref).ShutdownHost_Task({ force: true });
  const running = vms().filter((v) => v["summary.runtime"]?.powerState === "poweredOn").length;
  openDialog(
    <Dialog title={reboot ? "Restart the host?" : "Shut down the host?"} confirm={reboot ? "Restart" : "Shut down"} danger onConfirm={() => perform(what)}
      commands={{ govc: `govc host.shutdown${reboot ? " -r" : ""} -f ${quoted(h.name ?? "")}`, request: what }}>
      <p>{running ? `${plural(running, "virtual machine")} run and end with it: what their guests have not written to their disks is lost, unless autostart shuts them down.` : "No virtual machine runs."}{reboot ? "" : " It has to be switched on at the machine."}</p>
    </Dialog>);
}

export function hostActions(h: HostRecord): Action[] {
  const resting = h["summary.runtime"]?.inMaintenanceMode ?? false, maintain = forbids(h, "Host.Config.Maintenance");
  const leave = () => attempt("Maintenance mode", () => perform(request<HostSystem>(h.ref).ExitMaintenanceMode_Task({ timeout: 0 })));
  return [
    resting ? { text: "Exit maintenance mode", icon: "play", because: maintain, run: () => void leave() }
      : { text: "Enter maintenance mode", icon: "pause", because: maintain, run: () => openDialog(<EnterMaintenance h={h} />) },
    { text: "Restart", icon: "reset", danger: true, because: hosted(h) || maintain, run: () => stop(h, true) },
    { text: "Shut down", icon: "power", danger: true, because: hosted(h) || maintain, run: () => stop(h, false) },
    { text: "Hardware", icon: "cpu", apart: true, run: () => go("host", "manage", "hardware") },
    { text: "Services", icon: "settings", run: () => go("host", "manage", "services") },
    { text: "Time and date", icon: "activity", run: () => go("host", "manage", "time") },
    { text: "Certificate and lockdown", icon: "lock", run: () => go("host", "manage", "security") },
    { text: "Permissions", icon: "users", run: () => go("host", "manage", "permissions") },
    { text: "Support bundle", icon: "download", apart: true, because: forbids(h, "Global.Diagnostics"), run: () => void attempt("Support bundle", saveBundle) },
  ];
}
