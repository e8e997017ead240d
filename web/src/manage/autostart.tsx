// SPDX-License-Identifier: Apache-2.0
// Which virtual machines start with the host, and in which order.
import { vmHref } from "../shell/route";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { CheckField } from "../ui/field";
import { Empty, Table, type Column } from "../ui/table";
import { keyOf, on, type AnyRef } from "../vim/client";
import { host, useProperties, vms, type VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import type { AutoStartPowerInfo, HostAutoStartManager, HostAutoStartManagerConfig } from "../vim/types.gen";

function infoOf(vm: AnyRef, order: number): AutoStartPowerInfo {
  return { _typeName: "AutoStartPowerInfo", key: vm, startOrder: order, startDelay: -1, waitForHeartbeat: "systemDefault",
    startAction: order > 0 ? "powerOn" : "none", stopDelay: -1, stopAction: "systemDefault" };
}

export function Autostart() {
  const manager = host()?.configManager?.autoStartManager;
  const config = useProperties<HostAutoStartManager, "config">(manager, ["config"])?.config;
  if (!manager) return <Empty title="This host does not start virtual machines by itself" icon="power" />;

  const cannot = forbids(host(), "Host.Config.AutoStart");
  const change = (what: string, spec: Partial<HostAutoStartManagerConfig>) =>
    void attempt(what, () => on<HostAutoStartManager>(manager).ReconfigureAutostart({ spec: { _typeName: "HostAutoStartManagerConfig", ...spec } }));
  const listed = (config?.powerInfo ?? []).filter((p) => p.startAction.toLowerCase() === "poweron").sort((a, b) => a.startOrder - b.startOrder);
  const placeOf = (vm: VmRecord) => listed.findIndex((p) => keyOf(p.key) === keyOf(vm.ref));
  const put = (order: AnyRef[]) => {
    const rest = listed.map((p) => p.key).filter((r) => !order.some((o) => keyOf(o) === keyOf(r)));
    change("Autostart", { powerInfo: [...order.map((r, i) => infoOf(r, i + 1)), ...rest.map((r) => infoOf(r, -1))] });
  };
  const move = (vm: VmRecord, by: number) => {
    const order = listed.map((p) => p.key), at = placeOf(vm);
    [order[at], order[at + by]] = [order[at + by]!, order[at]!];
    put(order);
  };
  const columns: Column<VmRecord>[] = [
    { name: "Virtual machine", cell: (v) => <a href={vmHref(v.ref.value)}>{v.name}</a>, by: (v) => v.name },
    { name: "Order", cell: (v) => (placeOf(v) < 0 ? "–" : placeOf(v) + 1), by: (v) => (placeOf(v) < 0 ? 1e9 : placeOf(v)) },
    {
      name: "", tail: true,
      cell: (v) => placeOf(v) < 0
        ? <Button small because={cannot} onClick={() => put([...listed.map((p) => p.key), v.ref])}>Start with the host</Button>
        : <span class="row-tools">
            <Button small because={cannot || (placeOf(v) === 0 && "It is the first.")} onClick={() => move(v, -1)}>Earlier</Button>
            <Button small because={cannot || (placeOf(v) === listed.length - 1 && "It is the last.")} onClick={() => move(v, 1)}>Later</Button>
            <Button small because={cannot} onClick={() => put(listed.map((p) => p.key).filter((r) => keyOf(r) !== keyOf(v.ref)))}>Not by itself</Button>
          </span>,
    },
  ];
  return (
    <>
      <div class="spaced">
        <CheckField label="Start virtual machines with the host" checked={config?.defaults?.enabled ?? false} because={cannot}
          onValue={(enabled) => change("Autostart", { defaults: { _typeName: "AutoStartDefaults", enabled } })} />
      </div>
      <Table label="Autostart" noun="virtual machine" rows={vms()} columns={columns} keyOf={(v) => v.ref.value} sortBy={1}
        empty={<Empty title="No virtual machines" icon="vm">Those that are to start with the host are chosen here.</Empty>} />
    </>
  );
}
