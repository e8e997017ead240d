/* SPDX-License-Identifier: Apache-2.0 */
/* An SQLite file that never stops its owner: one that is damaged is set aside (renamed to
 * NAME.broken-TIME) and a new one begun; where no file can be made at all, the store lives in
 * memory and ends with the process. What happened is told by `trouble`, in words for an event.
 *
 * Journal: WAL, synchronous=NORMAL. A statement that has returned survives the death of the process
 * by any means, kill -9 included, for it is in the kernel. A power cut leaves what the last
 * checkpoint had (store_checkpoint, on a thread of its own choosing) and possibly more, always
 * whole transactions in their order.
 *
 * One thread uses a store, but for store_checkpoint. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"

enum { STORE_PATH_MAX = 128 };

struct store_schema {
    int version;     /* kept as user_version; a file of another version is set aside too */
    const char *sql; /* makes the tables in an empty file */
};

struct store {
    char path[STORE_PATH_MAX];
    const struct store_schema *schema;
    sqlite3 *db; /* never NULL between store_open and store_close */
    bool in_memory;
    bool room_given;   /* what was reserved for a full disk is in use */
    bool failing;      /* the last write failed: disk full, file system read-only */
    unsigned unsaved;  /* how many have since it began */
    struct err broken; /* why the file was set aside in store_open; code 0: it was not */
    /* Called for what goes wrong, and right again, later. May be NULL. */
    void (*trouble)(void *ctx, const char *text);
    void *ctx;
};

/* -ENOMEM alone is an error. Checks the file's integrity: some ms for 10 MB. */
int store_open(struct store *store, const char *path, const struct store_schema *schema);
void store_close(struct store *store); /* accepts a zeroed one */

/* A statement, to be bound, stepped and ended by store_end. NULL when there is no memory or the
 * file has just been found damaged (set aside then: the next one works). */
sqlite3_stmt *store_query(struct store *store, const char *sql);
/* True: there is a row. False: no more, or it failed; then only store_end may follow. */
bool store_row(struct store *store, sqlite3_stmt *query);
void store_end(sqlite3_stmt *query); /* accepts NULL */

/* For a statement without rows: steps and ends it. 0 or -EIO. */
int store_run(struct store *store, sqlite3_stmt *query);
/* One without parameters. */
int store_exec(struct store *store, const char *sql);

/* Moves what is in the journal of the file at `path` to stable storage and into the file. Takes a
 * connection of its own: on any thread, at any time, for as long as the disk needs. */
void store_checkpoint(const char *path);
