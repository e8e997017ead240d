// SPDX-License-Identifier: Apache-2.0
import { effect } from "@preact/signals";
import { call, keyOf, get, VimFault, type AnyRef, type Request } from "./client";
import { tasks } from "./inventory";
import type { TaskInfo } from "./types.gen";

/** "PowerOnVM_Task" or "VirtualMachine.powerOn": "Power on VM". */
export function taskName(info: TaskInfo): string {
  const name = (info.name ?? info.descriptionId).replace(/_Task$/, "").replace(/^.*\./, "");
  const words = name.replace(/Vm(?![a-z])/g, "VM").replace(/([a-z])([A-Z])/g, "$1 $2").replace(/\b(?!VM\b)([A-Z])(?=[a-z])/g, (c) => c.toLowerCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Ends when the task has; throws its error. A task that has left the list of recent ones is asked for. */
export async function done(task: AnyRef): Promise<TaskInfo> {
  const ended = (info: TaskInfo | undefined) => info && (info.state === "success" || info.state === "error");
  const listed = () => tasks().find((t) => keyOf(t.ref) === keyOf(task));
  let stop = () => {};
  const seen = new Promise<TaskInfo | undefined>((resolve) => {
    let was = false;
    stop = effect(() => {
      const record = listed();
      if (ended(record?.info) || (was && !record)) resolve(record?.info);
      was ||= Boolean(record);
    });
    setTimeout(() => was || resolve(undefined), 5000);
  });
  let info = await seen;
  stop();
  for (; !ended(info); await new Promise((wake) => setTimeout(wake, 1000))) info = await get<TaskInfo>(task, "info");
  if (info!.state === "error")
    throw new VimFault(info!.error?.fault._typeName ?? "Fault", info!.error?.localizedMessage ?? "The task failed.");
  return info!;
}

const isTask = (answer: unknown): answer is AnyRef => (answer as AnyRef | undefined)?.type === "Task" && Boolean((answer as AnyRef).value);

/** Carries a request out; one that makes a task ends with it. */
export async function perform({ of, method, args }: Request): Promise<unknown> {
  const answer = await call(of, method, args);
  return isTask(answer) ? (await done(answer)).result : answer;
}
