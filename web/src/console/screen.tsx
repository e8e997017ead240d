// SPDX-License-Identifier: Apache-2.0
// The VM's screen, keyboard and pointer, by noVNC. Keys go as scan codes, so that the guest's layout decides.
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Alert } from "../ui/alert";
import type { VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";
import { ticketUrl } from "./ticket";

type Rfb = import("@novnc/novnc").default;

/** Types a text key by key: for guests that have no clipboard to share. */
async function type(rfb: Rfb, text: string) {
  for (const c of text.replaceAll("\r\n", "\n")) {
    const code = c.codePointAt(0)!;
    rfb.sendKey(c === "\n" ? 0xff0d : c === "\t" ? 0xff09 : code < 0x100 ? code : 0x01000000 | code, null);
    await new Promise((next) => setTimeout(next, 15));
  }
}

export function Screen({ vm, whole }: { vm: VmRecord; whole?: boolean }) {
  const place = useRef<HTMLDivElement>(null), rfb = useRef<Rfb | undefined>(undefined);
  const [state, setState] = useState<"connecting" | "connected" | "ended">("connecting");
  const [reason, setReason] = useState<string>();
  const [round, setRound] = useState(0);
  const running = powerOf(vm) === "poweredOn";

  useEffect(() => {
    if (!running) return;
    let here = true;
    setState("connecting");
    setReason(undefined);
    void (async () => {
      try {
        const [{ default: RFB }, url] = await Promise.all([import("@novnc/novnc"), ticketUrl(vm.ref, "webmks")]);
        if (!here) return;
        const screen = new RFB(place.current!, url, { wsProtocols: ["binary"] });
        screen.scaleViewport = true;
        screen.focusOnClick = true;
        screen.background = "transparent";
        screen.addEventListener("connect", () => (setState("connected"), screen.focus()));
        screen.addEventListener("disconnect", () => {
          if (rfb.current === screen) rfb.current = undefined;
          if (here) setState("ended");
        });
        rfb.current = screen;
      } catch (e) {
        if (here) (setReason(e instanceof Error ? e.message : String(e)), setState("ended"));
      }
    })();
    return () => {
      here = false;
      rfb.current?.disconnect();
      rfb.current = undefined;
    };
  }, [vm.ref.value, running, round]);

  const paste = async () => {
    const text = await navigator.clipboard.readText().catch(() => window.prompt("Text to type") ?? "");
    if (rfb.current) await type(rfb.current, text.slice(0, 4096));
    rfb.current?.focus();
  };
  /** Where the browser does not let us open one of that size, the link opens a tab. */
  const ownWindow = (e: MouseEvent) => {
    const { href, target } = e.currentTarget as HTMLAnchorElement;
    if (window.open(href, target, "popup,width=1060,height=860")) e.preventDefault();
  };
  const off = state !== "connected" && "The screen is not connected.";
  return (
    <div class={`console${whole ? " whole" : ""}`}>
      <div class="table-tools">
        <Button small because={off} onClick={() => rfb.current?.sendCtrlAltDel()}>Ctrl-Alt-Del</Button>
        <Button small because={off} onClick={() => void paste()}>Type the clipboard</Button>
        <Button small because={off} onClick={() => void place.current?.requestFullscreen()}>Full screen</Button>
        {!whole && <a class="pf-v6-c-button pf-m-secondary pf-m-small" href={`#/console/${vm.ref.value}`} target={`console-${vm.ref.value}`} onClick={ownWindow}>Own window</a>}
        <span class="subtle" role="status">{!running ? "" : state === "connected" ? "Connected" : state === "connecting" ? "Connecting …" : "Disconnected"}</span>
      </div>
      {!running && <p class="subtle">It is not running: there is nothing on its screen.</p>}
      {running && state === "ended" && (
        <Alert kind="warning" title="The screen is disconnected.">{reason} <Button kind="link" small onClick={() => setRound(round + 1)}>Connect again</Button></Alert>
      )}
      {running && <div class="screen" ref={place} />}
    </div>
  );
}
