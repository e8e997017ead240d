// SPDX-License-Identifier: Apache-2.0
// Tabs are links: each has an address of its own.
export function Tabs({ label, tabs, current, href }:
  { label: string; tabs: readonly (readonly [id: string, text: string])[]; current: string; href: (id: string) => string }) {
  return (
    <nav class="pf-v6-c-tabs" aria-label={label}>
      <ul class="pf-v6-c-tabs__list">
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
