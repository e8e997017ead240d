// SPDX-License-Identifier: Apache-2.0
import { useEffect, useState } from "preact/hooks";
import { Screen } from "../console/screen";
import { Serial } from "../console/serial";
import { find, type VmRecord } from "../vim/inventory";

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

/** A window with nothing but the screen. */
export function ConsoleWindow({ id }: { id: string }) {
  const vm = find<VmRecord>("VirtualMachine", id);
  useEffect(() => void (document.title = vm ? `${vm.name} – Socle` : "Socle"), [vm?.name]);
  return vm ? <Screen vm={vm} whole /> : null;
}
