/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that runs an aio for one device: it owns the aio, the disk on it and, while it runs, the
 * device's queues, so the data path has no locks.
 *
 * It is parked at first. io_thread_run lets it go; io_thread_park asks it to take up nothing new,
 * waits until nothing is in flight and it stands still, and returns then: the caller may touch what
 * is the thread's until the next io_thread_run. Run, park and destroy are called by one thread at a
 * time. A doorbell that rings while parked is not remembered: `work` looks at everything once after
 * each io_thread_run.
 *
 * Without a thread (io_thread_create with threaded false; fuzzing) the caller turns the wheel with
 * io_thread_step, and everything else behaves the same. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "disk/aio.h"

struct io_thread_ops {
    /* On the thread: the first thing (watches are added here), and the last one. */
    void (*begin)(void *ctx);
    void (*end)(void *ctx);
    /* After every turn of the aio, and first after each io_thread_run (`fresh`). Takes up new work
     * only while io_thread_wanted. Returns false to be called again after a turn that does not
     * wait. */
    bool (*work)(void *ctx, bool fresh);
    bool (*busy)(void *ctx); /* requests in flight? */
};

enum io_thread_mode { IO_THREAD_PARK, IO_THREAD_RUN, IO_THREAD_END };

struct io_thread {
    const struct io_thread_ops *ops;
    void *ctx;
    struct aio *aio; /* borrowed */
    struct aio_watch wake;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic(int) wanted; /* enum io_thread_mode */
    bool threaded, parked, started;
    int result; /* of starting */
};

/* The thread calls thread_confine (base/thread.h) before it serves; what it needs of a filter then
 * is in disk/aio.h. On failure `end` is not called. */
int io_thread_create(struct io_thread *thread, const char *name, struct aio *aio, bool threaded,
                     const struct io_thread_ops *ops, void *ctx, struct err *err);
/* Parks, calls `end` and waits for the thread; accepts a zeroed one. */
void io_thread_destroy(struct io_thread *thread);

void io_thread_run(struct io_thread *thread);
void io_thread_park(struct io_thread *thread);

/* On the thread. */
static inline bool io_thread_wanted(struct io_thread *thread)
{
    return atomic_load_explicit(&thread->wanted, memory_order_acquire) == IO_THREAD_RUN;
}

/* One turn, without a thread. */
void io_thread_step(struct io_thread *thread);
