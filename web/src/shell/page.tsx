// SPDX-License-Identifier: Apache-2.0
// Which page an address is.
import { href, route } from "./route";
import { useEffect } from "preact/hooks";
import { Empty } from "../ui/table";
import { ref } from "../vim/client";
import { host, nameOf } from "../vim/inventory";
import { HostPage } from "../pages/host";
import { VmList } from "../pages/vm_list";
import { VmPage } from "../pages/vm";
import { DatastoreList, DeviceList } from "../pages/datastore_list";
import { DatastorePage } from "../pages/datastore";
import { NetworkPage } from "../pages/network";
import { NetworkingPage } from "../pages/networking";
import { ManagePage } from "../pages/manage";
import { MonitorPage } from "../pages/monitor";

const SECTIONS: { [section: string]: string } = { vms: "Virtual machines", datastores: "Storage", networking: "Networking", manage: "Manage", monitor: "Monitor" };
const KINDS: { [section: string]: string } = { vms: "VirtualMachine", datastores: "Datastore", networking: "Network" };

/** Pages of the host itself: to somebody who has been given a VM of it alone they have nothing to show. */
const OF_HOST = /^(manage\b.*|monitor\/(performance|sensors|logs)|networking(\/(?!HaNetwork-).*)?|datastores\/devices)?$/;

/** What stands on the browser's tab: the object's name, or the section's. */
function title(): string {
  const [, section = "", id] = route.value, kind = KINDS[section];
  const name = kind && id ? nameOf(ref(kind, id)) : undefined;
  return [name ?? SECTIONS[section] ?? host()?.name, "Socle"].filter(Boolean).join(" – ");
}

export function Page() {
  const text = title();
  useEffect(() => void (document.title = text), [text]);
  const [, section, id, tab] = route.value;
  if (!host() && OF_HOST.test(route.value.slice(1).join("/")))
    return <Empty title="You may not see the host" icon="lock" actions={<a class="pf-v6-c-button pf-m-primary" href={href("host", "vms")}>Virtual machines</a>}>What you have been given is under Virtual machines, Storage and Networking.</Empty>;
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
