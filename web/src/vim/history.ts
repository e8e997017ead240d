// SPDX-License-Identifier: Apache-2.0
// The host's history, of events or of tasks, as long as somebody looks at it: the newest page of a collector, which
// grows by itself, and before it what is older, read when it is wanted.
import { useEffect, useRef, useState } from "preact/hooks";
import { call, on, type AnyRef } from "./client";
import { useProperties } from "./inventory";
import { user } from "./session";
import type { EventHistoryCollector, TaskHistoryCollector } from "./types.gen";

/** Rows that come by themselves (each change tells them all again), that a page begins with, that are read at once. */
const NEWEST = 20, FIRST = 100, AT_ONCE = 1000;

export interface History<T> {
  /** undefined until the first have come; in no order. */
  rows: readonly T[] | undefined;
  /** Reads on, or all that there is; undefined: there is no more. */
  more: ((all: boolean) => void) | undefined;
}

interface Kind<T> {
  of: "Events" | "Tasks";
  create: () => Promise<AnyRef>;
  keyOf: (row: T) => string;
  /** The newest page is enough. */
  recent?: boolean;
}

/** A collector as long as the page is there; null: this user may have none. */
function useCollector(create: () => Promise<AnyRef>, by: string | undefined): AnyRef | null | undefined {
  const [collector, setCollector] = useState<AnyRef | null>();
  useEffect(() => {
    let mine: AnyRef | undefined, gone = false;
    const destroy = (c: AnyRef) => void on<TaskHistoryCollector>(c).DestroyCollector({}).catch(() => {});
    create().then((c) => {
      mine = c;
      gone ? destroy(c) : setCollector(c);
    }, () => gone || setCollector(null));
    return () => {
      gone = true;
      if (mine && user.value) destroy(mine);
    };
  }, [by]);
  return collector;
}

export function useHistory<T>({ of, create, keyOf, recent }: Kind<T>, by: string | undefined): History<T> {
  const collector = useCollector(create, by);
  const found = useRef(new Map<string, T>()), reading = useRef(false);
  const [rows, setRows] = useState<readonly T[]>(), [ended, setEnded] = useState(Boolean(recent));
  const page = useProperties<EventHistoryCollector, "latestPage">(collector ?? undefined, ["latestPage"]);

  const add = (some: readonly T[]) => {
    for (const row of some) found.current.set(keyOf(row), row);
    setRows([...found.current.values()]);
  };
  const read = async (count: number, all: boolean) => {
    if (!collector || reading.current) return;
    reading.current = true;
    try {
      for (let some: T[]; ; ) {
        some = ((await call(collector, `ReadPrevious${of}`, { maxCount: count })) as T[] | undefined) ?? [];
        add(some);
        if (some.length < count) setEnded(true);
        if (!all || some.length < count) return;
      }
    } finally {
      reading.current = false;
    }
  };
  const begin = async (c: AnyRef) => {
    found.current.clear();
    setEnded(false);
    await on<TaskHistoryCollector>(c).SetCollectorPageSize({ maxCount: NEWEST });
    await on<TaskHistoryCollector>(c).ResetCollector({});
    await read(FIRST, false);
  };

  useEffect(() => void (collector && !recent && begin(collector).catch(() => add([]))), [collector]);
  useEffect(() => {
    if (!page) return;
    const newest = (page.latestPage ?? []) as unknown as T[];
    if (recent) found.current.clear();
    // More came at once than it holds: what lies between is not known.
    else if (!reading.current && newest.length >= NEWEST && found.current.size && !newest.some((row) => found.current.has(keyOf(row))))
      return void begin(collector!).catch(() => {});
    add(newest);
  }, [page]);

  return { rows: collector === null ? [] : rows, more: ended || !rows ? undefined : (all) => void read(AT_ONCE, all).catch(() => {}) };
}
