/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/range.h"
#include "tests/tap.h"

static void range_edges(void)
{
    CHECK(range_within(0, 0, 0));
    CHECK(range_within(8, 8, 16));
    CHECK(!range_within(9, 8, 16));
    CHECK(!range_within(17, 0, 16));
    CHECK(!range_within(UINT64_MAX, 2, 16));
    CHECK(range_overlaps(0, 1, 0, 1));
    CHECK(!range_overlaps(0, 1, 1, 1));
    CHECK(range_overlaps(UINT64_MAX, 1, UINT64_MAX - 1, 2));
    CHECK_EQ(align_up(4097, 4096), 8192);
}

static void bytes_orders(void)
{
    uint8_t b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_EQ(le16_load(b), 0x0201);
    CHECK_EQ(be32_load(b), 0x01020304);
    CHECK_EQ(le_load(b, 2), 0x0201);
    le_store(b, 4, 0xaabbccdd);
    CHECK_EQ(b[0], 0xdd);
    CHECK_EQ(b[4], 5);
}

static void err_reads_outside_in(void)
{
    struct err err = ERR_INIT;
    CHECK_EQ(err_set(&err, -EINVAL, "extent %d", 7), -EINVAL);
    CHECK_EQ(err_prefix(&err, -EIO, "cannot open \"a\""), -EINVAL);
    CHECK_STR(err.text, "cannot open \"a\": extent 7");
    err = ERR_INIT;
    CHECK_EQ(err_prefix(&err, -ENOENT, "x"), -ENOENT);
    CHECK_STR(err.text, "x: No such file or directory");
    CHECK_EQ(err_set(NULL, -EIO, "nobody listens"), -EIO);
    (void)err_set(&err, -EIO, "two\nlines\x1b[2J");
    (void)err_prefix(&err, -EIO, "a\rb");
    CHECK_STR(err.text, "a?b: two?lines?[2J");
}

static void buf_grows(void)
{
    cleanup_buf struct buf buf = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%03d", i);
    CHECK_EQ(buf.len, 3000);
    CHECK(!memcmp(buf_cstr(&buf) + 2997, "999", 4));
    buf_put_le32(&buf, 0x04030201);
    CHECK_EQ(buf.data[3003], 4);
}

struct loop_probe {
    struct loop *loop;
    struct loop_source fd, timer;
    int fired;
};

static void on_fd(void *ctx, uint32_t events)
{
    struct loop_probe *p = ctx;
    CHECK(events & EPOLLIN);
    p->fired++;
    loop_del(&p->fd);
    (void)loop_timer_arm(&p->timer, clock_now() + 1000000);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct loop_probe *p = ctx;
    (void)events;
    p->fired += 10;
    loop_stop(p->loop, 42);
}

static void loop_fd_timer_stop(void)
{
    struct loop_probe p = {0};
    REQUIRE(loop_create(&p.loop) == 0);
    int fd = eventfd(1, EFD_CLOEXEC);
    REQUIRE(loop_add_fd(p.loop, &p.fd, fd, EPOLLIN, on_fd, &p) == 0);
    REQUIRE(loop_add_timer(p.loop, &p.timer, on_timer, &p) == 0);
    CHECK_EQ(loop_run(p.loop), 42);
    CHECK_EQ(p.fired, 11);
    loop_del(&p.timer);
    loop_destroy(p.loop);
    close(fd);
}

/* --- one file, several writers --- */

enum { WRITERS = 4, TIMES = 50, LENGTH = 20000 };

struct writer {
    pthread_t thread;
    int dir, failed;
    char letter;
};

static void *write_often(void *arg)
{
    static char text[WRITERS][LENGTH];
    struct writer *w = arg;
    char *mine = text[w->letter - 'a'];

    memset(mine, w->letter, LENGTH);
    for (unsigned i = 0; i < TIMES; i++)
        w->failed += file_replace(w->dir, "file", 0600, mine, LENGTH, NULL) < 0;
    return NULL;
}

static void file_of_two_writers(void)
{
    char folder[256];
    const char *base = getenv("TMPDIR");
    struct writer writer[WRITERS];
    unsigned torn = 0;

    (void)snprintf(folder, sizeof folder, "%s/socle-base-XXXXXX", base ? base : "/tmp");
    REQUIRE(mkdtemp(folder) != NULL);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < WRITERS; i++) {
        writer[i] = (struct writer){.dir = dir, .letter = (char)('a' + i)};
        REQUIRE(pthread_create(&writer[i].thread, NULL, write_often, &writer[i]) == 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        cleanup_buf struct buf text = {0};
        if (file_load(dir, "file", LENGTH, &text, NULL) == -ENOENT)
            continue;
        torn += text.len != LENGTH || memcmp(text.data, text.data + 1, LENGTH - 1) != 0;
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        (void)pthread_join(writer[i].thread, NULL);
        CHECK_EQ(writer[i].failed, 0);
    }
    CHECK_EQ(torn, 0);
    CHECK_EQ(unlinkat(dir, "file", 0), 0);
    close(dir);
    CHECK_EQ(rmdir(folder), 0); /* nothing else is in it */
}

static void file_names_beside(void)
{
    CHECK_EQ(file_replaces("a.vmx.new-1f-0"), 5);
    CHECK_EQ(file_replaces("a.new-1-2.new-1f-0"), 9);
    CHECK_EQ(file_replaces("a.vmx.new-1f"), 0);
    CHECK_EQ(file_replaces("a.vmx.new-1f-0.vmdk"), 0);
    CHECK_EQ(file_replaces(".new-1-2"), 0);
    CHECK_EQ(file_replaces("a.vmx"), 0);
}

TAP_MAIN(TAP_CASE(range_edges), TAP_CASE(bytes_orders), TAP_CASE(err_reads_outside_in),
         TAP_CASE(buf_grows), TAP_CASE(loop_fd_timer_stop), TAP_CASE(file_of_two_writers),
         TAP_CASE(file_names_beside))
