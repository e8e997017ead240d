// SPDX-License-Identifier: Apache-2.0
// Lines over time. The library that draws them is loaded with the first of them.
import { useEffect, useRef, useState } from "preact/hooks";
import { dark } from "../shell/theme";

export interface Line {
  name: string;
  values: readonly (number | null)[];
}

interface Props {
  title: string;
  times: readonly number[]; // seconds since 1970
  lines: readonly Line[];
  text: (value: number) => string;
  top?: number; // the scale's end, where there is one
  binary?: boolean; // the scale goes by powers of two
  span: number; // seconds up to now
}

const colours = ["#0066cc", "#3d7317", "#ca6c0f", "#5e40be"];
const coloursDark = ["#4394e5", "#87bb62", "#f8ae54", "#b6a6e9"];
const HEIGHT = 170, DAY = 86400;
const POWERS = Array.from({ length: 50 }, (_, n) => 2 ** n);

const last = (line: Line) => line.values.findLast((v) => v !== null);
const clock = (t: number) => new Date(t * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
const date = (t: number) => new Date(t * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short" });
const moment = (t: number) => `${date(t)}, ${clock(t)}`;
/** Hours as people write them here; where a day begins, the day. */
const hours = (_: unknown, splits: number[], _axis: number, _space: number, step: number) =>
  splits.map((t) => (step >= DAY || new Date(t * 1000).getHours() + new Date(t * 1000).getMinutes() === 0 ? date(t) : clock(t)));

export function Plot({ title, times, lines, text, top, binary, span }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<number>();
  const palette = dark.value ? coloursDark : colours;

  useEffect(() => {
    let plot: { destroy(): void; setSize(size: { width: number; height: number }): void } | undefined;
    const element = place.current!;
    const resize = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
    let here = true;
    void (async () => {
      const { default: UPlot } = await import("uplot");
      if (!here) return;
      const style = getComputedStyle(element), ink = style.color, faint = style.getPropertyValue("--pf-t--global--border--color--default");
      const font = `12px ${style.fontFamily}`, axis = { stroke: ink, font, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, size: 4 } };
      plot = new UPlot(
        {
          width: element.clientWidth, height: HEIGHT, padding: [8, 12, 0, 0], legend: { show: false }, cursor: { y: false, sync: { key: "time" } },
          scales: { x: { range: () => [Date.now() / 1000 - span, Date.now() / 1000] }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), top ?? Math.max(1, (most ?? 0) * 1.1)] } },
          axes: [{ ...axis, size: 30, values: hours }, { ...axis, size: 70, values: (_, splits) => splits.map(text), ...(binary && { incrs: POWERS }) }],
          series: [{}, ...lines.map((l, i) => ({ label: l.name, stroke: palette[i % palette.length]!, width: 1.5, ...(lines.length === 1 && { fill: palette[0]! + "22" }) }))],
          hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? undefined)] },
        },
        [[...times], ...lines.map((l) => [...l.values])], element);
      resize.observe(element);
    })();
    return () => {
      here = false;
      resize.disconnect();
      plot?.destroy();
    };
  }, [times, lines, dark.value]);

  const shown = (l: Line) => (at === undefined ? last(l) : l.values[at]) ?? undefined;
  return (
    <figure class="plot">
      <figcaption>
        <strong>{title}</strong>
        {lines.map((l, i) => {
          const value = shown(l);
          return <span key={l.name}><i style={{ background: palette[i % palette.length] }} />{l.name} {value === undefined ? "–" : text(value)}</span>;
        })}
        <span class="subtle when">{at === undefined ? "" : moment(times[at]!)}</span>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${lines.map((l) => `${l.name} ${last(l) === undefined ? "unknown" : text(last(l)!)}`).join(", ")}`} />
    </figure>
  );
}
