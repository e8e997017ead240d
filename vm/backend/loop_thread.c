/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/backend/loop_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/thread.h"

static void report(struct loop_thread *t, bool *what)
{
    (void)pthread_mutex_lock(&t->lock);
    *what = true;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

static void wait_for(struct loop_thread *t, const bool *what)
{
    (void)pthread_mutex_lock(&t->lock);
    while (!*what)
        (void)pthread_cond_wait(&t->changed, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
}

/* On the thread. */
static void on_order(void *ctx, uint32_t events)
{
    struct loop_thread *t = ctx;
    uint64_t count;

    if (read(t->order_fd, &count, sizeof count) < 0)
        return;
    t->order(t->ctx);
    report(t, &t->done);
}

static void give(struct loop_thread *t, void (*order)(void *ctx))
{
    const uint64_t one = 1;

    if (!t->threaded) {
        order(t->ctx);
        return;
    }
    t->order = order;
    t->done = false;
    (void)!write(t->order_fd, &one, sizeof one); /* orders both fields before the read */
    wait_for(t, &t->done);
}

static void *thread_main(void *arg)
{
    struct loop_thread *t = arg;

    t->result = thread_confine();
    bool serve = t->result == 0;
    report(t, &t->started);
    if (serve && loop_run(t->loop) < 0)
        abort(); /* epoll itself broke: a dead process is found at once, a silent one is not */
    return NULL;
}

static int spawn(struct loop_thread *t, const char *name)
{
    int rc = thread_start(&t->thread, name, thread_main, t);

    if (rc)
        return rc;
    wait_for(t, &t->started);
    if (t->result)
        (void)pthread_join(t->thread, NULL);
    return t->result;
}

static void undo(struct loop_thread *t)
{
    loop_del(&t->orders);
    loop_destroy(TAKE_PTR(t->loop));
    t->order_fd = close_fd(t->order_fd);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->changed);
    t->ops = NULL;
}

int loop_thread_create(struct loop_thread *t, const char *name, bool threaded,
                       const struct loop_thread_ops *ops, void *ctx, struct err *err)
{
    *t = (struct loop_thread){.ops = ops, .ctx = ctx, .threaded = threaded};
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
    t->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = t->order_fd < 0 ? -errno : loop_create(&t->loop);
    if (!rc)
        rc = loop_add_fd(t->loop, &t->orders, t->order_fd, EPOLLIN, on_order, t);
    if (!rc && threaded)
        rc = spawn(t, name);
    if (rc) {
        undo(t);
        return err_sys(err, rc, "%s: cannot start its thread", name);
    }
    return 0;
}

void loop_thread_run(struct loop_thread *t)
{
    if (!t->running)
        give(t, t->ops->run);
    t->running = true;
}

void loop_thread_park(struct loop_thread *t)
{
    if (t->running)
        give(t, t->ops->park);
    t->running = false;
}

void loop_thread_step(struct loop_thread *t)
{
    (void)loop_run_once(t->loop, 0);
}

void loop_thread_destroy(struct loop_thread *t)
{
    if (!t->ops)
        return;
    loop_thread_park(t);
    if (t->threaded) {
        loop_stop(t->loop, 0);
        (void)pthread_join(t->thread, NULL);
    }
    undo(t);
}
