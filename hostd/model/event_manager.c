/* SPDX-License-Identifier: Apache-2.0 */
/* EventManager and its history collectors. A collector has a filter and a place in the list from
 * which a client reads on, forwards or backwards. Filtering looks at each kept event; there are
 * EVENTS_KEPT of them at most. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event_list.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"
#include "hostd/session/session.h"

enum { PAGE_DEFAULT = 10, PAGE_MAX = 1000, COLLECTORS_MAX = 1000 };

struct collector {
    struct mo mo;
    struct hostd *hostd;
    char id[80];
    struct arena arena;
    struct vim_EventFilterSpec *filter;
    uint64_t at; /* number of the event that readNext gives first */
    int page;
};

static unsigned collector_serial;

/* --- the filter --- */

static bool is_event_type(const struct vim_Event *event, const char *name)
{
    for (const struct vim_type *type = event->self.type; type; type = type->base)
        if (!strcmp(type->name, name) || !strcmp(type->vmodl, name))
            return true;
    return false;
}

static bool matches_type(const struct vim_EventFilterSpec *filter, const struct vim_Event *event)
{
    bool any = !filter->type.count && !filter->eventTypeId.count;

    for (size_t i = 0; i < filter->type.count && !any; i++)
        any = is_event_type(event, filter->type.items[i]);
    for (size_t i = 0; i < filter->eventTypeId.count && !any; i++)
        any = is_event_type(event, filter->eventTypeId.items[i]);
    return any;
}

static struct entity *entity_of_event(struct hostd *hostd, const struct vim_Event *event)
{
    const char *id = event->vm ? event->vm->vm.id : event->ds ? event->ds->datastore.id : "ha-host";
    struct mo *mo = mo_find(hostd->api.registry, id);

    return mo ? entity_from(mo) : NULL;
}

static bool matches_entity(struct hostd *hostd, const struct vim_EventFilterSpec *filter,
                           const struct vim_Event *event)
{
    const struct vim_EventFilterSpecByEntity *by = filter->entity;

    if (!by)
        return true;
    bool self = by->recursion != VIM_EventFilterSpecRecursionOption_children;
    bool below = by->recursion != VIM_EventFilterSpecRecursionOption_self;
    if (self && event->vm && !strcmp(event->vm->vm.id, by->entity.id))
        return true; /* also of a VM that is gone */
    struct entity *entity = entity_of_event(hostd, event);
    if (entity && !strcmp(entity->id, by->entity.id))
        return self;
    while (below && entity && (entity = entity->parent))
        if (!strcmp(entity->id, by->entity.id))
            return true;
    return false;
}

static bool matches(const struct collector *collector, const struct vim_Event *event)
{
    const struct vim_EventFilterSpec *filter = collector->filter;
    const struct vim_EventFilterSpecByTime *time = filter->time;

    if (time && ((time->beginTime.set && event->createdTime < time->beginTime.v) ||
                 (time->endTime.set && event->createdTime > time->endTime.v)))
        return false;
    if (filter->userName && filter->userName->userList.count) {
        bool any = false;
        for (size_t i = 0; i < filter->userName->userList.count; i++)
            any |= !strcmp(filter->userName->userList.items[i], event->userName);
        if (!any)
            return false;
    }
    if (filter->eventChainId.set && filter->eventChainId.v != event->chainId)
        return false;
    return matches_type(filter, event) && matches_entity(collector->hostd, filter, event);
}

/* --- reading --- */

typedef VIM_LIST(struct vim_Event *) event_list;

static struct vim_any as_value(event_list *list)
{
    if (!list->items)
        VIM_EMPTY(list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_Event, list);
}

static struct vim_Event *copy_event(struct arena *arena, struct vim_Event *event)
{
    struct vim_any value = {.shape = {VIM_DATA, false, (uint16_t)(event->self.type - vim_types)},
                            .data = &event->self};

    return (struct vim_Event *)(void *)vim_copy(arena, &value).data;
}

/* The newest that match, newest first. */
static struct vim_any get_latest_page(struct mo *mo, struct call *call)
{
    struct collector *c = container_of(mo, struct collector, mo);
    struct events *events = c->hostd->events;
    event_list list = {0};

