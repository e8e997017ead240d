// SPDX-License-Identifier: Apache-2.0
// A connection to a running VM that is made again when it breaks off: its process, the host or the network may have been restarted.
import { useEffect, useState } from "preact/hooks";
import { VimFault } from "../vim/client";

const FIRST_MS = 500, LONGEST_MS = 10_000;
const TRY_LATER = 1013; // a WebSocket's status: no place is left (vm/console/conn.h)

/** Connects, and says when it is up and when it is no longer, and where the VM's process said why, that; its value ends it. */
export type Connect = (up: () => void, down: (why?: CloseEvent) => void) => Promise<() => void>;
export type State = "connecting" | "connected" | "again" | "ended";

export interface Connection {
  state: State;
  /** Why it is not tried any more. */
  reason: string | undefined;
  connect: () => void;
}

export const stateText: Record<State, string> = {
  connecting: "Connecting …", connected: "Connected", again: "Disconnected, connecting again …", ended: "Disconnected" };

export function useConnection(to: string, running: boolean, connect: Connect): Connection {
  const [state, setState] = useState<State>("connecting");
  const [reason, setReason] = useState<string>();
  const [round, setRound] = useState(0);

  useEffect(() => {
    if (!running) return;
    let here = true, attempts = 0, timer: ReturnType<typeof setTimeout> | undefined, close: (() => void) | undefined;
    const up = () => here && ((attempts = 0), setState("connected"));
    const later = (why?: CloseEvent) => {
      if (!here) return;
      close?.();
      close = undefined;
      if (why?.code === TRY_LATER) {
        setReason("Too many people look at it already. When one of them has gone there is a place.");
        return setState("ended");
      }
      setState("again");
      timer = setTimeout(attempt, Math.min(FIRST_MS * 2 ** attempts++, LONGEST_MS));
    };
    const failed = (e: unknown) => {
      if (!here) return;
      const passes = !(e instanceof VimFault) || e.kind === "HostNotReached" || e.kind === "InvalidPowerState" || e.kind === "InvalidState";
      if (passes && attempts < 10) return later();
      setReason(e instanceof Error ? e.message : String(e));
      setState("ended");
    };
    const attempt = () =>
      void connect(up, later).then((end) => (here ? (close = end) : end()), failed);
    setState("connecting");
    setReason(undefined);
    attempt();
    return () => {
      here = false;
      clearTimeout(timer);
      close?.();
    };
  }, [to, running, round]);

  return { state, reason, connect: () => setRound(round + 1) };
}
