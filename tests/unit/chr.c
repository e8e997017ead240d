/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/backend/chr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/tap.h"
#include "vm/backend/chr_ring.h"

enum { CHATTER = 60000 };

struct heard {
    struct chr *chr;
    char text[256];
    unsigned len, readable, writable, up, down;
};

static void on_readable(void *ctx)
{
    struct heard *h = ctx;

    h->readable++;
    for (size_t n = 1; n && h->len < sizeof h->text - 1; h->len += (unsigned)n)
        n = chr_read(h->chr, h->text + h->len, sizeof h->text - 1 - h->len);
}

static void on_writable(void *ctx)
{
    ((struct heard *)ctx)->writable++;
}

static void on_link(void *ctx, bool up)
{
    struct heard *h = ctx;

    *(up ? &h->up : &h->down) += 1;
}

static size_t say(struct chr *chr, const char *text)
{
    return chr_write(chr, &(struct iovec){(char *)text, strlen(text)}, 1);
}

/* Runs the loop until it has nothing to say for `ms`; the number of rounds that had something. */
static unsigned settle(struct loop *loop, int ms)
{
    unsigned rounds = 0;

    while (rounds < 1000 && loop_run_once(loop, ms) > 0)
        rounds++;
    return rounds;
}

static void set_user(struct chr *chr, struct heard *h)
{
    h->chr = chr;
    chr_set_user(chr, &(struct chr_user){on_readable, on_writable, on_link, h});
    chr_want_input(chr, true);
}

static char folder[] = "/tmp/socle-chr-XXXXXX";
static char path_buf[128];

static const char *path(const char *name)
{
    (void)snprintf(path_buf, sizeof path_buf, "%s/%s", folder, name);
    return path_buf;
}

