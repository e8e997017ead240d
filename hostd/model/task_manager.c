/* SPDX-License-Identifier: Apache-2.0 */
/* TaskManager: recent tasks, and collectors for all that are kept. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/text.h"
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
    d->label = d->summary = text_words(arena, method->vmodl);
    return d;
}

static struct vim_any get_description(struct mo *mo, struct call *call)
{
    struct vim_TaskDescription *d = VIM_NEW(call->arena, TaskDescription);

    (void)mo;
    for (unsigned i = 0; i < vim_method_count; i++)
        if (vim_methods[i].task)
            VIM_ADD(call->arena, &d->methodInfo, describe_method(call->arena, &vim_methods[i]));
    for (int i = 1; i < vim_enums[VIM_E_TaskInfoState].count; i++) {
        struct vim_ElementDescription *state = VIM_NEW(call->arena, ElementDescription);
        state->key = vim_enums[VIM_E_TaskInfoState].values[i];
        state->label = state->summary = text_words(call->arena, state->key);
        VIM_ADD(call->arena, &d->state, state);
    }
    for (unsigned i = 0; i < vim_type_count; i++) {
        struct vim_TypeDescription *reason = VIM_NEW(call->arena, TypeDescription);
        if (vim_types[i].base != VIM_TYPE(TaskReason))
            continue;
        reason->key = vim_types[i].name;
        reason->label = reason->summary = text_words(call->arena, reason->key);
        VIM_ADD(call->arena, &d->reason, reason);
    }
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
