/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/event_manager.h"

#include <string.h>

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/event/event_kind.h"
#include "hostd/model/classes.h"
#include "hostd/model/history_collector.h"
#include "hostd/model/inventory.h"
#include "hostd/session/session.h"

enum { MESSAGE_MAX = 4096 };

static void create_collector(struct mo *mo, struct call *call)
{
    const struct vim_CreateCollectorForEvents_args *args = call->args;

    (void)mo;
    history_create(call, &event_history, &args->filter->self);
}

static void query_events(struct mo *mo, struct call *call)
{
    const struct vim_QueryEvents_args *args = call->args;

    (void)mo;
    history_query(call, &event_history, &args->filter->self);
}

static struct vim_any get_latest_event(struct mo *mo, struct call *call)
{
    const struct vim_Event *event = event_latest(hostd_of(call));
    struct vim_any value = vim_any_data_((struct vim_data *)(uintptr_t)event);

    (void)mo;
    return event ? vim_copy(call->arena, &value) : vim_any_none();
}

static struct vim_any get_max_collector(struct mo *mo, struct call *call)
{
    (void)mo;
    (void)call;
    return vim_any_int(HISTORY_COLLECTORS_MAX);
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
        e->description = event_description(call->arena, type);
        e->category = event_category(type, type->name);
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
    if (!target)
        return;
    struct vim_GeneralUserEvent *event = VIM_NEW(call->arena, GeneralUserEvent);
    struct entity *entity = entity_from(target);
    event->message = arena_printf(call->arena, "%.*s", MESSAGE_MAX, args->msg);
    event->entity = VIM_NEW(call->arena, ManagedEntityEventArgument);
    event->entity->entity = mo_ref(target);
    event->entity->name = entity->name;
    event_post(hostd_of(call), (struct vim_Event *)(void *)event, entity, call->session->user,
               "User logged event: %s", event->message);
}

/* What it says to people: its own message, else what it was given. */
static const char *message_of(struct arena *arena, const struct vim_Event *event)
{
    const struct vim_EventEx *ex = VIM_AS(EventEx, event);
    const struct vim_GeneralEvent *general = VIM_AS(GeneralEvent, event);
    const char *text = ex && ex->message             ? ex->message
                       : general && general->message ? general->message
                       : event->fullFormattedMessage ? event->fullFormattedMessage
                                                     : event_description(arena, event->self.type);

    return arena_printf(arena, "%.*s", MESSAGE_MAX, text);
}

/* The entity an event is about: named as its VM or its datastore, else the host. */
static bool find_entity(struct call *call, const struct vim_Event *event,
                        struct entity **ret_entity)
{
    struct vim_ref ref = event->vm   ? event->vm->vm
                         : event->ds ? event->ds->datastore
                                     : (struct vim_ref){0};
    struct mo *mo = ref.id ? call_resolve_as(call, ref, VIM_MANAGED(ManagedEntity)) : NULL;

    *ret_entity = mo ? entity_from(mo) : NULL;
    return !ref.id || (mo && call_authorize(call, mo, "Global.LogEvent") == 0);
}

/* Events that a client makes up must be of the types meant for that. */
static void post_event(struct mo *mo, struct call *call)
{
    const struct vim_PostEvent_args *args = call->args;
    struct vim_Event *event = args->eventToPost;
    struct entity *entity;

    (void)mo;
    if (!vim_type_is(event->self.type, VIM_TYPE(EventEx)) &&
        !vim_type_is(event->self.type, VIM_TYPE(GeneralEvent))) {
        CALL_FAULT(call, InvalidEvent);
        return;
    }
    if (!find_entity(call, event, &entity))
        return;
    event->chainId = args->taskInfo ? args->taskInfo->eventChainId : 0;
    event_post(hostd_of(call), event, entity, call->session->user, "%s",
               message_of(call->arena, event));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(EventManager, latestEvent, get_latest_event),
    MO_PROPERTY(EventManager, maxCollector, get_max_collector),
    MO_PROPERTY(EventManager, description, get_description),
};
static const struct mo_method methods[] = {
    MO_METHOD(CreateCollectorForEvents, create_collector),
    MO_METHOD(LogUserEvent, log_user_event),
    MO_METHOD(PostEvent, post_event),
    MO_METHOD(QueryEvents, query_events),
};
const struct mo_class event_manager_class = {
    .type = VIM_MANAGED(EventManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};

void event_manager_changed(struct hostd *hostd)
{
    struct mo *manager = mo_find(hostd->api.registry, "ha-eventmgr");

    if (manager)
        mo_changed(manager, VIM_P_EventManager_latestEvent);
}
