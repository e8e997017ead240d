// SPDX-License-Identifier: Apache-2.0
import { effect } from "@preact/signals";
import { keyOf, get, VimFault, type AnyRef } from "./client";
import { tasks } from "./inventory";
import type { TaskInfo } from "./types.gen";

/** "PowerOnVM_Task" or "VirtualMachine.powerOn": "Power on VM". */
export function taskName(info: TaskInfo): string {
  const name = (info.name ?? info.descriptionId).replace(/_Task$/, "").replace(/^.*\./, "");
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/\b(?!VM\b)([A-Z])(?=[a-z])/g, (c) => c.toLowerCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Ends when the task has; throws its error. */
export async function done(task: AnyRef): Promise<TaskInfo> {
  const seen = new Promise<TaskInfo>((resolve) => {
    const stop = effect(() => {
      const info = tasks().find((t) => keyOf(t.ref) === keyOf(task))?.info;
      if (info && (info.state === "success" || info.state === "error")) queueMicrotask(() => (stop(), resolve(info)));
    });
  });
  const asked = (async () => {
    for (let pause = 1000; ; pause = Math.min(pause * 1.5, 5000)) {
      await new Promise((wake) => setTimeout(wake, pause));
      const info = await get<TaskInfo>(task, "info");
      if (info.state === "success" || info.state === "error") return info;
    }
  })();
  const info = await Promise.race([seen, asked]);
  if (info.state === "error") throw new VimFault(info.error?.fault._typeName ?? "Fault", info.error?.localizedMessage ?? "The task failed.");
  return info;
}
