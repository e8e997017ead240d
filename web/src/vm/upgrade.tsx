// SPDX-License-Identifier: Apache-2.0
// The virtual hardware's version: a newer one has more, an older host does not know it.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { request } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { powerOf } from "./state";

const NEWEST = 21;
const RELEASES: { [version: number]: string } = { 10: "ESXi 5.5", 11: "ESXi 6.0", 13: "ESXi 6.5", 14: "ESXi 6.7", 15: "ESXi 6.7 U2", 17: "ESXi 7.0", 18: "ESXi 7.0 U1", 19: "ESXi 7.0 U2", 20: "ESXi 8.0", 21: "ESXi 8.0 U2" };
const versionOf = (vm: VmRecord) => Number((vm["config.version"] ?? "").replace("vmx-", ""));
export const versionText = (version: string | undefined) => {
  const release = RELEASES[Number(version?.replace("vmx-", ""))];
  return release ? `${release} and later (${version})` : version;
};

function Upgrade({ vm }: { vm: VmRecord }) {
  const choices = Object.keys(RELEASES).map(Number).filter((n) => n > versionOf(vm));
  const [version, setVersion] = useState(`vmx-${String(NEWEST).padStart(2, "0")}`);
  const upgrade = request<VirtualMachine>(vm.ref).UpgradeVM_Task({ version });
  return (
    <Dialog title={`Upgrade the compatibility of “${vm.name}”`} confirm="Upgrade" danger onConfirm={() => perform(upgrade)}
      commands={{ govc: `govc vm.upgrade -vm ${quoted(vm.name ?? "")} -version=${version.replace("vmx-", "")}`, request: upgrade }}>
      <p>There is no way back, and hosts that know only {versionText(vm["config.version"])} cannot run it any more. A snapshot or clone keeps what it is now.</p>
      <SelectField label="Compatible with" value={version} onValue={setVersion} choices={choices.map((n) => [`vmx-${String(n).padStart(2, "0")}`, versionText(`vmx-${String(n).padStart(2, "0")}`)!] as const)} />
    </Dialog>
  );
}

export function upgradeCompatibility(vm: VmRecord | undefined): Action {
  return {
    text: "Upgrade compatibility", icon: "upload",
    because: !vm ? "One virtual machine at a time." : versionOf(vm) >= NEWEST ? "It has the newest version." : powerOf(vm) !== "poweredOff" ? "It runs: power it off first."
      : forbids(vm, "VirtualMachine.Config.UpgradeVirtualHardware"),
    run: () => openDialog(<Upgrade vm={vm!} />),
  };
}
