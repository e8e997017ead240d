/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/backend/io_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

static void on_wake(struct aio_watch *watch) {}

static void wake(struct io_thread *t)
{
    const uint64_t one = 1;

    (void)!write(t->wake.fd, &one, sizeof one);
}

/* Without its engine nothing in flight ever ends, not even a drain: a dead process is found at
 * once, a silent one is not. */
static void turn(struct io_thread *t, bool wait)
{
    if (aio_run_once(t->aio, wait) < 0)
        abort();
}

static void drain(struct io_thread *t)
{
    while (t->ops->busy(t->ctx)) {
        turn(t, true);
        (void)t->ops->work(t->ctx, false);
    }
}

static void serve(struct io_thread *t)
{
    bool wait = t->ops->work(t->ctx, true);

    while (io_thread_wanted(t)) {
        turn(t, wait);
        wait = t->ops->work(t->ctx, false);
    }
    drain(t);
}

/* Parked until something else is wanted; returns what. */
static enum io_thread_mode stand(struct io_thread *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->parked = true;
    (void)pthread_cond_broadcast(&t->changed);
    while (t->wanted == IO_THREAD_PARK)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    t->parked = false;
    enum io_thread_mode mode = (enum io_thread_mode)t->wanted;
    (void)pthread_mutex_unlock(&t->lock);
    return mode;
}

static int begin(struct io_thread *t)
{
    int rc = aio_adopt(t->aio);

    if (!rc && t->threaded)
        rc = thread_confine();
    if (rc)
        return rc;
    aio_watch(t->aio, &t->wake);
    t->ops->begin(t->ctx);
    return 0;
}

static void end(struct io_thread *t)
{
    aio_unwatch(t->aio, &t->wake);
    t->ops->end(t->ctx);
}

static void *thread_main(void *arg)
{
    struct io_thread *t = arg;
    int rc = begin(t);

    (void)pthread_mutex_lock(&t->lock);
    t->result = rc;
    t->started = true;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    while (!rc && stand(t) == IO_THREAD_RUN)
        serve(t);
    if (!rc)
        end(t);
    return NULL;
}

static int spawn(struct io_thread *t, const char *name)
{
    int rc = thread_start(&t->thread, name, thread_main, t);

    if (rc)
        return rc;
    (void)pthread_mutex_lock(&t->lock);
    while (!t->started)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
    if (t->result)
        (void)pthread_join(t->thread, NULL);
    return t->result;
}

static void undo(struct io_thread *t)
{
    (void)close_fd(t->wake.fd);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->changed);
    t->ops = NULL;
}

int io_thread_create(struct io_thread *t, const char *name, struct aio *aio, bool threaded,
                     const struct io_thread_ops *ops, void *ctx, struct err *err)
{
    *t = (struct io_thread){.ops = ops, .ctx = ctx, .aio = aio, .threaded = threaded};
    t->wake = (struct aio_watch){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_wake, .ctx = t};
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
    int rc = t->wake.fd < 0 ? -errno : threaded ? spawn(t, name) : begin(t);
    if (rc) {
        undo(t);
        return err_sys(err, rc, "%s: cannot start its I/O thread", name);
    }
    return 0;
}

static void want(struct io_thread *t, enum io_thread_mode mode)
{
    (void)pthread_mutex_lock(&t->lock);
    atomic_store_explicit(&t->wanted, mode, memory_order_release);
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

void io_thread_run(struct io_thread *t)
{
    want(t, IO_THREAD_RUN);
    if (!t->threaded)
        (void)t->ops->work(t->ctx, true);
}

void io_thread_park(struct io_thread *t)
{
    want(t, IO_THREAD_PARK);
    if (!t->threaded) {
        drain(t);
        return;
    }
    wake(t);
    (void)pthread_mutex_lock(&t->lock);
    while (!t->parked)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

void io_thread_step(struct io_thread *t)
{
    if (!io_thread_wanted(t))
        return;
    turn(t, false);
    (void)t->ops->work(t->ctx, false);
}

void io_thread_destroy(struct io_thread *t)
{
    if (!t->ops)
        return;
    io_thread_park(t);
    if (t->threaded) {
        want(t, IO_THREAD_END);
        (void)pthread_join(t->thread, NULL);
    } else {
        end(t);
    }
    undo(t);
}
