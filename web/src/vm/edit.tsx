// SPDX-License-Identifier: Apache-2.0
// Edit settings. What cannot be changed now is grey and says why; only what was changed is sent, with the
// configuration's version that it was made from.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { quoted } from "../ui/format";
import { PaneTabs } from "../ui/tabs";
import { get, request } from "../vim/client";
import { datastores, type VmRecord } from "../vim/inventory";
import { forbidsAll } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine, VirtualMachineConfigInfo, VirtualMachineConfigSpec } from "../vim/types.gen";
import { Hardware } from "./edit_hardware";
import { readForm, wrongOf, type Form, type Parts } from "./edit_form";
import { Advanced, Options, Resources } from "./edit_options";
import { govcOf, socleOf, specOf } from "./edit_spec";
import { powerOf } from "./state";

/** What the tabs of the dialog share. */
export interface Editing {
  vm: VmRecord;
  config: VirtualMachineConfigInfo;
  was: Form;
  f: Form;
  store: string; // new disks go there
  put: (to: Partial<Form>) => void;
  at: <K extends Parts>(key: K, i: number, to: Partial<Form[K][number]>) => void;
  /** Why hardware that stays in place as long as the VM runs cannot be changed now. */
  fixed: string | false;
  /** The same of what can come and go meanwhile. */
  still: string | false;
}

const tabs = [["hardware", "Hardware"], ["resources", "Resources"], ["options", "Options"], ["advanced", "Advanced"]] as const;

function specOr(was: Form, f: Form, config: VirtualMachineConfigInfo, store: string): VirtualMachineConfigSpec | string {
  try {
    return wrongOf(f) ?? specOf(was, f, config, store);
  } catch (e) {
    return e instanceof Error ? e.message : String(e);
  }
}

function EditVm({ vm, config }: { vm: VmRecord; config: VirtualMachineConfigInfo }) {
  const runs = powerOf(vm) === "poweredOn", suspended = powerOf(vm) === "suspended" && "It is suspended: power it on and off first.";
  const [was] = useState(() => readForm(config, runs));
  const [f, set] = useState(was);
  const [tab, setTab] = useState("hardware");
  const store = /^\[(.*?)\]/.exec(config.files.vmPathName ?? "")?.[1] ?? datastores()[0]?.name ?? "";
  const put = (to: Partial<Form>) => set((f) => ({ ...f, ...to }));
  const at: Editing["at"] = (key, i, to) => set((f) => ({ ...f, [key]: f[key].map((d, n) => (n === i ? { ...d, ...to } : d)) }));
  const e: Editing = { vm, config, was, f, store, put, at, fixed: runs ? "It runs: power it off first." : suspended, still: suspended };
  const spec = specOr(was, f, config, store), wrong = typeof spec === "string" ? spec : undefined, name = quoted(vm.name ?? "");
  const same = !wrong && JSON.stringify(was) === JSON.stringify(f) && "Nothing was changed.";
  const save = typeof spec === "string" ? undefined : request<VirtualMachine>(vm.ref).ReconfigVM_Task({ spec });
  return (
    <Dialog title={`Edit “${vm.name}”`} confirm="Save" wide because={wrong || same} onConfirm={() => perform(save!)}
      {...(typeof spec !== "string" && { commands: { socle: socleOf(name, spec), govc: govcOf(name, spec), request: save } })}>
      <PaneTabs label="Settings" tabs={tabs} current={tab} onCurrent={setTab} />
      <div role="tabpanel" aria-label={tabs.find(([id]) => id === tab)![1]} class="pane">
        {tab === "hardware" ? <Hardware e={e} /> : tab === "resources" ? <Resources e={e} /> : tab === "options" ? <Options e={e} /> : <Advanced e={e} />}
      </div>
    </Dialog>
  );
}

/** Why none of its settings may be changed, or false. */
export const cannotEdit = (vm: VmRecord) => forbidsAll(vm, "VirtualMachine.Config");

export async function openEditVm(vm: VmRecord): Promise<void> {
  const config = await get<VirtualMachineConfigInfo>(vm.ref, "config");
  openDialog(<EditVm vm={vm} config={config} />);
}
