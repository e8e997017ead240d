// SPDX-License-Identifier: Apache-2.0
// The performance manager: counters by their names, samples of one object.
import { get, on, type AnyRef } from "./client";
import { content } from "./session";
import type { PerfCounterInfo, PerfEntityMetric, PerfMetricIntSeries, PerformanceManager } from "./types.gen";

/** "cpu.usage": the counter's group and name. */
export type CounterName = string;

let ids: Promise<Map<CounterName, number>> | undefined;

async function askIds(): Promise<Map<CounterName, number>> {
  const about = content.value!.about, key = `counters ${about.fullName} ${about.build}`, kept = sessionStorage.getItem(key);
  if (kept) return new Map(JSON.parse(kept) as [CounterName, number][]);
  const all = (await get<PerfCounterInfo[]>(content.value!.perfManager!, "perfCounter")).filter((c) => c.rollupType !== "maximum" && c.rollupType !== "minimum");
  const found = all.map((c): [CounterName, number] => [`${c.groupInfo.key}.${c.nameInfo.key}`, c.key]);
  sessionStorage.setItem(key, JSON.stringify(found));
  return new Map(found);
}

/** The list is long and the same as long as the host is: a tab asks once. */
function counterIds(): Promise<Map<CounterName, number>> {
  ids ??= askIds();
  ids.catch(() => (ids = undefined));
  return ids;
}

export interface Samples {
  times: number[]; // seconds since 1970
  of: Map<CounterName, (number | null)[]>;
}

/** A moment of its own for each time in which nothing was measured, so that no line is drawn over it; `from`: which
 * sample each is, -1: none. */
function withGaps(sampled: readonly number[], interval: number): { times: number[]; from: number[] } {
  const times: number[] = [], from: number[] = [];
  sampled.forEach((t, i) => {
    const before = sampled[i - 1];
    if (before !== undefined && t - before > 2 * interval) times.push(before + interval), from.push(-1);
    times.push(t);
    from.push(i);
  });
  return { times, from };
}

/** The last `seconds` of some counters, every `interval` seconds; gaps are null. */
export async function samples(entity: AnyRef, names: readonly CounterName[], interval: number, seconds: number): Promise<Samples> {
  const known = await counterIds();
  const wanted = names.filter((n) => known.has(n));
  const [metric] = (await on<PerformanceManager>(content.value!.perfManager!).QueryPerf({
    querySpec: [{
      _typeName: "PerfQuerySpec", entity, intervalId: interval, format: "normal",
      startTime: new Date(Date.now() - seconds * 1000).toISOString(),
      metricId: wanted.map((n) => ({ _typeName: "PerfMetricId", counterId: known.get(n)!, instance: "" })),
    }],
  }) ?? []) as PerfEntityMetric[];
  const { times, from } = withGaps(metric?.sampleInfo?.map((s) => Date.parse(s.timestamp) / 1000) ?? [], interval);
  const series = (metric?.value ?? []) as PerfMetricIntSeries[];
  const of = new Map<CounterName, (number | null)[]>();
  for (const name of names) {
    const one = series.find((s) => s.id.counterId === known.get(name));
    of.set(name, from.map((i) => { const v = one?.value?.[i]; return v === undefined || v < 0 ? null : v; }));
  }
  return { times, of };
}
