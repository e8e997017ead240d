/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of aio.h: what its two engines share. `queue` holds what was submitted, `due` what is
 * done and waits for its callback; both in order. */
#pragma once

#include <liburing.h>
#include <poll.h>

#include "disk/aio.h"

struct aio_list {
    struct aio_req *head, **tail;
};

struct aio_engine_ops {
    enum aio_engine id;
    int (*open)(struct aio *aio, struct err *err);
    void (*close)(struct aio *aio);
    int (*adopt)(struct aio *aio);
    /* Performs or starts all of `queue`; collects into `due` and `fired`; sleeps only if `wait` and
     * there is nothing due and something to wait for. */
    int (*turn)(struct aio *aio, bool wait);
    void (*unwatch)(struct aio *aio, struct aio_watch *watch);
    void (*settle)(struct aio *aio); /* may be NULL */
};
extern const struct aio_engine_ops aio_uring_ops, aio_plain_ops;

struct aio {
    const struct aio_engine_ops *ops;
    struct aio_list queue, due;
    struct aio_watch *watches;
    unsigned watch_count, fired; /* fired: how many watches have theirs set */
    unsigned busy;               /* turns in a row that did not look at the watches */
    bool adopted;
    aio_filter_fn *filter;
    void *filter_ctx;

    struct pollfd fds[AIO_WATCH_MAX]; /* plain */

    struct io_uring ring;
    bool ring_open, ring_fd_registered;
    uint64_t owner;      /* of the ring: the thread that adopted it */
    unsigned in_flight;  /* requests in the ring */
    unsigned read_skip;  /* lone reads to leave to the ring before the page cache is tried again */
    unsigned read_skips; /* how many that were last time: doubles while the cache misses */
};

/* A busy thread looks at its watches at least every so many turns. */
enum { AIO_BUSY_MAX = 32 };

void aio_list_init(struct aio_list *list);
void aio_list_push(struct aio_list *list, struct aio_req *req);
struct aio_req *aio_list_pop(struct aio_list *list);

void aio_fire(struct aio *aio, struct aio_watch *watch);

/* Performs what is left of `req` after `done` bytes, blocking; the whole result. */
int64_t aio_perform(struct aio *aio, struct aio_req *req, uint64_t done);
/* Puts `req` on `due`; a short transfer is first brought to its end. */
void aio_complete(struct aio *aio, struct aio_req *req, int64_t result);
