// SPDX-License-Identifier: Apache-2.0
// How a VM is, in a word and a picture.
import { Icon } from "../ui/icon";
import type { VmRecord } from "../vim/inventory";

export const powerOf = (vm: VmRecord) => vm["summary.runtime"]?.powerState;
export const templateOf = (vm: VmRecord) => vm["summary.config"]?.template ?? false;

export function VmState({ vm }: { vm: VmRecord }) {
  const runtime = vm["summary.runtime"];
  if (runtime?.connectionState && runtime.connectionState !== "connected")
    return <span class="status"><Icon name="warning" tone="danger" />{runtime.connectionState === "invalid" ? "Invalid" : "Not accessible"}</span>;
  if (runtime?.question) return <span class="status"><Icon name="warning" tone="warning" />Has a question</span>;
  switch (runtime?.powerState) {
    case "poweredOn": return <span class="status"><Icon name="play" tone="success" />Powered on</span>;
    case "suspended": return <span class="status"><Icon name="pause" tone="warning" />Suspended</span>;
    default: return <span class="status"><Icon name="stop" tone="muted" />{templateOf(vm) ? "Template" : "Powered off"}</span>;
  }
}
