// SPDX-License-Identifier: Apache-2.0
// The virtual machines that were looked at last: the navigator leads back to them, as ESXi's does.
import { effect, signal } from "@preact/signals";
import { find, type VmRecord } from "../vim/inventory";
import { route } from "./route";

const KEY = "recent-vms", MOST = 5;
const ids = signal<readonly string[]>((localStorage.getItem(KEY) ?? "").split(",").filter(Boolean));

effect(() => {
  const [, section, id] = route.value, known = ids.peek();
  if (section !== "vms" || !id || known.includes(id)) return; // one that is there keeps its place
  ids.value = [id, ...known].slice(0, 4 * MOST);
  localStorage.setItem(KEY, ids.value.join());
});

/** Those that are still there and that this user may see. */
export const recentVms = (): VmRecord[] => ids.value.flatMap((id) => find<VmRecord>("VirtualMachine", id) ?? []).slice(0, MOST);
