// SPDX-License-Identifier: Apache-2.0
// What the host has seen and done.
import { href } from "../shell/route";
import { taskColumns } from "../shell/tasks";
import { Icon } from "../ui/icon";
import { Table } from "../ui/table";
import { Tabs } from "../ui/tabs";
import { tasks } from "../vim/inventory";
import { Events } from "./events";

const tabs = [["events", "Events"], ["tasks", "Tasks"]] as const;

export function MonitorPage({ tab }: { tab: string }) {
  return (
    <>
      <div class="page-head"><h1><Icon name="activity" />Monitor</h1></div>
      <Tabs label="Monitor" tabs={tabs} current={tab} href={(t) => href("host", "monitor", t)} />
      {tab === "tasks"
        ? <Table label="Tasks" noun="task" rows={tasks().filter((t) => t.info)} columns={taskColumns} keyOf={(t) => t.ref.value} sortBy={3} downwards />
        : <Events />}
    </>
  );
}
