// SPDX-License-Identifier: Apache-2.0
// The same thing as a command: whoever has done something by hand can put it into a script.
import { useState } from "preact/hooks";
import { Button } from "./button";

export interface Commands {
  socle: string;
  govc?: string;
}

export function AsCommand({ socle, govc }: Commands) {
  const [open, setOpen] = useState(false);
  const text = [socle, govc].filter(Boolean).join("\n");
  return (
    <div class="as-command">
      <Button kind="link" icon="terminal" small onClick={() => setOpen(!open)}>As a command</Button>
      {open && (
        <div class="as-command-text">
          <pre>{text}</pre>
          <Button kind="plain" icon="copy" label="Copy" onClick={() => void navigator.clipboard.writeText(text)} />
        </div>
      )}
    </div>
  );
}
