// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from "preact/hooks";
import { Screen } from "../console/screen";
import { Serial } from "../console/serial";
import { find, type VmRecord } from "../vim/inventory";
import { VmGone } from "./vm_gone";
import { VmQuestion } from "./vm_question";

export function VmConsole({ vm }: { vm: VmRecord }) {
  const [which, setWhich] = useState<"screen" | "serial">("screen");
  return (
    <>
      <div class="choice" role="radiogroup" aria-label="Console">
        <label><input type="radio" name="console" checked={which === "screen"} onChange={() => setWhich("screen")} /> Screen</label>
        <label><input type="radio" name="console" checked={which === "serial"} onChange={() => setWhich("serial")} /> Serial port</label>
      </div>
      {which === "screen" ? <Screen vm={vm} /> : <Serial vm={vm} />}
    </>
  );
}

/** A window with nothing but the screen, or the serial port. */
export function ConsoleWindow({ id, serial }: { id: string; serial: boolean }) {
  const vm = find<VmRecord>("VirtualMachine", id);
  useEffect(() => void (document.title = vm ? `${vm.name}${serial ? " (serial port)" : ""} – Socle` : "Socle"), [vm?.name, serial]);
  if (!vm) return <VmGone />;
  return (
    <div class="console-window">
      <VmQuestion vm={vm} />
      {serial ? <Serial vm={vm} whole /> : <Screen vm={vm} whole />}
    </div>
  );
}
