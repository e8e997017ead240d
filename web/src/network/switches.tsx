// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { request, type AnyRef } from "../vim/client";
import { host } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostNetworkInfo, HostNetworkSystem, HostVirtualSwitch, HostVirtualSwitchBondBridge, HostVirtualSwitchSpec } from "../vim/types.gen";
import { PolicyFields, policySpec, readPolicy } from "./policy";

const uplinksOf = (s: HostVirtualSwitch | undefined) => (s?.spec.bridge as HostVirtualSwitchBondBridge | undefined)?.nicDevice ?? [];

function SwitchDialog({ system, info, old }: { system: AnyRef; info: HostNetworkInfo; old?: HostVirtualSwitch }) {
  const [name, setName] = useState(old?.name ?? `vSwitch${info.vswitch?.length ?? 0}`);
  const [mtu, setMtu] = useState(String(old?.mtu ?? 1500));
  const [uplinks, setUplinks] = useState<ReadonlySet<string>>(new Set(uplinksOf(old)));
  const [policy, setPolicy] = useState({ ...readPolicy(old?.spec.policy), ...(!old && { inherit: false, shape: "off" as const }) });
  const size = Number(mtu);
  const wrong = !/^[\w.-]{1,31}$/.test(name) ? "A name of up to 31 letters, digits, dots and dashes." : !(size >= 1280 && size <= 9190) ? "MTU: 1280 to 9190." : undefined;
  const ownerOf = (nic: string) => info.vswitch?.find((s) => s.name !== old?.name && uplinksOf(s).includes(nic))?.name;
  const spec: HostVirtualSwitchSpec = {
    _typeName: "HostVirtualSwitchSpec", numPorts: old?.spec.numPorts ?? 128, mtu: size, policy: policySpec({ ...policy, inherit: false }),
    ...(uplinks.size && { bridge: { _typeName: "HostVirtualSwitchBondBridge", nicDevice: [...uplinks] } as HostVirtualSwitchBondBridge }),
  };
  const save = old ? request<HostNetworkSystem>(system).UpdateVirtualSwitch({ vswitchName: old.name, spec }) : request<HostNetworkSystem>(system).AddVirtualSwitch({ vswitchName: name, spec });
  return (
    <Dialog title={old ? `Edit switch ${old.name}` : "Add a switch"} confirm={old ? "Save" : "Add"} because={wrong} onConfirm={() => perform(save)}
      commands={{ socle: old || size !== 1500 || uplinks.size ? undefined : `socle network switch add ${quoted(name)}`, request: save, govc: old ? undefined : `govc host.vswitch.add -mtu ${mtu} ${quoted(name)}` }}>
      <div class="columns">
        {!old && <TextField label="Name" value={name} onValue={setName} autoFocus />}
        <TextField label="MTU" type="number" min={1280} max={9190} value={mtu} onValue={setMtu} />
      </div>
      <fieldset class="part">
        <legend>Uplinks</legend>
        {(info.pnic ?? []).map((n) => (
          <CheckField key={n.device} label={`${n.device}  ${n.mac}`} checked={uplinks.has(n.device)} because={ownerOf(n.device) && `${ownerOf(n.device)} has it.`}
            onValue={(yes) => { const next = new Set(uplinks); yes ? next.add(n.device) : next.delete(n.device); setUplinks(next); }} />
        ))}
      </fieldset>
      <PolicyFields value={policy} onValue={setPolicy} ofSwitch />
    </Dialog>
  );
}

function removeSwitch(system: AnyRef, s: HostVirtualSwitch) {
  const remove = request<HostNetworkSystem>(system).RemoveVirtualSwitch({ vswitchName: s.name });
  openDialog(
    <Dialog title={`Delete switch ${s.name}?`} confirm="Delete" danger onConfirm={() => perform(remove)}
      commands={{ socle: `socle network switch remove ${quoted(s.name)}`, govc: `govc host.vswitch.remove ${quoted(s.name)}`, request: remove }}>
      <p>Its port groups go with it.</p>
    </Dialog>);
}

export function Switches({ system, info }: { system: AnyRef; info: HostNetworkInfo }) {
  const cannot = forbids(host(), "Host.Config.Network");
  const columns: Column<HostVirtualSwitch>[] = [
    { name: "Name", cell: (s) => s.name, by: (s) => s.name },
    { name: "Port groups", cell: (s) => s.portgroup?.length ?? 0, by: (s) => s.portgroup?.length, right: true },
    { name: "Uplinks", cell: (s) => uplinksOf(s).join(", ") || "–", by: (s) => uplinksOf(s).join() },
    { name: "MTU", cell: (s) => s.mtu, by: (s) => s.mtu, right: true },
  ];
  const actions = (s: HostVirtualSwitch): Action[] => [
    { text: "Edit", icon: "edit", because: cannot, run: () => openDialog(<SwitchDialog system={system} info={info} old={s} />) },
    { text: "Delete", icon: "trash", danger: true, because: cannot, run: () => removeSwitch(system, s) },
  ];
  return <Table label="Switches" noun="switch" rows={info.vswitch ?? []} columns={columns} keyOf={(s) => s.name} actions={actions}
    tools={<Button kind="primary" icon="plus" because={cannot} onClick={() => openDialog(<SwitchDialog system={system} info={info} />)}>Add switch</Button>} />;
}
