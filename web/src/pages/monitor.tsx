// SPDX-License-Identifier: Apache-2.0
// What the host has seen and done.
import { href } from "../shell/route";
import { taskColumns } from "../shell/tasks";
import { Icon } from "../ui/icon";
import { Table } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { host, tasks } from "../vim/inventory";
import { Events } from "./events";
import { Logs } from "./logs";
import { Performance } from "./performance";

const tabs = [["performance", "Performance"], ["events", "Events"], ["tasks", "Tasks"], ["logs", "Logs"]] as const;

function Body({ tab }: { tab: string }) {
  switch (tab) {
    case "tasks":
      return <Table label="Tasks" noun="task" rows={tasks().filter((t) => t.info)} columns={taskColumns} keyOf={(t) => t.ref.value} sortBy={3} downwards />;
    case "logs":
      return <Logs />;
    case "performance":
      return host() ? <Performance of={host()!.ref} /> : null;
    default:
      return <Events />;
  }
}

export function MonitorPage({ tab }: { tab: string }) {
  return (
    <>
      <div class="page-head"><h1><Icon name="activity" />Monitor</h1></div>
      <Tabs label="Monitor" tabs={tabs} current={tab} href={(t) => href("host", "monitor", t)} />
      <Body tab={tab} />
    </>
  );
}
