/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the property collector share: the objects themselves.
 *
 * Versions. Each collector counts its changes: every object update, as it is found, gets the next
 * number. The version a client holds is the number of the last update that it was told; what it is
 * owed is all with a higher one, in that order. So truncation needs no state, a lost answer can be
 * asked for again, and several waiters at different versions do not disturb each other.
 *
 * A filter keeps no values: of each property it keeps a hash, to know that it changed, and the
 * number of that change. Values are read anew when they are sent. */
#pragma once

#include "base/loop.h"
#include "hostd/api/call.h"
#include "hostd/api/collector.h"
#include "hostd/api/selection.h"

enum {
    FILTERS_MAX = 1000,     /* of one collector */
    COLLECTORS_MAX = 1000,  /* of one session */
    CONTINUATIONS_MAX = 16, /* of one collector; the oldest goes */
    WATCHED_MAX = 1000000,  /* values that all filters of a session watch */
    ENTRY_WEIGHT = 8,       /* an object costs as much as that many of its values */
    LEFT_MAX = 1000,        /* objects that left a filter and are still remembered */
};

/* The engine: one for each api. */
struct collectors {
    struct api *api;
    struct mo mo;                      /* ha-property-collector */
    struct loop_source kick, deadline; /* timers: something to look at; a wait is over */
    struct waiter *waiters;
    uint64_t next_id;
};

struct waiter {
    struct waiter *next, **prev; /* all of the engine */
    struct collector *collector;
    struct call *call;
    uint64_t since;
    uint64_t deadline_ns; /* 0: none */
    int max_updates;      /* 0: no limit */
    bool check;
};

struct collector {
    struct mo mo;
    char id[48];
    struct collectors *engine;
    struct filter *filters; /* owned, newest first */
    size_t filter_count, waiter_count;
    uint64_t seq;       /* of the last change */
    uint64_t forgotten; /* what left before is not remembered: older versions are invalid */
    struct retrieval *continuations; /* owned, newest first */
};

/* One property of one object: what it was last seen to be, and the number of that change. */
struct tracked {
    uint64_t hash, seq;
};

/* An object of a filter: selected, or only passed on the way to others, or one that left. */
struct entry {
    struct mo_watch watch;
    struct filter *filter;
    struct mo *mo;      /* NULL: it left, or is gone */
    struct vim_ref ref; /* id owned */
    bool selected, was_selected, seen, dirty;
    uint64_t enter_seq, seq, leave_seq; /* of its entering, last change, leaving; 0: not */
    const struct select_paths *paths;   /* when selected */
    struct tracked *tracked;            /* of paths->count; owned */
    struct entry *next, **prev;         /* of the filter */
    struct entry *hash_next;
};

struct filter {
    struct mo mo;
    char id[48];
    struct collector *collector;
    struct mo_scope *scope; /* the session's */
    struct filter *next;
    struct arena arena; /* spec and selection */
    struct vim_PropertyFilterSpec *spec;
    struct selection *selection;
    bool partial;
    bool too_large;               /* more than WATCHED_MAX: it is of no use any more */
    bool select_again, dirty;     /* what the next refresh has to look at */
    struct entry *entries, **end; /* owned, in order of discovery */
    struct entry **buckets;       /* those with an object, by it */
    size_t bucket_count, entry_count, left_count;
};

/* collector.c */
struct collectors *collectors_of(struct api *api);
struct collector *
collector_of(struct call *call); /* that the call means; NULL with the fault set */
void collector_pending(struct collector *collector);

/* retrieve.c */
void retrieve_properties(struct mo *mo, struct call *call);
void retrieve_properties_ex(struct mo *mo, struct call *call);
void retrieve_continue(struct mo *mo, struct call *call);
void retrieve_cancel(struct mo *mo, struct call *call);
void retrieval_free_all(struct collector *collector);

/* filter.c */
int filter_create(struct call *call, struct collector *collector,
                  const struct vim_PropertyFilterSpec *spec, bool partial,
                  struct filter **ret_filter);
void filter_destroy(struct filter *filter);
/* Finds out what changed, if something may have; numbers it. */
void filter_refresh(struct filter *filter, struct call *call);

/* update.c */
void check_for_updates(struct mo *mo, struct call *call);
void wait_for_updates(struct mo *mo, struct call *call);
void wait_for_updates_ex(struct mo *mo, struct call *call);
void cancel_wait_for_updates(struct mo *mo, struct call *call);
/* Something of the collector's filters may have changed: its waiters are looked at soon. */
void waiters_look(struct collector *collector);
/* Each waiter's call gets a fault from `fault` and ends. */
void waiters_end(struct collector *collector, void (*fault)(struct waiter *waiter));
/* Of the engine's timers. */
void waiters_kicked(void *ctx, uint32_t events);
void waiters_timed_out(void *ctx, uint32_t events);
