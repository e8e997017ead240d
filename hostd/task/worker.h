/* SPDX-License-Identifier: Apache-2.0 */
/* Slow work off the loop's thread: a few threads take jobs in order; what a job finds out is taken
 * up by the loop afterwards. A job's `work` must touch only what its argument owns or what never
 * changes; the inventory belongs to the loop. */
#pragma once

#include "base/loop.h"

struct worker;

int worker_create(struct loop *loop, unsigned threads, struct worker **ret_worker);
/* Waits for the jobs that run, calls `done` of all that were given, ends the threads. */
void worker_destroy(struct worker *worker);

/* `work(arg)` on a thread, then `done(arg)` on the loop's. Returns 0 or -ENOMEM (neither is
 * called). From the loop's thread only. */
int worker_post(struct worker *worker, void (*work)(void *arg), void (*done)(void *arg), void *arg);
