// SPDX-License-Identifier: Apache-2.0
// The VM's screen, keyboard and pointer, by noVNC. Keys go as scan codes, so that the guest's layout decides. The guest draws its own
// pointer, and firmware has none: a dot shows where the hand is.
import { useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Alert } from "../ui/alert";
import { openDialog } from "../ui/dialog";
import { CheckField, Select } from "../ui/field";
import { Menu } from "../ui/menu";
import type { VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";
import { stateText, useConnection } from "./connection";
import { NotRunning, OwnWindow } from "./frame";
import type { Stroke } from "./keyboards";
import { ticketUrl } from "./ticket";
import { TypeText, typeStrokes } from "./type_text";

type Rfb = import("@novnc/novnc").default;
type Scale = "fit" | "whole";

const SCALE = "screen";
const SCALES = [["fit", "Fit to window"], ["whole", "Actual size"]] as const;

/** Keys that browsers and window managers keep for themselves. */
const CHORDS: readonly (readonly [name: string, ...codes: string[]])[] = [
  ["Ctrl-Alt-Backspace", "ControlLeft", "AltLeft", "Backspace"], ["Alt-Tab", "AltLeft", "Tab"], ["Alt-F4", "AltLeft", "F4"],
  ["Ctrl-W", "ControlLeft", "KeyW"], ["Windows key", "MetaLeft"], ["Windows-R", "MetaLeft", "KeyR"], ["Menu", "ContextMenu"],
  ["Print Screen", "PrintScreen"], ["Esc", "Escape"], ["F11", "F11"],
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => [`Ctrl-Alt-F${n}`, "ControlLeft", "AltLeft", `F${n}`] as const),
];

function press(rfb: Rfb, codes: readonly string[]) {
  for (const code of codes) rfb.sendKey(0, code, true);
  for (const code of [...codes].reverse()) rfb.sendKey(0, code, false);
  rfb.focus();
}

function setScale(rfb: Rfb, scale: Scale) {
  rfb.scaleViewport = scale === "fit";
}

export function Screen({ vm, whole }: { vm: VmRecord; whole?: boolean }) {
  const place = useRef<HTMLDivElement>(null), rfb = useRef<Rfb | undefined>(undefined);
  const [scale, chooseScale] = useState<Scale>(() => (localStorage.getItem(SCALE) === "whole" ? "whole" : "fit"));
  const [viewOnly, setViewOnly] = useState(false);
  const [typed, setTyped] = useState<{ done: number; all: number }>();
  const stop = useRef(false);
  const running = powerOf(vm) === "poweredOn";

  const { state, reason, connect } = useConnection(vm.ref.value, running, async (up, down) => {
    const [{ default: RFB }, url] = await Promise.all([import("@novnc/novnc"), ticketUrl(vm.ref, "webmks")]);
    if (!place.current) return () => {};
    const socket = new WebSocket(url, ["binary"]);
    let open = true, why: CloseEvent | undefined;
    socket.addEventListener("close", (e) => (why = e)); // before noVNC hears of it
    const screen = new RFB(place.current, socket);
    screen.focusOnClick = true;
    screen.showDotCursor = true;
    screen.background = "transparent";
    screen.viewOnly = viewOnly;
    setScale(screen, scale);
    screen.addEventListener("connect", () => (up(), screen.focus()));
    screen.addEventListener("disconnect", () => {
      open = false;
      if (rfb.current === screen) rfb.current = undefined;
      down(why);
    });
    rfb.current = screen;
    return () => void (open && screen.disconnect());
  });

  const changeScale = (to: Scale) => {
    chooseScale(to);
    localStorage.setItem(SCALE, to);
    if (rfb.current) setScale(rfb.current, to);
  };
  const changeViewOnly = (on: boolean) => {
    setViewOnly(on);
    if (rfb.current) rfb.current.viewOnly = on;
  };
  const type = async (strokes: Stroke[], slow: boolean) => {
    stop.current = false;
    await typeStrokes(strokes, {
      slow,
      key: (code, down) => rfb.current?.sendKey(0, code, down),
      went: (done, all) => (setTyped({ done, all }), !stop.current && Boolean(rfb.current)),
    });
    setTyped(undefined);
    rfb.current?.focus();
  };
  /** The clipboard is read on request only, and shown before any of it is typed. */
  const openType = async () => {
    const text = await navigator.clipboard.readText().catch(() => "");
    openDialog(<TypeText first={text} onType={(strokes, slow) => void type(strokes, slow)} />);
  };
  /** All keys are the guest's then, Esc and Alt-Tab too, where the browser gives them away (holding Esc leaves it). */
  const fullScreen = async () => {
    await place.current?.requestFullscreen();
    rfb.current?.focus();
    await (navigator as { keyboard?: { lock?: () => Promise<void> } }).keyboard?.lock?.().catch(() => {});
  };
  const off = state !== "connected" && "The screen is not connected.";
  const mute = off || (viewOnly && "The screen is only looked at.");
  return (
    <div class={`console${whole ? " whole" : ""}`}>
      <div class="table-tools">
        {whole && <strong>{vm.name}</strong>}
        <Button small because={mute} onClick={() => (rfb.current?.sendCtrlAltDel(), rfb.current?.focus())}>Ctrl-Alt-Del</Button>
        <Menu label="Send keys" actions={CHORDS.map(([text, ...codes]) => ({ text, because: mute, run: () => rfb.current && press(rfb.current, codes) }))}>Send keys</Menu>
        <Button small because={mute || (typed && "Text is being typed.")} onClick={() => void openType()}>Type text</Button>
        <Select label="Size" value={scale} onValue={(v) => changeScale(v as Scale)} choices={SCALES} />
        <CheckField label="View only" checked={viewOnly} onValue={changeViewOnly} />
        <Button small because={off} onClick={() => void fullScreen()}>Full screen</Button>
        {!whole && <OwnWindow vm={vm} />}
        <span class="subtle" role="status">{running ? stateText[state] : ""}</span>
        {typed && <span class="subtle">{typed.done} of {typed.all} keys typed <Button kind="link" small onClick={() => (stop.current = true)}>Stop</Button></span>}
      </div>
      {!running && <NotRunning vm={vm}>there is nothing on its screen.</NotRunning>}
      {running && state === "ended" && (
        <Alert kind="warning" title="The screen is disconnected.">{reason} <Button kind="link" small onClick={connect}>Connect again</Button></Alert>
      )}
      {running && <div class="screen" ref={place} />}
    </div>
  );
}
