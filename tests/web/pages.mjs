// SPDX-License-Identifier: Apache-2.0
// Every page of the client by its address, for those who go through all of them. A VM, a datastore and a network
// are named by the ids that they have.
export const pages = ({ vm, datastore, network }) => ({
  host: "host", vms: "host/vms", storage: "host/datastores", devices: "host/datastores/devices",
  networking: "host/networking", switches: "host/networking/switches", pnics: "host/networking/pnics", vnics: "host/networking/vnics",
  stacks: "host/networking/stacks", firewall: "host/networking/firewall",
  ...Object.fromEntries(["hardware", "services", "time", "autostart", "advanced", "users", "roles", "permissions", "security", "packages"].map((t) => [`manage-${t}`, `host/manage/${t}`])),
  ...Object.fromEntries(["performance", "sensors", "events", "tasks", "logs"].map((t) => [`monitor-${t}`, `host/monitor/${t}`])),
  ...Object.fromEntries(["summary", "console", "snapshots", "hardware", "performance", "events", "tasks", "permissions"].map((t) => [`vm-${t}`, `host/vms/${vm}/${t}`])),
  ...Object.fromEntries(["files", "details", "permissions"].map((t) => [`datastore-${t}`, `host/datastores/${datastore}/${t}`])),
  network: `host/networking/${encodeURIComponent(network)}`, nowhere: "host/nowhere",
});

export async function idsOf(page, api, vm) {
  const ids = async (property) => (await api(page, "HostSystem", "ha-host", property))[0].value;
  return { vm, datastore: await ids("datastore"), network: await ids("network") };
}
