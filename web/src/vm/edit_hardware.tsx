// SPDX-License-Identifier: Apache-2.0
// The hardware of "edit settings": each device is a line, behind which the rest of what it has opens.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { CheckField, SelectField, TextField } from "../ui/field";
import { bytes, plural } from "../ui/format";
import { Icon, type IconName } from "../ui/icon";
import { datastores, networks } from "../vim/inventory";
import { CARD_TYPES, CONTROLLERS, MODES, placeText, PROVISIONING } from "./devices";
import type { Editing } from "./edit";
import type { Card, Controller, Disk, Drive, Port } from "./edit_form";
import { FileField, ISO } from "./file_field";

interface LineProps { label: string; icon: IconName; gone: boolean; because: string | false | undefined; onGone: (gone: boolean) => void; main: ComponentChildren; lost?: ComponentChildren; children?: ComponentChildren }

/** One device. One that was taken away stays in sight until it is saved. */
function Line({ label, icon, gone, because, onGone, main, lost, children }: LineProps) {
  const [open, setOpen] = useState(false);
  if (gone)
    return <div class="device"><s>{label}</s>{lost}<Button kind="link" small onClick={() => onGone(false)}>Keep it</Button></div>;
  return (
    <div class="device-frame">
      <div class="device">
        <span class="device-icon"><Icon name={icon} tone="muted" /></span>
        {main}
        {children && <Button kind="plain" icon={open ? "down" : "right"} expanded={open} label={`More of ${label}`} onClick={() => setOpen(!open)} />}
        <Button kind="plain" icon="trash" label={`Remove ${label}`} because={because} onClick={() => onGone(true)} />
      </div>
      {open && <div class="device-more">{children}</div>}
    </div>
  );
}

function DiskLine({ e, d, i }: { e: Editing; d: Disk; i: number }) {
  const put = (to: Partial<Disk>) => e.at("disks", i, to);
  const kept = Boolean(e.vm.snapshot) && "It has snapshots, which hold the disk as it is.";
  const controllers = e.f.controllers.filter((c) => !c.gone).map((c) => [String(c.key), c.label] as const);
  return (
    <Line label={d.label} icon="disk" gone={d.gone} because={d.device ? e.still : false} onGone={(gone) => put({ gone, destroy: false })}
      lost={d.device && <CheckField label="Delete its file as well: what is on it is lost" checked={d.destroy} onValue={(destroy) => put({ destroy })} />}
      main={d.existing
        ? <FileField label={d.label} value={d.file} pattern={/(?<!-flat|-delta|-\d{6})\.vmdk$/i} placeholder="[datastore1] web/web.vmdk" onValue={(file) => put({ file })} />
        : <TextField label={d.label} type="number" min={d.least} unit="GB" value={d.size} onValue={(size) => put({ size })} because={d.device && (e.still || kept)}
            help={d.device ? `${d.file}. It can grow; the guest's file system has to be grown inside.` : `${bytes(datastores().find((s) => s.name === e.store)?.summary?.freeSpace)} are free on ${e.store}.`} />}>
      <div class="columns">
        {!d.existing && <SelectField label="Provisioning" value={d.provisioning} onValue={(p) => put({ provisioning: p as Disk["provisioning"] })} choices={PROVISIONING} because={d.device && "Chosen when it was made. A clone can be made otherwise."} />}
        <SelectField label="Mode" value={d.mode} onValue={(mode) => put({ mode })} choices={MODES} because={d.device && (e.fixed || kept)} />
        {d.device ? <TextField label="Location" value={placeText(d.device, e.config.hardware.device ?? [])} onValue={() => {}} because="It stays where the guest knows it." />
          : <SelectField label="Controller" value={d.at} onValue={(at) => put({ at })} choices={[["", "The first with room"], ...controllers]} />}
      </div>
    </Line>
  );
}

