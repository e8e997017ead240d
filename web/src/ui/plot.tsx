// SPDX-License-Identifier: Apache-2.0
// Lines over time. The library that draws them is loaded with the first of them.
import { useEffect, useRef } from "preact/hooks";
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
  span: number; // seconds up to now
}

const colours = ["#0066cc", "#3d7317", "#ca6c0f", "#5e40be"];
const coloursDark = ["#4394e5", "#87bb62", "#f8ae54", "#b6a6e9"];
const HEIGHT = 180;

const last = (line: Line) => line.values.findLast((v) => v !== null);

export function Plot({ title, times, lines, text, top, span }: Props) {
  const place = useRef<HTMLDivElement>(null);
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
      const axis = { stroke: ink, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint } };
      plot = new UPlot(
        {
          width: element.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { y: false },
          scales: { x: { range: () => [Date.now() / 1000 - span, Date.now() / 1000] }, y: { range: (_, least, most) => [Math.min(0, least ?? 0), top ?? Math.max(1, (most ?? 0) * 1.1)] } },
          axes: [axis, { ...axis, size: 84, values: (_, splits) => splits.map(text) }],
          series: [{}, ...lines.map((l, i) => ({ label: l.name, stroke: palette[i % palette.length]!, width: 1.5, ...(lines.length === 1 && { fill: palette[0]! + "22" }) }))],
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

  return (
    <figure class="plot">
      <figcaption>
        <strong>{title}</strong>
        {lines.map((l, i) => {
          const value = last(l);
          return <span key={l.name}><i style={{ background: palette[i % palette.length] }} />{l.name} {value === undefined ? "–" : text(value!)}</span>;
        })}
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${lines.map((l) => `${l.name} ${last(l) ?? "unknown"}`).join(", ")}`} />
    </figure>
  );
}
