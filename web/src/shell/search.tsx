// SPDX-License-Identifier: Apache-2.0
// Finds any object or page by a part of its name, while one types. Ctrl-K or / goes there.
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../ui/icon";
import { datastores, networks, vms } from "../vim/inventory";
import { manageTabs } from "../pages/manage";
import { monitorTabs } from "../pages/monitor";
import { networkingTabs } from "../pages/networking";
import { href, vmHref } from "./route";

interface Found { name: string; kind: string; icon: IconName; to: string }

const pagesOf = (kind: string, icon: IconName, section: string, tabs: readonly (readonly [id: string, text: string])[]): Found[] =>
  tabs.map(([id, name]) => ({ name, kind, icon, to: href("host", section, id) }));

function everything(): Found[] {
  return [
    ...vms().map((v): Found => ({ name: v.name ?? "", kind: "Virtual machine", icon: "vm", to: vmHref(v.ref.value) })),
    ...datastores().map((d): Found => ({ name: d.name ?? "", kind: "Datastore", icon: "database", to: href("host", "datastores", d.ref.value) })),
    ...networks().map((n): Found => ({ name: n.name ?? "", kind: "Port group", icon: "network", to: href("host", "networking", n.ref.value) })),
    ...pagesOf("Manage", "settings", "manage", manageTabs), ...pagesOf("Monitor", "activity", "monitor", monitorTabs),
    ...pagesOf("Networking", "network", "networking", networkingTabs), { name: "Devices", kind: "Storage", icon: "disk", to: href("host", "datastores", "devices") },
  ];
}

export function Search() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);

  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const typing = (e.target as HTMLElement).closest("input, textarea, select, [contenteditable], canvas");
      if ((e.key === "k" && (e.ctrlKey || e.metaKey)) || (e.key === "/" && !typing)) {
        e.preventDefault();
        input.current?.focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const wanted = text.trim().toLowerCase();
  const found = wanted ? everything().filter((f) => f.name.toLowerCase().includes(wanted)).slice(0, 12) : [];
  const leave = () => (setText(""), setAt(0), input.current?.blur());
  const onKey = (e: KeyboardEvent) => {
    if (e.key === "Escape") leave();
    else if (e.key === "ArrowDown") setAt((at + 1) % Math.max(1, found.length));
    else if (e.key === "ArrowUp") setAt((at - 1 + found.length) % Math.max(1, found.length));
    else if (e.key === "Enter" && found[at]) (location.hash = found[at].to), leave();
    else return;
    e.preventDefault();
  };

  return (
    <div class="search menu" role="search">
      <span class="pf-v6-c-form-control">
        <input ref={input} type="text" placeholder="Search" aria-label="Search (Ctrl-K)" role="combobox" aria-expanded={found.length > 0}
          aria-controls="search-found" value={text} onInput={(e) => (setText(e.currentTarget.value), setAt(0))} onKeyDown={onKey} />
      </span>
      {wanted && (
        <div class="pf-v6-c-menu menu-list" id="search-found">
          <ul class="pf-v6-c-menu__list" role="listbox">
            {found.map((f, i) => (
              <li key={f.to} class={`pf-v6-c-menu__list-item${i === at ? " pf-m-focus" : ""}`} role="option" aria-selected={i === at}>
                <a class="pf-v6-c-menu__item" href={f.to} onClick={leave}>
                  <span class="pf-v6-c-menu__item-main"><span class="pf-v6-c-menu__item-icon"><Icon name={f.icon} /></span>
                    <span class="pf-v6-c-menu__item-text">{f.name}</span><span class="subtle">{f.kind}</span></span>
                </a>
              </li>
            ))}
            {!found.length && <li class="pf-v6-c-menu__list-item"><span class="pf-v6-c-menu__item subtle">Nothing has such a name.</span></li>}
          </ul>
        </div>
      )}
    </div>
  );
}
