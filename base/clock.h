/* SPDX-License-Identifier: Apache-2.0 */
/* What time it is, as something that a test can replace. Whoever models time takes a `struct clock`
 * and asks nothing else; clock_host is the machine's own. Deadlines of loop timers are in
 * monotonic nanoseconds: a timer that a test's clock makes fire early must look at the clock. */
#pragma once

#include <stdint.h>

struct clock {
    uint64_t (*monotonic)(void *ctx); /* ns, CLOCK_MONOTONIC */
    int64_t (*realtime)(void *ctx);   /* ns since 1970, UTC */
    void *ctx;
};

extern const struct clock clock_host;

static inline uint64_t clock_monotonic(const struct clock *clock)
{
    return clock->monotonic(clock->ctx);
}

static inline int64_t clock_realtime(const struct clock *clock)
{
    return clock->realtime(clock->ctx);
}
