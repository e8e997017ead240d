/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of this host as a list for readers (TaskManager.CreateCollectorForTasks). */
#pragma once

struct history_kind;
extern const struct history_kind task_history;