static int dial(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s/%s", folder, name);
    CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static const char *hear(int fd)
{
    static char text[128];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void stream_both_ways(void)
{
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    struct heard h = {0};
    int fd[2];

    REQUIRE(loop_create(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    REQUIRE(chr_create(CHR_STREAM, fd[0], loop, &chr, NULL) == 0);
    set_user(chr, &h);
    CHECK_EQ(say(chr, "login: "), 7);
    CHECK_STR(hear(fd[1]), "login: ");
    CHECK_EQ(write(fd[1], "root\n", 5), 5);
    (void)settle(loop, 0);
    CHECK_STR(h.text, "root\n");

    chr_want_input(chr, false);
    CHECK_EQ(write(fd[1], "more", 4), 4);
    CHECK_EQ(settle(loop, 0), 0); /* not wanted: not told, and no spinning */
    CHECK_EQ(h.len, 5);
    chr_want_input(chr, true);
    (void)settle(loop, 0);
    CHECK_STR(h.text, "root\nmore");

    /* Half closed: the other direction lives on; then gone. */
    CHECK_EQ(shutdown(fd[1], SHUT_WR), 0);
    CHECK(settle(loop, 0) < 5);
    CHECK_EQ(say(chr, "bye"), 3);
    CHECK_STR(hear(fd[1]), "bye");
    (void)close(fd[1]);
    CHECK(settle(loop, 0) < 5);
    CHECK_EQ(say(chr, "anybody?"), 8);
    CHECK_EQ(chr_stats(chr).dropped, 8);
    CHECK(settle(loop, 0) < 5);
    CHECK_EQ(h.down, 1);
    CHECK(!chr_link(chr));
    chr_destroy(chr);
    loop_destroy(loop);
}

static void dead_reader_does_not_block_for_ever(void)
{
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    struct heard h = {0};
    static char block[65536];
    struct iovec iov = {block, sizeof block};
    int fd[2];
    size_t took = 0;

    REQUIRE(loop_create(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    REQUIRE(chr_create(CHR_STREAM, fd[0], loop, &chr, NULL) == 0);
    set_user(chr, &h);
    for (size_t n = 1; n; took += n)
        n = chr_write(chr, &iov, 1);
    CHECK_EQ(settle(loop, 0), 0);
    CHECK_EQ(chr_write(chr, &iov, 1), 0); /* stalled: the guest is held back */

    uint64_t start = clock_now();
    while (!h.writable && clock_now() - start < 2 * CHR_STALL_NS)
        (void)loop_run_once(loop, 100);
    CHECK_EQ(h.writable, 1);
    CHECK(clock_now() - start >= CHR_STALL_NS / 2);
    CHECK_EQ(chr_write(chr, &iov, 1), sizeof block); /* dropped */
    CHECK_EQ(chr_stats(chr).dropped, sizeof block);
    CHECK_EQ(settle(loop, 0), 0);

    for (size_t left = took; left;) { /* it wakes up and reads everything */
        ssize_t n = read(fd[1], block, sizeof block);
        REQUIRE(n > 0);
        left -= (size_t)n;
    }
    CHECK_EQ(settle(loop, 0), 1);
    CHECK_EQ(h.writable, 2);
    CHECK_EQ(say(chr, "again"), 5);
    CHECK_STR(hear(fd[1]), "again");
    (void)close(fd[1]);
    chr_destroy(chr);
    loop_destroy(loop);
}

static void listener_serves_one_after_the_other(void)
{
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    struct heard h = {0};
    int listen_fd, first, second;

    REQUIRE(loop_create(&loop) == 0 && chr_listen_unix(path("s"), &listen_fd, NULL) == 0);
    REQUIRE(chr_create(CHR_LISTEN, listen_fd, loop, &chr, NULL) == 0);
    set_user(chr, &h);
    CHECK_EQ(say(chr, "lost"), 4);
    CHECK(!chr_link(chr));

    first = dial("s");
    (void)settle(loop, 0);
    CHECK_EQ(h.up, 1);
    second = dial("s");
    CHECK_EQ(settle(loop, 0), 0);
    CHECK_EQ(say(chr, "one"), 3);
    CHECK_STR(hear(first), "one");
    CHECK_EQ(write(second, "2", 1), 1);

    (void)close(first);
    (void)settle(loop, 0);
    CHECK_EQ(h.down, 1);
    CHECK_EQ(h.up, 2);
    CHECK_EQ(say(chr, "two"), 3);
    CHECK_STR(hear(second), "two");
    CHECK_STR(h.text, "2");
    CHECK_EQ(chr_stats(chr).dropped, 4);
    (void)close(second);
    CHECK(settle(loop, 0) < 5);
    CHECK_EQ(say(chr, "gone"), 4);
    chr_destroy(chr);
    loop_destroy(loop);
}

static void hang_up_while_stalled_releases_the_user(void)
{
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    struct heard h = {0};
    static char block[65536];
    struct iovec iov = {block, sizeof block};
    int listen_fd, client;

    REQUIRE(loop_create(&loop) == 0 && chr_listen_unix(path("s"), &listen_fd, NULL) == 0);
    REQUIRE(chr_create(CHR_LISTEN, listen_fd, loop, &chr, NULL) == 0);
    set_user(chr, &h);
    client = dial("s");
    (void)settle(loop, 0);
    while (chr_write(chr, &iov, 1))
        ;
    (void)close(client);
    CHECK_EQ(chr_read(chr, block, 1), 0); /* finds out outside of the loop */
    CHECK_EQ(h.writable, 0);
    CHECK(settle(loop, 0) < 5);
    CHECK(h.writable > 0);
    CHECK_EQ(h.down, 1);
    CHECK_EQ(say(chr, "x"), 1);
    chr_destroy(chr);
    loop_destroy(loop);
}

static void sockets_are_not_stolen(void)
{
    struct err err = ERR_INIT;
    char longer[200];
    int fd, other;

    REQUIRE(chr_listen_unix(path("t"), &fd, NULL) == 0);
    CHECK_EQ(chr_listen_unix(path("t"), &other, &err), -EADDRINUSE);
    CHECK(strstr(err.text, "/t\"") != NULL);
    (void)close(fd); /* its file is stale now */
    CHECK_EQ(chr_listen_unix(path("t"), &fd, NULL), 0);
    (void)close(fd);
    fd = open(path("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    (void)close(fd);
    CHECK_EQ(chr_listen_unix(path("file"), &fd, NULL), -EADDRINUSE);
    CHECK_EQ(access(path("file"), F_OK), 0);
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    CHECK_EQ(chr_listen_unix(longer, &fd, NULL), -ENAMETOOLONG);
}

static void file_is_appended_to(void)
{
    struct loop *loop = NULL;
    struct heard h = {0};
    char text[32] = "";

    REQUIRE(loop_create(&loop) == 0);
    for (int i = 0; i < 2; i++) {
        struct chr *chr = NULL;
        int fd;
        REQUIRE(chr_open_file(path("log"), &fd, NULL) == 0);
        REQUIRE(chr_create(CHR_FILE, fd, loop, &chr, NULL) == 0);
        set_user(chr, &h);
        CHECK_EQ(say(chr, i ? "b" : "a"), 1);
        CHECK_EQ(settle(loop, 0), 0);
        chr_destroy(chr);
    }
    int fd = open(path("log"), O_RDONLY | O_CLOEXEC);
    CHECK_EQ(read(fd, text, sizeof text), 2);
    CHECK_STR(text, "ab");
    (void)close(fd);
    CHECK_EQ(chr_open_file(path("no/such"), &fd, NULL), -ENOENT);
    loop_destroy(loop);
}

static void rings_carry_more_than_they_hold(void)
{
    enum { RING = 64, TOTAL = 5000 };
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    struct chr_ring *pump = NULL;
    struct bytering_shared *mem[2];
    struct bytering out_w, out_r, in_w, in_r;
    int fd[2], event[4];
    unsigned sent = 0, seen = 0, back = 0, wrong = 0;

    for (int i = 0; i < 4; i++)
        event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    for (int i = 0; i < 2; i++)
        mem[i] =
            memset(aligned_alloc(64, bytering_shared_size(RING)), 0, bytering_shared_size(RING));
    CHECK_EQ(bytering_init_writer(&out_w, mem[0], RING, event[0], event[1]), 0);
    CHECK_EQ(bytering_init_reader(&out_r, mem[0], RING, event[0], event[1]), 0);
    CHECK_EQ(bytering_init_writer(&in_w, mem[1], RING, event[2], event[3]), 0);
    CHECK_EQ(bytering_init_reader(&in_r, mem[1], RING, event[2], event[3]), 0);
    REQUIRE(loop_create(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    REQUIRE(chr_create(CHR_STREAM, fd[0], loop, &chr, NULL) == 0);
    REQUIRE(chr_ring_create(chr, &out_r, &in_w, loop, &pump, NULL) == 0);

    for (unsigned round = 0; round < 2000 && back < TOTAL; round++) {
        uint8_t b[200];
        for (; sent < TOTAL; sent++) {
            b[0] = (uint8_t)(sent * 3);
            if (!bytering_write(&out_w, b, 1))
                break;
        }
        (void)loop_run_once(loop, 20);
        ssize_t n = recv(fd[1], b, sizeof b, MSG_DONTWAIT);
        for (ssize_t i = 0; i < n; i++, seen++)
            wrong += b[i] != (uint8_t)(seen * 3);
        if (n > 0)
            CHECK_EQ(send(fd[1], b, (size_t)n, MSG_NOSIGNAL), n); /* echo */
        size_t got = bytering_read(&in_r, b, sizeof b);
        for (size_t i = 0; i < got; i++, back++)
            wrong += b[i] != (uint8_t)(back * 3);
    }
    CHECK_EQ(back, TOTAL);
    CHECK_EQ(wrong, 0);
    chr_ring_destroy(pump);
    chr_destroy(chr);
    loop_destroy(loop);
    for (int i = 0; i < 4; i++)
        (void)close(event[i]);
    free(mem[0]);
    free(mem[1]);
    (void)close(fd[1]);
}

static void *chatter(void *ctx)
{
    struct bytering *ring = ctx;

    for (unsigned sent = 0; sent < CHATTER;) {
        uint8_t b = (uint8_t)(sent * 3);
        struct pollfd pfd = {.fd = ring->wait_fd, .events = POLLIN};
        if (bytering_write(ring, &b, 1)) {
            sent++;
            (void)sched_yield(); /* about as fast as a guest */
        } else {
            (void)poll(&pfd, 1, 1000);
            bytering_clear(ring);
        }
    }
    return NULL;
}

/* Bytes that are written while the ring is being emptied do not ring the bell. */
static void nothing_is_left_behind(void)
{
    enum { RING = 1 << 18 }; /* not to be filled within one turn of the pump */
    struct bytering_shared *mem = aligned_alloc(64, bytering_shared_size(RING));
    int fd[2], event[2] = {eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK)};
    struct bytering writer, reader, unused;
    struct chr_ring *pump = NULL;
    struct loop *loop = NULL;
    struct chr *chr = NULL;
    unsigned seen = 0, wrong = 0;
    pthread_t thread;

    memset(mem, 0, bytering_shared_size(RING));
    CHECK_EQ(bytering_init_writer(&writer, mem, RING, event[0], event[1]), 0);
    CHECK_EQ(bytering_init_reader(&reader, mem, RING, event[0], event[1]), 0);
    struct bytering_shared *in = aligned_alloc(64, bytering_shared_size(64));
    memset(in, 0, bytering_shared_size(64));
    int in_event = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(bytering_init_writer(&unused, in, 64, in_event, in_event), 0);
    REQUIRE(loop_create(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    REQUIRE(chr_create(CHR_STREAM, fd[0], loop, &chr, NULL) == 0);
    REQUIRE(chr_ring_create(chr, &reader, &unused, loop, &pump, NULL) == 0);
    REQUIRE(pthread_create(&thread, NULL, chatter, &writer) == 0);
    for (int quiet = 0; seen < CHATTER && quiet < 20;) {
        uint8_t b[4096];
        quiet = loop_run_once(loop, 50) > 0 ? 0 : quiet + 1;
        for (ssize_t n; (n = recv(fd[1], b, sizeof b, MSG_DONTWAIT)) > 0;)
            for (ssize_t i = 0; i < n; i++, seen++)
                wrong += b[i] != (uint8_t)(seen * 3);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(seen, CHATTER);
    CHECK_EQ(wrong, 0);
    chr_ring_destroy(pump);
    chr_destroy(chr);
    loop_destroy(loop);
    free(mem);
    free(in);
    (void)close(fd[1]);
    (void)close(event[0]);
    (void)close(event[1]);
    (void)close(in_event);
}

static void clean_up(void)
{
    static const char *const names[] = {"s", "t", "file", "log"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(path(names[i]));
    CHECK_EQ(rmdir(folder), 0);
}

static void set_up(void)
{
    CHECK(mkdtemp(folder) != NULL);
}

TAP_MAIN(TAP_CASE(set_up), TAP_CASE(stream_both_ways),
         TAP_CASE(dead_reader_does_not_block_for_ever),
         TAP_CASE(listener_serves_one_after_the_other),
         TAP_CASE(hang_up_while_stalled_releases_the_user), TAP_CASE(sockets_are_not_stolen),
         TAP_CASE(file_is_appended_to), TAP_CASE(rings_carry_more_than_they_hold),
         TAP_CASE(nothing_is_left_behind), TAP_CASE(clean_up))
