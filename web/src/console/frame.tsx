// SPDX-License-Identifier: Apache-2.0
// What the screen and the serial port have in common on the page: what stands there while nothing runs, and the way to a window of their own.
import type { ComponentChildren } from "preact";
import { Button } from "../ui/button";
import type { VmRecord } from "../vim/inventory";
import { powerOn } from "../vm/actions";
import { powerOf } from "../vm/state";

/** `whole`: it stands in a window of its own, which has no other button for that. */
export function NotRunning({ vm, whole, children }: { vm: VmRecord; whole?: boolean | undefined; children: ComponentChildren }) {
  const on = powerOn([vm]);
  return (
    <p class="subtle">
      {powerOf(vm) === "suspended" ? "It is suspended" : "It is not running"}: {children} {whole && !on.because && <Button small onClick={on.run}>Power on</Button>}
    </p>
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