    for (uint64_t n = events->next; n >= events_oldest(events) && n; n--) {
        struct vim_Event *event = events_get(events, n);
        if (list.count < (size_t)c->page && matches(c, event))
            VIM_ADD(call->arena, &list, copy_event(call->arena, event));
    }
    return as_value(&list);
}

static bool check_count(struct call *call, int32_t count)
{
    if (count < 1)
        call_fault_argument(call, "maxCount");
    return count >= 1;
}

static void read_next(struct mo *mo, struct call *call)
{
    const struct vim_ReadNextEvents_args *args = call->args;
    struct collector *c = container_of(mo, struct collector, mo);
    struct events *events = c->hostd->events;
    event_list list = {0};

    if (!check_count(call, args->maxCount))
        return;
    c->at = MAX(c->at, events_oldest(events));
    for (; c->at <= events->next && list.count < (size_t)MIN(args->maxCount, PAGE_MAX); c->at++)
        if (matches(c, events_get(events, c->at)))
            VIM_ADD(call->arena, &list, copy_event(call->arena, events_get(events, c->at)));
    call_return(call, as_value(&list));
}

static void read_previous(struct mo *mo, struct call *call)
{
    const struct vim_ReadPreviousEvents_args *args = call->args;
    struct collector *c = container_of(mo, struct collector, mo);
    struct events *events = c->hostd->events;
    event_list list = {0};

    if (!check_count(call, args->maxCount))
        return;
    c->at = MIN(c->at, events->next + 1);
    while (c->at > events_oldest(events) && list.count < (size_t)MIN(args->maxCount, PAGE_MAX)) {
        c->at--;
        if (matches(c, events_get(events, c->at)))
            VIM_ADD(call->arena, &list, copy_event(call->arena, events_get(events, c->at)));
    }
    call_return(call, as_value(&list));
}

static void set_page_size(struct mo *mo, struct call *call)
{
    const struct vim_SetCollectorPageSize_args *args = call->args;

    if (check_count(call, args->maxCount))
        container_of(mo, struct collector, mo)->page = MIN(args->maxCount, PAGE_MAX);
}

static void rewind_collector(struct mo *mo, struct call *call)
{
    (void)call;
    container_of(mo, struct collector, mo)->at = 1;
}

/* Behind the newest: ReadPrevious gives the newest first. */
static void reset_collector(struct mo *mo, struct call *call)
{
    struct collector *c = container_of(mo, struct collector, mo);

    (void)call;
    c->at = c->hostd->events->next + 1;
}

static void release(struct mo *mo)
{
    struct collector *c = container_of(mo, struct collector, mo);

    arena_free(&c->arena);
    free(c);
}

static void destroy_collector(struct mo *mo, struct call *call)
{
    (void)call;
    mo_remove(mo);
    release(mo);
}

static struct vim_any get_filter(struct mo *mo, struct call *call)
{
    struct collector *c = container_of(mo, struct collector, mo);

    (void)call;
    return vim_any_data(c->filter);
}

static const struct mo_property collector_properties[] = {
    MO_PROPERTY(EventHistoryCollector, latestPage, get_latest_page),
    MO_PROPERTY(HistoryCollector, filter, get_filter),
};
static const struct mo_method collector_methods[] = {
    MO_METHOD(ReadNextEvents, read_next),           MO_METHOD(ReadPreviousEvents, read_previous),
    MO_METHOD(SetCollectorPageSize, set_page_size), MO_METHOD(RewindCollector, rewind_collector),
    MO_METHOD(ResetCollector, reset_collector),     MO_METHOD(DestroyCollector, destroy_collector),
};
static const struct mo_class collector_class = {
    .type = VIM_MANAGED(EventHistoryCollector),
    .props = collector_properties,
    .methods = collector_methods,
    .prop_count = ARRAY_SIZE(collector_properties),
    .method_count = ARRAY_SIZE(collector_methods),
    .destroy = release,
};

/* --- the manager --- */

