/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/event/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event_list.h"
#include "hostd/model/inventory.h"
#include "hostd/session/session.h"

int events_create(struct hostd *hostd, struct events **ret_events)
{
    struct events *events = calloc(1, sizeof *events);

    if (!events)
        return -ENOMEM;
    events->hostd = hostd;
    *ret_events = events;
    return 0;
}

void events_destroy(struct events *events)
{
    if (!events)
        return;
    for (unsigned i = 0; i < EVENTS_KEPT; i++)
        arena_free(&events->ring[i].arena);
    free(events);
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

void event_post(struct hostd *hostd, struct vim_Event *event, struct entity *entity,
                const char *user, const char *fmt, ...)
{
    struct events *events = hostd->events;
    struct event_slot *slot = &events->ring[events->next % EVENTS_KEPT];
    struct vim_any value = {.shape = {VIM_DATA, false, (uint16_t)(event->self.type - vim_types)},
                            .data = &event->self};
    va_list ap;

    arena_free(&slot->arena);
    struct vim_Event *copy = (struct vim_Event *)(void *)vim_copy(&slot->arena, &value).data;
    copy->key = copy->chainId = (int32_t)++events->next;
    copy->createdTime = clock_realtime(&clock_host) / 1000;
    copy->userName = arena_strdup(&slot->arena, user ? user : "");
    name_place(&slot->arena, hostd, copy);
    if (entity)
        name_entity(&slot->arena, copy, entity);
    va_start(ap, fmt);
    copy->fullFormattedMessage = arena_vprintf(&slot->arena, fmt, ap);
    va_end(ap);
    slot->event = copy;
    events_changed(hostd);
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
