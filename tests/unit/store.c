/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct store_schema schema = {.version = 3, .sql = "CREATE TABLE t(v TEXT)"};

static char told[512];

static void hear(void *ctx, const char *text)
{
    (void)ctx;
    (void)snprintf(told, sizeof told, "%s", text);
}

static char folder[64];

/* An empty folder, which becomes the working directory. */
static void enter(void)
{
    *told = '\0';
    (void)snprintf(folder, sizeof folder, "/tmp/socle-store-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) < 0)
        abort();
}

static void leave(struct store *store)
{
    DIR *dir = opendir(".");

    store_close(store);
    for (struct dirent *e; (e = readdir(dir));)
        (void)unlink(e->d_name);
    (void)closedir(dir);
    (void)rmdir(folder);
}

static unsigned count(struct store *store)
{
    sqlite3_stmt *query = store_query(store, "SELECT count(*) FROM t");
    unsigned n = store_row(store, query) ? (unsigned)sqlite3_column_int(query, 0) : 99;

    store_end(query);
    return n;
}

static void scribble(const char *path, off_t at, size_t len)
{
    char junk[65536];
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    memset(junk, 0x5a, sizeof junk);
    CHECK_EQ(pwrite(fd, junk, len, at), (ssize_t)len);
    (void)close(fd);
}

static unsigned files_named(const char *part)
{
    DIR *dir = opendir(".");
    unsigned n = 0;

    for (struct dirent *e; (e = readdir(dir));)
        n += strstr(e->d_name, part) != NULL;
    (void)closedir(dir);
    return n;
}

static void keeps(void)
{
    struct store store = {0};

    enter();
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    CHECK_EQ(store.broken.code, 0);
    CHECK_EQ(store_exec(&store, "INSERT INTO t VALUES('x')"), 0);
    store_checkpoint("a.db");
    CHECK_EQ(store_exec(&store, "INSERT INTO t VALUES('y')"), 0);
    store_close(&store);
    store = (struct store){0};
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    CHECK_EQ(count(&store), 2);
    leave(&store);
}

static off_t size_of(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

/* What a checkpoint has moved is in the file, and the journal does not grow for ever. */
static void checkpoints(void)
{
    static const char rows[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT "
                               "4000) INSERT INTO t SELECT hex(randomblob(500)) FROM n";
    struct store store = {0};

    enter();
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(store_exec(&store, rows), 0);
        store_checkpoint("a.db");
        CHECK(size_of("a.db") > (off_t)(i + 1) * 4000000);
    }
    CHECK(size_of("a.db-wal") < 16000000);
    leave(&store);
}

static void not_a_database(void)
{
    struct store store = {0};

    enter();
    scribble("a.db", 0, 5000);
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    CHECK_EQ(store.broken.code, -EBADMSG);
    CHECK_EQ(files_named("broken"), 1);
    CHECK_EQ(store_exec(&store, "INSERT INTO t VALUES('x')"), 0);
    CHECK(!store.in_memory);
    leave(&store);
}

static void of_another_version(void)
{
    static const struct store_schema next = {.version = 4, .sql = "CREATE TABLE u(v TEXT)"};
    struct store store = {0};

    enter();
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    store_close(&store);
    store = (struct store){0};
    CHECK_EQ(store_open(&store, "a.db", &next), 0);
    CHECK_EQ(store.broken.code, -EBADMSG);
    CHECK_EQ(store_exec(&store, "INSERT INTO u VALUES('x')"), 0);
    leave(&store);
}

/* Behind our back, while it is open: the pages that it has not read yet. */
static void damaged_in_use(void)
{
    static const char rows[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT "
                               "20000) INSERT INTO t SELECT hex(randomblob(100)) FROM n";
    struct store store = {0};

    enter();
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    CHECK_EQ(store_exec(&store, rows), 0);
    store_close(&store);
    store_checkpoint("a.db");
    (void)unlink("a.db-wal");
    store = (struct store){.trouble = hear};
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    CHECK_EQ(store_exec(&store, "PRAGMA shrink_memory"), 0);
    for (off_t at = 0; at < 16; at++)
        scribble("a.db", 1200000 + at * 65536, 65536);
    CHECK_EQ(store_exec(&store, "UPDATE t SET v = v || 'x'"), -EIO);
    CHECK(strstr(told, "set aside"));
    CHECK_EQ(files_named("broken"), 3);
    CHECK_EQ(store_exec(&store, "INSERT INTO t VALUES('x')"), 0);
    CHECK_EQ(count(&store), 1);
    leave(&store);
}

static void fill(struct store *store)
{
    char limit[64];
    sqlite3_stmt *query = store_query(store, "PRAGMA page_count");

    CHECK(store_row(store, query));
    (void)snprintf(limit, sizeof limit, "PRAGMA max_page_count=%d", sqlite3_column_int(query, 0));
    store_end(query);
    CHECK_EQ(store_exec(store, limit), 0);
}

/* What was reserved is used first; then entries are lost and counted, and hostd goes on. */
static void disk_full(void)
{
    static const char more[] = "INSERT INTO t VALUES(hex(randomblob(20000)))";
    struct store store = {.trouble = hear};
    unsigned written = 0;

    enter();
    CHECK_EQ(store_open(&store, "a.db", &schema), 0);
    fill(&store);
    while (written < 100 && store_exec(&store, more) == 0)
        written++;
    CHECK(written > 15 && written < 100);
    CHECK(store.room_given);
    CHECK(strstr(told, "can not be written"));
    CHECK_EQ(store_exec(&store, more), -EIO);
    CHECK_EQ(count(&store), written);
    CHECK_EQ(store_exec(&store, "DELETE FROM t"), 0);
    CHECK_STR(told, "can be written again; 2 entries were lost");
    CHECK_EQ(store_exec(&store, more), 0);
    leave(&store);
}

static void nowhere_to_write(void)
{
    struct store store = {0};

    enter();
    CHECK_EQ(store_open(&store, "no/such/folder/a.db", &schema), 0);
    CHECK(store.in_memory && store.broken.code);
    CHECK_EQ(store_exec(&store, "INSERT INTO t VALUES('x')"), 0);
    CHECK_EQ(count(&store), 1);
    leave(&store);
}

TAP_MAIN(TAP_CASE(keeps), TAP_CASE(checkpoints), TAP_CASE(not_a_database),
         TAP_CASE(of_another_version), TAP_CASE(damaged_in_use), TAP_CASE(disk_full),
         TAP_CASE(nowhere_to_write))
