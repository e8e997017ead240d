// SPDX-License-Identifier: Apache-2.0
// The one property collector of this tab and its one request that waits, over which everything is heard that the
// host has to tell: whatever is watched is a filter in it. A browser has few connections; pages take none of them.
import { batch, signal } from "@preact/signals";
import { call, on, unbox, VimFault, type AnyRef } from "./client";
import { content, user } from "./session";
import type { ObjectUpdate, PropertyCollector, PropertyFilterSpec, UpdateSet } from "./types.gen";

const FIRST_S = 2; // until then the host has told what there is

/** Does the host answer? False while it restarts. */
export const connected = signal(true);

interface Watch {
  spec: PropertyFilterSpec;
  tell: (updates: readonly ObjectUpdate[]) => void;
  filter?: AnyRef;
}

const watches = new Set<Watch>();
let collector: AnyRef | undefined;
/** What was told of a filter before the answer came that it is there, by the filter's id. */
const early = new Map<string, ObjectUpdate[]>();
let installing = 0;

async function install(w: Watch): Promise<void> {
  const mine = collector;
  if (!mine) return; // follow() does it
  installing++;
  try {
    const filter = await on<PropertyCollector>(mine).CreateFilter({ spec: w.spec, partialUpdates: false });
    if (mine !== collector) return; // gone with its collector
    if (!watches.has(w)) return drop(filter);
    w.filter = filter;
    const told = early.get(filter.value);
    if (told) batch(() => w.tell(told));
  } finally {
    if (!--installing) early.clear();
  }
}

function drop(filter: AnyRef): void {
  if (collector && user.value) void call(filter, "DestroyPropertyFilter", {}).catch(() => {});
}

/** Tells what the host has of `spec` and each change of it, until the function that it returns is called. */
export function watch(spec: PropertyFilterSpec, tell: Watch["tell"]): () => void {
  const w: Watch = { spec, tell };
  watches.add(w);
  install(w).catch(() => {}); // the page shows what it has
  return () => {
    watches.delete(w);
    if (w.filter) drop(w.filter);
  };
}

function deliver(set: UpdateSet): void {
  for (const { filter, objectSet } of set.filterSet ?? []) {
    const w = [...watches].find((w) => w.filter?.value === filter.value);
    if (w) w.tell(objectSet ?? []);
    else if (installing) early.set(filter.value, [...(early.get(filter.value) ?? []), ...(objectSet ?? [])]);
  }
}

/** What an update changes, by path; of a place of any type what stands in it. */
export function changesOf(update: ObjectUpdate): { [path: string]: unknown } {
  return Object.fromEntries((update.changeSet ?? []).map((c) => [c.name, unbox(c.val)]));
}

/** Waits for what the collector has to tell. A host that is away for a moment finds us where we were. */
async function wait(mine: AnyRef, abort: AbortSignal, told: (set?: UpdateSet) => void): Promise<void> {
  for (let version = "", pause = 500; !abort.aborted; ) {
    try {
      const set = (await call(mine, "WaitForUpdatesEx",
        { version, options: { _typeName: "WaitOptions", maxWaitSeconds: version ? 50 : FIRST_S } }, abort)) as UpdateSet | undefined;
      connected.value = true;
      pause = 500;
      if (!set) {
        told(); // to somebody who may see nothing there is nothing to tell
        continue;
      }
      version = set.version;
      batch(() => (deliver(set), told(set)));
    } catch (e) {
      if (!(e instanceof VimFault) || e.kind !== "HostNotReached" || abort.aborted) throw e;
      connected.value = false;
      await new Promise((wake) => setTimeout(wake, pause));
      pause = Math.min(pause * 2, 8000);
    }
  }
}

/** Tells all watches until `abort`, or until the host does not know the collector any more. */
export async function follow(abort: AbortSignal, told: (set?: UpdateSet) => void): Promise<void> {
  const mine = (collector = await on<PropertyCollector>(content.value!.propertyCollector).CreatePropertyCollector({}));
  try {
    await Promise.all([...watches].map((w) => install(w).catch((e) => console.warn("updates:", e))));
    await wait(mine, abort, told);
  } finally {
    collector = undefined;
    for (const w of watches) delete w.filter;
    if (user.value) void on<PropertyCollector>(mine).DestroyPropertyCollector({}).catch(() => {});
  }
}
