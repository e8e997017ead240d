// SPDX-License-Identifier: Apache-2.0
// The newest page of a history collector of the host's, of events or of tasks, as long as somebody looks at it.
import { useEffect, useState } from "preact/hooks";
import { on, type AnyRef } from "./client";
import { useProperties } from "./inventory";
import { user } from "./session";
import type { EventHistoryCollector, TaskHistoryCollector } from "./types.gen";

/** undefined until the first page has come. */
export function useHistory<T>(create: () => Promise<AnyRef>, by: string | undefined): T[] | undefined {
  const [barred, setBarred] = useState(false);
  const [collector, setCollector] = useState<AnyRef>();
  useEffect(() => {
    let mine: AnyRef | undefined, gone = false;
    const destroy = (c: AnyRef) => void on<TaskHistoryCollector>(c).DestroyCollector({}).catch(() => {});
    create().then((c) => {
      mine = c;
      gone ? destroy(c) : setCollector(c);
    }, () => setBarred(true)); // who may not see it has an empty list
    return () => {
      gone = true;
      if (mine && user.value) destroy(mine);
    };
  }, [by]);
  const page = useProperties<EventHistoryCollector, "latestPage">(collector, ["latestPage"]);
  return page ? (page.latestPage as T[] | undefined) ?? [] : barred ? [] : undefined;
}
