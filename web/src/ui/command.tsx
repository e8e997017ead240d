// SPDX-License-Identifier: Apache-2.0
// The same thing as a command: whoever has done something by hand can put it into a script. The request itself is
// what the button sends; `socle` and govc are shown where they can do all of it.
import { useState } from "preact/hooks";
import { curl, curlLogin, type Request } from "../vim/client";
import { content, user } from "../vim/session";
import { copy } from "./alert";
import { Button } from "./button";

export interface Commands {
  socle?: string | undefined;
  govc?: string | undefined;
  request?: Request | readonly Request[] | undefined;
}

function Line({ by, text }: { by: string; text: string }) {
  return (
    <div class="as-command-text">
      <pre tabIndex={0} data-by={by}>{text}</pre>
      <Button kind="plain" small icon="copy" label={`Copy the ${by}`} onClick={() => void copy(text)} />
    </div>
  );
}

export function AsCommand({ socle, govc, request }: Commands) {
  const [open, setOpen] = useState(false);
  const requests = request ? [request].flat() as Request[] : [], manager = content.value?.sessionManager;
  return (
    <div class="as-command">
      <Button kind="link" icon="terminal" small expanded={open} onClick={() => setOpen(!open)}>As a command</Button>
      {open && (
        <>
          {socle && <Line by="socle command" text={socle} />}
          {govc && <Line by="govc command" text={govc} />}
          {requests.length > 0 && <Line by="request" text={requests.map(curl).join("\n")} />}
          {requests.length > 0 && manager && (
            <details>
              <summary>The session that the request needs, once for all</summary>
              <Line by="log-in" text={curlLogin(manager, user.value?.userName ?? "root")} />
            </details>
          )}
        </>
      )}
    </div>
  );
}
