// SPDX-License-Identifier: Apache-2.0
// What is asked for when a page opens and again after something was changed; lists that the host tells us of by
// itself are in inventory.ts.
import { useEffect, useState } from "preact/hooks";
import { say } from "../ui/alert";
import { VimFault } from "./client";
import { useProperties } from "./inventory";
import { content } from "./session";
import type { EventManager } from "./types.gen";

/** What the host refuses to this user is no mishap: the page says so in its place. */
export const isRefusal = (e: unknown) => e instanceof VimFault && e.kind === "NoPermission";

/** The answer, what asks again, and whether this user may not have it. */
export function useAnswer<T>(ask: () => Promise<T>, by: readonly unknown[] = []): [answer: T | undefined, again: () => void, refused: boolean] {
  const [answer, setAnswer] = useState<T>(), [refused, setRefused] = useState(false);
  const [round, setRound] = useState(0);
  useEffect(() => {
    let here = true;
    ask().then((a) => here && (setAnswer(() => a), setRefused(false)), (e) => here && (isRefusal(e) ? setRefused(true) : say("danger", "The page cannot be filled", e instanceof Error ? e.message : String(e))));
    return () => void (here = false);
  }, [round, ...by]);
  return [answer, () => setRound((r) => r + 1), refused];
}

/** For lists that no property has, but of whose changes there are events: the number of the last one of these. */
export function useEvents(kinds: RegExp): number {
  const last = useProperties<EventManager, "latestEvent">(content.value?.eventManager, ["latestEvent"])?.latestEvent;
  const [key, setKey] = useState(0);
  useEffect(() => void (last && kinds.test(last._typeName ?? "") && setKey(last.key)), [last?.key]);
  return key;
}
