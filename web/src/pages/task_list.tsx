// SPDX-License-Identifier: Apache-2.0
// Tasks that were done, of one object or of all, those of yesterday too.
import { Table, type Column } from "../ui/table";
import { TaskResult, taskColumns } from "../shell/tasks";
import { on, type AnyRef } from "../vim/client";
import { useHistory } from "../vim/history";
import { tasks } from "../vim/inventory";
import { content } from "../vim/session";
import type { TaskInfo, TaskManager } from "../vim/types.gen";

const create = (of: AnyRef | undefined) => () =>
  on<TaskManager>(content.value!.taskManager!).CreateCollectorForTasks({
    filter: { _typeName: "TaskFilterSpec", ...(of && { entity: { _typeName: "TaskFilterSpecByEntity", entity: of, recursion: "all" as const } }) },
  });

/** Of a task that is among the recent ones the record is newer than the history. */
const current = (info: TaskInfo): TaskInfo => tasks().find((t) => t.info?.key === info.key)?.info ?? info;

const columns: Column<TaskInfo>[] = taskColumns.map((c) => (c.name === "Result" ? { ...c, cell: (i: TaskInfo) => <TaskResult info={current(i)} /> } : c));

export function TaskList({ of }: { of?: AnyRef }) {
  const { rows, more } = useHistory<TaskInfo>({ of: "Tasks", create: create(of), keyOf: (i) => i.key }, of?.value);
  return <Table label="Tasks" noun="task" rows={rows} more={more} columns={columns} keyOf={(i) => i.key} sortBy={3} downwards empty={<p class="subtle">Nothing has been done yet.</p>} />;
}
