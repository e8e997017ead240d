/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/virtio_console.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/device/virtio_driver.h"
#include "tests/tap.h"

enum { RX = 0, TX = 1, RING = 16 };

struct bench {
    struct harness *h;
    struct virtio_driver d;
    struct chr *chr;
    int peer;
    uint64_t in, out; /* guest memory */
};

static void bench_create(struct bench *b)
{
    struct virtio_console_params params = {0};
    int fd[2];

    *b = (struct bench){.h = harness_prepare(&virtio_console_class, &params, VD_RAM)};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    CHECK_EQ(chr_create(CHR_STREAM, fd[0], b->h->loop, &params.chr, NULL), 0);
    CHECK_EQ(harness_start(b->h, &params, NULL), 0);
    b->chr = params.chr;
    b->peer = fd[1];
}

static bool bench_start(struct bench *b)
{
    bench_create(b);
    if (!CHECK(vd_start(&b->d, b->h, UINT64_MAX, 2, RING)))
        return false;
    b->in = vd_alloc(&b->d, 4096);
    b->out = vd_alloc(&b->d, 1 << 20);
    return true;
}

static void bench_end(struct bench *b)
{
    harness_destroy(b->h);
    (void)close(b->peer);
}

static void offer_in(struct bench *b, unsigned index, uint32_t len)
{
    vd_desc(&b->d, RX, index, b->in + index * 256, len, VD_WRITE, 0);
    vd_offer(&b->d, RX, (uint16_t)index);
    vd_kick(&b->d, RX);
}

static void offer_out(struct bench *b, unsigned index, uint64_t offset, uint32_t len)
{
    vd_desc(&b->d, TX, index, b->out + offset, len, 0, 0);
    vd_offer(&b->d, TX, (uint16_t)index);
    vd_kick(&b->d, TX);
}

static const char *hear(struct bench *b)
{
    static char text[128];
    ssize_t n = recv(b->peer, text, sizeof text - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void both_ways(void)
{
    struct bench b;
    struct vd_used used;
    char text[16] = "";

    REQUIRE(bench_start(&b));
    harness_poke(b.h, b.out, "login: ", 7);
    vd_desc(&b.d, TX, 0, b.out, 3, VD_NEXT, 1);
    vd_desc(&b.d, TX, 1, b.out + 3, 4, 0, 0);
    vd_offer(&b.d, TX, 0);
    vd_kick(&b.d, TX);
    REQUIRE(vd_wait(&b.d, TX, &used));
    CHECK_EQ(used.len, 0);
    CHECK_STR(hear(&b), "login: ");
    CHECK_EQ(harness_wait_msix(b.h, TX + 1), 1);

    CHECK_EQ(write(b.peer, "root\n", 5), 5); /* before there is a buffer */
    harness_run(b.h);
    CHECK_EQ(vd_used_count(&b.d, RX), 0);
    offer_in(&b, 0, 3);
    offer_in(&b, 1, 100);
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.len, 3);
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.len, 2);
    harness_peek(b.h, b.in, text, 3);
    harness_peek(b.h, b.in + 256, text + 3, 2);
    CHECK_STR(text, "root\n");
    CHECK(harness_wait_msix(b.h, RX + 1) > 0);
    offer_in(&b, 2, 100);
    harness_run(b.h);
    CHECK_EQ(write(b.peer, "x", 1), 1); /* after */
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.id, 2);
    bench_end(&b);
}

/* The host reads slowly: what does not fit stays with the driver, and nothing is lost or doubled.
 */
static void slow_reader_holds_the_guest(void)
{
    enum { TOTAL = 1 << 20, CHAINS = 4 };
    struct bench b;
    struct vd_used used;
    static uint8_t bytes[TOTAL], heard[4096];
    size_t seen = 0, wrong = 0;

    REQUIRE(bench_start(&b));
    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    harness_poke(b.h, b.out, bytes, TOTAL);
    for (unsigned i = 0; i < CHAINS; i++)
        offer_out(&b, i, i * (TOTAL / CHAINS), TOTAL / CHAINS);
    harness_run(b.h);
    CHECK(vd_used_count(&b.d, TX) < CHAINS);
    while (seen < TOTAL) {
        ssize_t n = recv(b.peer, heard, sizeof heard, MSG_DONTWAIT);
        REQUIRE(n > 0);
        for (ssize_t i = 0; i < n; i++, seen++)
            wrong += heard[i] != bytes[seen];
        harness_run(b.h);
    }
    CHECK_EQ(wrong, 0);
    for (unsigned i = 0; i < CHAINS; i++)
        REQUIRE(vd_wait(&b.d, TX, &used) && used.id == i);
    CHECK_EQ(recv(b.peer, heard, sizeof heard, MSG_DONTWAIT), -1);
    bench_end(&b);
}

