// SPDX-License-Identifier: Apache-2.0
// The VM's serial port as a terminal. The VM's keeper has the last 64 KiB of it, so a new connection shows what was there.
import { useRef } from "preact/hooks";
import { Button } from "../ui/button";
import type { VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";
import { stateText, useConnection } from "./connection";
import { NotRunning, OwnWindow } from "./frame";
import { ticketUrl } from "./ticket";

interface Line {
  /** As if somebody had typed it. */
  type: (text: string) => void;
  size: () => { rows: number; cols: number };
  close: () => void;
}

async function open(place: HTMLElement, vm: VmRecord, up: () => void, down: (why: CloseEvent) => void): Promise<Line> {
  const [{ Terminal }, { FitAddon }, url] = await Promise.all([
    import("@xterm/xterm"), import("@xterm/addon-fit"), ticketUrl(vm.ref, "serial")]);
  const terminal = new Terminal({ fontSize: 14, scrollback: 5000, cursorBlink: true });
  const fit = new FitAddon(), socket = new WebSocket(url, ["binary"]);
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => terminal.write(new Uint8Array(data as ArrayBuffer));
  socket.onopen = () => (up(), terminal.focus());
  socket.onclose = down;
  const encoder = new TextEncoder();
  const type = (text: string) => socket.readyState === WebSocket.OPEN && socket.send(encoder.encode(text));
  terminal.onData(type);
  const resize = new ResizeObserver(() => fit.fit());
  resize.observe(place);
  return {
    type: (text) => (type(text), terminal.focus()),
    size: () => terminal,
    close: () => {
      resize.disconnect();
      socket.onclose = null;
      socket.close();
      terminal.dispose();
    },
  };
}

export function Serial({ vm, whole }: { vm: VmRecord; whole?: boolean }) {
  const place = useRef<HTMLDivElement>(null), line = useRef<Line | undefined>(undefined);
  const running = powerOf(vm) === "poweredOn";

  const { state, reason, connect } = useConnection(vm.ref.value, running, async (up, down) => {
    const opened = await open(place.current!, vm, up, down);
    line.current = opened;
    return () => {
      if (line.current === opened) line.current = undefined;
      opened.close();
    };
  });
  /** A serial port has no size: a shell learns it so. */
  const tellSize = () => {
    const { rows, cols } = line.current!.size();
    line.current!.type(`stty rows ${rows} cols ${cols}\r`);
  };

  if (!running) return <NotRunning vm={vm}>its serial port is silent.</NotRunning>;
  return (
    <div class={`console${whole ? " whole" : ""}`}>
      <div class="table-tools">
        {whole && <strong>{vm.name}</strong>}
        <Button small because={state !== "connected" && "The serial port is not connected."} onClick={tellSize}>Tell a shell the size</Button>
        {!whole && <OwnWindow vm={vm} serial />}
        <span class="subtle" role="status">{stateText[state]}{reason ? `: ${reason}` : ""}</span>
        {state === "ended" && <Button kind="link" small onClick={connect}>Connect again</Button>}
      </div>
      <div class="terminal-place" ref={place} />
    </div>
  );
}
