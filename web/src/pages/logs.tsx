// SPDX-License-Identifier: Apache-2.0
// The host's logs: their last lines, followed while the page is open, and all of them in one file for a report.
import { useEffect, useState } from "preact/hooks";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Select } from "../ui/field";
import { hostUrl, on, unbox } from "../vim/client";
import { host } from "../vim/inventory";
import { content } from "../vim/session";
import { done } from "../vim/task";
import type { DiagnosticManager, DiagnosticManagerBundleInfo } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const LINES = 500, EVERY_MS = 5000;
const manager = () => on<DiagnosticManager>(content.value!.diagnosticManager!);
const where = () => (host() ? { host: host()!.ref } : {});

async function lastLines(key: string): Promise<string[]> {
  const { lineEnd } = await manager().BrowseDiagnosticLog({ ...where(), key, start: 1_000_000_000, lines: 0 });
  return (await manager().BrowseDiagnosticLog({ ...where(), key, start: Math.max(1, lineEnd - LINES + 1), lines: LINES })).lineText ?? [];
}

async function bundle(): Promise<void> {
  const info = await done(await manager().GenerateLogBundles_Task({ includeDefault: true, ...(host() && { host: [host()!.ref] }) }));
  for (const { url } of unbox(info.result) as DiagnosticManagerBundleInfo[]) {
    const link = document.createElement("a");
    link.href = hostUrl(url);
    link.download = "";
    link.click();
  }
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
        <Button icon="download" onClick={() => void attempt("Support bundle", bundle)}>Support bundle</Button>
      </div>
      <pre class="log" tabIndex={0} aria-label="Log">{lines.join("\n")}</pre>
    </>
  );
}
