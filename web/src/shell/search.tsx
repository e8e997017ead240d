// SPDX-License-Identifier: Apache-2.0
// Finds any object by a part of its name, while one types. Ctrl-K or / goes there.
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../ui/icon";
import { datastores, networks, vms } from "../vim/inventory";
import { href } from "./route";

interface Found { name: string; icon: IconName; to: string }

function everything(): Found[] {
  return [
    ...vms().map((v) => ({ name: v.name ?? "", icon: "vm" as const, to: href("host", "vms", v.ref.value) })),
    ...datastores().map((d) => ({ name: d.name ?? "", icon: "database" as const, to: href("host", "datastores", d.ref.value) })),
    ...networks().map((n) => ({ name: n.name ?? "", icon: "network" as const, to: href("host", "networking", n.ref.value) })),
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
                    <span class="pf-v6-c-menu__item-text">{f.name}</span></span>
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