function DriveLine({ e, d, i }: { e: Editing; d: Drive; i: number }) {
  const put = (to: Partial<Drive>) => e.at("drives", i, to);
  return (
    <Line label={d.label} icon="disc" gone={d.gone} because={d.device && e.fixed} onGone={(gone) => put({ gone })}
      main={
        <>
          <FileField label={d.label} value={d.iso} pattern={ISO} placeholder="[datastore1] iso/debian.iso" onValue={(iso) => put({ iso, on: true })} help={`Empty: no disc.${d.device ? ` At ${placeText(d.device, e.config.hardware.device ?? [])}.` : ""}`} />
          <CheckField label={e.fixed ? "Connected" : "Connect at power on"} checked={d.on} onValue={(on) => put({ on })} />
        </>
      } />
  );
}

function CardLine({ e, d, i }: { e: Editing; d: Card; i: number }) {
  const put = (to: Partial<Card>) => e.at("cards", i, to);
  const names = networks().map((n) => [n.name ?? "", n.name ?? ""] as const);
  const kinds = CARD_TYPES.some(([t]) => t === d.type) ? CARD_TYPES : [[d.type, d.type.replace("Virtual", "")] as const, ...CARD_TYPES];
  return (
    <Line label={d.label} icon="network" gone={d.gone} because={d.device ? e.still : false} onGone={(gone) => put({ gone })}
      main={
        <>
          <SelectField label={d.label} value={d.network} onValue={(network) => put({ network })} choices={names} />
          <CheckField label={e.fixed ? "Connected" : "Connect at power on"} checked={d.on} onValue={(on) => put({ on })} />
        </>
      }>
      <div class="columns">
        <SelectField label="Adapter type" value={d.type} onValue={(type) => put({ type })} choices={kinds} because={d.device && "To have another, remove it and add one: the guest finds a new card."} />
        <SelectField label="MAC address" value={d.manual ? "manual" : "generated"} onValue={(v) => put({ manual: v === "manual" })} choices={[["generated", "Made by the host"], ["manual", "As I type it"]]} because={d.device && e.fixed} />
        <TextField label="Address" value={d.mac} placeholder="00:50:56:00:00:01" onValue={(mac) => put({ mac })} because={!d.manual ? "Made by the host." : d.device && e.fixed} />
      </div>
    </Line>
  );
}

function PortLine({ e, d, i }: { e: Editing; d: Port; i: number }) {
  const put = (to: Partial<Port>) => e.at("ports", i, to);
  return (
    <Line label={d.label} icon="terminal" gone={d.gone} because={e.fixed} onGone={(gone) => put({ gone })}
      main={
        <>
          <SelectField label={d.label} value={d.kind} onValue={(kind) => put({ kind: kind as Port["kind"] })} because={e.fixed}
            choices={[["host", "This client's serial console"], ["file", "A file on a datastore"], ["pipe", "A named pipe of the host"]]} />
          {d.kind !== "host" && <TextField label={d.kind === "file" ? "File" : "Pipe"} value={d.target} placeholder={d.kind === "file" ? `[${e.store}] serial.txt` : "console"} onValue={(target) => put({ target })} because={e.fixed} />}
        </>
      } />
  );
}

function ControllerLine({ e, d, i }: { e: Editing; d: Controller; i: number }) {
  const used = e.f.disks.concat(e.f.drives as never[]).some((p) => !p.gone && p.at === String(d.key));
  const setType = (type: string) => e.at("controllers", i, { type, bus: freeBus(e, type, d), label: newLabel(type) });
  return (
    <Line label={d.label} icon="settings" gone={d.gone} because={used ? "Drives are attached to it." : e.fixed} onGone={(gone) => e.at("controllers", i, { gone })}
      main={d.device ? <p class="device-text">{d.label} <span class="subtle">{CONTROLLERS.find(([t]) => t === d.type)?.[1] ?? d.type.replace("Virtual", "")}</span></p>
        : <SelectField label={d.label} value={d.type} onValue={setType} choices={CONTROLLERS} />} />
  );
}

