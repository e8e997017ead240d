// SPDX-License-Identifier: Apache-2.0
// The support bundle: logs, settings and configurations in one file, without passwords and keys.
import { hostUrl, on, unbox } from "../vim/client";
import { host } from "../vim/inventory";
import { content } from "../vim/session";
import { done } from "../vim/task";
import type { DiagnosticManager, DiagnosticManagerBundleInfo } from "../vim/types.gen";

export async function saveBundle(): Promise<void> {
  const manager = on<DiagnosticManager>(content.value!.diagnosticManager!);
  const info = await done(await manager.GenerateLogBundles_Task({ includeDefault: true, ...(host() && { host: [host()!.ref] }) }));
  for (const { url } of unbox(info.result) as DiagnosticManagerBundleInfo[]) {
    const link = document.createElement("a");
    link.href = hostUrl(url);
    link.download = "";
    link.click();
  }
}
