// SPDX-License-Identifier: Apache-2.0
// The VM's serial port as a terminal.
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import type { VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";
import { ticketUrl } from "./ticket";

async function open(place: HTMLElement, vm: VmRecord, onEnd: (why: string) => void): Promise<() => void> {
  const [{ Terminal }, { FitAddon }, url] = await Promise.all([
    import("@xterm/xterm"), import("@xterm/addon-fit"), ticketUrl(vm.ref, "serial")]);
  const terminal = new Terminal({ fontSize: 14, scrollback: 5000, cursorBlink: true });
  const fit = new FitAddon(), socket = new WebSocket(url, ["binary"]);
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => terminal.write(new Uint8Array(data as ArrayBuffer));
  socket.onopen = () => terminal.focus();
  socket.onclose = () => onEnd("The serial port is disconnected.");
  const encoder = new TextEncoder();
  terminal.onData((text) => socket.readyState === WebSocket.OPEN && socket.send(encoder.encode(text)));
  const resize = new ResizeObserver(() => fit.fit());
  resize.observe(place);
  return () => {
    resize.disconnect();
    socket.onclose = null;
    socket.close();
    terminal.dispose();
  };
}

export function Serial({ vm }: { vm: VmRecord }) {
  const place = useRef<HTMLDivElement>(null);
  const [ended, setEnded] = useState<string>();
  const [round, setRound] = useState(0);
  const running = powerOf(vm) === "poweredOn";

  useEffect(() => {
    if (!running) return;
    let close: (() => void) | undefined, here = true;
    setEnded(undefined);
    open(place.current!, vm, (why) => here && setEnded(why)).then(
      (c) => (here ? (close = c) : c()), (e) => here && setEnded(e instanceof Error ? e.message : String(e)));
    return () => {
      here = false;
      close?.();
    };
  }, [vm.ref.value, running, round]);

  if (!running) return <p class="subtle">It is not running: its serial port is silent.</p>;
  return (
    <div class="console">
      {ended && <p role="status">{ended} <Button kind="link" small onClick={() => setRound(round + 1)}>Connect again</Button></p>}
      <div class="terminal-place" ref={place} />
    </div>
  );
}
