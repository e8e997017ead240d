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
  const times = metric?.sampleInfo?.map((s) => Date.parse(s.timestamp) / 1000) ?? [];
  const series = (metric?.value ?? []) as PerfMetricIntSeries[];
  const of = new Map<CounterName, (number | null)[]>();
  for (const name of names) {
    const one = series.find((s) => s.id.counterId === known.get(name));
    of.set(name, times.map((_, i) => { const v = one?.value?.[i]; return v === undefined || v < 0 ? null : v; }));
  }
  return { times, of };
}
