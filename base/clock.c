/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

#include "base/loop.h"

static uint64_t host_monotonic(void *ctx)
{
    (void)ctx;
    return clock_now();
}

static int64_t host_realtime(void *ctx)
{
    struct timespec now;

    (void)ctx;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const struct clock clock_host = {host_monotonic, host_realtime, NULL};
