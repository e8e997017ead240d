/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/task/haul.h"

#include <errno.h>
#include <stdlib.h>

#include "base/loop.h"
#include "base/range.h"
#include "hostd/task/task.h"
#include "hostd/task/worker.h"

enum { THREADS = 4, TICK_MS = 250 };

struct haulers {
    struct worker *worker;
    struct haul *first; /* under way */
    struct loop_source tick;
};

static void rearm(struct haulers *haulers)
{
    (void)loop_timer_arm(&haulers->tick,
                         haulers->first ? clock_now() + TICK_MS * UINT64_C(1000000) : 0);
}

static void on_tick(void *ctx, uint32_t events)
{
    struct haulers *haulers = ctx;

    (void)events;
    for (struct haul *haul = haulers->first; haul; haul = haul->next)
        task_progress(haul->task, atomic_load(&haul->percent));
    rearm(haulers);
}

int haulers_create(struct hostd *hostd, struct haulers **ret_haulers)
{
    struct haulers *haulers = calloc(1, sizeof *haulers);
    int rc = haulers ? loop_add_timer(hostd->loop, &haulers->tick, on_tick, haulers) : -ENOMEM;

    if (rc == 0)
        rc = worker_create(hostd->loop, THREADS, &haulers->worker);
    if (rc < 0) {
        haulers_destroy(haulers);
        return rc;
    }
    *ret_haulers = haulers;
    return 0;
}

void haulers_destroy(struct haulers *haulers)
{
    if (!haulers)
        return;
    for (struct haul *haul = haulers->first; haul; haul = haul->next)
        atomic_store(&haul->cancelled, true);
    worker_destroy(haulers->worker);
    loop_del(&haulers->tick);
    free(haulers);
}

static void work(void *arg)
{
    struct haul *haul = arg;

    haul->rc = atomic_load(&haul->cancelled) && !haul->tidies ? -ECANCELED : haul->run(haul);
}

static void finished(void *arg)
{
    struct haul *haul = arg, **at = &haul->hostd->haulers->first;

    while (*at != haul)
        at = &(*at)->next;
    *at = haul->next;
    haul->task->cancel = NULL;
    haul->done(haul);
}

static void cancel(struct task *task)
{
    struct haul *haul = task->ctx;

    atomic_store(&haul->cancelled, true);
}

void haul_start(struct haul *haul)
{
    struct haulers *haulers = haul->hostd->haulers;

    haul->to = 100;
    haul->next = haulers->first;
    haulers->first = haul;
    haul->task->ctx = haul;
    haul->task->cancel = cancel;
    rearm(haulers);
    if (worker_post(haulers->worker, work, finished, haul) < 0) {
        haul->rc = -ENOMEM;
        finished(haul);
    }
}

int haul_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct haul *haul = ctx;
    double part = total ? (double)done / (double)total : 0;

    atomic_store(&haul->percent, haul->from + (int)(part * (haul->to - haul->from)));
    return atomic_load(&haul->cancelled) ? -ECANCELED : 0;
}

bool haul_is_cancelled(const struct haul *haul)
{
    return atomic_load(&haul->cancelled);
}

void haul_part(struct haul *haul, int from, int to)
{
    haul->from = from;
    haul->to = to;
    atomic_store(&haul->percent, from);
}

void haul_end(struct haul *haul, struct vim_any result, const char *file)
{
    if (haul->rc < 0)
        task_fail_errno(haul->task, haul->rc, &haul->err, file);
    else
        task_succeed(haul->task, result);
}
