/* SPDX-License-Identifier: Apache-2.0 */
/* perf.db: what was measured, rolled up, for as long as the intervals below say. A row is an
 * interval of one entity and has the values of all its counters of PERF_HISTORY_LEVEL as a whole
 * (instance ""): 60 bytes and 4 a value, so that a VM that runs for a year costs some 200 KiB and
 * no more ever.
 *
 * Each interval is made of the rows of the one before it, the first of the last hour's columns. A
 * row stands for the time that ends at `time`; one that is made of less, because hostd was away, is
 * made of what there is.
 *
 * Written on a worker's thread, read on the loop's: a connection each. A damaged file is set aside
 * (store.h). */
#pragma once

#include "hostd/perf/series.h"

enum {
    PERF_HISTORY_INTERVALS = 4,
    PERF_HISTORY_LEVEL = 2,
    PERF_HISTORY_COUNTERS = PERF_COUNTERS,
};

struct perf_interval {
    int32_t seconds, length; /* how long a row is, how long rows are kept */
    const char *name;
};
extern const struct perf_interval perf_intervals[PERF_HISTORY_INTERVALS];

/* -1: there is none of that many seconds. */
int perf_interval_find(int32_t seconds);

/* One entity's values by counter; PERF_NONE: not measured. */
struct perf_row {
    char id[32];
    int32_t value[PERF_HISTORY_COUNTERS];
};

struct perf_history;

int perf_history_create(struct perf_history **ret_history);
void perf_history_destroy(struct perf_history *history);

/* On a worker: rows of the first interval that end at `time` (s since 1970), then those of the
 * longer intervals that end there too; what is too old goes. */
void perf_history_write(struct perf_history *history, int64_t time, const struct perf_row *rows,
                        unsigned count);

/* Calls for each row of an entity with from < time <= to, in order. */
void perf_history_read(struct perf_history *history, unsigned interval, const char *id,
                       int64_t from, int64_t to,
                       void (*row)(void *ctx, int64_t time, const int32_t *values), void *ctx);
