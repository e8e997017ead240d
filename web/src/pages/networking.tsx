// SPDX-License-Identifier: Apache-2.0
// Networking: port groups, switches, the machine's network cards, the host's own addresses.
import { href } from "../shell/route";
import { Spinner } from "../ui/button";
import { Copied } from "../ui/card";
import { Icon } from "../ui/icon";
import { Table, type Column } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { host, useProperties } from "../vim/inventory";
import type { HostNetworkSystem, HostVirtualNic, PhysicalNic } from "../vim/types.gen";
import { Firewall } from "../network/firewall";
import { PortGroups } from "../network/port_groups";
import { Stacks } from "../network/stacks";
import { Switches } from "../network/switches";

export const networkingTabs = [["portgroups", "Port groups"], ["switches", "Virtual switches"], ["pnics", "Physical NICs"], ["vnics", "VMkernel NICs"], ["stacks", "TCP/IP stacks"], ["firewall", "Firewall rules"]] as const;

const linkText = (n: PhysicalNic) => (!n.linkSpeed ? "Down" : n.linkSpeed.speedMb ? `${n.linkSpeed.speedMb} Mbit/s, ${n.linkSpeed.duplex ? "full" : "half"} duplex` : "Up");

const cards: Column<PhysicalNic>[] = [
  { name: "Name", cell: (n) => n.device, by: (n) => n.device },
  { name: "Driver", cell: (n) => n.driver ?? "–", by: (n) => n.driver },
  { name: "MAC address", cell: (n) => <Copied text={n.mac} />, by: (n) => n.mac },
  { name: "Link", cell: (n) => <span class="status"><Icon name={n.linkSpeed ? "check" : "stop"} tone={n.linkSpeed ? "success" : "muted"} />{linkText(n)}</span>, by: (n) => n.linkSpeed?.speedMb ?? 0 },
];

const addresses: Column<HostVirtualNic>[] = [
  { name: "Name", cell: (n) => n.device, by: (n) => n.device },
  { name: "Port group", cell: (n) => n.portgroup || "–", by: (n) => n.portgroup },
  { name: "IPv4 address", cell: (n) => <Copied text={n.spec.ip?.ipAddress} />, by: (n) => n.spec.ip?.ipAddress },
  { name: "Mask", cell: (n) => n.spec.ip?.subnetMask ?? "–", by: (n) => n.spec.ip?.subnetMask },
  { name: "IPv6 addresses", cell: (n) => n.spec.ip?.ipV6Config?.ipV6Address?.map((a) => `${a.ipAddress}/${a.prefixLength}`).join(", ") ?? "–" },
  { name: "MTU", cell: (n) => n.spec.mtu ?? "–", by: (n) => n.spec.mtu, right: true },
];

export function NetworkingPage({ tab }: { tab: string }) {
  const system = host()?.configManager?.networkSystem;
  const info = useProperties<HostNetworkSystem, "networkInfo">(system, ["networkInfo"])?.networkInfo;
  const body = () => {
    if (!system || !info) return <Spinner />;
    switch (tab) {
      case "switches": return <Switches system={system} info={info} />;
      case "pnics": return <Table label="Physical NICs" noun="card" rows={info.pnic ?? []} columns={cards} keyOf={(n) => n.device} />;
      case "vnics": return <Table label="VMkernel NICs" noun="card" rows={info.vnic ?? []} columns={addresses} keyOf={(n) => n.device} />;
      case "stacks": return <Stacks info={info} />;
      case "firewall": return <Firewall />;
      default: return <PortGroups system={system} info={info} />;
    }
  };
  return (
    <>
      <div class="page-head"><h1><Icon name="network" />Networking</h1></div>
      <Tabs label="Networking" tabs={networkingTabs} current={networkingTabs.some(([id]) => id === tab) ? tab : "portgroups"} href={(t) => href("host", "networking", t)} />
      {body()}
    </>
  );
}
