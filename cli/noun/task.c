/* SPDX-License-Identifier: Apache-2.0 */
/* `socle task`. */
#include <errno.h>
#include <string.h>

#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

static const struct column columns[] = {
    {"id", "ID", COLUMN_TEXT},
    {"task", "TASK", COLUMN_TEXT},
    {"object", "OBJECT", COLUMN_TEXT},
    {"state", "STATE", COLUMN_TEXT},
    {"progress", "PROGRESS", COLUMN_PERCENT},
    {"user", "USER", COLUMN_TEXT},
    {"started", "STARTED", COLUMN_TIME},
    {"ended", "ENDED", COLUMN_TIME, .wide = true},
    {"error", "ERROR", COLUMN_TEXT},
};

static json_t *task_row(const json_t *task)
{
    const json_t *info = json_object_get(task, "info");
    const char *error = api_text(json_object_get(info, "error"), "localizedMessage");
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", api_id(json_object_get(task, "ref")),
                            "task", api_text(info, "descriptionId"), "object",
                            api_text(info, "entityName"), "state", api_text(info, "state"), "user",
                            api_text(json_object_get(info, "reason"), "userName"));

    (void)json_object_set(row, "progress", json_object_get(info, "progress"));
    (void)json_object_set(row, "started", json_object_get(info, "startTime"));
    (void)json_object_set(row, "ended", json_object_get(info, "completeTime"));
    if (*error)
        (void)json_object_set_new(row, "error", json_string(error));
    return row;
}

static int list(struct command *command, struct err *err)
{
    cleanup_json json_t *tasks = NULL, *rows = json_array();
    struct api *api;
    json_t *ref;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_get(api, api_manager(api, "taskManager"), "recentTask", &tasks, err);
    json_array_foreach(tasks, i, ref)
    {
        cleanup_json json_t *task = NULL;
        if (rc == 0 && inventory_read(api, ref, "info", &task, NULL) == 0) /* else it has gone */
            (void)json_array_append_new(rows, task_row(task));
    }
    return rc < 0 ? rc : out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

static json_t *task_ref(const char *id)
{
    return json_pack("{s:s, s:s, s:s}", "_typeName", "ManagedObjectReference", "type", "Task",
                     "value", id);
}

static int cancel(struct command *command, struct err *err)
{
    cleanup_json json_t *task = task_ref(command_operand(command, 0));
    struct api *api;
    int rc = command_api(command, &api, err);

    return rc < 0 ? rc : api_call(api, task, "CancelTask", NULL, NULL, err);
}

static int wait_for(struct command *command, struct err *err)
{
    cleanup_json json_t *task = task_ref(command_operand(command, 0));
    struct api *api;
    int rc = command_api(command, &api, err);

    return rc < 0 ? rc : follow_task(command, api, task, command_operand(command, 0), NULL, err);
}

static const struct verb verbs[] = {
    {"list", "", "shows what goes on, and what has ended lately", NO_OPTIONS, list},
    {"wait", "TASK", "waits for the end of one, with a bar", NO_OPTIONS, wait_for},
    {"cancel", "TASK", "cancels one that can be cancelled", NO_OPTIONS, cancel},
};

const struct noun noun_task = {"task", "What the host is doing.", verbs, ARRAY_SIZE(verbs)};
