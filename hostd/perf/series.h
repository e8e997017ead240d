/* SPDX-License-Identifier: Apache-2.0 */
/* The last hour of one entity, the host or a VM: a column each PERF_INTERVAL_S, a row each metric
 * (a counter of an instance). Times belong to all entities together (perf.h); a column is a number
 * that only grows. What was not measured in a column is PERF_NONE.
 *
 * Rows appear when their first value comes and stay until the entity goes, METRICS_MAX at most. */
#pragma once

#include "hostd/perf/reading.h"

enum { PERF_INTERVAL_S = 20, PERF_COLUMNS = 180, PERF_METRICS_MAX = 1024, PERF_NONE = -1 };

struct perf_metric {
    uint16_t counter;
    char instance[PERF_INSTANCE_MAX];
    int32_t *column; /* [PERF_COLUMNS] */
};

struct perf_series {
    struct perf_metric *metric;
    unsigned count, room;
    uint64_t first, next; /* columns that have been measured: [first, next) */
};

void perf_series_free(struct perf_series *series);

/* Measured in `column`, which is later than all before; between them nothing was. */
void perf_series_add(struct perf_series *series, uint64_t column, const struct perf_values *values);

/* PERF_NONE where there is nothing. */
int32_t perf_series_get(const struct perf_series *series, const struct perf_metric *metric,
                        uint64_t column);
/* NULL: there is no such row. */
const struct perf_metric *perf_series_find(const struct perf_series *series, unsigned counter,
                                           const char *instance);
/* The newest value of a counter as a whole, 0 if none. */
int32_t perf_series_last(const struct perf_series *series, enum perf_counter counter);

/* Of the columns [from, to), as the counter's rollup says; PERF_NONE: nothing was measured. */
int32_t perf_series_roll(const struct perf_series *series, const struct perf_metric *metric,
                         uint64_t from, uint64_t to);
/* The same of any values; those of PERF_NONE do not count. */
int32_t perf_roll(enum perf_rollup rollup, const int32_t *values, unsigned count);
