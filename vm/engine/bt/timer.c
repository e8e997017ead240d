/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/timer.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { NS_PER_S = 1000000000 };

int bt_timers_init(struct bt_timers *timers, const struct clock *clock)
{
    *timers = (struct bt_timers){.clock = clock, .set_for = UINT64_MAX};
    timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return timers->fd < 0 ? -errno : 0;
}

void bt_timers_fini(struct bt_timers *timers)
{
    timers->fd = close_fd(timers->fd);
}

uint64_t bt_timers_now(const struct bt_timers *timers)
{
    return clock_monotonic(timers->clock);
}

/* A deadline of 0 would disarm the descriptor; 1 ns is in the past just as well. */
static void set_descriptor(struct bt_timers *timers, uint64_t deadline)
{
    uint64_t at = MAX(deadline, UINT64_C(1));
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};

    timers->set_for = deadline;
    (void)timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void bt_timer_disarm(struct bt_timers *timers, struct bt_timer *timer)
{
    if (!timer->armed)
        return;
    for (struct bt_timer **at = &timers->head; *at; at = &(*at)->next) {
        if (*at == timer) {
            *at = timer->next;
            break;
        }
    }
    timer->armed = false;
}

void bt_timer_arm(struct bt_timers *timers, struct bt_timer *timer, uint64_t deadline)
{
    timer->deadline = deadline;
    if (!timer->armed) {
        timer->armed = true;
        timer->next = timers->head;
        timers->head = timer;
    }
    if (deadline < timers->set_for)
        set_descriptor(timers, deadline);
}

/* One that is due, or NULL; else the earliest deadline of all is in *ret_next. */
static struct bt_timer *find_due(struct bt_timers *timers, uint64_t now, uint64_t *ret_next)
{
    uint64_t next = UINT64_MAX;

    for (struct bt_timer *t = timers->head; t; t = t->next) {
        if (t->deadline <= now)
            return t;
        next = MIN(next, t->deadline);
    }
    *ret_next = next;
    return NULL;
}

void bt_timers_run(struct bt_timers *timers)
{
    uint64_t now = bt_timers_now(timers), next = UINT64_MAX, expirations;
    struct bt_timer *timer;

    (void)!read(timers->fd, &expirations, sizeof expirations);
    timers->set_for = 0; /* nothing sets the descriptor while timers fire */
    while ((timer = find_due(timers, now, &next))) {
        bt_timer_disarm(timers, timer);
        timer->fire(timer->ctx);
    }
    timers->set_for = UINT64_MAX;
    if (next != UINT64_MAX)
        set_descriptor(timers, next);
}
