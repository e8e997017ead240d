/* SPDX-License-Identifier: Apache-2.0 */
/* state.db: what has happened on this host, events and tasks, as far back as the limits below go.
 *
 * Both are lists to their readers: rows with a number that only grows, some columns that filters
 * look at, and a body, the API's object as VI/JSON. Numbers are unique over both lists, so that an
 * event and a task can share a chain.
 *
 * Rows are written on the loop's thread, some 0.15 ms each, without waiting for the disk: what a
 * client has been told about a task survives kill -9 of hostd. Within STATE_SYNC_S a worker brings
 * it to stable storage; a power cut can cost the rows of that time and nothing else (what an
 * operation did to files and to the inventory was synced by itself before it ended). */
#pragma once

#include "base/loop.h"
#include "hostd/api/vim.h"
#include "hostd/store/store.h"

enum { STATE_SYNC_S = 1, STATE_EVENTS_MAX = 50000, STATE_TASKS_MAX = 10000 };

struct hostd;
struct entity;

enum state_list { STATE_EVENTS, STATE_TASKS };

struct state_row {
    int64_t number;
    int64_t time, started, completed; /* us since 1970; 0: not yet, or an event */
    int32_t chain;
    const char
        *what; /* an event's type by its wire name ("EventEx ID" with its id), a task's state */
    const char *user;
    const char *path; /* "/12/ha-folder-vm/.../": the entity's id and what it is in */
};

struct state;

int state_create(struct hostd *hostd, struct state **ret_state);
void state_destroy(struct state *state); /* the file is synced */
/* Says in an event what was wrong with the file when it was opened. */
void state_report(struct state *state);

int32_t state_number(struct state *state); /* the next one */
int32_t state_last(const struct state *state);

/* Adds a row, or replaces the one of that number. The oldest go when there are too many. */
void state_put(struct state *state, enum state_list list, const struct state_row *row,
               const struct vim_data *body);

/* Calls `visit` for rows from `from` on, upwards or (number < from) downwards, until it says false.
 * What it is given lasts for the call. It must not write. */
void state_scan(struct state *state, enum state_list list, int64_t from, bool up,
                bool (*visit)(void *ctx, const struct state_row *row), void *ctx);
/* A row's body, in `arena`; NULL when there is none. */
struct vim_data *state_body(struct state *state, enum state_list list, int64_t number,
                            struct arena *arena);

/* The path of an entity, in `arena`: itself, its ancestors, for a VM its pools and the host too. */
const char *state_path(struct arena *arena, const struct entity *entity);
