/* SPDX-License-Identifier: Apache-2.0 */
/* Pump between a chr and two byte rings: see chr_ring.h. */
#include "vm/backend/chr_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/range.h"

struct chr_ring {
    struct chr *chr; /* borrowed */
    struct bytering out, in;
    struct loop_source out_data, in_space, collect;
    bool collecting;
};

static void collect(struct chr_ring *ring)
{
    if (ring->collecting)
        return;
    ring->collecting = true;
    (void)loop_timer_arm(&ring->collect, clock_now() + CHR_RING_COLLECT_NS);
}

size_t chr_ring_drain(struct chr_ring *ring)
{
    struct iovec iov[2];
    int pieces = bytering_peek(&ring->out, iov);
    size_t n = pieces ? chr_write(ring->chr, iov, pieces) : 0;

    bytering_take(&ring->out, (uint32_t)n);
    return n;
}

static void on_out_data(void *ctx, uint32_t events)
{
    struct chr_ring *ring = ctx;

    (void)events;
    bytering_clear(&ring->out);
    collect(ring);
}

/* Only a ring that was seen empty is sure to signal again. What is left because the reader took
 * nothing goes on with `writable`. */
static void on_collect(void *ctx, uint32_t events)
{
    struct chr_ring *ring = ctx;

    (void)events;
    ring->collecting = false;
    if (chr_ring_drain(ring) && bytering_used(&ring->out))
        collect(ring);
}

static void on_writable(void *ctx)
{
    collect(ctx);
}

static void on_readable(void *ctx)
{
    struct chr_ring *ring = ctx;
    uint8_t bytes[512];
    uint32_t space = bytering_space(&ring->in);

    while (space) {
        size_t n = chr_read(ring->chr, bytes, MIN(sizeof bytes, (size_t)space));
        (void)bytering_write(&ring->in, bytes, n);
        if (!n)
            return;
        space = bytering_space(&ring->in);
    }
    chr_want_input(ring->chr, false); /* until in_space */
}

static void on_in_space(void *ctx, uint32_t events)
{
    struct chr_ring *ring = ctx;

    (void)events;
    bytering_clear(&ring->in);
    chr_want_input(ring->chr, true);
}

int chr_ring_create(struct chr *chr, const struct bytering *out, const struct bytering *in,
                    struct loop *loop, struct chr_ring **ret_ring, struct err *err)
{
    struct chr_ring *ring = calloc(1, sizeof *ring);
    int rc;

    if (!ring)
        return err_sys(err, -ENOMEM, "serial stream");
    *ring = (struct chr_ring){.chr = chr, .out = *out, .in = *in};
    rc = loop_add_timer(loop, &ring->collect, on_collect, ring);
    if (rc == 0)
        rc = loop_add_fd(loop, &ring->out_data, out->wait_fd, EPOLLIN, on_out_data, ring);
    if (rc == 0)
        rc = loop_add_fd(loop, &ring->in_space, in->wait_fd, EPOLLIN, on_in_space, ring);
    if (rc < 0) {
        chr_ring_destroy(ring);
        return err_sys(err, rc, "serial stream");
    }
    chr_set_user(chr,
                 &(struct chr_user){.readable = on_readable, .writable = on_writable, .ctx = ring});
    chr_want_input(chr, true);
    collect(ring); /* what was written before we came */
    *ret_ring = ring;
    return 0;
}

void chr_ring_destroy(struct chr_ring *ring)
{
    if (!ring)
        return;
    chr_set_user(ring->chr, NULL);
    loop_del(&ring->out_data);
    loop_del(&ring->in_space);
    loop_del(&ring->collect);
    free(ring);
}
