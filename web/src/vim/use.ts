// SPDX-License-Identifier: Apache-2.0
// What is asked for when a page opens and again after something was changed; lists that the host tells us of by
// itself are in inventory.ts.
import { useEffect, useState } from "preact/hooks";
import { say } from "../ui/alert";

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