const family = (type: string) => (/AHCI/.test(type) ? "SATA" : /NVME/.test(type) ? "NVMe" : "SCSI");
const newLabel = (type: string) => `New ${family(type)} controller`;
const freeBus = (e: Editing, type: string, not?: Controller) =>
  [0, 1, 2, 3].find((bus) => !e.f.controllers.some((c) => c !== not && !c.gone && family(c.type) === family(type) && c.bus === bus)) ?? 4;

function AddLine({ e }: { e: Editing }) {
  const { f, put } = e, network = networks()[0]?.name ?? "";
  const room = freeBus(e, "ParaVirtualSCSIController") > 3 && freeBus(e, "VirtualNVMEController") > 3 && "There are four of each kind.";
  const disk = (existing: boolean): Disk => ({ label: existing ? "Existing disk" : "New disk", gone: false, size: existing ? "0" : "16", least: 0, provisioning: "thin", mode: "persistent", at: "", file: "", existing, destroy: false });
  const controller = (): Controller => ({ label: newLabel("ParaVirtualSCSIController"), gone: false, type: "ParaVirtualSCSIController", key: -400 - f.controllers.length, bus: freeBus(e, "ParaVirtualSCSIController") });
  return (
    <div class="table-tools">
      <Button kind="link" icon="plus" small because={e.still} onClick={() => put({ disks: [...f.disks, disk(false)] })}>Add a disk</Button>
      <Button kind="link" icon="plus" small because={e.still} onClick={() => put({ disks: [...f.disks, disk(true)] })}>Add an existing disk</Button>
      <Button kind="link" icon="plus" small because={e.fixed} onClick={() => put({ drives: [...f.drives, { label: "New CD drive", gone: false, iso: "", on: true, at: "" }] })}>Add a CD drive</Button>
      <Button kind="link" icon="plus" small because={e.still} onClick={() => put({ cards: [...f.cards, { label: "New network card", gone: false, network, type: "VirtualVmxnet3", on: true, manual: false, mac: "" }] })}>Add a network card</Button>
      <Button kind="link" icon="plus" small because={e.fixed || room} onClick={() => put({ controllers: [...f.controllers, controller()] })}>Add a controller</Button>
      <Button kind="link" icon="plus" small because={e.fixed || (f.ports.length > 3 && "There are four.")} onClick={() => put({ ports: [...f.ports, { label: "New serial port", gone: false, kind: "host", target: "" }] })}>Add a serial port</Button>
    </div>
  );
}

export function Hardware({ e }: { e: Editing }) {
  const { f, put, fixed } = e;
  return (
    <>
      <div class="columns">
        <TextField label="CPUs" type="number" min={1} max={768} value={f.cpus} onValue={(cpus) => put({ cpus })} because={fixed} />
        <TextField label="Cores per socket" type="number" min={1} value={f.cores} onValue={(cores) => put({ cores })} because={fixed}
          help={Number(f.cpus) % Number(f.cores) === 0 && plural(Number(f.cpus) / Number(f.cores), "socket")} />
        <TextField label="Memory" type="number" min={4} step={4} unit="MB" value={f.memory} onValue={(memory) => put({ memory })} because={fixed} />
      </div>
      {f.disks.map((d, i) => <DiskLine key={`d${i}`} e={e} d={d} i={i} />)}
      {f.drives.map((d, i) => <DriveLine key={`c${i}`} e={e} d={d} i={i} />)}
      {f.cards.map((d, i) => <CardLine key={`n${i}`} e={e} d={d} i={i} />)}
      {f.ports.map((d, i) => <PortLine key={`p${i}`} e={e} d={d} i={i} />)}
      {f.controllers.map((d, i) => <ControllerLine key={`b${i}`} e={e} d={d} i={i} />)}
      <AddLine e={e} />
    </>
  );
}
