/* SPDX-License-Identifier: Apache-2.0 */
/* The plain I/O engine: one system call a request, in order of submission, and ppoll for the
 * eventfds. For kernels without io_uring, and for tests, which see every call in its order. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "disk/aio_engine.h"

static int plain_open(struct aio *aio, struct err *err)
{
    return 0;
}

static void plain_close(struct aio *aio) {}

static int plain_adopt(struct aio *aio)
{
    return 0;
}

/* An eventfd may be in blocking mode, so it is read only after poll said that it has something. */
static int poll_watches(struct aio *aio, bool wait)
{
    static const struct timespec now = {0};
    struct pollfd *fds = aio->fds;
    struct aio_watch *watch;
    unsigned count = 0;
    uint64_t value;

    for (watch = aio->watches; watch; watch = watch->next)
        fds[count++] = (struct pollfd){.fd = watch->fd, .events = POLLIN};
    if (!count)
        return 0;
    if (ppoll(fds, count, wait ? NULL : &now, NULL) < 0)
        return errno == EINTR ? 0 : -errno;
    count = 0;
    for (watch = aio->watches; watch; watch = watch->next)
        if ((fds[count++].revents & POLLIN) && read(watch->fd, &value, sizeof value) > 0)
            aio_fire(aio, watch);
    return 0;
}

static int plain_turn(struct aio *aio, bool wait)
{
    struct aio_req *req;

    while ((req = aio_list_pop(&aio->queue)))
        aio_complete(aio, req, aio_perform(aio, req, 0));
    if (aio->due.head && ++aio->busy < AIO_BUSY_MAX)
        return 0;
    aio->busy = 0;
    return poll_watches(aio, wait && !aio->due.head);
}

static void plain_unwatch(struct aio *aio, struct aio_watch *watch) {}

const struct aio_engine_ops aio_plain_ops = {
    .id = AIO_PLAIN,
    .open = plain_open,
    .close = plain_close,
    .adopt = plain_adopt,
    .turn = plain_turn,
    .unwatch = plain_unwatch,
};
