// SPDX-License-Identifier: Apache-2.0
// What the screen and the serial port have in common on the page: what stands there while nothing runs, and the way to a window of their own.
import { Button } from "../ui/button";
import { Empty } from "../ui/table";
import type { VmRecord } from "../vim/inventory";
import { powerOn } from "../vm/actions";
import { powerOf } from "../vm/state";

export function NotRunning({ vm, children }: { vm: VmRecord; children: string }) {
  const on = powerOn([vm]);
  return (
    <Empty title={`${powerOf(vm) === "suspended" ? "It is suspended" : "It is not running"}: ${children}`} icon="vm"
      actions={<Button kind="primary" icon={on.icon!} because={on.because} onClick={on.run}>{on.text}</Button>} />
  );
}

export function OwnWindow({ vm, serial }: { vm: VmRecord; serial?: boolean }) {
  /** Where the browser does not let us open one of that size, the link opens a tab. */
  const open = (e: MouseEvent) => {
    const { href, target } = e.currentTarget as HTMLAnchorElement;
    if (window.open(href, target, "popup,width=1060,height=860")) e.preventDefault();
  };
  const of = serial ? `${vm.ref.value}/serial` : vm.ref.value;
  return (
    <a class="pf-v6-c-button pf-m-secondary pf-m-small" href={`#/console/${of}`} target={`console-${of.replace("/", "-")}`} onClick={open}>Own window</a>
  );
}
