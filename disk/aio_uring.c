/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring engine: one io_uring_enter an iteration submits what is queued, runs the kernel's
 * deferred completions and waits. Eventfds are watched by multishot polls: one completion a signal,
 * nothing to arm again, the counter never read (it has 2^64 signals' worth of room).
 *
 * Done here instead of in the ring, because the ring would pay a switch to a worker thread for it:
 * everything on tmpfs, which has no non-blocking mode; and buffered writes, which are a copy into
 * the page cache (a writer that is being throttled sleeps here, as the guest should). A lone read
 * of a buffered file is first tried with RWF_NOWAIT: a hit saves the round through the ring, and
 * the attempts back off while they miss. Syncs and fallocate do block, so workers are right for
 * them. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk/aio_engine.h"

enum { RING_ENTRIES = 256, RING_COMPLETIONS = 1024, READ_SKIPS_MAX = 256 };

/* user_data: a request's address, or a watch's with bit 0 set, or 0 for what needs no answer. */
#define WATCH_TAG UINT64_C(1)

static int uring_open(struct aio *aio, struct err *err)
{
    static const unsigned flavours[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL, /* 6.1 */
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, /* 5.19 */
    };
    int rc = 0;

    for (unsigned i = 0; i < sizeof flavours / sizeof flavours[0]; i++) {
        struct io_uring_params params = {
            .flags = flavours[i] | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
            .cq_entries = RING_COMPLETIONS,
        };
        rc = io_uring_queue_init_params(RING_ENTRIES, &aio->ring, &params);
        if (!rc) {
            aio->ring_open = true;
            return 0;
        }
    }
    return err_sys(err, rc == -EINVAL ? -ENOSYS : rc, "io_uring");
}

static void uring_close(struct aio *aio)
{
    if (aio->ring_open)
        io_uring_queue_exit(&aio->ring);
}

/* A number for the running thread that no other one ever has. */
static uint64_t this_thread(void)
{
    static _Atomic uint64_t last;
    static __thread uint64_t number;

    if (!number)
        number = ++last;
    return number;
}

/* The ring belongs to the thread that enables it; knowing the ring by index saves a look-up. */
static int uring_adopt(struct aio *aio)
{
    /* liburing 2.3 declares io_uring_enable_rings and does not export it. */
    if (syscall(SYS_io_uring_register, aio->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
        return -errno;
    (void)io_uring_register_ring_fd(&aio->ring);
    aio->owner = this_thread();
    return 0;
}

/* -- Submission ----------------------------------------------------------------------------------
 */

static struct io_uring_sqe *get_sqe(struct aio *aio)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&aio->ring);

    if (!sqe) {
        (void)io_uring_submit(&aio->ring);
        sqe = io_uring_get_sqe(&aio->ring);
    }
    return sqe;
}

/* False: no room now, ask again. */
static bool start(struct aio *aio, struct aio_req *req)
{
    struct io_uring_sqe *sqe = get_sqe(aio);

    if (!sqe)
        return false;
    switch (req->op) {
    case AIO_READ:
        io_uring_prep_readv(sqe, req->fd, req->iov, req->niov, req->offset);
        break;
    case AIO_WRITE:
        io_uring_prep_writev(sqe, req->fd, req->iov, req->niov, req->offset);
        break;
    case AIO_SYNC:
        io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
        break;
    case AIO_EXTEND:
        io_uring_prep_fallocate(sqe, req->fd, 0, (off_t)req->offset, (off_t)req->length);
        break;
    default:
        io_uring_prep_fallocate(sqe, req->fd,
                                FALLOC_FL_KEEP_SIZE | (req->op == AIO_PUNCH ? FALLOC_FL_PUNCH_HOLE
                                                                            : FALLOC_FL_ZERO_RANGE),
                                (off_t)req->offset, (off_t)req->length);
    }
    io_uring_sqe_set_data(sqe, req);
    aio->in_flight++;
    return true;
}

static bool do_here(const struct aio_req *req)
{
    return req->file == AIO_FILE_MEMORY || (req->file == AIO_FILE_CACHED && req->op == AIO_WRITE) ||
           req->op == AIO_EXTEND || req->op == AIO_TRUNCATE;
}

/* Tries the page cache for a read that has nothing beside it. */
static bool read_from_cache(struct aio *aio, struct aio_req *req)
{
    ssize_t got;

    if (req->op != AIO_READ || req->file != AIO_FILE_CACHED || aio->queue.head || aio->in_flight)
        return false;
    if (aio->read_skip) {
        aio->read_skip--;
        return false;
    }
    got = preadv2(req->fd, req->iov, (int)req->niov, (off_t)req->offset, RWF_NOWAIT);
    if (got <= 0 || (uint64_t)got < req->length) {
        aio->read_skips = aio->read_skips ? aio->read_skips * 2 : 1;
        if (aio->read_skips > READ_SKIPS_MAX)
            aio->read_skips = READ_SKIPS_MAX;
        aio->read_skip = aio->read_skips;
        return false;
    }
    aio->read_skips = 0;
    aio_complete(aio, req, got);
    return true;
}

/* False when the ring is full. */
static bool start_or_do(struct aio *aio, struct aio_req *req)
{
    int64_t result;

    if (do_here(req)) {
        aio_complete(aio, req, aio_perform(aio, req, 0));
        return true;
    }
    if (aio->in_flight >= RING_COMPLETIONS / 2)
        return false;
    if (aio->filter) {
        if (aio->filter(aio->filter_ctx, req, &result)) {
            aio_complete(aio, req, result);
            return true;
        }
    } else if (read_from_cache(aio, req)) {
        return true;
    }
    return start(aio, req);
}

static void arm_watches(struct aio *aio)
{
    for (struct aio_watch *watch = aio->watches; watch; watch = watch->next) {
        struct io_uring_sqe *sqe = watch->armed ? NULL : get_sqe(aio);

        if (!sqe)
            continue;
        io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
        sqe->user_data = (uint64_t)(uintptr_t)watch | WATCH_TAG;
        watch->armed = true;
    }
}

/* -- Completion ----------------------------------------------------------------------------------
 */

static void take(struct aio *aio, const struct io_uring_cqe *cqe)
{
    void *data = (void *)(uintptr_t)(cqe->user_data & ~WATCH_TAG);

    if (!data)
        return;
    if (cqe->user_data & WATCH_TAG) {
        struct aio_watch *watch = data;
        watch->armed = cqe->flags & IORING_CQE_F_MORE;
        if (cqe->res > 0)
            aio_fire(aio, watch);
        return;
    }
    aio->in_flight--;
    aio_complete(aio, data, cqe->res);
}

static void reap(struct aio *aio)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&aio->ring, head, cqe)
    {
        take(aio, cqe);
        count++;
    }
    io_uring_cq_advance(&aio->ring, count);
}

