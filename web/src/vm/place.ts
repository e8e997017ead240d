// SPDX-License-Identifier: Apache-2.0
// Where a new VM goes: the one folder for VMs and the one resource pool that a host has at first.
import { get, type AnyRef } from "../vim/client";
import { pools } from "../vim/inventory";
import { content } from "../vim/session";

let folder: AnyRef | undefined;

export async function vmFolder(): Promise<AnyRef> {
  if (!folder) {
    const [datacenter] = await get<AnyRef[]>(content.value!.rootFolder, "childEntity");
    folder = await get<AnyRef>(datacenter!, "vmFolder");
  }
  return folder;
}

/** The root pool: no other has it as a child. */
export function rootPool(): AnyRef {
  return (pools().find((p) => p.parent?.type !== "ResourcePool") ?? pools()[0]!).ref;
}
