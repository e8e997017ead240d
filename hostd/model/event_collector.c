/* SPDX-License-Identifier: Apache-2.0 */
/* EventHistoryCollector: history_collector.h with an EventFilterSpec. */
#include <string.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event_kind.h"
#include "hostd/model/event_manager.h"
#include "hostd/model/history_collector.h"

static bool is_type(const struct vim_type *type, const char *name)
{
    for (; type; type = type->base)
        if (!strcmp(type->name, name) || !strcmp(type->vmodl, name))
            return true;
    return false;
}

/* `what` is "TYPE" or "TYPE ID". */
static bool is_kind(const char *what, const struct vim_type *type, const char *name)
{
    const char *id = strchr(what, ' ');

    return is_type(type, name) || (id && !strcmp(id + 1, name));
}

static bool matches_type(const struct vim_EventFilterSpec *filter, const struct state_row *row)
{
    const struct vim_type *type = event_type(row->what);
    bool any = !filter->type.count && !filter->eventTypeId.count;

    for (size_t i = 0; i < filter->type.count && !any; i++)
        any = is_type(type, filter->type.items[i]);
    for (size_t i = 0; i < filter->eventTypeId.count && !any; i++)
        any = is_kind(row->what, type, filter->eventTypeId.items[i]);
    return any;
}

static bool matches_category(const struct vim_EventFilterSpec *filter, const struct state_row *row)
{
    const struct vim_type *type = event_type(row->what);

    for (size_t i = 0; type && i < filter->category.count; i++)
        if (!strcmp(filter->category.items[i], event_category(type, row->what)))
            return true;
    return !filter->category.count;
}

static bool matches(const struct history_collector *collector, const struct state_row *row)
{
    const struct vim_EventFilterSpec *filter = (const void *)collector->filter;
    const struct vim_EventFilterSpecByTime *time = filter->time;
    const struct vim_EventFilterSpecByUsername *by = filter->userName;

    if (filter->alarm.id || filter->scheduledTask.id || filter->tag.count)
        return false; /* a host has none of these */
    if (time && ((time->beginTime.set && row->time < time->beginTime.v) ||
                 (time->endTime.set && row->time > time->endTime.v)))
        return false;
    if (by && !history_by_user((const struct vim_list *)(const void *)&by->userList, by->systemUser,
                               row->user))
        return false;
    if (filter->eventChainId.set && filter->eventChainId.v != row->chain)
        return false;
    if (filter->entity &&
        !history_in_path(row->path, filter->entity->entity.id, (int)filter->entity->recursion))
        return false;
    return matches_type(filter, row) && matches_category(filter, row);
}

static struct vim_data *body(const struct history_collector *collector, int64_t number,
                             struct arena *arena)
{
    const struct vim_EventFilterSpec *filter = (const void *)collector->filter;
    struct vim_data *data = state_body(collector->hostd->state, STATE_EVENTS, number, arena);

    if (data && filter->disableFullMessage.set && filter->disableFullMessage.v)
        ((struct vim_Event *)(void *)data)->fullFormattedMessage = NULL;
    return data;
}

static struct vim_any get_initialized(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_bool(true);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(EventHistoryCollector, latestPage, history_get_latest),
    MO_PROPERTY(EventHistoryCollector, initialized, get_initialized),
};
static const struct mo_method methods[] = {
    MO_METHOD(ReadNextEvents, history_read_next),
    MO_METHOD(ReadPreviousEvents, history_read_previous),
};
static const struct mo_class class = {
    .type = VIM_MANAGED(EventHistoryCollector),
    .base = &history_collector_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
    .destroy = history_release,
};
const struct history_kind event_history = {
    .list = STATE_EVENTS,
    .class = &class,
    .latest = VIM_P_EventHistoryCollector_latestPage,
    .matches = matches,
    .body = body,
    .type = VIM_T_Event,
};