/* Returns whether a sleep would ever end. */
static bool something_to_wait_for(const struct aio *aio)
{
    return aio->in_flight || aio->watches;
}

static int enter(struct aio *aio, bool wait)
{
    int rc =
        wait ? io_uring_submit_and_wait(&aio->ring, 1) : io_uring_submit_and_get_events(&aio->ring);

    return rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY ? rc : 0;
}

static int uring_turn(struct aio *aio, bool wait)
{
    struct aio_req *req;
    int rc = 0;

    /* The index of a registered ring means another ring, or none, in another thread. */
    if (aio->owner != this_thread())
        return -EPERM;
    while ((req = aio_list_pop(&aio->queue)))
        if (!start_or_do(aio, req)) {
            req->next = aio->queue.head;
            if (!req->next)
                aio->queue.tail = &req->next;
            aio->queue.head = req;
            break;
        }
    arm_watches(aio);
    if (aio->due.head && !io_uring_sq_ready(&aio->ring) && ++aio->busy < AIO_BUSY_MAX)
        return 0;
    aio->busy = 0;
    if (!something_to_wait_for(aio))
        return 0;
    reap(aio);
    wait = wait && !aio->due.head && !aio->fired;
    rc = enter(aio, wait);
    reap(aio);
    return rc;
}

/* Ends the poll and sees its last completion, so that the kernel has forgotten the watch. */
static void uring_unwatch(struct aio *aio, struct aio_watch *watch)
{
    struct io_uring_sqe *sqe;

    if (!watch->armed || aio->owner != this_thread() || !(sqe = get_sqe(aio)))
        return;
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)watch | WATCH_TAG, 0);
    sqe->user_data = 0;
    while (watch->armed && !enter(aio, true))
        reap(aio);
}

static void uring_settle(struct aio *aio)
{
    if (aio->owner == this_thread())
        (void)io_uring_get_events(&aio->ring);
}

const struct aio_engine_ops aio_uring_ops = {
    .id = AIO_URING,
    .open = uring_open,
    .close = uring_close,
    .adopt = uring_adopt,
    .turn = uring_turn,
    .unwatch = uring_unwatch,
    .settle = uring_settle,
};
