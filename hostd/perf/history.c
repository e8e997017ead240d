/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/store/store.h"
#include "hostd/up/rootdir.h"

enum { DAY = 86400 };

const struct perf_interval perf_intervals[PERF_HISTORY_INTERVALS] = {
    {300, DAY, "PastDay"},
    {1800, 7 * DAY, "PastWeek"},
    {7200, 30 * DAY, "PastMonth"},
    {DAY, 365 * DAY, "PastYear"},
};

/* Values are {key of the counter, value}, 32 bits each, little-endian: the table of counters may
 * change. */
static const struct store_schema schema = {
    .version = 1,
    .sql = "CREATE TABLE sample(id TEXT, interval INTEGER, time INTEGER, body BLOB, "
           "PRIMARY KEY(id, interval, time)) WITHOUT ROWID;"
           "CREATE INDEX sample_time ON sample(interval, time);",
};

struct perf_history {
    struct store writer, reader;
};

int perf_interval_find(int32_t seconds)
{
    for (unsigned i = 0; i < PERF_HISTORY_INTERVALS; i++)
        if (perf_intervals[i].seconds == seconds)
            return (int)i;
    return -1;
}

static void on_trouble(void *ctx, const char *text)
{
    (void)ctx;
    log_error(ROOTDIR_PERF " %s", text);
}

int perf_history_create(struct perf_history **ret_history)
{
    struct perf_history *history = calloc(1, sizeof *history);
    int rc = history ? store_open(&history->writer, ROOTDIR_PERF, &schema) : -ENOMEM;

    if (rc == 0)
        rc = store_open(&history->reader, ROOTDIR_PERF, &schema);
    if (rc < 0) {
        perf_history_destroy(history);
        return rc;
    }
    if (history->writer.broken.code)
        log_error(ROOTDIR_PERF ": %s", history->writer.broken.text);
    history->writer.trouble = history->reader.trouble = on_trouble;
    *ret_history = history;
    return 0;
}

void perf_history_destroy(struct perf_history *history)
{
    if (!history)
        return;
    store_close(&history->reader);
    store_close(&history->writer);
    free(history);
}

/* --- values as bytes --- */

static size_t encode(const int32_t *values, uint8_t *out)
{
    size_t len = 0;

    for (unsigned i = 0; i < PERF_COUNTERS; i++)
        if (values[i] != PERF_NONE) {
            le32_store(out + len, (uint32_t)perf_counters[i].key);
            le32_store(out + len + 4, (uint32_t)values[i]);
            len += 8;
        }
    return len;
}

static void decode(const uint8_t *in, size_t len, int32_t *values)
{
    for (unsigned i = 0; i < PERF_COUNTERS; i++)
        values[i] = PERF_NONE;
    for (; len >= 8; in += 8, len -= 8) {
        int at = perf_counter_find((int32_t)le32_load(in));
        if (at >= 0)
            values[at] = (int32_t)le32_load(in + 4);
    }
}

/* --- writing --- */

