/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop on epoll: descriptors and timers, one thread. Callbacks run on the thread that is
 * in loop_run.
 *
 * A source belongs to its owner, who embeds it, initialises it with loop_add_* and takes it out
 * with loop_del before freeing it; a callback may delete its own or any other source. Nothing here
 * is thread-safe but loop_stop and loop_wake. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

struct loop_source {
    int fd; /* borrowed, or the loop's own timerfd for timers */
    void (*ready)(void *ctx, uint32_t events);
    void *ctx;
    bool timer;
    struct loop *loop; /* NULL when not in a loop */
};

int loop_create(struct loop **ret_loop);
void loop_destroy(struct loop *loop);

/* events: EPOLLIN, EPOLLOUT, EPOLLET ... 0 listens for hang-up and errors only. */
int loop_add_fd(struct loop *loop, struct loop_source *src, int fd, uint32_t events,
                void (*ready)(void *ctx, uint32_t events), void *ctx);
int loop_mod_fd(struct loop_source *src, uint32_t events);

/* A timer that is not armed. loop_timer_arm: fires once at `deadline_ns` of CLOCK_MONOTONIC; 0
 * disarms. */
int loop_add_timer(struct loop *loop, struct loop_source *src,
                   void (*ready)(void *ctx, uint32_t events), void *ctx);
int loop_timer_arm(struct loop_source *src, uint64_t deadline_ns);

void loop_del(struct loop_source *src); /* accepts one that is not in a loop */

/* Runs until loop_stop; returns what was given there, or a negative errno. */
int loop_run(struct loop *loop);
int loop_run_once(struct loop *loop, int timeout_ms); /* for tests */
void loop_stop(struct loop *loop, int result);        /* from any thread and from signal handlers */

uint64_t clock_now(void); /* ns, CLOCK_MONOTONIC */
