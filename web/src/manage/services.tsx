// SPDX-License-Identifier: Apache-2.0
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { Empty, Table, type Column } from "../ui/table";
import { on } from "../vim/client";
import { host, useProperties } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import type { HostService, HostServiceSystem } from "../vim/types.gen";
import { hosted } from "./host_actions";

export function Services() {
  const system = host()?.configManager?.serviceSystem;
  const info = useProperties<HostServiceSystem, "serviceInfo">(system, ["serviceInfo"])?.serviceInfo;
  if (!system) return <Empty title="This host has no services to manage" icon="settings" />;
  const turn = (s: HostService) => attempt(s.label, () =>
    s.running ? on<HostServiceSystem>(system).StopService({ id: s.key }) : on<HostServiceSystem>(system).StartService({ id: s.key }));
  const columns: Column<HostService>[] = [
    { name: "Service", cell: (s) => s.label, by: (s) => s.label },
    { name: "State", cell: (s) => <span class="status"><Icon name={s.running ? "play" : "stop"} tone={s.running ? "success" : "muted"} />{s.running ? "Running" : "Stopped"}</span>, by: (s) => String(s.running) },
    { name: "Starts", cell: (s) => ({ on: "With the host", off: "By hand", automatic: "When its port is open" })[s.policy] ?? s.policy, by: (s) => s.policy },
    { name: "", tail: true, cell: (s) => <Button small because={s.required ? "The host needs it." : hosted(host()) || forbids(host(), "Host.Config.NetService")} onClick={() => void turn(s)}>{s.running ? "Stop" : "Start"}</Button> },
  ];
  return (
    <>
      {hosted(host()) && <p class="subtle spaced">{hosted(host())}</p>}
      <Table label="Services" noun="service" rows={info?.service ?? []} columns={columns} keyOf={(s) => s.key} />
    </>
  );
}
