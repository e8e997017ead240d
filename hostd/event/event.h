/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what has happened, in order, for people and clients. They are kept in state.db
 * (store/state.h) before anybody is told; the newest is at hand in memory. Readers take them
 * through collectors (EventManager, EventHistoryCollector).
 *
 * An event of a VM that happens while an operation is under way on it has that task's chain.
 *
 * On the loop's thread. */
#pragma once

#include "hostd/model/entity.h"

struct session;
struct events;
struct vim_Event;

int events_create(struct hostd *hostd, struct events **ret_events);
void events_destroy(struct events *events);

/* Adds a copy of `event` (built anywhere): key, time, user and the entity's names are filled in
 * here; fullFormattedMessage is `text`. `user` NULL: the host itself. */
void event_post(struct hostd *hostd, struct vim_Event *event, struct entity *entity,
                const char *user, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* EVENT_POST(hostd, VmPoweredOnEvent, &vm->e, user, "...") for a type without members of its own.
 */
#define EVENT_POST(hostd, NAME, entity, user, ...)                                                \
    do {                                                                                          \
        struct arena event_arena_ = {0};                                                          \
        event_post(hostd, (struct vim_Event *)(void *)VIM_NEW(&event_arena_, NAME), entity, user, \
                   __VA_ARGS__);                                                                  \
        arena_free(&event_arena_);                                                                \
    } while (0)

void event_session(struct hostd *hostd, const struct session *session, bool login);
void event_login_failed(struct hostd *hostd, const char *user, const char *peer);

/* The newest; NULL: there was none yet. Borrowed until the next. */
const struct vim_Event *event_latest(const struct hostd *hostd);
