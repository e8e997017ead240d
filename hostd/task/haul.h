/* SPDX-License-Identifier: Apache-2.0 */
/* Long work of a task: what moves whole disks and files. It has threads of its own, so that a login
 * never waits behind a copy; says how far it is, which becomes the task's progress; and can be
 * cancelled, which it finds out when it says how far it is.
 *
 * A haul is embedded in what it works on. As with worker.h, `run` touches only what that owns. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "hostd/hostd.h"

struct task;
struct haulers;

struct haul {
    struct hostd *hostd;
    struct task *task;
    int (*run)(struct haul *haul);   /* on a thread: 0 or -errno with err; leaves nothing behind */
    void (*done)(struct haul *haul); /* on the loop's: ends the task and frees; rc says how */
    bool tidies;                     /* `run` is called also when it has been cancelled */
    int rc;
    struct err err;

    /* haul.c's. */
    atomic_int percent;
    atomic_bool cancelled;
    int from, to; /* the part of 0 .. 100 that is being done */
    struct haul *next;
};

int haulers_create(struct hostd *hostd, struct haulers **ret_haulers);
void haulers_destroy(struct haulers *haulers); /* accepts NULL; cancels what is under way */

/* With hostd, task, run and done set. `done` is called in any case, also from here. */
void haul_start(struct haul *haul);

/* For `run`: how far the present part is; -ECANCELED when it shall end. A disk_progress_fn with the
 * haul as its context. */
int haul_progress(void *ctx, uint64_t done, uint64_t total);
/* It was cancelled, whether `run` has found out or not. For `done`. */
bool haul_is_cancelled(const struct haul *haul);
/* What follows is the part from .. to (per cent) of the whole. */
void haul_part(struct haul *haul, int from, int to);

/* For `done`: fails the task, or succeeds it with `result`; `file` for the fault's text. */
struct vim_any;
void haul_end(struct haul *haul, struct vim_any result, const char *file);
