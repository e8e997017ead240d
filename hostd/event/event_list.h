/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of events, for event.c and the collectors. Event number n (from 1) is in slot
 * (n - 1) % EVENTS_KEPT as long as it is among the newest. */
#pragma once

#include "hostd/event/event.h"

struct events {
    struct hostd *hostd;
    uint64_t next; /* number of the newest; 0: none yet */
    struct event_slot {
        struct vim_Event *event;
        struct arena arena;
    } ring[EVENTS_KEPT];
};

static inline uint64_t events_oldest(const struct events *events)
{
    return events->next > EVENTS_KEPT ? events->next - EVENTS_KEPT + 1 : 1;
}

/* NULL: not there (any more). */
static inline struct vim_Event *events_get(const struct events *events, uint64_t number)
{
    return number && number <= events->next && number >= events_oldest(events)
               ? events->ring[(number - 1) % EVENTS_KEPT].event
               : NULL;
}

/* EventManager and the collectors have something new (event_manager.c). */
void events_changed(struct hostd *hostd);
