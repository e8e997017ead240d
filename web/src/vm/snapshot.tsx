// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { on } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { done } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";
import { powerOf } from "./state";

function TakeSnapshot({ vm }: { vm: VmRecord }) {
  const running = powerOf(vm) === "poweredOn";
  const [name, setName] = useState(`${vm.name} ${new Date().toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}`);
  const [description, setDescription] = useState("");
  const [memory, setMemory] = useState(running);
  const take = async () =>
    done(await on<VirtualMachine>(vm.ref).CreateSnapshot_Task({ name, description, memory: memory && running, quiesce: false }));
  const shell = quoted(vm.name ?? "");
  return (
    <Dialog title={`Take a snapshot of “${vm.name}”`} confirm="Take snapshot" because={!name.trim() && "A name is needed."} onConfirm={take}
      commands={{
        socle: `socle vm snapshot take ${shell} ${quoted(name)}${memory && running ? " --memory" : ""}`,
        govc: `govc snapshot.create -vm ${shell} -m=${memory && running} ${quoted(name)}`,
      }}>
      <TextField label="Name" value={name} onValue={setName} autoFocus error={!name.trim() && "A name is needed."} />
      <TextField label="Description" value={description} onValue={setDescription} lines={3} />
      <CheckField label="Include the memory" checked={memory && running} because={!running && "It is powered off and has none."} onValue={setMemory}
        help="Reverting goes on where the guest was, rather than with a start from its disks." />
    </Dialog>
  );
}

export const openTakeSnapshot = (vm: VmRecord) => openDialog(<TakeSnapshot vm={vm} />);
