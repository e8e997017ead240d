// SPDX-License-Identifier: Apache-2.0
// What the host has, kept up to date by the property collector: one collector with one request that waits for
// all lists, and one more for a page that wants more of one object. An object's record is a signal; a page that reads it is drawn again when a
// value in it changes, and only then.
import { batch, signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { call, keyOf, on, unbox, VimFault, type AnyRef } from "./client";
import { content, user } from "./session";
import type {
  Datastore, HostSystem, Network, PropertyCollector, PropertyFilterSpec, ResourcePool, Task,
  UpdateSet, ViewManager, VirtualMachine,
} from "./types.gen";

/** The type of T's property at a path such as "summary.config.name". */
type At<T, P extends string> = P extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T ? At<NonNullable<T[Head]>, Rest> : never
  : P extends keyof T ? T[P] : never;
/** What is known of an object: some of its properties by their paths. */
export type Record<T, P extends string> = { readonly ref: AnyRef } & { readonly [K in P]?: At<T, K> };

const VM_PATHS = [
  "name", "overallStatus", "summary.config", "summary.runtime", "summary.guest", "summary.storage", "summary.quickStats",
  "snapshot", "config.hardware.device", "config.bootOptions", "config.firmware", "config.files", "config.annotation", "config.guestId",
  "config.version", "config.extraConfig", "datastore", "network", "effectiveRole",
] as const;
const HOST_PATHS = [
  "name", "overallStatus", "summary.hardware", "summary.runtime", "summary.config", "summary.quickStats", "vm", "datastore", "network",
  "configManager", "capability", "effectiveRole",
] as const;
const DATASTORE_PATHS = ["name", "summary", "info", "vm", "browser", "capability", "effectiveRole"] as const;
const NETWORK_PATHS = ["name", "summary", "vm", "host"] as const;
const POOL_PATHS = ["name", "parent", "owner", "vm"] as const;
const TASK_PATHS = ["info"] as const;

export type VmRecord = Record<VirtualMachine, (typeof VM_PATHS)[number]>;
export type HostRecord = Record<HostSystem, (typeof HOST_PATHS)[number]>;
export type DatastoreRecord = Record<Datastore, (typeof DATASTORE_PATHS)[number]>;
export type NetworkRecord = Record<Network, (typeof NETWORK_PATHS)[number]>;
export type PoolRecord = Record<ResourcePool, (typeof POOL_PATHS)[number]>;
export type TaskRecord = Record<Task, (typeof TASK_PATHS)[number]>;

type Any = { ref: AnyRef; [path: string]: unknown };

const records = new Map<string, Signal<Any>>();
const lists = new Map<string, Signal<string[]>>();

/** Does the host answer? False while it restarts. */
export const connected = signal(true);
/** Has everything been told once? */
export const loaded = signal(false);

function listOf(type: string): Signal<string[]> {
  let list = lists.get(type);
  if (!list) lists.set(type, (list = signal<string[]>([])));
  return list;
}

function all<T>(type: string): T[] {
  return listOf(type).value.flatMap((key) => records.get(key)?.value ?? []) as T[];
}

export const vms = () => all<VmRecord>("VirtualMachine");
export const hosts = () => all<HostRecord>("HostSystem");
export const datastores = () => all<DatastoreRecord>("Datastore");
export const networks = () => all<NetworkRecord>("Network");
export const pools = () => all<PoolRecord>("ResourcePool");
export const tasks = () => all<TaskRecord>("Task");
export const host = (): HostRecord | undefined => hosts()[0];

export function find<T>(type: string, value: string | undefined): T | undefined {
  const key = `${type}:${value}`;
  return listOf(type).value.includes(key) ? (records.get(key)?.value as T | undefined) : undefined;
}
export const nameOf = (r: AnyRef): string | undefined => records.get(keyOf(r))?.value["name"] as string | undefined;

/* --- updates --- */

function enter(r: AnyRef) {
  const key = keyOf(r), list = listOf(r.type);
  if (!records.has(key)) records.set(key, signal<Any>({ ref: r }));
  if (!list.value.includes(key)) list.value = [...list.value, key];
}

function leave(r: AnyRef) {
  const key = keyOf(r), list = listOf(r.type);
  list.value = list.value.filter((k) => k !== key);
  records.delete(key);
}

function apply(set: UpdateSet, main: string | undefined) {
  for (const filter of set.filterSet ?? [])
    for (const update of filter.objectSet ?? []) {
      const r = update.obj;
      if (update.kind === "leave") {
        if (filter.filter.value === main) leave(r);
        continue;
      }
      if (filter.filter.value === main) enter(r);
      const record = records.get(keyOf(r));
      if (!record) continue;
      const next: Any = { ...record.value };
      for (const change of update.changeSet ?? []) next[change.name] = unbox(change.val);
      record.value = next;
    }
}

function mainSpec(view: AnyRef, taskManager: AnyRef): PropertyFilterSpec {
  const kinds: [string, readonly string[]][] = [
    ["VirtualMachine", VM_PATHS], ["HostSystem", HOST_PATHS], ["Datastore", DATASTORE_PATHS], ["Network", NETWORK_PATHS],
    ["ResourcePool", POOL_PATHS], ["Task", TASK_PATHS],
  ];
  const along = (name: string, type: string, path: string) => ({ _typeName: "TraversalSpec", name, type, path, skip: false });
  return {
    _typeName: "PropertyFilterSpec",
    propSet: kinds.map(([type, pathSet]) => ({ _typeName: "PropertySpec", type, pathSet: [...pathSet] })),
    objectSet: [
      { _typeName: "ObjectSpec", obj: view, skip: true, selectSet: [along("view", "ContainerView", "view")] },
      { _typeName: "ObjectSpec", obj: taskManager, skip: true, selectSet: [along("tasks", "TaskManager", "recentTask")] },
    ],
  } as PropertyFilterSpec;
}

async function follow(abort: AbortSignal): Promise<void> {
  const c = content.value!;
  const view = await on<ViewManager>(c.viewManager!).CreateContainerView({
    container: c.rootFolder,
    type: ["VirtualMachine", "HostSystem", "Datastore", "Network", "ResourcePool"],
    recursive: true,
  });
  const collector = await on<PropertyCollector>(c.propertyCollector).CreatePropertyCollector({});
  try {
    const filter = await on<PropertyCollector>(collector).CreateFilter({ spec: mainSpec(view, c.taskManager!), partialUpdates: false });
    batch(() => lists.forEach((list) => (list.value = [])));
    for await (const set of updates(collector, abort))
      batch(() => {
        apply(set, filter.value);
        connected.value = true;
        if (!set.truncated) loaded.value = true;
      });
  } finally {
    if (user.value) {
      void on<PropertyCollector>(collector).DestroyPropertyCollector({}).catch(() => {});
      void call(view, "DestroyView", {}).catch(() => {});
    }
  }
}

/** What a collector's filters have to tell, as it comes. */
async function* updates(collector: AnyRef, abort: AbortSignal): AsyncGenerator<UpdateSet> {
  for (let version = ""; !abort.aborted; ) {
    const set = (await call(collector, "WaitForUpdatesEx",
      { version, options: { _typeName: "WaitOptions", maxWaitSeconds: 50 } }, abort)) as UpdateSet | undefined;
    if (!set) continue;
    yield set;
    version = set.version;
  }
}

/** Keeps the records current until `abort`; a host that is away is asked again, ever more slowly. */
export async function run(abort: AbortSignal): Promise<void> {
  for (let pause = 500; !abort.aborted && user.value; pause = Math.min(pause * 2, 8000)) {
    try {
      await follow(abort);
    } catch (e) {
      if (abort.aborted || !user.value) return;
      if (e instanceof VimFault && e.kind === "HostNotReached") connected.value = false;
      else console.warn("updates:", e);
      if (connected.value) pause = 500;
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }
}

/** More of one object than the lists have, asked for once when the page opens and kept as long as it
 * is there; undefined until it has come. */
export function useProperties<T, P extends string>(of: AnyRef | undefined, paths: readonly P[]): Record<T, P> | undefined {
  const found = useMemo(() => signal<Record<T, P> | undefined>(undefined), [of && keyOf(of), paths.join()]);
  useEffect(() => {
    const abort = new AbortController();
    if (of) void watch(of, paths, abort.signal, (r) => (found.value = r as Record<T, P>));
    return () => abort.abort();
  }, [of && keyOf(of), paths.join()]);
  return found.value;
}

async function watch(of: AnyRef, paths: readonly string[], abort: AbortSignal, tell: (r: Any) => void) {
  const c = content.value!;
  const spec = {
    _typeName: "PropertyFilterSpec",
    propSet: [{ _typeName: "PropertySpec", type: of.type, pathSet: [...paths] }],
    objectSet: [{ _typeName: "ObjectSpec", obj: of }],
  } as PropertyFilterSpec;
  const collector = await on<PropertyCollector>(c.propertyCollector).CreatePropertyCollector({});
  try {
    await on<PropertyCollector>(collector).CreateFilter({ spec, partialUpdates: false });
    let known: Any = { ref: of };
    for await (const set of updates(collector, abort)) {
      for (const update of set.filterSet?.flatMap((f) => f.objectSet ?? []) ?? []) {
        known = { ...known };
        for (const change of update.changeSet ?? []) known[change.name] = unbox(change.val);
      }
      tell(known);
    }
  } catch {
    /* The page shows what it has; the connection's state is the main loop's to tell. */
  } finally {
    if (user.value) void on<PropertyCollector>(collector).DestroyPropertyCollector({}).catch(() => {});
  }
}

