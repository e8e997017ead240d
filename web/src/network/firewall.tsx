// SPDX-License-Identifier: Apache-2.0
// The host's firewall: which of its services answer whom.
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { Icon } from "../ui/icon";
import { Empty, Table, type Column } from "../ui/table";
import { request, type AnyRef } from "../vim/client";
import { host, useProperties } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostFirewallRuleset, HostFirewallRulesetIpList, HostFirewallSystem } from "../vim/types.gen";

const listOf = (l: HostFirewallRulesetIpList | undefined) => [...(l?.ipAddress ?? []), ...(l?.ipNetwork ?? []).map((n) => `${n.network}/${n.prefixLength}`)];
const portsOf = (r: HostFirewallRuleset) => [...new Set(r.rule.map((x) => `${x.port}${x.endPort && x.endPort !== x.port ? `-${x.endPort}` : ""}/${x.protocol} ${x.direction === "inbound" ? "in" : "out"}`))].join(", ");

function specOf(all: boolean, text: string) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  return {
    _typeName: "HostFirewallRulesetRulesetSpec",
    allowedHosts: {
      _typeName: "HostFirewallRulesetIpList", allIp: all,
      ...(!all && {
        ipAddress: words.filter((w) => !w.includes("/")),
        ipNetwork: words.filter((w) => w.includes("/")).map((w) => ({ _typeName: "HostFirewallRulesetIpNetwork", network: w.split("/")[0]!, prefixLength: Number(w.split("/")[1]) })),
      }),
    },
  };
}

function EditRuleset({ system, rules }: { system: AnyRef; rules: HostFirewallRuleset }) {
  const [all, setAll] = useState(rules.allowedHosts?.allIp ?? true);
  const [text, setText] = useState(listOf(rules.allowedHosts).join(" "));
  const wrong = !all && !text.trim() ? "With no address nobody could come in, you neither." : text.split(/[\s,]+/).some((w) => w && !/^[0-9a-f.:]+(\/\d{1,3})?$/i.test(w)) ? "Addresses such as 192.0.2.7, and networks such as 192.0.2.0/24." : undefined;
  const save = request<HostFirewallSystem>(system).UpdateRuleset({ id: rules.key, spec: specOf(all, text) });
  return (
    <Dialog title={`Firewall: ${rules.label}`} confirm="Save" danger={!all} because={wrong} onConfirm={() => perform(save)}
      commands={{ govc: `govc host.esxcli network firewall ruleset set -r ${rules.key} -a ${all}`, request: save }}>
      <CheckField label="From all addresses" checked={all} onValue={setAll} />
      <TextField label="Only from" value={text} onValue={setText} lines={3} because={all && "All addresses may come."} error={!all && wrong} placeholder="192.0.2.0/24 2001:db8::/64" />
      {!all && <p>Whoever has another address loses the connection, this page as well: see that your own is among them.</p>}
    </Dialog>
  );
}

export function Firewall() {
  const system = host()?.configManager?.firewallSystem;
  const info = useProperties<HostFirewallSystem, "firewallInfo">(system, ["firewallInfo"])?.firewallInfo;
  if (!system) return <Empty title="This host has no firewall to manage" icon="lock" />;
  const columns: Column<HostFirewallRuleset>[] = [
    { name: "Service", cell: (r) => r.label, by: (r) => r.label },
    { name: "State", cell: (r) => <span class="status"><Icon name={r.enabled ? "check" : "stop"} tone={r.enabled ? "success" : "muted"} />{r.enabled ? "Open" : "Closed"}</span>, by: (r) => String(r.enabled) },
    { name: "Ports", cell: portsOf, by: portsOf },
    { name: "From", cell: (r) => (r.allowedHosts?.allIp ?? true ? "All addresses" : listOf(r.allowedHosts).join(", ")), by: (r) => listOf(r.allowedHosts).join() },
    { name: "", tail: true, cell: (r) => <Button kind="plain" small icon="edit" label={`Edit ${r.label}`} because={r.ipListUserConfigurable === false ? "Its addresses are fixed." : forbids(host(), "Host.Config.NetService")} onClick={() => openDialog(<EditRuleset system={system} rules={r} />)} /> },
  ];
  return <Table label="Firewall rules" noun="rule set" rows={info?.ruleset ?? []} columns={columns} keyOf={(r) => r.key} />;
}