static void put(struct store *store, const char *id, unsigned interval, int64_t time,
                const int32_t *values)
{
    uint8_t body[8 * PERF_COUNTERS];
    size_t len = encode(values, body);
    sqlite3_stmt *query =
        len ? store_query(store, "INSERT OR REPLACE INTO sample VALUES(?,?,?,?)") : NULL;

    if (!query)
        return;
    (void)sqlite3_bind_text(query, 1, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(query, 2, (int)interval);
    (void)sqlite3_bind_int64(query, 3, time);
    (void)sqlite3_bind_blob(query, 4, body, (int)len, SQLITE_STATIC);
    (void)store_run(store, query);
}

enum { PARTS_MAX = 16 }; /* rows of one interval that make one of the next */

struct parts {
    int32_t value[PARTS_MAX][PERF_COUNTERS];
    unsigned count;
};

static void roll_up(struct store *store, const char *id, unsigned interval, int64_t time,
                    const struct parts *parts)
{
    int32_t values[PERF_COUNTERS], column[PARTS_MAX];

    for (unsigned c = 0; c < PERF_COUNTERS; c++) {
        for (unsigned i = 0; i < parts->count; i++)
            column[i] = parts->value[i][c];
        values[c] = perf_roll(perf_counters[c].rollup, column, parts->count);
    }
    put(store, id, interval, time, values);
}

static sqlite3_stmt *select_rows(struct store *store, const char *sql, const char *id,
                                 unsigned interval, int64_t from, int64_t to)
{
    sqlite3_stmt *query = store_query(store, sql);

    (void)sqlite3_bind_int(query, 1, (int)interval);
    (void)sqlite3_bind_int64(query, 2, from);
    (void)sqlite3_bind_int64(query, 3, to);
    if (id)
        (void)sqlite3_bind_text(query, 4, id, -1, SQLITE_STATIC);
    return query;
}

/* All entities' rows of an interval that ends at `time`, of the rows of the one before. */
static void make_interval(struct store *store, unsigned interval, int64_t time)
{
    static const char sql[] = "SELECT id, body FROM sample WHERE interval=? AND time>? AND "
                              "time<=? ORDER BY id, time";
    sqlite3_stmt *query =
        select_rows(store, sql, NULL, interval - 1, time - perf_intervals[interval].seconds, time);
    struct parts *parts = calloc(1, sizeof *parts);
    char id[32] = "";

    while (parts && store_row(store, query)) {
        const char *of = (const char *)sqlite3_column_text(query, 0);
        if (of && strcmp(of, id)) {
            if (parts->count)
                roll_up(store, id, interval, time, parts);
            parts->count = 0;
            (void)snprintf(id, sizeof id, "%s", of);
        }
        if (parts->count < PARTS_MAX)
            decode(sqlite3_column_blob(query, 1), (size_t)sqlite3_column_bytes(query, 1),
                   parts->value[parts->count++]);
    }
    store_end(query);
    if (parts && parts->count)
        roll_up(store, id, interval, time, parts);
    free(parts);
}

static void forget_old(struct store *store, unsigned interval, int64_t time)
{
    sqlite3_stmt *query = store_query(store, "DELETE FROM sample WHERE interval=? AND time<=?");

    if (!query)
        return;
    (void)sqlite3_bind_int(query, 1, (int)interval);
    (void)sqlite3_bind_int64(query, 2, time - perf_intervals[interval].length);
    (void)store_run(store, query);
}

void perf_history_write(struct perf_history *history, int64_t time, const struct perf_row *rows,
                        unsigned count)
{
    struct store *store = &history->writer;

    if (store_exec(store, "BEGIN") < 0)
        return;
    for (unsigned i = 0; i < count; i++)
        put(store, rows[i].id, 0, time, rows[i].value);
    for (unsigned i = 0; i < PERF_HISTORY_INTERVALS; i++) {
        if (time % perf_intervals[i].seconds)
            continue;
        if (i)
            make_interval(store, i, time);
        forget_old(store, i, time);
    }
    if (store_exec(store, "COMMIT") < 0)
        (void)store_exec(store, "ROLLBACK");
    store_checkpoint(ROOTDIR_PERF);
}

/* --- reading --- */

void perf_history_read(struct perf_history *history, unsigned interval, const char *id,
                       int64_t from, int64_t to,
                       void (*row)(void *ctx, int64_t time, const int32_t *values), void *ctx)
{
    static const char sql[] = "SELECT time, body FROM sample WHERE interval=? AND time>? AND "
                              "time<=? AND id=? ORDER BY time";
    sqlite3_stmt *query = select_rows(&history->reader, sql, id, interval, from, to);
    int32_t values[PERF_COUNTERS];

    while (store_row(&history->reader, query)) {
        decode(sqlite3_column_blob(query, 1), (size_t)sqlite3_column_bytes(query, 1), values);
        row(ctx, sqlite3_column_int64(query, 0), values);
    }
    store_end(query);
}
