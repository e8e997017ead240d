// SPDX-License-Identifier: Apache-2.0
// What import and export have in common: a lease of the host's, and the faults that its answers carry.
import { get, type AnyRef } from "../vim/client";
import type { HttpNfcLeaseInfo, HttpNfcLeaseState, LocalizedMethodFault } from "../vim/types.gen";

/** Waits until the host lends what it is asked for; throws its reason, or `otherwise`. */
export async function leaseReady(lease: AnyRef, otherwise: string): Promise<HttpNfcLeaseInfo> {
  for (;;) {
    const state = await get<HttpNfcLeaseState>(lease, "state");
    if (state === "ready") return get<HttpNfcLeaseInfo>(lease, "info");
    if (state === "error") throw new Error((await get<LocalizedMethodFault>(lease, "error")).localizedMessage ?? otherwise);
    await new Promise((wake) => setTimeout(wake, 300));
  }
}

export function throwFaults(faults: LocalizedMethodFault[] | undefined): void {
  if (faults?.length) throw new Error(faults.map((f) => f.localizedMessage ?? f.fault._typeName).join(" "));
}
