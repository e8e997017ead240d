/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: sqlite.org/wal.html, sqlite.org/pragma.html, sqlite.org/rescode.html. */
#include "hostd/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse_num.h"
#include "base/range.h"

enum { BUSY_MS = 2000, ROOM = 1 << 20, JOURNAL_FRAMES = 2048 /* of 4 KiB */ };

static void tell(struct store *store, const char *text)
{
    if (store->trouble)
        store->trouble(store->ctx, text);
}

/* --- opening --- */

static int scalar(sqlite3 *db, const char *sql, char *text, size_t size)
{
    sqlite3_stmt *query = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &query, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(query);
    if (rc == SQLITE_ROW)
        (void)snprintf(text, size, "%s", (const char *)sqlite3_column_text(query, 0));
    (void)sqlite3_finalize(query);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_NOMEM ? -ENOMEM : -EBADMSG;
}

static int check(struct store *store, struct err *err)
{
    char text[160] = "";
    int rc = scalar(store->db, "PRAGMA quick_check(1)", text, sizeof text);

    if (rc < 0)
        return err_set(err, rc, "%s", sqlite3_errmsg(store->db));
    if (strcmp(text, "ok"))
        return err_set(err, -EBADMSG, "%s", text);
    rc = scalar(store->db, "PRAGMA user_version", text, sizeof text);
    if (rc < 0)
        return err_set(err, rc, "%s", sqlite3_errmsg(store->db));
    unsigned version = 0;
    (void)parse_unsigned(text, 0, INT32_MAX, &version);
    return version && version != (unsigned)store->schema->version
               ? err_set(err, -EBADMSG, "it is of version %u", version)
               : (int)version;
}

static int run_sql(struct store *store, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        return 0;
    bool damaged = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB;
    return err_set(err,
                   rc == SQLITE_NOMEM ? -ENOMEM
                   : damaged          ? -EBADMSG
                                      : -EIO,
                   "%s", sqlite3_errmsg(store->db));
}

static int make_tables(struct store *store, struct err *err)
{
    char version[64];
    int rc = run_sql(store, "BEGIN; CREATE TABLE room(bytes BLOB)", err);

    (void)snprintf(version, sizeof version, "PRAGMA user_version=%d", store->schema->version);
    if (rc == 0)
        rc = run_sql(store, store->schema->sql, err);
    if (rc == 0)
        rc = run_sql(store, version, err);
    return rc == 0 ? run_sql(store, "COMMIT", err) : rc;
}

/* Room that a full disk can not take away: given up when a write finds none, taken again at the
 * next start. That it can not be had now is no reason to stop. */
static void reserve_room(struct store *store)
{
    char count[16] = "", sql[80];

    if (store->in_memory ||
        scalar(store->db, "SELECT count(*) FROM room", count, sizeof count) < 0 || *count != '0')
        return;
    (void)snprintf(sql, sizeof sql, "INSERT INTO room VALUES(zeroblob(%d))", ROOM);
    (void)run_sql(store, sql, NULL);
}

static bool give_room(struct store *store)
{
    bool had = !store->room_given;

    store->room_given = true;
    return had && run_sql(store, "DELETE FROM room", NULL) == 0;
}

/* The journal stays when the last connection closes: its room is needed again, and may not be to
 * be had then. */
static void keep_journal(sqlite3 *db)
{
    int on = 1;

    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
}

static int open_at(struct store *store, const char *path, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        int rc = err_set(err, -EIO, "%s", store->db ? sqlite3_errmsg(store->db) : "no memory");
        (void)sqlite3_close(store->db);
        store->db = NULL;
        return rc;
    }
    (void)sqlite3_busy_timeout(store->db, BUSY_MS);
    keep_journal(store->db);
    int rc = run_sql(store,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                     "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=8388608;"
                     "PRAGMA temp_store=MEMORY;",
                     err);
    if (rc == 0)
        rc = check(store, err);
    if (rc == 0)
        rc = make_tables(store, err);
    if (rc >= 0)
        reserve_room(store);
    if (rc < 0) {
        (void)sqlite3_close(store->db);
        store->db = NULL;
    }
    return MIN(rc, 0);
}

