// SPDX-License-Identifier: Apache-2.0
import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon";

type Kind = "primary" | "secondary" | "tertiary" | "danger" | "warning" | "link" | "plain" | "control";

export interface ButtonProps {
  kind?: Kind;
  icon?: IconName;
  /** Why it cannot be used now: it is greyed out, and says so. */
  because?: string | false | undefined;
  busy?: boolean;
  label?: string; // for a button without text
  small?: boolean;
  submit?: boolean;
  form?: string;
  /** Of a button that opens and closes something. */
  expanded?: boolean;
  onClick?: (event: MouseEvent) => void;
  children?: ComponentChildren;
  [data: `data-${string}`]: string;
}

/** A button that is greyed out keeps its place in the order of the Tab key, so that everybody can learn why. */
export function Button({ kind = "secondary", icon, because, busy, label, small, submit, form, expanded, onClick, children, ...data }: ButtonProps) {
  const off = Boolean(because) || busy;
  return (
    <button
      type={submit ? "submit" : "button"} form={form}
      class={`pf-v6-c-button pf-m-${kind}${small ? " pf-m-small" : ""}${off ? " pf-m-aria-disabled" : ""}${busy ? " pf-m-progress pf-m-in-progress" : ""}`}
      aria-disabled={off || undefined} aria-expanded={expanded} aria-label={label} title={because || label}
      onClick={(e) => (off ? e.preventDefault() : onClick?.(e))} {...data}>
      {busy && <span class="pf-v6-c-button__progress"><Spinner small /></span>}
      {icon && <span class={`pf-v6-c-button__icon${children ? " pf-m-start" : ""}`}><Icon name={icon} /></span>}
      {children && <span class="pf-v6-c-button__text">{children}</span>}
    </button>
  );
}

/** In the place of what has not come yet. */
export const Loading = () => <div class="loading"><Spinner /></div>;

export function Spinner({ small }: { small?: boolean }) {
  return (
    <svg class={`pf-v6-c-spinner pf-m-${small ? "md" : "xl"}`} role="progressbar" viewBox="0 0 100 100" aria-label="Loading">
      <circle class="pf-v6-c-spinner__path" cx="50" cy="50" r="45" fill="none" />
    </svg>
  );
}
