// SPDX-License-Identifier: Apache-2.0
// Which page an address is.
import { route } from "./route";
import { Empty } from "../ui/table";
import { HostPage } from "../pages/host";
import { VmList } from "../pages/vm_list";
import { VmPage } from "../pages/vm";
import { DatastoreList, DeviceList } from "../pages/datastore_list";
import { DatastorePage } from "../pages/datastore";
import { NetworkPage } from "../pages/network";
import { NetworkingPage } from "../pages/networking";
import { ManagePage } from "../pages/manage";
import { MonitorPage } from "../pages/monitor";

export function Page() {
  const [, section, id, tab] = route.value;
  switch (section) {
    case undefined:
      return <HostPage />;
    case "vms":
      return id ? <VmPage key={id} id={id} tab={tab ?? "summary"} /> : <VmList />;
    case "datastores":
      return id === "devices" ? <DeviceList /> : id ? <DatastorePage key={id} id={id} tab={tab ?? "files"} folder={route.value.slice(4)} /> : <DatastoreList />;
    case "networking":
      return id?.startsWith("HaNetwork-") ? <NetworkPage key={id} id={id} tab={tab ?? "summary"} /> : <NetworkingPage tab={id ?? "portgroups"} />;
    case "manage":
      return <ManagePage tab={id ?? "hardware"} />;
    case "monitor":
      return <MonitorPage tab={id ?? "events"} />;
    default:
      return <Empty title="There is no such page" icon="search">The address may be of another version of this client.</Empty>;
  }
}
