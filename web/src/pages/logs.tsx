// SPDX-License-Identifier: Apache-2.0
// The host's logs: their last lines, followed while the page is open, and all of them in one file for a report.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Select } from "../ui/field";
import { Empty } from "../ui/table";
import { saveBundle } from "../manage/bundle";
import { on } from "../vim/client";
import { host } from "../vim/inventory";
import { content } from "../vim/session";
import type { DiagnosticManager } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const LINES = 500, EVERY_MS = 5000;
const manager = () => on<DiagnosticManager>(content.value!.diagnosticManager!);
const where = () => (host() ? { host: host()!.ref } : {});

async function lastLines(key: string): Promise<string[]> {
  const { lineEnd } = await manager().BrowseDiagnosticLog({ ...where(), key, start: 1_000_000_000, lines: 0 });
  return (await manager().BrowseDiagnosticLog({ ...where(), key, start: Math.max(1, lineEnd - LINES + 1), lines: LINES })).lineText ?? [];
}

/** Keeps the end in sight as lines come, unless somebody has scrolled away from it. */
function useEnd(lines: readonly string[]) {
  const place = useRef<HTMLPreElement>(null), at = useRef(true);
  useLayoutEffect(() => {
    const log = place.current!;
    if (at.current) log.scrollTop = log.scrollHeight;
  }, [lines]);
  return { ref: place, onScroll: () => void (at.current = place.current!.scrollTop + place.current!.clientHeight > place.current!.scrollHeight - 20) };
}

export function Logs() {
  const [logs, , refused] = useAnswer(() => manager().QueryDescriptions({ ...where() }));
  const [key, setKey] = useState("");
  const [lines, setLines] = useState<string[]>([]);
  const [words, setWords] = useState("");
  const chosen = key || logs?.[0]?.key;

  useEffect(() => {
    if (!chosen) return;
    let here = true;
    const ask = () => void lastLines(chosen).then((l) => here && setLines(l), () => {});
    ask();
    const timer = setInterval(() => document.hidden || ask(), EVERY_MS);
    return () => {
      here = false;
      clearInterval(timer);
    };
  }, [chosen]);

  const shown = useMemo(() => lines.filter((l) => l.toLowerCase().includes(words.toLowerCase())), [lines, words]), end = useEnd(shown);
  if (refused) return <Empty title="You may not see the logs" icon="lock">Your role does not have Global.Diagnostics on the host.</Empty>;
  return (
    <>
      <div class="table-tools spaced">
        <Select label="Log" value={chosen ?? ""} onValue={setKey} choices={(logs ?? []).map((l) => [l.key, l.info?.label || l.key] as const)} />
        <Button icon="download" onClick={() => void attempt("Support bundle", saveBundle)}>Support bundle</Button>
        <span class="grow" />
        <span class="pf-v6-c-form-control table-filter"><input type="search" placeholder="Filter" aria-label="Filter the log" value={words} onInput={(e) => setWords(e.currentTarget.value)} /></span>
      </div>
      <pre class="log" role="log" tabIndex={0} aria-label="Log" {...end}>{shown.join("\n")}</pre>
    </>
  );
}
