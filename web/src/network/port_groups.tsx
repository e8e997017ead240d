// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { href } from "../shell/route";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { request, type AnyRef } from "../vim/client";
import { host, networks } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostNetworkInfo, HostNetworkSystem, HostPortGroup } from "../vim/types.gen";
import { PolicyFields, policySpec, readPolicy } from "./policy";

function PortGroupDialog({ system, info, group }: { system: AnyRef; info: HostNetworkInfo; group?: HostPortGroup }) {
  const [name, setName] = useState(group?.spec.name ?? "");
  const [vlan, setVlan] = useState(String(group?.spec.vlanId ?? 0));
  const [vswitch, setSwitch] = useState(group?.spec.vswitchName ?? info.vswitch?.[0]?.name ?? "");
  const [policy, setPolicy] = useState(readPolicy(group?.spec.policy));
  const id = Number(vlan);
  const wrong = !name.trim() ? "A name is needed." : !(Number.isInteger(id) && id >= 0 && id <= 4095) ? "VLAN: 0 to 4095." : undefined;
  const portgrp = { _typeName: "HostPortGroupSpec", name, vlanId: id, vswitchName: vswitch, policy: policySpec(policy) };
  const save = group ? request<HostNetworkSystem>(system).UpdatePortGroup({ pgName: group.spec.name, portgrp }) : request<HostNetworkSystem>(system).AddPortGroup({ portgrp });
  return (
    <Dialog title={group ? `Edit port group ${group.spec.name}` : "Add a port group"} confirm={group ? "Save" : "Add"} because={wrong} onConfirm={() => perform(save)}
      commands={{ socle: group ? undefined : `socle network portgroup add ${quoted(name || "NAME")} --switch ${quoted(vswitch)} --vlan ${vlan}`, request: save, govc: group ? `govc host.portgroup.change -vswitch-name ${quoted(vswitch)} -vlan-id ${vlan} -name ${quoted(name)} ${quoted(group.spec.name)}` : `govc host.portgroup.add -vswitch ${quoted(vswitch)} -vlan ${vlan} ${quoted(name || "NAME")}` }}>
      <TextField label="Name" value={name} onValue={setName} autoFocus />
      <div class="columns">
        <TextField label="VLAN" type="number" min={0} max={4095} value={vlan} onValue={setVlan} help="0: none; 4095: all, tagged" />
        <SelectField label="Switch" value={vswitch} onValue={setSwitch} choices={(info.vswitch ?? []).map((s) => [s.name, s.name] as const)} />
      </div>
      <PolicyFields value={policy} onValue={setPolicy} />
    </Dialog>
  );
}

function removeGroup(system: AnyRef, group: HostPortGroup) {
  const remove = request<HostNetworkSystem>(system).RemovePortGroup({ pgName: group.spec.name });
  openDialog(
    <Dialog title={`Delete port group ${group.spec.name}?`} confirm="Delete" danger onConfirm={() => perform(remove)}
      commands={{ socle: `socle network portgroup remove ${quoted(group.spec.name)}`, govc: `govc host.portgroup.remove ${quoted(group.spec.name)}`, request: remove }}>
      <p>Network cards that are connected to it lose their network.</p>
    </Dialog>);
}

const machines = (g: HostPortGroup) => networks().find((n) => n.name === g.spec.name)?.vm?.length ?? 0;
export const vlanText = (id: number) => (id === 4095 ? "All" : id || "None");

export const portGroupActions = (system: AnyRef, info: HostNetworkInfo) => (g: HostPortGroup): Action[] => [
  { text: "Edit", icon: "edit", because: forbids(host(), "Host.Config.Network"), run: () => openDialog(<PortGroupDialog system={system} info={info} group={g} />) },
  { text: "Delete", icon: "trash", danger: true, because: forbids(host(), "Host.Config.Network") || (machines(g) > 0 && "Virtual machines are connected to it."), run: () => removeGroup(system, g) },
];

export function PortGroups({ system, info }: { system: AnyRef; info: HostNetworkInfo }) {
  const cannot = forbids(host(), "Host.Config.Network");
  const columns: Column<HostPortGroup>[] = [
    { name: "Name", cell: (g) => <a href={href("host", "networking", networks().find((n) => n.name === g.spec.name)?.ref.value ?? "portgroups")}>{g.spec.name}</a>, by: (g) => g.spec.name },
    { name: "VLAN", cell: (g) => vlanText(g.spec.vlanId), by: (g) => g.spec.vlanId, right: true },
    { name: "Switch", cell: (g) => g.spec.vswitchName, by: (g) => g.spec.vswitchName },
    { name: "Virtual machines", cell: machines, by: machines, right: true },
  ];
  return <Table label="Port groups" noun="port group" rows={info.portgroup ?? []} columns={columns} keyOf={(g) => g.spec.name} actions={portGroupActions(system, info)}
    tools={<Button kind="primary" icon="plus" because={cannot} onClick={() => openDialog(<PortGroupDialog system={system} info={info} />)}>Add port group</Button>} />;
}
