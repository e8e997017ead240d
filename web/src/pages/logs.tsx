// SPDX-License-Identifier: Apache-2.0
// The host's logs: their last lines, followed while the page is open, and all of them in one file for a report.
import { useEffect, useState } from "preact/hooks";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Select } from "../ui/field";
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

export function Logs() {
  const [logs] = useAnswer(() => manager().QueryDescriptions({ ...where() }));
  const [key, setKey] = useState("");
  const [lines, setLines] = useState<string[]>([]);
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

  return (
    <>
      <div class="table-tools spaced">
        <Select label="Log" value={chosen ?? ""} onValue={setKey} choices={(logs ?? []).map((l) => [l.key, l.info?.label || l.key] as const)} />
        <Button icon="download" onClick={() => void attempt("Support bundle", saveBundle)}>Support bundle</Button>
      </div>
      <pre class="log" role="log" tabIndex={0} aria-label="Log">{lines.join("\n")}</pre>
    </>
  );
}
