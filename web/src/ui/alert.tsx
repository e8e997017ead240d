// SPDX-License-Identifier: Apache-2.0
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Button } from "./button";
import { Icon, type IconName } from "./icon";

type Kind = "info" | "success" | "warning" | "danger";
const icons: Record<Kind, IconName> = { info: "info", success: "check", warning: "warning", danger: "alert" };

export function Alert({ kind, title, children, onClose }: { kind: Kind; title: string; children?: ComponentChildren; onClose?: () => void }) {
  return (
    <div class={`pf-v6-c-alert pf-m-inline pf-m-${kind}`} role={kind === "danger" ? "alert" : undefined}>
      <div class="pf-v6-c-alert__icon"><Icon name={icons[kind]} /></div>
      <p class="pf-v6-c-alert__title">{title}</p>
      {onClose && <div class="pf-v6-c-alert__action"><Button kind="plain" icon="close" label="Close" onClick={onClose} /></div>}
      {children && <div class="pf-v6-c-alert__description">{children}</div>}
    </div>
  );
}

/* --- what is said for a while, over any page --- */

const shown = signal<{ id: number; kind: Kind; title: string; text?: string }[]>([]);
let last = 0;

export function say(kind: Kind, title: string, text?: string): void {
  const id = ++last;
  shown.value = [...shown.value.slice(-4), { id, kind, title, text }];
  if (kind !== "danger") setTimeout(() => take(id), kind === "success" ? 3000 : 6000);
}
const take = (id: number) => (shown.value = shown.value.filter((s) => s.id !== id));

/** Carries out what a button asks for; a failure is said. */
export async function attempt(what: string, doing: () => Promise<unknown>): Promise<void> {
  try {
    await doing();
  } catch (e) {
    say("danger", what, e instanceof Error ? e.message : String(e));
  }
}

/** Puts a name or command where it can be pasted from. */
export const copy = (text: string) => attempt("Copy", async () => (await navigator.clipboard.writeText(text), say("success", "Copied")));

export function Sayings() {
  return (
    <ul class="pf-v6-c-alert-group pf-m-toast" role="list" aria-live="polite">
      {shown.value.map((s) => (
        <li key={s.id} class="pf-v6-c-alert-group__item">
          <Alert kind={s.kind} title={s.title} onClose={() => take(s.id)}>{s.text}</Alert>
        </li>
      ))}
    </ul>
  );
}
