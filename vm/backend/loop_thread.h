/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that runs an event loop for one device whose back end is ready or not (sockets, taps);
 * io_thread.h is the one for disks.
 *
 * It is parked at first. loop_thread_run and loop_thread_park call `run` and `park` on the thread
 * and return when they have returned: after park nothing of the device may be in the loop any more,
 * and the caller may touch what is the thread's until the next run. One thread at a time gives
 * these orders.
 *
 * Without a thread (threaded false; fuzzing) the caller turns the wheel with loop_thread_step, and
 * everything else behaves the same. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"

struct loop_thread_ops {
    void (*run)(void *ctx);
    void (*park)(void *ctx);
};

struct loop_thread {
    const struct loop_thread_ops *ops;
    void *ctx;
    struct loop *loop; /* owned; the thread's */
    struct loop_source orders;
    int order_fd; /* owned eventfd */
    void (*order)(void *ctx);
    bool threaded, started, running, done;
    int result;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* The thread calls thread_confine (base/thread.h) before it serves. What a network card's thread
 * calls from then on: epoll_wait, epoll_ctl, read, readv, write, writev, recvfrom, sendmsg, futex,
 * and ioctl with TUNSETOFFLOAD, TUNSETQUEUE and VHOST_* (nic_vhost.h). */
int loop_thread_create(struct loop_thread *thread, const char *name, bool threaded,
                       const struct loop_thread_ops *ops, void *ctx, struct err *err);
void loop_thread_destroy(struct loop_thread *thread); /* parks first; accepts a zeroed one */

void loop_thread_run(struct loop_thread *thread);
void loop_thread_park(struct loop_thread *thread);

/* One turn, without a thread. */
void loop_thread_step(struct loop_thread *thread);
