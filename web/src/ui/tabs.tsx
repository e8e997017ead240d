// SPDX-License-Identifier: Apache-2.0
// Tabs of a page are links: each has an address of its own. Those of a dialog have none.
import { useEffect, useRef } from "preact/hooks";

export function Tabs({ label, tabs, current, href }:
  { label: string; tabs: readonly (readonly [id: string, text: string])[]; current: string; href: (id: string) => string }) {
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => list.current?.querySelector(".pf-m-current")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [current]); // on a narrow screen they scroll
  return (
    <nav class="pf-v6-c-tabs" aria-label={label}>
      <ul class="pf-v6-c-tabs__list" ref={list}>
        {tabs.map(([id, text]) => (
          <li key={id} class={`pf-v6-c-tabs__item${id === current ? " pf-m-current" : ""}`}>
            <a class="pf-v6-c-tabs__link" href={href(id)} aria-current={id === current ? "page" : undefined}>
              <span class="pf-v6-c-tabs__item-text">{text}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface Choice { label: string; tabs: readonly (readonly [id: string, text: string])[]; current: string; onCurrent: (id: string) => void }

/** Arrow keys go from one to the next. What they show is beside them, in a <div role="tabpanel">. */
export function PaneTabs({ label, tabs, current, onCurrent }: Choice) {
  const list = useRef<HTMLUListElement>(null);
  const at = tabs.findIndex(([id]) => id === current);
  const onKey = (e: KeyboardEvent) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    onCurrent(tabs[to % tabs.length]![0]);
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[to % tabs.length]?.focus();
  };
  return (
    <div class="pf-v6-c-tabs">
      <ul ref={list} class="pf-v6-c-tabs__list" role="tablist" aria-label={label} onKeyDown={onKey}>
        {tabs.map(([id, text]) => (
          <li key={id} role="presentation" class={`pf-v6-c-tabs__item${id === current ? " pf-m-current" : ""}`}>
            <button type="button" role="tab" class="pf-v6-c-tabs__link" aria-selected={id === current} tabIndex={id === current ? 0 : -1} onClick={() => onCurrent(id)}>
              <span class="pf-v6-c-tabs__item-text">{text}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
