// SPDX-License-Identifier: Apache-2.0
// What is asked for when a page opens and again after something was changed; lists that the host tells us of by
// itself are in inventory.ts.
import { useEffect, useState } from "preact/hooks";
import { say } from "../ui/alert";
import { useProperties } from "./inventory";
import { content } from "./session";
import type { EventManager } from "./types.gen";

export function useAnswer<T>(ask: () => Promise<T>, by: readonly unknown[] = []): [T | undefined, () => void] {
  const [answer, setAnswer] = useState<T>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    let here = true;
    ask().then((a) => here && setAnswer(() => a), (e) => here && say("danger", "The page cannot be filled", e instanceof Error ? e.message : String(e)));
    return () => void (here = false);
  }, [round, ...by]);
  return [answer, () => setRound((r) => r + 1)];
}

/** For lists that no property has, but of whose changes there are events: the number of the last one of these. */
export function useEvents(kinds: RegExp): number {
  const last = useProperties<EventManager, "latestEvent">(content.value?.eventManager, ["latestEvent"])?.latestEvent;
  const [key, setKey] = useState(0);
  useEffect(() => void (last && kinds.test(last._typeName ?? "") && setKey(last.key)), [last?.key]);
  return key;
}