static void create_collector(struct mo *mo, struct call *call)
{
    const struct vim_CreateCollectorForEvents_args *args = call->args;
    struct collector *c = calloc(1, sizeof *c);
    struct vim_any filter = vim_any_data(args->filter);

    (void)mo;
    if (!c) {
        CALL_FAULT(call, SystemError);
        return;
    }
    c->hostd = hostd_of(call);
    c->filter = (struct vim_EventFilterSpec *)(void *)vim_copy(&c->arena, &filter).data;
    c->page = PAGE_DEFAULT;
    c->at = 1;
    (void)snprintf(c->id, sizeof c->id, "session[%.20s]ec-%u", call->session->key,
                   ++collector_serial);
    c->mo.class = &collector_class;
    c->mo.id = c->id;
    if (mo_add(call->api->registry, call->scope, &c->mo) < 0) {
        release(&c->mo);
        CALL_FAULT(call, SystemError);
        return;
    }
    call_return(call, mo_value(&c->mo));
}

static struct vim_any get_latest_event(struct mo *mo, struct call *call)
{
    struct events *events = hostd_of(call)->events;
    struct vim_Event *event = events_get(events, events->next);

    (void)mo;
    return event ? vim_any_data(copy_event(call->arena, event)) : vim_any_none();
}

static struct vim_any get_max_collector(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_int(COLLECTORS_MAX);
}

static struct vim_ElementDescription *category(struct arena *arena, const char *key)
{
    struct vim_ElementDescription *d = VIM_NEW(arena, ElementDescription);

    d->key = d->label = d->summary = key;
    return d;
}

static struct vim_any get_description(struct mo *mo, struct call *call)
{
    struct vim_EventDescription *d = VIM_NEW(call->arena, EventDescription);

    (void)mo;
    VIM_ADD(call->arena, &d->category, category(call->arena, "info"));
    VIM_ADD(call->arena, &d->category, category(call->arena, "warning"));
    VIM_ADD(call->arena, &d->category, category(call->arena, "error"));
    VIM_ADD(call->arena, &d->category, category(call->arena, "user"));
    for (unsigned i = 0; i < vim_type_count; i++) {
        const struct vim_type *type = &vim_types[i];
        if (!vim_type_is(type, VIM_TYPE(Event)) || type == VIM_TYPE(Event) ||
            type->since > call->version)
            continue;
        struct vim_EventDescriptionEventDetail *e =
            VIM_NEW(call->arena, EventDescriptionEventDetail);
        e->key = type->name;
        e->description = type->name;
        e->category = "info";
        e->formatOnDatacenter = e->formatOnComputeResource = e->formatOnHost = e->formatOnVm = "";
        e->fullFormat = "";
        VIM_ADD(call->arena, &d->eventInfo, e);
    }
    VIM_EMPTY(&d->enumeratedTypes);
    return vim_any_data(d);
}

static void log_user_event(struct mo *mo, struct call *call)
{
    const struct vim_LogUserEvent_args *args = call->args;
    struct mo *target = call_resolve(call, args->entity);

    (void)mo;
    if (target)
        EVENT_POST(hostd_of(call), GeneralUserEvent, entity_from(target), call->session->user,
                   "%.1000s", args->msg);
}

/* As on ESXi. */
static void query_events(struct mo *mo, struct call *call)
{
    (void)mo;
    CALL_FAULT(call, NotImplemented);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(EventManager, latestEvent, get_latest_event),
    MO_PROPERTY(EventManager, maxCollector, get_max_collector),
    MO_PROPERTY(EventManager, description, get_description),
};
static const struct mo_method methods[] = {
    MO_METHOD(CreateCollectorForEvents, create_collector),
    MO_METHOD(LogUserEvent, log_user_event),
    MO_METHOD(QueryEvents, query_events),
};
const struct mo_class event_manager_class = {
    .type = VIM_MANAGED(EventManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

void events_changed(struct hostd *hostd)
{
    struct mo *manager = mo_find(hostd->api.registry, "ha-eventmgr");

    if (manager)
        mo_changed(manager, VIM_P_EventManager_latestEvent);
    for (struct mo *mo = NULL;
         (mo = mo_next(hostd->api.registry, VIM_MANAGED(EventHistoryCollector), mo));)
        mo_changed(mo, VIM_P_EventHistoryCollector_latestPage);
}
