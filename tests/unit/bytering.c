/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/machine/bytering.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/tap.h"

enum { SIZE = 64 };

struct pair {
    struct bytering_shared *shared;
    struct bytering writer, reader;
    int data_fd, space_fd;
};

static struct pair open_pair(uint32_t size)
{
    struct pair p = {.shared = aligned_alloc(64, bytering_shared_size(size)),
                     .data_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                     .space_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};

    memset(p.shared, 0, bytering_shared_size(size));
    CHECK_EQ(bytering_init_writer(&p.writer, p.shared, size, p.data_fd, p.space_fd), 0);
    CHECK_EQ(bytering_init_reader(&p.reader, p.shared, size, p.data_fd, p.space_fd), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    (void)close(p->data_fd);
    (void)close(p->space_fd);
    free(p->shared);
}

/* How often the eventfd was rung since the last time. */
static uint64_t rung(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof count) < 0 ? 0 : count;
}

static void wakes_on_transitions_only(void)
{
    struct pair p = open_pair(SIZE);
    uint8_t bytes[SIZE + 8] = {0};

    CHECK_EQ(bytering_write(&p.writer, bytes, 1), 1);
    CHECK_EQ(rung(p.data_fd), 1);
    CHECK_EQ(bytering_write(&p.writer, bytes, 5), 5); /* not empty: nobody sleeps */
    CHECK_EQ(rung(p.data_fd), 0);
    CHECK_EQ(bytering_write(&p.writer, bytes, sizeof bytes), SIZE - 6);
    CHECK_EQ(bytering_write(&p.writer, bytes, 1), 0);
    CHECK_EQ(rung(p.space_fd), 0);
    CHECK_EQ(bytering_read(&p.reader, bytes, 1), 1); /* was full */
    CHECK_EQ(rung(p.space_fd), 1);
    CHECK_EQ(bytering_read(&p.reader, bytes, sizeof bytes), SIZE - 1);
    CHECK_EQ(rung(p.space_fd), 0);
    CHECK_EQ(bytering_read(&p.reader, bytes, 1), 0);
    CHECK_EQ(bytering_write(&p.writer, bytes, 1), 1);
    CHECK_EQ(rung(p.data_fd), 1);
    close_pair(&p);
}

static void keeps_order_across_the_end(void)
{
    struct pair p = open_pair(SIZE);
    uint8_t next_in = 0, next_out = 0;

    for (unsigned round = 0; round < 200; round++) {
        uint8_t in[40], out[40];
        size_t want = round % 40 + 1;
        for (size_t i = 0; i < want; i++)
            in[i] = (uint8_t)(next_in + i);
        next_in = (uint8_t)(next_in + bytering_write(&p.writer, in, want));
        size_t got = bytering_read(&p.reader, out, round % 7 ? 40 : 3);
        for (size_t i = 0; i < got; i++)
            CHECK_EQ(out[i], next_out++);
    }
    close_pair(&p);
}

static void peek_shows_both_pieces(void)
{
    struct pair p = open_pair(SIZE);
    uint8_t bytes[SIZE];
    struct iovec iov[2];

    for (unsigned i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)i;
    CHECK_EQ(bytering_peek(&p.reader, iov), 0);
    CHECK_EQ(bytering_write(&p.writer, bytes, 60), 60);
    bytering_take(&p.reader, 60);
    CHECK_EQ(bytering_write(&p.writer, bytes, 10), 10);
    CHECK_EQ(bytering_peek(&p.reader, iov), 2);
    CHECK_EQ(iov[0].iov_len, 4);
    CHECK_EQ(iov[1].iov_len, 6);
    CHECK_EQ(((uint8_t *)iov[0].iov_base)[0], 0);
    CHECK_EQ(((uint8_t *)iov[1].iov_base)[0], 4);
    close_pair(&p);
}

static void foreign_positions_are_not_followed(void)
{
    struct pair p = open_pair(SIZE);
    uint8_t bytes[SIZE] = {0};

    atomic_store(&p.shared->written, 1000); /* more than the ring holds */
    CHECK_EQ(bytering_read(&p.reader, bytes, sizeof bytes), 0);
    CHECK_EQ(p.reader.broken, 1);
    atomic_store(&p.shared->taken, 5); /* what was never written */
    CHECK_EQ(bytering_write(&p.writer, bytes, 1), 0);
    CHECK_EQ(p.writer.broken, 1);
    close_pair(&p);
}

static void sizes_are_checked(void)
{
    struct bytering ring;
    struct bytering_shared shared = {0};

    CHECK_EQ(bytering_init_writer(&ring, &shared, 0, -1, -1), -EINVAL);
    CHECK_EQ(bytering_init_writer(&ring, &shared, 100, -1, -1), -EINVAL);
    CHECK_EQ(bytering_init_writer(&ring, &shared, 2 << 20, -1, -1), -EINVAL);
}

enum { STREAM = 200000 };

static void sleep_on(struct bytering *ring)
{
    struct pollfd pfd = {.fd = ring->wait_fd, .events = POLLIN};

    if (poll(&pfd, 1, 5000) == 0)
        CHECK(!"a wake-up was lost");
    bytering_clear(ring);
}

static void *write_stream(void *ctx)
{
    struct bytering *ring = ctx;

    for (unsigned sent = 0; sent < STREAM;) {
        uint8_t chunk[37];
        size_t n = sent % 37 + 1;
        if (n > STREAM - sent)
            n = STREAM - sent;
        for (size_t i = 0; i < n; i++)
            chunk[i] = (uint8_t)((sent + i) * 7);
        size_t took = bytering_write(ring, chunk, n);
        if (!took)
            sleep_on(ring);
        sent += (unsigned)took;
    }
    return NULL;
}

static void two_threads_lose_nothing(void)
{
    struct pair p = open_pair(SIZE);
    pthread_t thread;
    unsigned wrong = 0;

    CHECK_EQ(pthread_create(&thread, NULL, write_stream, &p.writer), 0);
    for (unsigned seen = 0; seen < STREAM;) {
        uint8_t chunk[29];
        size_t n = bytering_read(&p.reader, chunk, sizeof chunk);
        if (!n)
            sleep_on(&p.reader);
        for (size_t i = 0; i < n; i++, seen++)
            wrong += chunk[i] != (uint8_t)(seen * 7);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(wrong, 0);
    close_pair(&p);
}

TAP_MAIN(TAP_CASE(wakes_on_transitions_only), TAP_CASE(keeps_order_across_the_end),
         TAP_CASE(peek_shows_both_pieces), TAP_CASE(foreign_positions_are_not_followed),
         TAP_CASE(sizes_are_checked), TAP_CASE(two_threads_lose_nothing))
