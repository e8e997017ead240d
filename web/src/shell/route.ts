// SPDX-License-Identifier: Apache-2.0
// Addresses: every object and every tab of its page has one, behind the '#', in ESXi's words:
//   #/host  #/host/monitor/events  #/host/vms  #/host/vms/12/snapshots  #/host/datastores/...  #/host/networking/...
import { signal } from "@preact/signals";

const read = () => decodeParts(location.hash.replace(/^#\/?/, ""));

function decodeParts(path: string): string[] {
  return path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

/** ["host", "vms", "12"]. */
export const route = signal(read());
addEventListener("hashchange", () => (route.value = read()));

export const href = (...parts: string[]) => "#/" + parts.map(encodeURIComponent).join("/");
export function go(...parts: string[]): void {
  location.hash = href(...parts);
}

export const vmHref = (id: string, tab?: string) => href("host", "vms", id, ...(tab ? [tab] : []));

/** The page of an object, where it has one. */
export function pageOf(type: string | undefined, id: string | undefined): string | undefined {
  if (!id) return undefined;
  switch (type) {
    case "VirtualMachine": return vmHref(id);
    case "Datastore": return href("host", "datastores", id);
    case "Network": return href("host", "networking", id);
    case "HostSystem": case "Folder": case "ResourcePool": case "ComputeResource": return href("host");
    default: return undefined;
  }
}
