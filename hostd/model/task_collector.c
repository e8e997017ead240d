/* SPDX-License-Identifier: Apache-2.0 */
/* TaskHistoryCollector: history_collector.h with a TaskFilterSpec. ESXi leaves these to vCenter; a
 * host that keeps its tasks can as well show them. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/history_collector.h"
#include "hostd/model/task_collector.h"
#include "hostd/task/task.h"

static bool matches_time(const struct vim_TaskFilterSpecByTime *by, const struct state_row *row)
{
    int64_t time = by->timeType == VIM_TaskFilterSpecTimeOption_startedTime     ? row->started
                   : by->timeType == VIM_TaskFilterSpecTimeOption_completedTime ? row->completed
                                                                                : row->time;

    return time && (!by->beginTime.set || time >= by->beginTime.v) &&
           (!by->endTime.set || time <= by->endTime.v);
}

static bool matches_state(const struct vim_TaskFilterSpec *filter, const struct state_row *row)
{
    for (size_t i = 0; i < filter->state.count; i++)
        if (!strcmp(vim_enums[VIM_E_TaskInfoState].values[filter->state.items[i]], row->what))
            return true;
    return !filter->state.count;
}

static bool matches_chain(const struct vim_TaskFilterSpec *filter, const struct state_row *row)
{
    for (size_t i = 0; i < filter->eventChainId.count; i++)
        if (filter->eventChainId.items[i] == row->chain)
            return true;
    return !filter->eventChainId.count;
}

static bool matches(const struct history_collector *collector, const struct state_row *row)
{
    const struct vim_TaskFilterSpec *filter = (const void *)collector->filter;
    const struct vim_TaskFilterSpecByUsername *by = filter->userName;

    if (filter->alarm.id || filter->scheduledTask.id || filter->tag.count ||
        filter->activationId.count || filter->parentTaskKey.count || filter->rootTaskKey.count)
        return false; /* no task of a host has these */
    if (by && !history_by_user((const struct vim_list *)(const void *)&by->userList, by->systemUser,
                               row->user))
        return false;
    if (filter->time && !matches_time(filter->time, row))
        return false;
    if (filter->entity &&
        !history_in_path(row->path, filter->entity->entity.id, (int)filter->entity->recursion))
        return false;
    return matches_state(filter, row) && matches_chain(filter, row);
}

/* One that is still at hand may have gone on since it was written. */
static struct vim_data *body(const struct history_collector *collector, int64_t number,
                             struct arena *arena)
{
    struct vim_TaskInfo *info = task_info_by_chain(collector->hostd, (int32_t)number, arena);

    return info ? &info->self : state_body(collector->hostd->state, STATE_TASKS, number, arena);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(TaskHistoryCollector, latestPage, history_get_latest),
};
static const struct mo_method methods[] = {
    MO_METHOD(ReadNextTasks, history_read_next),
    MO_METHOD(ReadPreviousTasks, history_read_previous),
};
static const struct mo_class class = {
    .type = VIM_MANAGED(TaskHistoryCollector),
    .base = &history_collector_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
    .destroy = history_release,
};
const struct history_kind task_history = {
    .list = STATE_TASKS,
    .class = &class,
    .latest = VIM_P_TaskHistoryCollector_latestPage,
    .matches = matches,
    .body = body,
    .type = VIM_T_TaskInfo,
};
