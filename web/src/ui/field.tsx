// SPDX-License-Identifier: Apache-2.0
// Fields of forms: a label, the control, and what is wrong with its value.
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { Icon } from "./icon";

interface Common {
  label: string;
  help?: ComponentChildren;
  error?: string | false | undefined;
  /** Why it cannot be changed now. */
  because?: string | false | undefined;
  /** The label is for those who do not see the place that says it. */
  quiet?: boolean;
}

function Group({ id, label, help, error, because, quiet, children }: Common & { id: string; children: ComponentChildren }) {
  return (
    <div class="pf-v6-c-form__group">
      <div class={quiet ? "only-read" : "pf-v6-c-form__group-label"}>
        <label class="pf-v6-c-form__label" for={id}><span class="pf-v6-c-form__label-text">{label}</span></label>
      </div>
      <div class="pf-v6-c-form__group-control">
        {children}
        {(error || help || (because && !quiet)) && (
          <div class="pf-v6-c-form__helper-text" aria-live="polite">
            <div class="pf-v6-c-helper-text">
              <div class={`pf-v6-c-helper-text__item${error ? " pf-m-error" : ""}`} id={`${id}-help`}>
                <span class="pf-v6-c-helper-text__item-text">{error || because || help}</span>
              </div>
            </div>
          </div>
        )}
      </div>
    </div>
  );
}

interface TextProps extends Common {
  value: string;
  onValue: (value: string) => void;
  type?: "text" | "password" | "number" | "search" | "email" | "url";
  min?: number;
  max?: number;
  step?: number;
  autoFocus?: boolean;
  autoComplete?: string;
  required?: boolean;
  placeholder?: string;
  lines?: number;
  unit?: string;
}

export function TextField({ value, onValue, lines, unit, autoFocus, autoComplete, ...p }: TextProps) {
  const id = useId();
  const state = { id, value, placeholder: p.placeholder, required: p.required, autofocus: autoFocus, readOnly: Boolean(p.because), title: p.because || undefined,
    "aria-disabled": Boolean(p.because) || undefined, "aria-invalid": Boolean(p.error), "aria-describedby": p.error || p.because || p.help ? `${id}-help` : undefined };
  return (
    <Group id={id} {...p}>
      <span class={`pf-v6-c-form-control${p.error ? " pf-m-error" : ""}${p.because ? " pf-m-disabled" : ""}${unit ? " with-unit" : ""}`}>
        {lines
          ? <textarea {...state} rows={lines} onInput={(e) => onValue(e.currentTarget.value)} />
          : <input {...state} type={(p.type ?? "text") as "text"} min={p.min} max={p.max} step={p.step} autocomplete={autoComplete ?? "off"}
              onInput={(e) => onValue(e.currentTarget.value)} />}
        {unit && <span class="unit">{unit}</span>}
      </span>
    </Group>
  );
}

interface SelectProps extends Common {
  value: string;
  onValue: (value: string) => void;
  choices: readonly (readonly [value: string, text: string])[];
}

/** The control alone, for a line of tools. */
export function Select({ value, onValue, choices, label, id, off, help }:
  Pick<SelectProps, "value" | "onValue" | "choices"> & { label?: string; id?: string; off?: boolean; help?: string | undefined }) {
  return (
    <span class={`pf-v6-c-form-control${id ? "" : " range"}${off ? " pf-m-disabled" : ""}`}>
      <select id={id} aria-label={label} aria-describedby={help} value={value} disabled={off} onChange={(e) => onValue(e.currentTarget.value)}>
        {choices.map(([v, text]) => <option key={v} value={v} selected={v === value}>{text}</option>)}
      </select>
      <span class="pf-v6-c-form-control__utilities"><span class="pf-v6-c-form-control__toggle-icon"><Icon name="down" /></span></span>
    </span>
  );
}

export function SelectField({ value, onValue, choices, ...p }: SelectProps) {
  const id = useId();
  return <Group id={id} {...p}><Select id={id} value={value} onValue={onValue} choices={choices} off={Boolean(p.because)} help={p.error || p.because || p.help ? `${id}-help` : undefined} /></Group>;
}

export function CheckField({ label, help, checked, because, onValue }:
  { label: string; help?: ComponentChildren; checked: boolean; because?: string | false | undefined; onValue: (on: boolean) => void }) {
  const id = useId();
  return (
    <div class="pf-v6-c-check" title={because || undefined}>
      <input class="pf-v6-c-check__input" type="checkbox" id={id} checked={checked} disabled={Boolean(because)}
        onChange={(e) => onValue(e.currentTarget.checked)} />
      <label class="pf-v6-c-check__label" for={id}>{label}</label>
      {(because || help) && <span class="pf-v6-c-check__description">{because || help}</span>}
    </div>
  );
}
