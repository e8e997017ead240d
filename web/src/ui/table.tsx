// SPDX-License-Identifier: Apache-2.0
// Tables: sorted by a click on a head, filtered by what is typed above them, rows chosen by boxes. What can be done
// with a row is in the menu at its end and at a click of the other mouse button. Only the rows that fit on a page are drawn.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { Button, Loading } from "./button";
import { Icon } from "./icon";
import { plural } from "./format";
import { kept, type Kept } from "./kept";
import { Menu, openContextMenu, type Action } from "./menu";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** What it is sorted and searched by; without: neither. */
  by?: (row: T) => string | number | undefined;
  right?: boolean;
  /** The rest of the row's tools, at its end. */
  tail?: boolean;
  /** Not on a narrow screen. */
  minor?: boolean;
  /** Shown when somebody asks for it. */
  optional?: boolean;
}

interface Props<T> {
  label: string;
  /** undefined: not told yet. */
  rows: readonly T[] | undefined;
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  noun: string;
  chosen?: ReadonlySet<string>;
  onChoose?: (keys: ReadonlySet<string>) => void;
  actions?: (row: T) => Action[];
  tools?: ComponentChildren;
  empty?: ComponentChildren;
  sortBy?: number;
  downwards?: boolean;
  filter?: boolean;
  /** Each user chooses the columns; the choice and the order stay in the browser. */
  choosable?: boolean;
  /** Without the number of rows below. */
  bare?: boolean;
  /** There are more rows than these: asks for some, or for all, which a filter has to look at. */
  more?: ((all: boolean) => void) | undefined;
}

const PAGE = 100;
const HEAD = "pf-v6-c-table__th", CELL = "pf-v6-c-table__td";

function matching<T>(rows: readonly T[], columns: readonly Column<T>[], text: string): readonly T[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return rows;
  return rows.filter((r) => {
    const all = columns.map((c) => c.by?.(r) ?? "").join("\n").toLowerCase();
    return words.every((w) => all.includes(w));
  });
}

function sorted<T>(rows: readonly T[], column: Column<T> | undefined, down: boolean): readonly T[] {
  const by = column?.by;
  return by ? [...rows].sort((a, b) => compare(by(a), by(b)) * (down ? -1 : 1)) : rows;
}

