/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/event/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/event_manager.h"
#include "hostd/model/history_collector.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/session/session.h"
#include "hostd/store/state.h"
#include "hostd/vm/vm_clone.h"

struct events {
    struct hostd *hostd;
    struct vim_Event *latest;
    struct arena arena; /* of the latest */
};

static bool first(void *ctx, const struct state_row *row)
{
    *(int64_t *)ctx = row->number;
    return false;
}

int events_create(struct hostd *hostd, struct events **ret_events)
{
    struct events *events = calloc(1, sizeof *events);

    if (!events)
        return -ENOMEM;
    int64_t newest = 0;
    events->hostd = hostd;
    state_scan(hostd->state, STATE_EVENTS, INT64_MAX, false, first, &newest);
    events->latest =
        (struct vim_Event *)(void *)state_body(hostd->state, STATE_EVENTS, newest, &events->arena);
    *ret_events = events;
    return 0;
}

void events_destroy(struct events *events)
{
    if (!events)
        return;
    arena_free(&events->arena);
    free(events);
}

const struct vim_Event *event_latest(const struct hostd *hostd)
{
    return hostd->events->latest;
}

/* Named as the entity is called now: it may be another one tomorrow. */
static void name_entity(struct arena *arena, struct vim_Event *event, struct entity *entity)
{
    const struct vim_managed *type = entity->mo.class->type;
    const char *name = arena_strdup(arena, entity->name);
    struct vim_ref ref = {type, arena_strdup(arena, entity->id)};

    if (vim_managed_is(type, VIM_MANAGED(VirtualMachine))) {
        event->vm = VIM_NEW(arena, VmEventArgument);
        event->vm->name = name;
        event->vm->vm = ref;
        struct vim_VmEvent *of_vm = VIM_AS(VmEvent, event);
        if (of_vm)
            of_vm->template = vm_is_template((const struct virtual_machine *)(const void *)entity);
    } else if (vim_managed_is(type, VIM_MANAGED(Datastore))) {
        event->ds = VIM_NEW(arena, DatastoreEventArgument);
        event->ds->name = name;
        event->ds->datastore = ref;
    }
}

static void name_place(struct arena *arena, struct hostd *hostd, struct vim_Event *event)
{
    struct inventory *inventory = hostd->inventory;

    event->datacenter = VIM_NEW(arena, DatacenterEventArgument);
    event->datacenter->name = "ha-datacenter";
    event->datacenter->datacenter = VIM_REF(Datacenter, "ha-datacenter");
    event->computeResource = VIM_NEW(arena, ComputeResourceEventArgument);
    event->computeResource->name = arena_strdup(arena, inventory->compute.name);
    event->computeResource->computeResource = VIM_REF(ComputeResource, "ha-compute-res");
    event->host = VIM_NEW(arena, HostEventArgument);
    event->host->name = arena_strdup(arena, inventory->host.name);
    event->host->host = VIM_REF(HostSystem, "ha-host");
}

static int32_t chain_of(const struct vim_Event *event, const struct entity *entity)
{
    const struct virtual_machine *vm = NULL;

    if (event->chainId)
        return event->chainId;
    if (entity && vim_managed_is(entity->mo.class->type, VIM_MANAGED(VirtualMachine)))
        vm = (const struct virtual_machine *)(const void *)entity;
    return vm && vm->task ? vm->task->chain : event->key;
}

/* The ids that clients give to types of their own are part of what an event is. */
static const char *kind_of(struct arena *arena, struct vim_Event *event)
{
    struct vim_EventEx *ex = VIM_AS(EventEx, event);
    struct vim_ExtendedEvent *extended = VIM_AS(ExtendedEvent, event);
    const char *id = ex ? ex->eventTypeId : extended ? extended->eventTypeId : NULL;

    return id ? arena_printf(arena, "%s %s", event->self.type->name, id) : event->self.type->name;
}

static void keep(struct hostd *hostd, struct arena *arena, struct vim_Event *event,
                 const struct entity *entity)
{
    const struct state_row row = {
        .number = event->key,
        .time = event->createdTime,
        .chain = event->chainId,
        .what = kind_of(arena, event),
        .user = event->userName,
        .path = state_path(arena, entity ? entity : &hostd->inventory->host),
    };

    state_put(hostd->state, STATE_EVENTS, &row, &event->self);
    history_offer(hostd, STATE_EVENTS, &row);
}

void event_post(struct hostd *hostd, struct vim_Event *event, struct entity *entity,
                const char *user, const char *fmt, ...)
{
    struct vim_any value = {.shape = {VIM_DATA, false, (uint16_t)(event->self.type - vim_types)},
                            .data = &event->self};
    struct arena arena = {0};
    struct vim_Event *copy = (struct vim_Event *)(void *)vim_copy(&arena, &value).data;
    va_list ap;

    copy->key = state_number(hostd->state);
    copy->chainId = chain_of(copy, entity);
    copy->createdTime = clock_realtime(&clock_host) / 1000;
    copy->userName = arena_strdup(&arena, user ? user : "");
    name_place(&arena, hostd, copy);
    if (entity)
        name_entity(&arena, copy, entity);
    va_start(ap, fmt);
    copy->fullFormattedMessage = arena_vprintf(&arena, fmt, ap);
    va_end(ap);
    struct vim_GeneralEvent *general = VIM_AS(GeneralEvent, copy);
    if (general && !general->message)
        general->message = copy->fullFormattedMessage;
    keep(hostd, &arena, copy, entity);
    arena_free(&hostd->events->arena);
    hostd->events->latest = copy;
    hostd->events->arena = arena;
    event_manager_changed(hostd);
}

void event_session(struct hostd *hostd, const struct session *session, bool login)
{
    struct arena arena = {0};

    if (login) {
        struct vim_UserLoginSessionEvent *event = VIM_NEW(&arena, UserLoginSessionEvent);
        event->ipAddress = session->peer;
        event->userAgent = session->agent;
        event->locale = session->locale;
        event->sessionId = session->key;
        event_post(hostd, (struct vim_Event *)(void *)event, NULL, session->user,
                   "User %s@%s logged in as %s", session->user, session->peer, session->agent);
    } else {
        struct vim_UserLogoutSessionEvent *event = VIM_NEW(&arena, UserLogoutSessionEvent);
        event->ipAddress = session->peer;
        event->userAgent = session->agent;
        event->callCount = vim_long((int64_t)session->call_count);
        event->sessionId = session->key;
        event->loginTime = vim_time(session->login_us);
        event_post(hostd, (struct vim_Event *)(void *)event, NULL, session->user,
                   "User %s@%s logged out", session->user, session->peer);
    }
    arena_free(&arena);
}

void event_login_failed(struct hostd *hostd, const char *user, const char *peer)
{
    struct arena arena = {0};
    struct vim_BadUsernameSessionEvent *event = VIM_NEW(&arena, BadUsernameSessionEvent);

    event->ipAddress = peer ? peer : "";
    event_post(hostd, (struct vim_Event *)(void *)event, NULL, user, "Cannot login %s@%s", user,
               event->ipAddress);
    arena_free(&arena);
}
