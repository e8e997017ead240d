// SPDX-License-Identifier: Apache-2.0
// Cards of a page, lists of facts in them, bars that show how much of something is used.
import type { ComponentChildren } from "preact";
import { copy } from "./alert";
import { Button } from "./button";

export function Card({ title, more, children, wide }: { title: string; more?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={`pf-v6-c-card pf-m-compact${wide ? " wide" : ""}`} aria-label={title}>
      <div class="pf-v6-c-card__header">
        <div class="pf-v6-c-card__header-main"><h2 class="pf-v6-c-card__title"><span class="pf-v6-c-card__title-text">{title}</span></h2></div>
        {more && <span class="card-more">{more}</span>}
      </div>
      <div class="pf-v6-c-card__body">{children}</div>
    </section>
  );
}

export function Facts({ of }: { of: readonly (readonly [name: string, value: ComponentChildren] | false | undefined)[] }) {
  return (
    <dl class="facts">
      {of.map((fact) => fact && <div key={fact[0]}><dt>{fact[0]}</dt><dd>{fact[1] ?? "–"}</dd></div>)}
    </dl>
  );
}

/** A name or address that people carry elsewhere. */
export function Copied({ text }: { text: string | undefined }) {
  if (!text) return <>–</>;
  return <span class="copied"><span>{text}</span><Button kind="plain" small icon="copy" label={`Copy ${text}`} onClick={() => void copy(text)} /></span>;
}

/** Used of total: yellow from 75 %, red from 90 %. */
function Track({ name, used, total, text }: { name: string; used: number; total: number; text: string }) {
  const share = shareOf(used, total);
  return (
    <span class={`track${share >= 90 ? " full" : share >= 75 ? " high" : ""}`} role="meter" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share)} aria-valuetext={text}>
      <i style={{ width: `${share}%` }} />
    </span>
  );
}
const shareOf = (used: number, total: number) => (total > 0 ? Math.min(100, (used / total) * 100) : 0);

export function Gauge({ name, used, total, text, free }: { name: string; used: number; total: number; text: string; free?: string }) {
  return (
    <div class="gauge">
      <span>{name}</span><span>{shareOf(used, total).toFixed(0)} %</span>
      <Track name={name} used={used} total={total} text={text} />
      <span class="subtle">{text}</span>{free && <span class="subtle">{free}</span>}
    </div>
  );
}

/** The same in a cell of a table. */
export function Usage({ name, used, total }: { name: string; used: number; total: number }) {
  const text = `${shareOf(used, total).toFixed(0)} %`;
  return <><Track name={name} used={used} total={total} text={text} />{text}</>;
}

/** How far something is that takes long, in one line. */
export function Bar({ label, share, title, bare }: { label: string; share: number; title?: string | undefined; bare?: boolean }) {
  return (
    <span class="progress" title={title}>
      <span class="track" role="progressbar" aria-label={label} aria-valuenow={Math.round(share)} aria-valuemin={0} aria-valuemax={100}><i style={{ width: `${share}%` }} /></span>
      {!bare && <span>{Math.round(share)} %</span>}
    </span>
  );
}
