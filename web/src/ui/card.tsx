// SPDX-License-Identifier: Apache-2.0
// Cards of a page, lists of facts in them, bars that show how much of something is used.
import type { ComponentChildren } from "preact";

export function Card({ title, children, wide }: { title: string; children: ComponentChildren; wide?: boolean }) {
  return (
    <section class={`pf-v6-c-card pf-m-compact${wide ? " wide" : ""}`} aria-label={title}>
      <div class="pf-v6-c-card__header"><div class="pf-v6-c-card__header-main"><h2 class="pf-v6-c-card__title"><span class="pf-v6-c-card__title-text">{title}</span></h2></div></div>
      <div class="pf-v6-c-card__body">{children}</div>
    </section>
  );
}

export function Facts({ of }: { of: readonly (readonly [name: string, value: ComponentChildren] | false | undefined)[] }) {
  return (
    <dl class="pf-v6-c-description-list pf-m-horizontal pf-m-compact facts">
      {of.map((fact) => fact && (
        <div key={fact[0]} class="pf-v6-c-description-list__group">
          <dt class="pf-v6-c-description-list__term"><span class="pf-v6-c-description-list__text">{fact[0]}</span></dt>
          <dd class="pf-v6-c-description-list__description"><div class="pf-v6-c-description-list__text">{fact[1] ?? "–"}</div></dd>
        </div>
      ))}
    </dl>
  );
}

/** Used of total; yellow from 75 %, red from 90 %. */
export function Gauge({ name, used, total, text, free }: { name: string; used: number; total: number; text: string; free?: string }) {
  const share = total > 0 ? Math.min(100, (used / total) * 100) : 0;
  const level = share >= 90 ? " pf-m-danger" : share >= 75 ? " pf-m-warning" : "";
  return (
    <div class={`pf-v6-c-progress pf-m-sm${level}`}>
      <div class="pf-v6-c-progress__description">{name}</div>
      <div class="pf-v6-c-progress__status"><span class="pf-v6-c-progress__measure">{share.toFixed(0)}%</span></div>
      <div class="pf-v6-c-progress__bar" role="progressbar" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(share)} aria-valuetext={text}>
        <div class="pf-v6-c-progress__indicator" style={{ width: `${share}%` }} />
      </div>
      <div class="gauge-text"><span>{text}</span>{free && <span>{free}</span>}</div>
    </div>
  );
}

/** How far something is that takes long, in one line. */
export function Bar({ label, share, title, bare }: { label: string; share: number; title?: string | undefined; bare?: boolean }) {
  return (
    <span class="pf-v6-c-progress pf-m-sm pf-m-singleline" title={title}>
      <span class="pf-v6-c-progress__bar" role="progressbar" aria-label={label} aria-valuenow={Math.round(share)} aria-valuemin={0} aria-valuemax={100}>
        <span class="pf-v6-c-progress__indicator" style={{ width: `${share}%` }} />
      </span>
      {!bare && <span class="pf-v6-c-progress__status">{share}%</span>}
    </span>
  );
}
