// SPDX-License-Identifier: Apache-2.0
// A small picture of the screen, new every few seconds while somebody looks at the page.
import { useEffect, useState } from "preact/hooks";
import { vmHref } from "../shell/route";
import type { VmRecord } from "../vim/inventory";
import { powerOf } from "../vm/state";

const EVERY_MS = 5000;

export function Thumbnail({ vm }: { vm: VmRecord }) {
  const [round, setRound] = useState(0);
  const [failed, setFailed] = useState(false);
  const running = powerOf(vm) === "poweredOn";
  useEffect(() => {
    const timer = setInterval(() => document.hidden || (setFailed(false), setRound((r) => r + 1)), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <a class="thumbnail" href={vmHref(vm.ref.value, "console")} aria-label="Console">
      {running && !failed
        ? <img src={`/screen?id=${encodeURIComponent(vm.ref.value)}&w=480&h=360&n=${round}`} alt="The screen" onError={() => setFailed(true)} />
        : <span class="subtle">{running ? "No picture" : "Not running"}</span>}
    </a>
  );
}
