/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of the interrupt controllers and timers of one VM, all on one timerfd. Armed means: in
 * the list. The descriptor is set only when a deadline comes before the one it is set for; one that
 * was put off or cancelled since lets it fire for nothing, once, which is cheaper than a system
 * call each time.
 *
 * Not locked: everything is called under the irqchip's lock. Times are nanoseconds of
 * CLOCK_MONOTONIC, asked of a `struct clock` that a test may replace; such a test calls
 * bt_timers_run itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct bt_timer {
    uint64_t deadline; /* ns; meaningful while armed */
    bool armed;
    void (*fire)(void *ctx); /* disarmed when called; may arm it again */
    void *ctx;
    struct bt_timer *next;
};

struct bt_timers {
    const struct clock *clock; /* borrowed */
    int fd;                    /* timerfd, owned; becomes readable when there is something to run */
    uint64_t set_for;          /* deadline that fd is set for; UINT64_MAX: none */
    struct bt_timer *head;     /* armed ones, in no order */
};

int bt_timers_init(struct bt_timers *timers, const struct clock *clock);
void bt_timers_fini(struct bt_timers *timers);

uint64_t bt_timers_now(const struct bt_timers *timers);
void bt_timer_arm(struct bt_timers *timers, struct bt_timer *timer, uint64_t deadline);
void bt_timer_disarm(struct bt_timers *timers, struct bt_timer *timer);
/* Fires what is due and sets the descriptor for what comes next. */
void bt_timers_run(struct bt_timers *timers);
