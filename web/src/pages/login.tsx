// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Alert } from "../ui/alert";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { VimFault } from "../vim/client";
import { content, expired, login } from "../vim/session";
import { Mark } from "../shell/brand";

function reason(e: unknown): string {
  if (!(e instanceof VimFault)) return String(e);
  return e.kind === "InvalidLogin" ? "User name or password is wrong." : e.message;
}

export function Login() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [failed, setFailed] = useState<string>();
  const [busy, setBusy] = useState(false);

  const submit = async (e: Event) => {
    e.preventDefault();
    if (busy) return;
    setBusy(true);
    setFailed(undefined);
    await login(name, password).catch((e) => setFailed(reason(e)));
    setBusy(false);
  };
  return (
    <div class="login">
      <form onSubmit={submit} aria-label="Log in">
        <header><Mark /><div><h1>Socle</h1><p class="subtle">{location.hostname}</p></div></header>
        {expired.value && !failed && <Alert kind="info" title="Your session has ended.">Log in again to go on where you were.</Alert>}
        {failed && <Alert kind="danger" title={failed} />}
        <TextField label="User name" value={name} onValue={setName} autoFocus autoComplete="username" required />
        <TextField label="Password" type="password" value={password} onValue={setPassword} autoComplete="current-password" />
        <Button kind="primary" submit busy={busy}>Log in</Button>
      </form>
      <footer class="subtle">{content.value?.about.fullName}<br />Free software under the Apache License 2.0</footer>
    </div>
  );
}
