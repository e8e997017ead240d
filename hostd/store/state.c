/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/store/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/range.h"
#include "hostd/api/json.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/worker.h"
#include "hostd/up/rootdir.h"

enum { TRIM = 512 }; /* rows removed at a time */

#define COLUMNS                                                                                 \
    "(n INTEGER PRIMARY KEY, time INTEGER, started INTEGER, completed INTEGER, chain INTEGER, " \
    "what TEXT, user TEXT, path TEXT, body TEXT)"
#define HEAD "n, time, started, completed, chain, what, user, path"

/* The indexes hold all that a filter looks at: reading through a list does not touch the bodies. */
static const struct store_schema schema = {
    .version = 1,
    .sql = "CREATE TABLE event" COLUMNS "; CREATE INDEX event_head ON event(" HEAD ");"
           "CREATE TABLE task" COLUMNS "; CREATE INDEX task_head ON task(" HEAD ");",
};

static const struct list {
    const char *put, *body, *up, *down, *count, *trim;
    unsigned max;
    uint16_t type; /* of the bodies */
} lists[] = {
#define LIST(table, MAX, TYPE)                                                                    \
    {                                                                                             \
        .put = "INSERT OR REPLACE INTO " table " VALUES(?,?,?,?,?,?,?,?,?)",                      \
        .body = "SELECT body FROM " table " WHERE n=?",                                           \
        .up = "SELECT " HEAD " FROM " table " INDEXED BY " table "_head WHERE n>=? ORDER BY n",   \
        .down =                                                                                   \
            "SELECT " HEAD " FROM " table " INDEXED BY " table "_head WHERE n<? ORDER BY n DESC", \
        .count = "SELECT count(*) FROM " table,                                                   \
        .trim = "DELETE FROM " table " WHERE n IN (SELECT n FROM " table " ORDER BY n LIMIT ?)",  \
        .max = (MAX), .type = (TYPE),                                                             \
    }
    [STATE_EVENTS] = LIST("event", STATE_EVENTS_MAX, VIM_T_Event),
    [STATE_TASKS] = LIST("task", STATE_TASKS_MAX, VIM_T_TaskInfo),
};

struct state {
    struct hostd *hostd;
    struct store store;
    struct loop_source timer;
    bool dirty, syncing;
    char trouble[160]; /* to be told, "": nothing */
    int32_t number;
    unsigned count[ARRAY_SIZE(lists)];
};

/* --- stable storage --- */

static void sync_work(void *arg)
{
    (void)arg;
    store_checkpoint(ROOTDIR_STATE);
}

static void arm(struct state *state)
{
    (void)loop_timer_arm(&state->timer, clock_now() + (uint64_t)STATE_SYNC_S * 1000000000);
}

static void sync_done(void *arg)
{
    struct state *state = arg;

    state->syncing = false;
    if (state->dirty)
        arm(state);
}

static void tell_trouble(struct state *state)
{
    char text[sizeof state->trouble];

    memcpy(text, state->trouble, sizeof text);
    *state->trouble = '\0';
    if (*text)
        EVENT_POST(state->hostd, GeneralHostWarningEvent, NULL, NULL,
                   "The record of events and tasks (" ROOTDIR_STATE ") %s", text);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct state *state = ctx;

    (void)events;
    tell_trouble(state);
    if (state->syncing || state->store.in_memory)
        return;
    state->dirty = false;
    state->syncing = worker_post(state->hostd->worker, sync_work, sync_done, state) == 0;
}

static void mark(struct state *state)
{
    if (!state->dirty && !state->syncing)
        arm(state);
    state->dirty = true;
}

/* --- life --- */

static int64_t ask(struct state *state, const char *sql)
{
    sqlite3_stmt *query = store_query(&state->store, sql);
    int64_t value = store_row(&state->store, query) ? sqlite3_column_int64(query, 0) : 0;

    store_end(query);
    return value;
}

/* After begin and after a new file took the place of a damaged one. */
static void take_stock(struct state *state)
{
    int64_t last = ask(state, "SELECT max(coalesce((SELECT max(n) FROM event), 0),"
                              " coalesce((SELECT max(n) FROM task), 0))");

    state->number = MAX(state->number, (int32_t)last);
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        state->count[i] = (unsigned)ask(state, lists[i].count);
}

/* In the middle of a write: the event about it comes later. */
static void on_trouble(void *ctx, const char *text)
{
    struct state *state = ctx;

    log_error(ROOTDIR_STATE " %s", text);
    (void)snprintf(state->trouble, sizeof state->trouble, "%s", text);
    take_stock(state);
    arm(state);
}

int state_create(struct hostd *hostd, struct state **ret_state)
{
    struct state *state = calloc(1, sizeof *state);
    int rc = state ? store_open(&state->store, ROOTDIR_STATE, &schema) : -ENOMEM;

    if (rc == 0)
        rc = loop_add_timer(hostd->loop, &state->timer, on_timer, state);
    if (rc < 0) {
        state_destroy(state);
        return rc;
    }
    state->hostd = hostd;
    take_stock(state);
    state->store.trouble = on_trouble;
    state->store.ctx = state;
    *ret_state = state;
    return 0;
}

