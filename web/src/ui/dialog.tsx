// SPDX-License-Identifier: Apache-2.0
// Dialogs. One stack of them, above whatever page is open. The browser's own <dialog> keeps the focus inside and
// closes on Escape.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { VimFault } from "../vim/client";
import { Button } from "./button";
import { Icon } from "./icon";
import { Alert } from "./alert";
import { AsCommand, type Commands } from "./command";

const stack = signal<{ id: number; body: ComponentChildren }[]>([]);
let last = 0;

export function openDialog(body: ComponentChildren): void {
  stack.value = [...stack.value, { id: ++last, body }];
}
export function closeDialog(): void {
  stack.value = stack.value.slice(0, -1);
}

/** Somebody else has come: what was begun is not theirs. */
export function closeAllDialogs(): void {
  stack.value = [];
}
export const dialogOpen = () => stack.value.length > 0;

/** Over all dialogs, which wait below it as they are. It cannot be closed. */
export function Over({ children }: { children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    dialog.current?.showModal();
    // One Escape may close several dialogs that came without a key or click between them.
    const stay = (e: KeyboardEvent) => e.key === "Escape" && e.preventDefault();
    addEventListener("keydown", stay, true);
    return () => removeEventListener("keydown", stay, true);
  }, []);
  return <dialog ref={dialog} class="dialog over">{children}</dialog>;
}

export function Dialogs() {
  return <>{stack.value.map(({ id, body }) => <DialogFrame key={id} id={id}>{body}</DialogFrame>)}</>;
}

function DialogFrame({ id, children }: { id: number; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="dialog" onClose={() => (stack.value = stack.value.filter((d) => d.id !== id))}>
      {children}
    </dialog>
  );
}

interface Props {
  title: string;
  /** The button that does it; its promise keeps the dialog open until it is done, and open when it fails. */
  confirm: string;
  danger?: boolean;
  because?: string | false | undefined;
  wide?: boolean;
  /** There is nothing to cancel. */
  only?: boolean;
  onConfirm: () => Promise<unknown> | void;
  commands?: Commands;
  children?: ComponentChildren;
}

export function Dialog({ title, confirm, danger, because, wide, only, onConfirm, commands, children }: Props) {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<string>();
  const submit = async (e: Event) => {
    e.preventDefault();
    if (busy || because) return;
    setBusy(true);
    setFailed(undefined);
    try {
      await onConfirm();
      closeDialog();
    } catch (e) {
      setFailed(e instanceof VimFault && e.kind === "NotAuthenticated" ? "Your session had ended. What you have filled in is still here: try again." : e instanceof Error ? e.message : String(e));
      setBusy(false);
    }
  };
  return (
    <form class={`pf-v6-c-modal-box pf-m-${wide ? "lg" : "md"}`} aria-label={title} noValidate onSubmit={submit}>
      <div class="pf-v6-c-modal-box__close">
        <Button kind="plain" icon="close" label="Close" onClick={closeDialog} />
      </div>
      <header class="pf-v6-c-modal-box__header">
        <h1 class="pf-v6-c-modal-box__title">
          {danger && <span class="pf-v6-c-modal-box__title-icon"><Icon name="warning" tone="danger" /></span>}
          <span class="pf-v6-c-modal-box__title-text">{title}</span>
        </h1>
      </header>
      <div class="pf-v6-c-modal-box__body">
        {failed && <Alert kind="danger" title="That did not work">{failed}</Alert>}
        {children}
        {commands && <AsCommand {...commands} />}
      </div>
      <footer class="pf-v6-c-modal-box__footer">
        <Button kind={danger ? "danger" : "primary"} submit busy={busy} because={because}>{confirm}</Button>
        {!only && <Button kind="link" onClick={closeDialog}>Cancel</Button>}
        {because && !busy && <span class="why" role="status">{because}</span>}
      </footer>
    </form>
  );
}