export function Table<T>(p: Props<T>) {
  const { label, rows, keyOf, noun, chosen, onChoose, actions, filter = true } = p;
  const mine = kept(label, { by: p.columns[p.sortBy ?? 0]?.name ?? "", down: p.downwards ?? false });
  const [shown, setShown] = useState(PAGE);
  const columns = p.columns.filter((c) => !p.choosable || (mine.value.columns[c.name] ?? !c.optional));
  const found = matching(rows ?? [], p.columns, mine.value.filter);
  const inOrder = sorted(found, p.columns.find((c) => c.name === mine.value.by) ?? p.columns[p.sortBy ?? 0], mine.value.down);
  const visible = inOrder.slice(0, shown), nameOf = (row: T) => String(p.columns[0]?.by?.(row) ?? keyOf(row)).trim();

  const showMore = () => {
    if (inOrder.length <= shown + PAGE) p.more?.(false);
    setShown(shown + 10 * PAGE);
  };
  useEffect(() => void (mine.value.filter && p.more?.(true)), [mine.value.filter !== "", p.more === undefined]);

  const choose = (keys: string[], yes: boolean) => {
    const next = new Set(chosen);
    for (const k of keys) yes ? next.add(k) : next.delete(k);
    onChoose?.(next);
  };
  /** What is out of sight is not chosen: nothing is done to what nobody sees. */
  const narrow = (text: string) => {
    mine.put({ filter: text });
    const left = new Set(matching(rows ?? [], p.columns, text).map(keyOf));
    if (chosen) onChoose?.(new Set([...chosen].filter((k) => left.has(k))));
  };
  const box = (title: string, keys: string[]) => (
    <td class={`${CELL} pf-v6-c-table__check`}>
      <input type="checkbox" aria-label={title} checked={keys.length > 0 && keys.every((k) => chosen?.has(k))} onChange={(e) => choose(keys, e.currentTarget.checked)} />
    </td>
  );

  return (
    <div class="table-frame">
      {(p.tools || filter) && (
        <div class="table-tools">
          {p.tools}<span class="grow" />
          {filter && <Filter label={label} text={mine.value.filter} onText={narrow} />}
          {p.choosable && <Chooser columns={p.columns} mine={mine} />}
        </div>
      )}
      {!rows ? <Loading /> : rows.length === 0 && p.empty ? p.empty : rows.length > 0 && !found.length ? (
        <Empty title={`No ${noun} matches “${mine.value.filter}”`} icon="search" actions={<Button onClick={() => narrow("")}>Clear the filter</Button>} />
      ) : (
        <div class="table-scroll">
          <table class="pf-v6-c-table pf-m-compact" aria-label={label}>
            <thead class="pf-v6-c-table__thead">
              <tr class="pf-v6-c-table__tr">
                {onChoose && box("Select all", visible.map(keyOf))}
                {columns.map((c) => <Head key={c.name} column={c} mine={mine} />)}
                {actions && <th scope="col" class={HEAD}><span class="only-read">Actions</span></th>}
              </tr>
            </thead>
            <tbody class="pf-v6-c-table__tbody">
              {visible.map((row) => {
                const key = keyOf(row), label = `Actions of ${nameOf(row)}`;
                return (
                  <tr key={key} class={`pf-v6-c-table__tr${chosen?.has(key) ? " pf-m-selected" : ""}`} onContextMenu={actions && ((e) => openContextMenu(e, label, actions(row)))}>
                    {onChoose && box(`Select ${nameOf(row)}`, [key])}
                    {columns.map((c, i) => <td key={c.name} data-label={c.name} class={`${CELL}${i ? "" : " first"}${c.right ? " right" : ""}${c.tail ? " tail" : ""}${c.minor ? " only-wide" : ""}`}>{c.cell(row)}</td>)}
                    {actions && <td class={`${CELL} tail`}>{actions(row).length > 0 && <Menu kind="plain" label={label} actions={() => actions(row)} />}</td>}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {!p.bare && rows && rows.length > 0 && (
        <p class="table-count" role="status">
          {chosen?.size ? `${chosen.size} selected, ` : ""}{found.length < rows.length ? `${found.length} of ` : ""}{plural(rows.length, noun)}{p.more ? ", and older ones" : ""}
          {(p.more || inOrder.length > shown) && <button type="button" class="pf-v6-c-button pf-m-link pf-m-inline" onClick={showMore}>Show more</button>}
        </p>
      )}
    </div>
  );
}

function Head<T>({ column: c, mine }: { column: Column<T>; mine: Kept }) {
  const here = c.name === mine.value.by && c.by, down = mine.value.down;
  const sort = () => mine.put({ by: c.name, down: Boolean(here) && !down });
  return (
    <th scope="col" class={`${HEAD}${c.by ? " pf-v6-c-table__sort" : ""}${here ? " pf-m-selected" : ""}${c.right ? " right" : ""}${c.minor ? " only-wide" : ""}`}
      aria-sort={here ? (down ? "descending" : "ascending") : undefined}>
      {c.by
        ? <button type="button" class="pf-v6-c-table__button" onClick={sort}>
            <span class="pf-v6-c-table__text">{c.name}</span>
            <span class="pf-v6-c-table__sort-indicator"><Icon name={here && down ? "sortdown" : "sortup"} /></span>
          </button>
        : c.name || <span class="only-read">Actions</span>}
    </th>
  );
}

function Filter({ label, text, onText }: { label: string; text: string; onText: (text: string) => void }) {
  return (
    <span class="pf-v6-c-form-control table-filter">
      <input id={useId()} type="search" placeholder="Filter" aria-label={`Filter ${label}`} value={text} onInput={(e) => onText(e.currentTarget.value)} />
    </span>
  );
}

function Chooser<T>({ columns, mine }: { columns: readonly Column<T>[]; mine: Kept }) {
  const choices = () => columns.slice(1).map((c): Action => {
    const on = mine.value.columns[c.name] ?? !c.optional;
    return { text: c.name, checked: on, run: () => mine.put({ columns: { ...mine.value.columns, [c.name]: !on } }) };
  });
  return <Menu kind="plain" label="Columns" icon="columns" actions={choices} />;
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), undefined, { numeric: true, sensitivity: "base" });
}

/** Nothing to show, why, and in `actions` what to do about it. */
export function Empty({ title, icon, actions, children }: { title: string; icon?: Parameters<typeof Icon>[0]["name"]; actions?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="pf-v6-c-empty-state pf-m-sm">
      <div class="pf-v6-c-empty-state__content">
        <div class="pf-v6-c-empty-state__header">
          {icon && <div class="pf-v6-c-empty-state__icon"><Icon name={icon} /></div>}
          <h2 class="pf-v6-c-empty-state__title-text">{title}</h2>
        </div>
        {children && <div class="pf-v6-c-empty-state__body">{children}</div>}
        {actions && <div class="pf-v6-c-empty-state__footer"><div class="pf-v6-c-empty-state__actions">{actions}</div></div>}
      </div>
    </div>
  );
}
