// SPDX-License-Identifier: Apache-2.0
// Processor, memory, disk and network of the host or a VM: the last hour as it goes on, or longer ago.
import { useEffect, useState } from "preact/hooks";
import { Loading } from "../ui/button";
import { bytes, hertz } from "../ui/format";
import { Select } from "../ui/field";
import { Plot, type Line } from "../ui/plot";
import { Empty } from "../ui/table";
import { keyOf, type AnyRef } from "../vim/client";
import { samples, type CounterName, type Samples } from "../vim/perf";

const ranges = [["Last hour", 20, 3600, "20 seconds"], ["Last day", 300, 86400, "5 minutes"], ["Last week", 1800, 7 * 86400, "half an hour"],
  ["Last month", 7200, 30 * 86400, "2 hours"], ["Last year", 86400, 365 * 86400, "a day"]] as const;

const kilobytes = (v: number) => bytes(v * 1024);
const rate = (v: number) => `${kilobytes(v)}/s`;
const percent = (v: number) => `${Number(v.toFixed(1))} %`;

interface Chart { title: string; lines: readonly (readonly [CounterName, string])[]; text: (v: number) => string; scale?: number; top?: number; binary?: boolean }

const charts = (vm: boolean): Chart[] => [
  { title: "CPU", lines: [["cpu.usage", "Usage"]], text: percent, scale: 0.01, top: 100 },
  { title: "CPU clock", lines: [["cpu.usagemhz", "Usage"]], text: hertz },
  { title: "Memory", lines: vm ? [["mem.consumed", "Consumed"], ["mem.active", "Active"], ["mem.overhead", "Overhead"]] : [["mem.consumed", "Consumed"], ["mem.swapused", "Swap"]], text: kilobytes, binary: true },
  { title: "Disk", lines: [["disk.read", "Read"], ["disk.write", "Write"]], text: rate, binary: true },
  { title: "Disk latency", lines: [["disk.maxTotalLatency", "Highest"]], text: (v) => `${v} ms` },
  { title: "Network", lines: [["net.received", "Received"], ["net.transmitted", "Sent"]], text: rate, binary: true },
];

export function Performance({ of, only }: { of: AnyRef; only?: readonly string[] }) {
  const [range, setRange] = useState(0);
  const [data, setData] = useState<Samples>();
  const [, interval, seconds, words] = ranges[range]!;
  const shown = charts(of.type === "VirtualMachine").filter((c) => !only || only.includes(c.title));

  useEffect(() => {
    let here = true;
    const names = shown.flatMap((c) => c.lines.map(([name]) => name));
    const ask = () => void samples(of, names, interval, seconds).then((s) => here && setData(s), () => {});
    setData(undefined);
    ask();
    const timer = setInterval(() => document.hidden || ask(), Math.min(interval, 60) * 1000);
    return () => {
      here = false;
      clearInterval(timer);
    };
  }, [keyOf(of), range]);

  return (
    <>
      {!only && (
        <div class="table-tools spaced">
          <Select label="Time" value={String(range)} onValue={(i) => setRange(Number(i))} choices={ranges.map(([text], i) => [String(i), text] as const)} />
        </div>
      )}
      {!data && <Loading />}
      {data && !data.times.length && <Empty title="Nothing has been measured yet" icon="activity">{of.type === "VirtualMachine" ? `A virtual machine is measured while it runs: the first values come after ${words}.` : `The first values come after ${words}.`}</Empty>}
      {data && data.times.length > 0 && (
        <div class="plots">
          {shown.map((c) => {
            const lines: Line[] = c.lines.map(([name, text]) => ({ name: text, values: data.of.get(name)!.map((v) => (v === null ? null : v * (c.scale ?? 1))) }));
            return <Plot key={c.title} title={c.title} times={data.times} lines={lines} text={c.text} span={seconds} {...(c.binary && { binary: true })} {...(c.top !== undefined && { top: c.top })} />;
          })}
        </div>
      )}
    </>
  );
}
