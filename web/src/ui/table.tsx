// SPDX-License-Identifier: Apache-2.0
// Tables: sorted by a click on a head, filtered by what is typed above them, rows chosen by boxes. Only the rows
// that fit on a page are drawn.
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { Icon } from "./icon";
import { plural } from "./format";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** What it is sorted and searched by; without: neither. */
  by?: (row: T) => string | number | undefined;
  right?: boolean;
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  noun: string;
  chosen?: ReadonlySet<string>;
  onChoose?: (keys: ReadonlySet<string>) => void;
  tools?: ComponentChildren;
  empty?: ComponentChildren;
  sortBy?: number;
  downwards?: boolean;
  filter?: boolean;
}

const PAGE = 100;

export function Table<T>({ label, rows, columns, keyOf, noun, chosen, onChoose, tools, empty, sortBy = 0, downwards = false, filter = true }: Props<T>) {
  const [order, setOrder] = useState({ column: sortBy, down: downwards });
  const [text, setText] = useState("");
  const [shown, setShown] = useState(PAGE);
  const id = useId();

  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = words.length
    ? rows.filter((r) => { const all = columns.map((c) => c.by?.(r) ?? "").join("\n").toLowerCase(); return words.every((w) => all.includes(w)); })
    : rows;
  const by = columns[order.column]?.by;
  const sorted = by ? [...matching].sort((a, b) => compare(by(a), by(b)) * (order.down ? -1 : 1)) : matching;
  const visible = sorted.slice(0, shown);
  const allChosen = visible.length > 0 && visible.every((r) => chosen?.has(keyOf(r)));

  const choose = (keys: string[], yes: boolean) => {
    const next = new Set(chosen);
    for (const k of keys) yes ? next.add(k) : next.delete(k);
    onChoose?.(next);
  };

  return (
    <div class="table-frame">
      {(tools || filter) && (
        <div class="table-tools">
          {tools}
          {filter && (
            <span class="pf-v6-c-form-control table-filter">
              <input id={id} type="search" placeholder="Filter" aria-label={`Filter ${label}`} value={text} onInput={(e) => setText(e.currentTarget.value)} />
            </span>
          )}
        </div>
      )}
      {rows.length === 0 && empty ? empty : (
        <div class="table-scroll">
          <table class="pf-v6-c-table pf-m-grid-md pf-m-compact" aria-label={label}>
            <thead class="pf-v6-c-table__thead">
              <tr class="pf-v6-c-table__tr">
                {onChoose && (
                  <td class="pf-v6-c-table__td pf-v6-c-table__check">
                    <input type="checkbox" aria-label="Select all" checked={allChosen} onChange={(e) => choose(visible.map(keyOf), e.currentTarget.checked)} />
                  </td>
                )}
                {columns.map((c, i) => (
                  <th key={c.name} scope="col" class={`pf-v6-c-table__th${c.by ? " pf-v6-c-table__sort" : ""}${i === order.column && c.by ? " pf-m-selected" : ""}${c.right ? " right" : ""}`}
                    aria-sort={i === order.column && c.by ? (order.down ? "descending" : "ascending") : undefined}>
                    {c.by
                      ? <button type="button" class="pf-v6-c-table__button" onClick={() => setOrder({ column: i, down: i === order.column && !order.down })}>
                          <span class="pf-v6-c-table__text">{c.name}</span>
                          <span class="pf-v6-c-table__sort-indicator"><Icon name={i !== order.column ? "sort" : order.down ? "sortdown" : "sortup"} /></span>
                        </button>
                      : c.name || <span class="only-read">Actions</span>}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody class="pf-v6-c-table__tbody">
              {visible.map((row) => {
                const key = keyOf(row);
                return (
                  <tr key={key} class={`pf-v6-c-table__tr${chosen?.has(key) ? " pf-m-selected" : ""}`}>
                    {onChoose && (
                      <td class="pf-v6-c-table__td pf-v6-c-table__check">
                        <input type="checkbox" aria-label={`Select ${columns[0]?.by?.(row) ?? key}`} checked={chosen?.has(key) ?? false} onChange={(e) => choose([key], e.currentTarget.checked)} />
                      </td>
                    )}
                    {columns.map((c) => <td key={c.name} data-label={c.name} class={`pf-v6-c-table__td${c.right ? " right" : ""}`}>{c.cell(row)}</td>)}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {rows.length > 0 && (
        <p class="table-count">
          {chosen?.size ? `${chosen.size} selected, ` : ""}{matching.length < rows.length ? `${matching.length} of ` : ""}{plural(rows.length, noun)}
          {sorted.length > shown && <button type="button" class="pf-v6-c-button pf-m-link pf-m-inline" onClick={() => setShown(shown + 10 * PAGE)}>Show more</button>}
        </p>
      )}
    </div>
  );
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true, sensitivity: "base" });
}

export function Empty({ title, icon, children }: { title: string; icon?: Parameters<typeof Icon>[0]["name"]; children?: ComponentChildren }) {
  return (
    <div class="pf-v6-c-empty-state pf-m-sm">
      <div class="pf-v6-c-empty-state__content">
        <div class="pf-v6-c-empty-state__header">
          {icon && <div class="pf-v6-c-empty-state__icon"><Icon name={icon} /></div>}
          <h2 class="pf-v6-c-empty-state__title-text">{title}</h2>
        </div>
        <div class="pf-v6-c-empty-state__body">{children}</div>
      </div>
    </div>
  );
}