static void gone_reader_costs_nothing(void)
{
    struct bench b;
    struct vd_used used;

    REQUIRE(bench_start(&b));
    offer_in(&b, 0, 100);
    harness_run(b.h);
    (void)shutdown(b.peer, SHUT_RDWR);
    for (unsigned i = 0; i < 40; i++) {
        offer_out(&b, i % RING, 0, 1000);
        REQUIRE(vd_wait(&b.d, TX, &used));
    }
    CHECK_EQ(loop_run_once(b.h->loop, 20), 0); /* and nobody spins */
    bench_end(&b);
}

static void nothing_moves_when_it_must_not(void)
{
    struct bench b;
    struct vd_used used;

    REQUIRE(bench_start(&b));
    harness_bus_master(b.h, false);
    harness_poke(b.h, b.out, "abc", 3);
    offer_out(&b, 0, 0, 3);
    offer_in(&b, 0, 10);
    CHECK_EQ(write(b.peer, "x", 1), 1);
    harness_run(b.h);
    CHECK_STR(hear(&b), "");
    CHECK_EQ(vd_used_count(&b.d, RX), 0);
    harness_bus_master(b.h, true);
    vd_kick(&b.d, TX);
    vd_kick(&b.d, RX);
    REQUIRE(vd_wait(&b.d, TX, &used) && vd_wait(&b.d, RX, &used));
    CHECK_STR(hear(&b), "abc");

    /* Input for a device that was reset waits, and does not keep the loop busy, though there was
     * room for it before. */
    offer_in(&b, 1, 10);
    harness_run(b.h);
    vd_set(&b.d, VIRTIO_COMMON_STATUS, 1, 0);
    CHECK_EQ(write(b.peer, "later", 5), 5);
    harness_run(b.h);
    CHECK_EQ(loop_run_once(b.h->loop, 20), 0);
    REQUIRE(vd_start(&b.d, b.h, UINT64_MAX, 2, RING));
    offer_in(&b, 0, 100);
    REQUIRE(vd_wait(&b.d, RX, &used));
    CHECK_EQ(used.len, 5);
    bench_end(&b);
}

static void broken_rings_stop_the_device(void)
{
    struct bench b;

    REQUIRE(bench_start(&b));
    offer_in(&b, 0, 10);
    vd_desc(&b.d, RX, 1, b.in, 10, 0, 0); /* not writable */
    vd_offer(&b.d, RX, 1);
    vd_kick(&b.d, RX);
    CHECK_EQ(write(b.peer, "xyz", 3), 3);
    harness_run(b.h);
    CHECK_EQ(write(b.peer, "xyz", 3), 3);
    CHECK(vd_wait_broken(&b.d));
    REQUIRE(vd_start(&b.d, b.h, UINT64_MAX, 2, RING));
    vd_offer(&b.d, TX, RING); /* a head that is none */
    vd_kick(&b.d, TX);
    CHECK(vd_wait_broken(&b.d));
    CHECK_EQ(loop_run_once(b.h->loop, 20), 0);
    bench_end(&b);
}

/* In the middle of a chain of which a part is out. */
static void saved_is_restored(void)
{
    enum { LENGTH = 1 << 20 };
    struct bench a, b;
    struct buf first = {0}, second = {0};
    static uint8_t bytes[LENGTH], heard[LENGTH];
    size_t seen = 0;

    REQUIRE(bench_start(&a));
    for (size_t i = 0; i < LENGTH; i++)
        bytes[i] = (uint8_t)(i * 5 + i / 256);
    harness_poke(a.h, a.out, bytes, LENGTH);
    offer_out(&a, 0, 0, LENGTH);
    harness_run(a.h);
    harness_save(a.h, &first);
    for (ssize_t n; (n = recv(a.peer, heard + seen, LENGTH - seen, MSG_DONTWAIT)) > 0;)
        seen += (size_t)n;
    CHECK(seen > 0 && seen < LENGTH);

    bench_create(&b);
    for (uint64_t at = 0; at < VD_RAM; at += 4096) {
        uint8_t page[4096];
        harness_peek(a.h, at, page, sizeof page);
        harness_poke(b.h, at, page, sizeof page);
    }
    CHECK_EQ(harness_load(b.h, &first, NULL), 0);
    harness_save(b.h, &second);
    CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    for (int quiet = 0; seen < LENGTH && quiet < 100; quiet++) {
        harness_run(b.h);
        for (ssize_t n; (n = recv(b.peer, heard + seen, LENGTH - seen, MSG_DONTWAIT)) > 0;)
            seen += (size_t)n;
    }
    CHECK_EQ(seen, LENGTH);
    CHECK(!memcmp(bytes, heard, LENGTH));
    bench_end(&a);
    bench_end(&b);
    buf_free(&first);
    buf_free(&second);
}

TAP_MAIN(TAP_CASE(both_ways), TAP_CASE(slow_reader_holds_the_guest),
         TAP_CASE(gone_reader_costs_nothing), TAP_CASE(nothing_moves_when_it_must_not),
         TAP_CASE(broken_rings_stop_the_device), TAP_CASE(saved_is_restored))
