// SPDX-License-Identifier: Apache-2.0
// What the host has seen and done.
import { href } from "../shell/route";
import { Icon } from "../ui/icon";
import { Tabs } from "../ui/tabs";
import { host } from "../vim/inventory";
import { Events } from "./events";
import { Logs } from "./logs";
import { Performance } from "./performance";
import { Sensors } from "./sensors";
import { TaskList } from "./task_list";

export const monitorTabs = [["performance", "Performance"], ["sensors", "Sensors"], ["events", "Events"], ["tasks", "Tasks"], ["logs", "Logs"]] as const;

function Body({ tab }: { tab: string }) {
  switch (tab) {
    case "tasks":
      return <TaskList />;
    case "sensors":
      return <Sensors />;
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
      <Tabs label="Monitor" tabs={monitorTabs} current={tab} href={(t) => href("host", "monitor", t)} />
      <Body tab={tab} />
    </>
  );
}
