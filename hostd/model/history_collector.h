/* SPDX-License-Identifier: Apache-2.0 */
/* HistoryCollector: a session's way through one of the lists of state.db. It has a filter, a place
 * from which it reads on, forwards or backwards, and the newest page, which grows by itself.
 * EventHistoryCollector and TaskHistoryCollector are this with their own filters
 * (event_collector.c, task_collector.c).
 *
 * What its user may not see is not there for it: a row is shown when the first object of its path
 * that still exists is. */
#pragma once

#include "hostd/api/call.h"
#include "hostd/hostd.h"
#include "hostd/store/state.h"

enum { HISTORY_PAGE = 10, HISTORY_PAGE_MAX = 1000, HISTORY_COLLECTORS_MAX = 1000 };

struct history_collector {
    struct mo mo;
    struct hostd *hostd;
    const struct history_kind *kind;
    char id[80];
    char user[64];
    struct arena arena;
    struct vim_data *filter;
    int64_t at;     /* number that readNext begins at; readPrevious begins below it */
    int64_t *shown; /* the newest that match, oldest first */
    unsigned shown_count, page;
};

struct history_kind {
    enum state_list list;
    const struct mo_class *class;
    unsigned latest; /* VIM_P_... of the newest page */
    bool (*matches)(const struct history_collector *collector, const struct state_row *row);
    /* What a client gets of it; NULL: it is gone. */
    struct vim_data *(*body)(const struct history_collector *collector, int64_t number,
                             struct arena *arena);
    unsigned type; /* VIM_T_... of the bodies, for lists of them */
};

/* The whole list counts as shown at first, as a vCenter's collectors do: readNext begins at the
 * oldest. The call's answer is the new object. */
void history_create(struct call *call, const struct history_kind *kind,
                    const struct vim_data *filter);
/* All that match at once, oldest first, HISTORY_PAGE_MAX of the newest at most. */
void history_query(struct call *call, const struct history_kind *kind,
                   const struct vim_data *filter);

/* Handlers and getters of both. */
void history_read_next(struct mo *mo, struct call *call);
void history_read_previous(struct mo *mo, struct call *call);
struct vim_any history_get_latest(struct mo *mo, struct call *call);
extern const struct mo_class history_collector_class;
void history_release(struct mo *mo);

/* A row was added to a list, or is another one now. */
void history_offer(struct hostd *hostd, enum state_list list, const struct state_row *row);

/* --- what the filters have in common --- */

/* enum vim_EventFilterSpecRecursionOption and vim_TaskFilterSpecRecursionOption have the same
 * values. */
bool history_in_path(const char *path, const char *id, int recursion);
bool history_by_user(const struct vim_list *users, bool system, const char *user);
