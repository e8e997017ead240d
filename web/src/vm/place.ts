// SPDX-License-Identifier: Apache-2.0
// Where a new VM goes: the one folder for VMs and the one resource pool that a host has at first.
import { ref, type AnyRef } from "../vim/client";
import { find, host, pools, type FolderRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";

const FOLDER = "ha-folder-vm";

/** A host has one, which always has this name. */
export const vmFolder = () => ref("Folder", FOLDER);

/** Why the user may not have new VMs in the folder, or false. */
export function cannotPlace(privilege: string): string | false {
  const folder = find<FolderRecord>("Folder", FOLDER);
  return host() && folder ? forbids(folder, privilege) : "You may not: your permissions are on single objects, not on the host.";
}

/** The root pool: no other has it as a child. */
export function rootPool(): AnyRef {
  return (pools().find((p) => p.parent?.type !== "ResourcePool") ?? pools()[0]!).ref;
}
