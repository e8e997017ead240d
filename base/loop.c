/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { EVENTS_MAX = 16 };

struct loop {
    int epoll_fd;
    struct loop_source wake;
    atomic_bool stopped;
    atomic_int result;
    /* The batch being delivered: loop_del blanks what it takes out, so that a freed source is never
     * called. */
    struct epoll_event batch[EVENTS_MAX];
    int batch_count;
};

static void on_wake(void *ctx, uint32_t events)
{
    struct loop *loop = ctx;
    uint64_t count;

    (void)events;
    (void)!read(loop->wake.fd, &count, sizeof count);
}

int loop_create(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int rc;

    if (!loop)
        return -ENOMEM;
    loop->wake.fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int fd = loop->epoll_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = fd < 0 ? -errno : loop_add_fd(loop, &loop->wake, fd, EPOLLIN, on_wake, loop);
    if (rc < 0) {
        (void)close_fd(fd);
        loop_destroy(loop);
        return rc;
    }
    *ret_loop = loop;
    return 0;
}

void loop_destroy(struct loop *loop)
{
    if (!loop)
        return;
    (void)close_fd(loop->wake.fd);
    (void)close_fd(loop->epoll_fd);
    free(loop);
}

int loop_add_fd(struct loop *loop, struct loop_source *src, int fd, uint32_t events,
                void (*ready)(void *ctx, uint32_t events), void *ctx)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};

    *src = (struct loop_source){.fd = fd, .ready = ready, .ctx = ctx, .loop = loop};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        src->loop = NULL;
        return -errno;
    }
    return 0;
}

int loop_mod_fd(struct loop_source *src, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};

    return epoll_ctl(src->loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *loop, struct loop_source *src,
                   void (*ready)(void *ctx, uint32_t events), void *ctx)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int rc = fd < 0 ? -errno : loop_add_fd(loop, src, fd, EPOLLIN, ready, ctx);

    if (rc < 0)
        (void)close_fd(fd);
    else
        src->timer = true;
    return rc;
}

int loop_timer_arm(struct loop_source *src, uint64_t deadline_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                           .tv_nsec = (long)(deadline_ns % 1000000000)}};

    return timerfd_settime(src->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

void loop_del(struct loop_source *src)
{
    struct loop *loop = src->loop;

    if (!loop)
        return;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
    for (int i = 0; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == src)
            loop->batch[i].data.ptr = NULL;
    if (src->timer)
        src->fd = close_fd(src->fd);
    src->loop = NULL;
}

static void deliver(struct loop_source *src, uint32_t events)
{
    uint64_t expirations;

    if (src->timer && read(src->fd, &expirations, sizeof expirations) < 0)
        return; /* rearmed or disarmed since it fired */
    src->ready(src->ctx, events);
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
    int n = epoll_wait(loop->epoll_fd, loop->batch, EVENTS_MAX, timeout_ms);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    loop->batch_count = n;
    for (int i = 0; i < n; i++)
        if (loop->batch[i].data.ptr)
            deliver(loop->batch[i].data.ptr, loop->batch[i].events);
    loop->batch_count = 0;
    return n;
}

int loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->stopped)) {
        int rc = loop_run_once(loop, -1);
        if (rc < 0)
            return rc;
    }
    atomic_store(&loop->stopped, false);
    return atomic_load(&loop->result);
}

void loop_stop(struct loop *loop, int result)
{
    const uint64_t one = 1;

    atomic_store(&loop->result, result);
    atomic_store(&loop->stopped, true);
    (void)!write(loop->wake.fd, &one, sizeof one);
}

uint64_t clock_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
