// SPDX-License-Identifier: Apache-2.0
// One virtual machine.
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { Menu } from "../ui/menu";
import { Tabs } from "../ui/tabs";
import { go, vmHref } from "../shell/route";
import { find, type VmRecord } from "../vim/inventory";
import { powerOff, powerOn, vmActions } from "../vm/actions";
import { VmState } from "../vm/state";
import { Permissions } from "../manage/permissions";
import { Events } from "./events";
import { Performance } from "./performance";
import { TaskList } from "./task_list";
import { VmConsole } from "./vm_console";
import { VmGone } from "./vm_gone";
import { VmHardware } from "./vm_hardware";
import { VmQuestion } from "./vm_question";
import { VmSnapshots } from "./vm_snapshots";
import { VmSummary } from "./vm_summary";

const tabs = [["summary", "Summary"], ["console", "Console"], ["snapshots", "Snapshots"], ["hardware", "Hardware"], ["performance", "Performance"], ["events", "Events"], ["tasks", "Tasks"], ["permissions", "Permissions"]] as const;

function Body({ vm, tab }: { vm: VmRecord; tab: string }) {
  switch (tab) {
    case "console": return <VmConsole vm={vm} />;
    case "snapshots": return <VmSnapshots vm={vm} />;
    case "hardware": return <VmHardware vm={vm} />;
    case "performance": return <Performance of={vm.ref} />;
    case "events": return <Events of={vm.ref} />;
    case "tasks": return <TaskList of={vm.ref} />;
    case "permissions": return <Permissions of={vm.ref} />;
    default: return <VmSummary vm={vm} />;
  }
}

export function VmPage({ id, tab }: { id: string; tab: string }) {
  const vm = find<VmRecord>("VirtualMachine", id);
  if (!vm) return <VmGone actions={<Button onClick={() => go("host", "vms")}>Virtual machines</Button>} />;
  const on = powerOn([vm]), off = powerOff([vm]), settings = vmActions([vm]).find((a) => a.text === "Edit settings")!;
  return (
    <>
      <div class="page-head">
        <h1><Icon name="vm" />{vm.name}</h1>
        <VmState vm={vm} />
        <div class="tools">
          {!on.because && <Button kind="primary" icon="play" onClick={on.run}>Power on</Button>}
          {!off.because && <Button icon="stop" onClick={off.run}>Power off</Button>}
          {tab !== "console" && <Button icon="terminal" onClick={() => go("host", "vms", id, "console")}>Console</Button>}
          <Button icon="settings" because={settings.because} onClick={settings.run}>Edit settings</Button>
          <Menu label="Actions" actions={() => vmActions([vm])}>Actions</Menu>
        </div>
      </div>
      <VmQuestion vm={vm} />
      <Tabs label={vm.name ?? ""} tabs={tabs} current={tab} href={(t) => vmHref(id, t)} />
      <Body vm={vm} tab={tab} />
    </>
  );
}
