// SPDX-License-Identifier: Apache-2.0
// What the host has: all lists, kept current over the one wait of live.ts, and what a page wants besides of one
// object. An object's record is a signal; a page that reads it is drawn again when a value in it changes, and only then.
import { batch, signal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { call, keyOf, on, VimFault, type AnyRef } from "./client";
import { changesOf, connected, follow, watch } from "./live";
import { followRoles } from "./privilege";
import { content, user } from "./session";
import type {
  Datastore, Folder, HostSystem, Network, ObjectUpdate, PropertyFilterSpec, ResourcePool, Task, ViewManager, VirtualMachine,
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
const NETWORK_PATHS = ["name", "summary", "vm", "host", "effectiveRole"] as const;
const POOL_PATHS = ["name", "parent", "owner", "vm", "effectiveRole"] as const;
const FOLDER_PATHS = ["name", "effectiveRole"] as const;
const TASK_PATHS = ["info"] as const;

export type VmRecord = Record<VirtualMachine, (typeof VM_PATHS)[number]>;
export type HostRecord = Record<HostSystem, (typeof HOST_PATHS)[number]>;
export type DatastoreRecord = Record<Datastore, (typeof DATASTORE_PATHS)[number]>;
export type NetworkRecord = Record<Network, (typeof NETWORK_PATHS)[number]>;
export type PoolRecord = Record<ResourcePool, (typeof POOL_PATHS)[number]>;
export type FolderRecord = Record<Folder, (typeof FOLDER_PATHS)[number]>;
export type TaskRecord = Record<Task, (typeof TASK_PATHS)[number]>;

type Any = { ref: AnyRef; [path: string]: unknown };

const records = new Map<string, Signal<Any>>();
const lists = new Map<string, Signal<string[]>>();

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

/** Of what was known before the connection ended, what the host has told anew; the rest goes when it has told all. */
let told: Set<string> | undefined;
let whose = "";

function forgetUntold() {
  for (const key of told ? [...records.keys()] : []) if (!told!.has(key)) leave(records.get(key)!.value.ref);
  told = undefined;
}

function apply(updates: readonly ObjectUpdate[]) {
  for (const update of updates) {
    told?.add(keyOf(update.obj));
    if (update.kind === "leave") {
      leave(update.obj);
      continue;
    }
    enter(update.obj);
    const record = records.get(keyOf(update.obj))!;
    record.value = { ...record.value, ...changesOf(update) };
  }
}

function mainSpec(view: AnyRef, taskManager: AnyRef): PropertyFilterSpec {
  const kinds: [string, readonly string[]][] = [
    ["VirtualMachine", VM_PATHS], ["HostSystem", HOST_PATHS], ["Datastore", DATASTORE_PATHS], ["Network", NETWORK_PATHS],
    ["ResourcePool", POOL_PATHS], ["Folder", FOLDER_PATHS], ["Task", TASK_PATHS],
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

async function followAll(abort: AbortSignal): Promise<void> {
  const c = content.value!;
  const view = await on<ViewManager>(c.viewManager!).CreateContainerView({
    container: c.rootFolder,
    type: ["VirtualMachine", "HostSystem", "Datastore", "Network", "ResourcePool", "Folder"],
    recursive: true,
  });
  told = new Set();
  if (whose !== user.value?.userName) batch(forgetUntold), (told = new Set()); // another person sees other things
  whose = user.value?.userName ?? "";
  const stops = [watch(mainSpec(view, c.taskManager!), apply), followRoles()];
  try {
    await follow(abort, (set) => set?.truncated || (forgetUntold(), (loaded.value = true)));
  } finally {
    stops.forEach((stop) => stop());
    if (user.value) void call(view, "DestroyView", {}).catch(() => {});
  }
}

/** Keeps the records current until `abort`; a host that is away is asked again, ever more slowly. */
export async function run(abort: AbortSignal): Promise<void> {
  for (let pause = 500; !abort.aborted && user.value; pause = Math.min(pause * 2, 8000)) {
    try {
      await followAll(abort);
    } catch (e) {
      if (abort.aborted || !user.value) return;
      if (e instanceof VimFault && e.kind === "HostNotReached") connected.value = false;
      else if (e instanceof VimFault && e.kind === "NoPermission") (told = new Set()), batch(() => (forgetUntold(), (loaded.value = true))); // nothing to see
      else console.warn("updates:", e);
      if (connected.value) pause = 500;
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }
}

/** More of one object than the lists have, kept current as long as the page is there that wants it; undefined until
 * it has come. */
export function useProperties<T, P extends string>(of: AnyRef | undefined, paths: readonly P[]): Record<T, P> | undefined {
  const found = useMemo(() => signal<Record<T, P> | undefined>(undefined), [of && keyOf(of), paths.join()]);
  useEffect(() => {
    if (!of) return;
    const spec = {
      _typeName: "PropertyFilterSpec",
      propSet: [{ _typeName: "PropertySpec", type: of.type, pathSet: [...paths] }],
      objectSet: [{ _typeName: "ObjectSpec", obj: of }],
    } as PropertyFilterSpec;
    return watch(spec, (updates) => {
      for (const update of updates) found.value = { ...(found.value ?? { ref: of }), ...changesOf(update) } as Record<T, P>;
    });
  }, [of && keyOf(of), paths.join()]);
  return found.value;
}
