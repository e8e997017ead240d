// SPDX-License-Identifier: Apache-2.0
// One port group: where it leads, and who is connected to it.
import { href, vmHref } from "../shell/route";
import { Card, Facts } from "../ui/card";
import { Icon } from "../ui/icon";
import { Menu } from "../ui/menu";
import { Empty, Table, type Column } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { find, host, useProperties, vms, type NetworkRecord, type VmRecord } from "../vim/inventory";
import type { HostNetworkInfo, HostNetworkSystem, HostPortGroup, VirtualEthernetCard } from "../vim/types.gen";
import { portGroupActions, vlanText } from "../network/port_groups";
import { Permissions } from "../manage/permissions";
import { isCard, networkOf } from "../vm/devices";
import { VmState } from "../vm/state";
import { TaskList } from "./task_list";
import { Events } from "./events";

const tabs = [["summary", "Summary"], ["events", "Events"], ["tasks", "Tasks"], ["permissions", "Permissions"]] as const;

function Summary({ net, info, group }: { net: NetworkRecord; info: HostNetworkInfo | undefined; group: HostPortGroup | undefined }) {
  const vswitch = info?.vswitch?.find((s) => s.name === group?.spec.vswitchName);
  const security = group?.computedPolicy?.security, shaping = group?.computedPolicy?.shapingPolicy;
  const yes = (on: boolean | undefined) => (on === undefined ? undefined : on ? "Accepted" : "Rejected");
  const cards = (v: VmRecord) => (v["config.hardware.device"] ?? []).filter((d): d is VirtualEthernetCard => isCard(d) && networkOf(d) === net.name);
  const columns: Column<VmRecord>[] = [
    { name: "Virtual machine", cell: (v) => <a href={vmHref(v.ref.value)}>{v.name}</a>, by: (v) => v.name },
    { name: "Status", cell: (v) => <VmState vm={v} />, by: (v) => v["summary.runtime"]?.powerState },
    { name: "MAC addresses", cell: (v) => cards(v).map((c) => c.macAddress).join(", "), by: (v) => cards(v).map((c) => c.macAddress).join() },
    { name: "IP address", cell: (v) => v["summary.guest"]?.ipAddress ?? "–", by: (v) => v["summary.guest"]?.ipAddress },
  ];
  return (
    <>
      <div class="cards">
        <Card title="Port group"><Facts of={[["Switch", group?.spec.vswitchName], ["VLAN", group && vlanText(group.spec.vlanId)], ["MTU", vswitch?.mtu]]} /></Card>
        <Card title="Security"><Facts of={[["Promiscuous mode", yes(security?.allowPromiscuous)], ["MAC changes", yes(security?.macChanges)], ["Forged transmits", yes(security?.forgedTransmits)]]} /></Card>
        <Card title="Traffic shaping"><Facts of={[["Shaping", shaping?.enabled ? "On" : "Off"], shaping?.enabled && ["Average", `${(shaping.averageBandwidth ?? 0) / 1000} kbit/s`], shaping?.enabled && ["Peak", `${(shaping.peakBandwidth ?? 0) / 1000} kbit/s`]]} /></Card>
      </div>
      <Table label="Connected virtual machines" noun="virtual machine" rows={vms().filter((v) => net.vm?.some((r) => r.value === v.ref.value))} columns={columns} keyOf={(v) => v.ref.value}
        empty={<Empty title="Nobody is connected" icon="vm" />} />
    </>
  );
}

export function NetworkPage({ id, tab }: { id: string; tab: string }) {
  const net = find<NetworkRecord>("Network", id), system = host()?.configManager?.networkSystem;
  const info = useProperties<HostNetworkSystem, "networkInfo">(system, ["networkInfo"])?.networkInfo;
  if (!net) return <Empty title="This port group is gone" icon="network">It was deleted or has another name, or you may not see it.</Empty>;
  const group = info?.portgroup?.find((g) => g.spec.name === net.name);
  return (
    <>
      <div class="page-head">
        <h1><Icon name="network" />{net.name}</h1>
        {system && info && group && <div class="tools"><Menu label="Actions" actions={() => portGroupActions(system, info)(group)}>Actions</Menu></div>}
      </div>
      <Tabs label={net.name ?? ""} tabs={tabs} current={tab} href={(t) => href("host", "networking", id, t)} />
      {tab === "permissions" ? <Permissions of={net.ref} /> : tab === "events" ? <Events of={net.ref} /> : tab === "tasks" ? <TaskList of={net.ref} /> : <Summary net={net} info={info} group={group} />}
    </>
  );
}