void state_destroy(struct state *state)
{
    if (!state)
        return;
    loop_del(&state->timer);
    store_close(&state->store);
    if (state->dirty)
        store_checkpoint(ROOTDIR_STATE);
    free(state);
}

void state_report(struct state *state)
{
    const struct store *store = &state->store;

    if (!store->broken.code)
        return;
    log_error(ROOTDIR_STATE ": %s", store->broken.text);
    EVENT_POST(state->hostd, GeneralHostWarningEvent, NULL, NULL,
               "The record of events and tasks (" ROOTDIR_STATE ") can not be used: %s. %s",
               store->broken.text,
               store->in_memory ? "What happens from now on is forgotten when hostd ends."
                                : "It was set aside and a new one begun.");
}

int32_t state_number(struct state *state)
{
    return ++state->number;
}

int32_t state_last(const struct state *state)
{
    return state->number;
}

/* --- rows --- */

static void bind_text(sqlite3_stmt *query, int at, const char *text)
{
    (void)sqlite3_bind_text(query, at, text ? text : "", -1, SQLITE_STATIC);
}

static void trim(struct state *state, enum state_list list)
{
    sqlite3_stmt *query = store_query(&state->store, lists[list].trim);

    if (!query)
        return;
    (void)sqlite3_bind_int(query, 1, TRIM);
    (void)store_run(&state->store, query);
    state->count[list] = (unsigned)ask(state, lists[list].count);
}

void state_put(struct state *state, enum state_list list, const struct state_row *row,
               const struct vim_data *body)
{
    cleanup_buf struct buf text = {0};
    struct vim_any value = vim_any_data_((struct vim_data *)(uintptr_t)body);
    const int64_t numbers[] = {row->number, row->time, row->started, row->completed, row->chain};
    sqlite3_stmt *query = store_query(&state->store, lists[list].put);
    int at = 1;

    if (!query)
        return;
    json_write_value(&text, &value, (struct vim_shape){VIM_DATA, false, lists[list].type},
                     vim_version_count - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)sqlite3_bind_int64(query, at++, numbers[i]);
    bind_text(query, at++, row->what);
    bind_text(query, at++, row->user);
    bind_text(query, at++, row->path);
    bind_text(query, at++, buf_cstr(&text));
    if (store_run(&state->store, query) < 0)
        return;
    if (++state->count[list] > lists[list].max) /* replaced ones counted too: trim counts anew */
        trim(state, list);
    mark(state);
}

static const char *column_text(sqlite3_stmt *query, int at)
{
    const char *text = (const char *)sqlite3_column_text(query, at);

    return text ? text : "";
}

void state_scan(struct state *state, enum state_list list, int64_t from, bool up,
                bool (*visit)(void *ctx, const struct state_row *row), void *ctx)
{
    sqlite3_stmt *query = store_query(&state->store, up ? lists[list].up : lists[list].down);
    bool more = query;

    (void)sqlite3_bind_int64(query, 1, from);
    while (more && store_row(&state->store, query)) {
        struct state_row row = {
            .number = sqlite3_column_int64(query, 0),
            .time = sqlite3_column_int64(query, 1),
            .started = sqlite3_column_int64(query, 2),
            .completed = sqlite3_column_int64(query, 3),
            .chain = sqlite3_column_int(query, 4),
            .what = column_text(query, 5),
            .user = column_text(query, 6),
            .path = column_text(query, 7),
        };
        more = visit(ctx, &row);
    }
    store_end(query);
}

struct vim_data *state_body(struct state *state, enum state_list list, int64_t number,
                            struct arena *arena)
{
    sqlite3_stmt *query = store_query(&state->store, lists[list].body);
    struct vim_any value = vim_any_none();

    (void)sqlite3_bind_int64(query, 1, number);
    if (store_row(&state->store, query) &&
        json_read_value(arena, column_text(query, 0), (size_t)sqlite3_column_bytes(query, 0),
                        (struct vim_shape){VIM_DATA, false, lists[list].type}, &value) < 0)
        value = vim_any_none();
    store_end(query);
    return value.shape.kind == VIM_DATA ? value.data : NULL;
}

/* --- paths --- */

static const char *add_ancestors(struct arena *arena, const char *path, const struct entity *entity)
{
    for (; entity; entity = entity->parent)
        path = arena_printf(arena, "%s%s/", path, entity->id);
    return path;
}

/* Everything on a lone host is on that host. */
const char *state_path(struct arena *arena, const struct entity *entity)
{
    struct inventory *inventory = entity->hostd->inventory;
    const char *path = add_ancestors(arena, "/", entity);

    if (vim_managed_is(entity->mo.class->type, VIM_MANAGED(VirtualMachine))) {
        const struct resource_pool *pool =
            ((const struct virtual_machine *)(const void *)entity)->pool;
        path = add_ancestors(arena, path, &inventory->host);
        path = add_ancestors(arena, path, pool ? &pool->e : NULL);
    }
    return path;
}
