// SPDX-License-Identifier: Apache-2.0
// Lists of actions: below a button, or where the other mouse button was pressed. Arrow keys move, letters find, Escape
// closes, a click elsewhere too.
import { signal } from "@preact/signals";
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

type Actions = readonly Action[] | (() => readonly Action[]);

/** Below the place, or above it where there is more room: whole on the screen, over whatever scrolls around it. */
function place(list: HTMLElement, at: DOMRect): void {
  const below = innerHeight - at.bottom, up = below < Math.min(list.scrollHeight + 12, 320) && at.top > below;
  const width = list.offsetWidth, left = at.width ? at.right - width : at.left + width > innerWidth ? at.left - width : at.left;
  Object.assign(list.style, {
    left: `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`, maxHeight: `${(up ? at.top : below) - 12}px`,
    ...(up ? { top: "auto", bottom: `${innerHeight - at.top + 4}px` } : { bottom: "auto", top: `${at.bottom + 4}px` }),
  });
}

const itemsIn = (list: HTMLElement | null) => [...(list?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];

function moveIn(list: HTMLElement | null, key: string): boolean {
  const items = itemsIn(list), at = items.indexOf(document.activeElement as HTMLElement);
  const starts = (i: number) => items[i % items.length]?.textContent?.trim().toLowerCase().startsWith(key.toLowerCase());
  const letter = /^\p{L}$/u.test(key) ? items.map((_, i) => at + 1 + i).find(starts) : undefined;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[key] ?? letter;
  if (to === undefined) return false;
  items[to % items.length]?.focus();
  return true;
}

function List({ actions, label, at, onClose }: { actions: readonly Action[]; label: string; at: () => DOMRect; onClose: (focus: boolean) => void }) {
  const list = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    place(list.current!, at());
    itemsIn(list.current)[0]?.focus({ preventScroll: true });
    const elsewhere = (e: Event) => list.current?.contains(e.target as Node) || onClose(false);
    // The page may scroll by itself, when something in it grows: the menu goes along.
    const follow = (e: Event) => list.current?.contains(e.target as Node) || place(list.current!, at());
    const events: [string, (e: Event) => void][] = [["pointerdown", elsewhere], ["wheel", elsewhere], ["scroll", follow], ["resize", follow]];
    events.forEach(([event, act]) => addEventListener(event, act, true));
    return () => events.forEach(([event, act]) => removeEventListener(event, act, true));
  }, []);

  const onKey = (e: KeyboardEvent) => {
    if (e.key === "Tab") return onClose(false);
    if (e.key === "Escape") onClose(true);
    else if (!moveIn(list.current, e.key)) return;
    e.preventDefault();
    e.stopPropagation();
  };

  return (
    <div class="pf-v6-c-menu menu-list" ref={list} onKeyDown={onKey}>
      <div class="pf-v6-c-menu__content">
        <ul class="pf-v6-c-menu__list" role="menu" aria-label={label}>
          {actions.map((a, i) => (
            <>
              {a.apart && <li class="pf-v6-c-divider" role="separator" />}
              <li key={a.text} role="none"
                class={`pf-v6-c-menu__list-item${a.danger && !a.because ? " pf-m-danger" : ""}${a.because ? " pf-m-aria-disabled" : ""}`}>
                <button type="button" role={a.checked === undefined ? "menuitem" : "menuitemcheckbox"} aria-checked={a.checked} tabIndex={i ? -1 : 0} class="pf-v6-c-menu__item" aria-disabled={Boolean(a.because)}
                  title={a.because || undefined} onClick={() => a.because || (a.checked === undefined && onClose(true), a.run())}>
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
  );
}

interface Props {
  actions: Actions;
  label: string;
  children?: ComponentChildren; // on the button; without: the icon alone
  icon?: IconName;
  kind?: "secondary" | "plain" | "primary";
}

export function Menu({ actions, label, children, icon = "more", kind = "secondary" }: Props) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = (focus: boolean) => {
    setOpen(false);
    if (focus) button.current?.focus();
  };
  // A press on the button itself closes by the list's listener before the click would open it again.
  const wasOpen = useRef(false);
  const onKey = (e: KeyboardEvent) => {
    if (open || e.key !== "ArrowDown") return;
    e.preventDefault();
    setOpen(true);
  };
  return (
    <div class="menu">
      <button type="button" ref={button} class={`pf-v6-c-menu-toggle pf-m-${kind}${open ? " pf-m-expanded" : ""}`} aria-haspopup="menu" aria-expanded={open}
        aria-label={children ? undefined : label} title={children ? undefined : label}
        onPointerDown={() => (wasOpen.current = open)} onKeyDown={onKey} onClick={() => (setOpen(!wasOpen.current), (wasOpen.current = false))}>
        {children ? <span class="pf-v6-c-menu-toggle__text">{children}</span> : <span class="pf-v6-c-menu-toggle__icon"><Icon name={icon} /></span>}
        {children && <span class="pf-v6-c-menu-toggle__controls"><Icon name="down" /></span>}
      </button>
      {open && <List actions={typeof actions === "function" ? actions() : actions} label={label} at={() => button.current!.getBoundingClientRect()} onClose={close} />}
    </div>
  );
}

/* --- where the other mouse button was pressed --- */

const shown = signal<{ id: number; label: string; actions: readonly Action[]; at: DOMRect; from: HTMLElement | null } | undefined>(undefined);

/** On a link or in a selection the browser's own menu is of more use; with the Shift key it always comes. */
export function openContextMenu(e: MouseEvent, label: string, actions: readonly Action[]): void {
  const on = e.target as HTMLElement;
  if (!actions.length || e.shiftKey || on.closest("input, textarea, .menu") || getSelection()?.toString()) return;
  e.preventDefault();
  shown.value = { id: Date.now(), label, actions, at: new DOMRect(e.clientX, e.clientY, 0, 0), from: document.activeElement as HTMLElement | null };
}

export function ContextMenu() {
  const menu = shown.value;
  useEffect(() => () => void (shown.value = undefined), []);
  if (!menu) return null;
  const close = (focus: boolean) => {
    shown.value = undefined;
    if (focus) menu.from?.focus();
  };
  return <div class="menu"><List key={menu.id} label={menu.label} actions={menu.actions} at={() => menu.at} onClose={close} /></div>;
}
