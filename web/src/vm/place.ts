// SPDX-License-Identifier: Apache-2.0
// Where a new VM goes: the one folder for VMs and the one resource pool that a host has at first.
import { ref, type AnyRef } from "../vim/client";
import { pools } from "../vim/inventory";

/** A host has one, which always has this name. */
export const vmFolder = () => ref("Folder", "ha-folder-vm");

/** The root pool: no other has it as a child. */
export function rootPool(): AnyRef {
  return (pools().find((p) => p.parent?.type !== "ResourcePool") ?? pools()[0]!).ref;
}