/* Renamed with its journal, which belongs to it. */
static void set_aside(struct store *store)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char from[STORE_PATH_MAX + 8], to[STORE_PATH_MAX + 48];

    for (unsigned i = 0; i < ARRAY_SIZE(suffixes); i++) {
        (void)snprintf(from, sizeof from, "%s%s", store->path, suffixes[i]);
        (void)snprintf(to, sizeof to, "%s.broken-%lld%s", store->path, (long long)time(NULL),
                       suffixes[i]);
        (void)rename(from, to);
    }
}

static int begin_anew(struct store *store)
{
    struct err err = ERR_INIT;
    int rc = open_at(store, store->path, &err);

    if (rc == 0)
        return 0;
    store->in_memory = true;
    return open_at(store, ":memory:", &err) == 0 ? 0 : -ENOMEM;
}

int store_open(struct store *store, const char *path, const struct store_schema *schema)
{
    store->schema = schema;
    store->broken = ERR_INIT;
    if (snprintf(store->path, sizeof store->path, "%s", path) >= (int)sizeof store->path)
        return -ENAMETOOLONG;
    int rc = open_at(store, path, &store->broken);
    if (rc == 0 || rc == -ENOMEM)
        return rc;
    if (rc == -EBADMSG)
        set_aside(store);
    return begin_anew(store);
}

void store_close(struct store *store)
{
    (void)sqlite3_close(store->db);
    store->db = NULL;
}

/* --- using --- */

/* Found out in the middle. Statements under way keep the old connection until they end. */
static void found_damaged(struct store *store)
{
    (void)sqlite3_close_v2(store->db);
    store->db = NULL;
    if (!store->in_memory)
        set_aside(store);
    if (begin_anew(store) == 0)
        tell(store, "was damaged; it was set aside and a new one begun");
}

static void failed(struct store *store, int rc)
{
    char text[160];

    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        found_damaged(store);
        break;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        store->unsaved++;
        if (store->failing)
            break;
        store->failing = true;
        (void)snprintf(text, sizeof text, "can not be written: %s", sqlite3_errstr(rc & 0xff));
        tell(store, text);
        break;
    default:
        break;
    }
}

static void succeeded(struct store *store)
{
    char text[80];

    if (!store->failing)
        return;
    store->failing = false;
    (void)snprintf(text, sizeof text, "can be written again; %u entries were lost", store->unsaved);
    store->unsaved = 0;
    tell(store, text);
}

sqlite3_stmt *store_query(struct store *store, const char *sql)
{
    sqlite3_stmt *query = NULL;
    int rc = store->db ? sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) : SQLITE_NOMEM;

    if (rc != SQLITE_OK)
        failed(store, rc);
    return query;
}

bool store_row(struct store *store, sqlite3_stmt *query)
{
    int rc = query ? sqlite3_step(query) : SQLITE_DONE;

    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        failed(store, rc);
    return rc == SQLITE_ROW;
}

void store_end(sqlite3_stmt *query)
{
    (void)sqlite3_finalize(query);
}

int store_run(struct store *store, sqlite3_stmt *query)
{
    int rc = query ? sqlite3_step(query) : SQLITE_NOMEM;

    if (rc == SQLITE_FULL && give_room(store)) {
        (void)sqlite3_reset(query);
        rc = sqlite3_step(query);
    }
    store_end(query);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW)
        succeeded(store);
    else
        failed(store, rc);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -EIO;
}

int store_exec(struct store *store, const char *sql)
{
    return store_run(store, store_query(store, sql));
}

/* A connection that has read nothing does not know yet that there is a journal, and its checkpoint
 * would do nothing. What is written meanwhile stays in the journal; one that has become long all
 * the same has to begin anew, for which the writer waits until that rest is moved, too. */
void store_checkpoint(const char *path)
{
    sqlite3 *db = NULL;
    int frames = 0;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
        SQLITE_OK) {
        keep_journal(db);
        (void)sqlite3_busy_timeout(db, BUSY_MS);
        (void)sqlite3_exec(db, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, NULL);
        if (frames > JOURNAL_FRAMES)
            (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    }
    (void)sqlite3_close(db);
}
