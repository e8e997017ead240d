// SPDX-License-Identifier: Apache-2.0
// The rest of "edit settings": what the VM gets of the host, how it starts, and lines of its configuration file.
import { Button } from "../ui/button";
import { CheckField, SelectField, TextField } from "../ui/field";
import { isDisk, labelOf } from "./devices";
import type { Editing } from "./edit";
import type { Allocation } from "./edit_form";
import { guestChoices, useGuests } from "./guests";

function AllocationFields({ name, unit, value, onValue }: { name: string; unit: string; value: Allocation; onValue: (to: Allocation) => void }) {
  const put = (to: Partial<Allocation>) => onValue({ ...value, ...to });
  return (
    <fieldset class="part">
      <legend>{name}</legend>
      <div class="columns">
        <TextField label={`${name} reservation`} type="number" min={0} unit={unit} value={value.reservation} onValue={(reservation) => put({ reservation })} help="What it has for certain." />
        <TextField label={`${name} limit`} type="number" min={1} unit={unit} value={value.limit} placeholder="None" onValue={(limit) => put({ limit })} help="Empty: none." />
        <SelectField label={`${name} shares`} value={value.level} onValue={(level) => put({ level })} choices={[["low", "Low"], ["normal", "Normal"], ["high", "High"], ["custom", "Custom"]]} help="Its part where the host has too little for all." />
        {value.level === "custom" && <TextField label={`${name}, number of shares`} type="number" min={1} value={value.shares} onValue={(shares) => put({ shares })} />}
      </div>
    </fieldset>
  );
}

export function Resources({ e: { f, put } }: { e: Editing }) {
  return (
    <>
      <AllocationFields name="CPU" unit="MHz" value={f.cpu} onValue={(cpu) => put({ cpu })} />
      <AllocationFields name="Memory" unit="MB" value={f.ram} onValue={(ram) => put({ ram })} />
    </>
  );
}

function BootOrder({ e }: { e: Editing }) {
  const { f, put, config } = e;
  const text = (word: string) => {
    const device = (config.hardware.device ?? []).find((d) => String(d.key) === word.split(":")[1]);
    return word === "cdrom" ? "CD drives" : device ? `${labelOf(device)}${isDisk(device) ? "" : " (network)"}` : word;
  };
  const move = (i: number, by: number) => {
    const order = [...f.order];
    [order[i], order[i + by]] = [order[i + by]!, order[i]!];
    put({ order });
  };
  return (
    <fieldset class="part">
      <legend>Boot order</legend>
      <ol class="boot-order">
        {f.order.map((word, i) => (
          <li key={word}>
            <span>{text(word)}</span>
            <Button small kind="plain" icon="sortup" label={`${text(word)} earlier`} because={i === 0 && "It is the first."} onClick={() => move(i, -1)} />
            <Button small kind="plain" icon="sortdown" label={`${text(word)} later`} because={i === f.order.length - 1 && "It is the last."} onClick={() => move(i, 1)} />
          </li>
        ))}
      </ol>
      {!f.order.length && <p class="subtle">It has nothing to start from.</p>}
    </fieldset>
  );
}

export function Options({ e }: { e: Editing }) {
  const { f, was, put, fixed } = e;
  const guests = guestChoices(useGuests(), f.guest, e.config.guestFullName || f.guest);
  return (
    <>
      <SelectField label="Guest OS" value={f.guest} onValue={(guest) => put({ guest })} choices={guests} help="What it is told to clients; the hardware stays as it is." />
      <fieldset class="part">
        <legend>Start</legend>
        <div class="columns">
          <SelectField label="Firmware" value={f.firmware} onValue={(firmware) => put({ firmware })} choices={[["efi", "EFI"], ["bios", "BIOS"]]} because={fixed} help={f.firmware !== was.firmware && "A guest that is installed will most likely not start any more."} />
          <TextField label="Wait before the start" type="number" min={0} unit="ms" value={f.delay} onValue={(delay) => put({ delay })} />
        </div>
        <CheckField label="Secure Boot" checked={f.secure && f.firmware === "efi"} because={f.firmware !== "efi" ? "Only with EFI." : fixed} onValue={(secure) => put({ secure })} />
        <CheckField label="Open the firmware's setup at the next start" checked={f.setup} onValue={(setup) => put({ setup })} />
      </fieldset>
      <BootOrder e={e} />
      <CheckField label="The guest sees a UUID of each disk" checked={f.diskUuid} because={fixed} onValue={(diskUuid) => put({ diskUuid })} help="disk.EnableUUID, which Kubernetes and backup software ask for." />
    </>
  );
}

export function Advanced({ e: { f, put } }: { e: Editing }) {
  const at = (i: number, to: Partial<(typeof f.extra)[number]>) => put({ extra: f.extra.map((x, n) => (n === i ? { ...x, ...to } : x)) });
  return (
    <>
      <p class="subtle">Lines of the .vmx file that no other page has. A line that is removed is as if it had never been there.</p>
      {f.extra.map((x, i) => (
        <div key={i} class="device parameter">
          <TextField label="Name" value={x.key} onValue={(key) => at(i, { key })} because={x.old && "A name stays; remove the line and add another."} quiet />
          <TextField label={`Value of ${x.key || "the new line"}`} value={x.value} onValue={(value) => at(i, { value })} quiet />
          <Button kind="plain" icon="trash" label={`Remove ${x.key || "the new line"}`} onClick={() => put({ extra: f.extra.filter((_, n) => n !== i) })} />
        </div>
      ))}
      <div><Button kind="link" icon="plus" small onClick={() => put({ extra: [...f.extra, { key: "", value: "", old: false }] })}>Add a parameter</Button></div>
    </>
  );
}
