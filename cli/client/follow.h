/* SPDX-License-Identifier: Apache-2.0 */
/* Following something to its end: tasks (with a bar on a terminal), and properties that change. */
#pragma once

#include "cli/client/command.h"

/* Calls a method that starts a task, and waits for the task. On a terminal a bar appears when it
 * takes longer than a blink; Ctrl-C asks whether the task is to be cancelled (without a terminal it
 * just is). `args` is taken. `label`: what the bar says. *ret_result (may be NULL): what the task
 * gave. */
int follow_call(struct command *command, struct api *api, const json_t *object, const char *method,
                json_t *args, const char *label, json_t **ret_result, struct err *err);
int follow_task(struct command *command, struct api *api, const json_t *task, const char *label,
                json_t **ret_result, struct err *err);

/* Calls `changed` with the property's value now and after each change, until it returns non-zero
 * (which is returned; positive: done) or Ctrl-C (-ECANCELED). */
int follow_property(struct api *api, const json_t *object, const char *property,
                    int (*changed)(void *ctx, const json_t *value), void *ctx, struct err *err);

/* A bar on standard error, if that is a terminal and nobody asked for quiet. `total` 0: not known.
 */
struct bar {
    const char *label;
    uint64_t started; /* ns; 0: nothing is shown at all */
    bool shown, bytes;
};
void bar_begin(struct bar *bar, const struct command *command, const char *label, bool bytes);
void bar_show(struct bar *bar, uint64_t done, uint64_t total);
void bar_end(struct bar *bar);
