// SPDX-License-Identifier: Apache-2.0
// What the host is doing and has just done, always in sight: progress as it goes, cancel where the task can be.
import { useSignal } from "@preact/signals";
import { attempt } from "../ui/alert";
import { Button } from "../ui/button";
import { Bar } from "../ui/card";
import { plural, recent } from "../ui/format";
import { Icon } from "../ui/icon";
import { Table, type Column } from "../ui/table";
import { on } from "../vim/client";
import { tasks } from "../vim/inventory";
import { taskName } from "../vim/task";
import { pageOf } from "./route";
import type { Task, TaskInfo, TaskReasonUser } from "../vim/types.gen";

export function TaskResult({ info }: { info: TaskInfo }) {
  const cancel = () => void attempt("The task cannot be cancelled", () => on<Task>(info.task).CancelTask({}));
  switch (info.state) {
    case "running":
    case "queued":
      return (
        <span class="status">
          <Bar label="Progress" share={info.progress ?? 0} title={info.description?.message} />
          {info.cancelable && <Button kind="plain" small icon="close" label="Cancel" onClick={cancel} />}
        </span>
      );
    case "success":
      return <span class="status"><Icon name="check" tone="success" />Completed</span>;
    default:
      return <span class="status wrap" title={info.error?.localizedMessage}><Icon name="alert" tone="danger" />{info.error?.localizedMessage ?? "Failed"}</span>;
  }
}

function targetOf(t: TaskInfo) {
  const to = pageOf(t.entity?.type, t.entity?.value);
  return to && t.entityName ? <a href={to}>{t.entityName}</a> : t.entityName ?? "–";
}

export const taskColumns: Column<TaskInfo>[] = [
  { name: "Task", cell: (t) => taskName(t), by: (t) => taskName(t) },
  { name: "Target", cell: targetOf, by: (t) => t.entityName },
  { name: "Initiator", cell: (t) => (t.reason as TaskReasonUser).userName ?? "host", by: (t) => (t.reason as TaskReasonUser).userName },
  { name: "Queued", minor: true, cell: (t) => recent(t.queueTime), by: (t) => t.queueTime },
  { name: "Started", minor: true, cell: (t) => recent(t.startTime), by: (t) => t.startTime },
  { name: "Completed", cell: (t) => recent(t.completeTime), by: (t) => t.completeTime },
  { name: "Result", cell: (t) => <TaskResult info={t} />, by: (t) => t.state },
];

export function Tasks() {
  const open = useSignal((localStorage.getItem("tasks") ?? (innerWidth < 768 ? "closed" : "open")) === "open");
  // Listing a folder is a task too, which nobody asked for who opened a page.
  const all = tasks().flatMap((t) => t.info ?? []).filter((t) => !(t.state === "success" && /^SearchDatastore/.test(t.name ?? "")));
  const running = all.filter((t) => t.state === "running" || t.state === "queued").length;
  const toggle = () => {
    open.value = !open.value;
    localStorage.setItem("tasks", open.value ? "open" : "closed");
  };
  return (
    <section class="tasks" aria-label="Recent tasks">
      <button type="button" class="bar" aria-expanded={open.value} onClick={toggle}>
        <span class={open.value ? "open" : ""}><Icon name="right" /></span>Recent tasks
        {running > 0 && <span class="subtle">{plural(running, "task")} running</span>}
      </button>
      {open.value && <Table label="Recent tasks" noun="task" rows={all} columns={taskColumns} keyOf={(t) => t.key} sortBy={3} downwards filter={false} bare
        empty={<p class="subtle">Nothing has been done lately. What you and others do is listed here while it goes on.</p>} />}
    </section>
  );
}
