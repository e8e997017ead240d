/* SPDX-License-Identifier: Apache-2.0 */
/* TaskManager: recent tasks, and collectors for all that are kept. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/history_collector.h"
#include "hostd/model/task_collector.h"
#include "hostd/task/task.h"

static struct vim_any get_recent_task(struct mo *mo, struct call *call)
{
    (void)mo;
    return task_recent(hostd_of(call), NULL, call);
}

static struct vim_any get_max_collector(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_int(HISTORY_COLLECTORS_MAX);
}

static struct vim_ElementDescription *describe_method(struct arena *arena,
                                                      const struct vim_method *method)
{
    const char *dot = strrchr(method->owner->vmodl, '.');
    struct vim_ElementDescription *d = VIM_NEW(arena, ElementDescription);

    d->key = arena_printf(arena, "%s.%s", dot ? dot + 1 : method->owner->vmodl, method->vmodl);
    d->label = d->summary = method->name;
    return d;
}

static struct vim_any get_description(struct mo *mo, struct call *call)
{
    struct vim_TaskDescription *d = VIM_NEW(call->arena, TaskDescription);

    (void)mo;
    for (unsigned i = 0; i < vim_method_count; i++)
        if (vim_methods[i].task)
            VIM_ADD(call->arena, &d->methodInfo, describe_method(call->arena, &vim_methods[i]));
    VIM_EMPTY(&d->state);
    VIM_EMPTY(&d->reason);
    return vim_any_data(d);
}

static void create_collector(struct mo *mo, struct call *call)
{
    const struct vim_CreateCollectorForTasks_args *args = call->args;

    (void)mo;
    history_create(call, &task_history, &args->filter->self);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(TaskManager, recentTask, get_recent_task),
    MO_PROPERTY(TaskManager, maxCollector, get_max_collector),
    MO_PROPERTY(TaskManager, description, get_description),
};
static const struct mo_method methods[] = {
    MO_METHOD(CreateCollectorForTasks, create_collector),
};
const struct mo_class task_manager_class = {
    .type = VIM_MANAGED(TaskManager),
    .base = NULL,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
