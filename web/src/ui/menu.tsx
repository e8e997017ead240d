// SPDX-License-Identifier: Apache-2.0
// A button that opens a list of actions. Arrow keys move, Escape closes, a click elsewhere too.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icon";

export interface Action {
  text: string;
  icon?: IconName;
  danger?: boolean;
  because?: string | false | undefined;
  run: () => void;
  /** Of something that is on or off. */
  checked?: boolean;
  /** A line above it. */
  apart?: boolean;
}

interface Props {
  actions: Action[];
  label: string;
  children?: ComponentChildren; // on the button; without: three dots
  kind?: "secondary" | "plain" | "primary";
}

/** Below the button, or above it where there is more room: whole on the screen, over whatever scrolls around it. */
function place(list: HTMLElement, button: DOMRect): void {
  const below = innerHeight - button.bottom, up = below < Math.min(list.scrollHeight + 12, 320) && button.top > below;
  Object.assign(list.style, {
    position: "fixed", insetInlineEnd: "auto", ...(button.right > 300 ? { right: `${innerWidth - button.right}px` } : { left: "8px" }), maxHeight: `${(up ? button.top : below) - 12}px`, overflowY: "auto",
    ...(up ? { bottom: `${innerHeight - button.top + 4}px` } : { top: `${button.bottom + 4}px`, marginBlockStart: 0 }),
  });
}

export function Menu({ actions, label, children, kind = "secondary" }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!open) return;
    const elsewhere = (e: Event) => root.current?.contains(e.target as Node) || setOpen(false);
    document.addEventListener("pointerdown", elsewhere);
    root.current?.querySelector<HTMLElement>("[role^=menuitem]")?.focus({ preventScroll: true });
    return () => document.removeEventListener("pointerdown", elsewhere);
  }, [open]);

  useLayoutEffect(() => {
    const list = root.current?.querySelector<HTMLElement>(".menu-list");
    if (!list) return;
    place(list, root.current!.querySelector("button")!.getBoundingClientRect());
    const close = (e: Event) => list.contains(e.target as Node) || setOpen(false);
    addEventListener("scroll", close, true);
    addEventListener("resize", close);
    return () => {
      removeEventListener("scroll", close, true);
      removeEventListener("resize", close);
    };
  }, [open]);

  const onKey = (e: KeyboardEvent) => {
    const items = [...(root.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[e.key];
    if (e.key === "Escape") {
      setOpen(false);
      root.current?.querySelector("button")?.focus();
    } else if (e.key === "Tab" && open) return setOpen(false);
    else if (!open && e.key === "ArrowDown") setOpen(true);
    else if (open && to !== undefined) items[to % items.length]?.focus();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };

  return (
    <div class="menu" ref={root} onKeyDown={onKey}>
      <button type="button" class={`pf-v6-c-menu-toggle pf-m-${kind}${open ? " pf-m-expanded" : ""}`} aria-haspopup="menu"
        aria-expanded={open} aria-label={children ? undefined : label} title={children ? undefined : label}
        onClick={() => setOpen(!open)}>
        {children ? <span class="pf-v6-c-menu-toggle__text">{children}</span> : <span class="pf-v6-c-menu-toggle__icon"><Icon name="more" /></span>}
        {children && <span class="pf-v6-c-menu-toggle__controls"><Icon name="down" /></span>}
      </button>
      {open && (
        <div class="pf-v6-c-menu menu-list">
          <div class="pf-v6-c-menu__content">
            <ul class="pf-v6-c-menu__list" role="menu" aria-label={label}>
              {actions.map((a, i) => (
                <>
                  {a.apart && <li class="pf-v6-c-divider" role="separator" />}
                  <li key={a.text} role="none"
                    class={`pf-v6-c-menu__list-item${a.danger && !a.because ? " pf-m-danger" : ""}${a.because ? " pf-m-aria-disabled" : ""}`}>
                    <button type="button" role={a.checked === undefined ? "menuitem" : "menuitemcheckbox"} aria-checked={a.checked} tabIndex={i ? -1 : 0} class="pf-v6-c-menu__item" aria-disabled={Boolean(a.because)}
                      title={a.because || undefined} onClick={() => a.because || (setOpen(false), a.run())}>
                      <span class="pf-v6-c-menu__item-main">
                        {a.icon && <span class="pf-v6-c-menu__item-icon"><Icon name={a.icon} /></span>}
                        <span class="pf-v6-c-menu__item-text">{a.text}</span>
                        {a.checked && <span class="pf-v6-c-menu__item-icon"><Icon name="check" /></span>}
                      </span>
                      {a.because && <span class="pf-v6-c-menu__item-description">{a.because}</span>}
                    </button>
                  </li>
                </>
              ))}
            </ul>
          </div>
        </div>
      )}
    </div>
  );
}
