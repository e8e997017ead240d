/* SPDX-License-Identifier: Apache-2.0 */
/* Which statistics there are (counter.def), by names of ours and by the keys that clients use; and
 * which are known by name only (counter_named.def). */
#pragma once

#include <stdint.h>

enum perf_counter {
#define COUNTER(key, group, name, rollup, stats, unit, level, label, text) PERF_##group##_##name,
#include "hostd/perf/counter.def"
#undef COUNTER
    PERF_COUNTERS
};

/* How values of a longer time come about: enum vim_PerfSummaryType has the same names. */
enum perf_rollup { PERF_average, PERF_summation, PERF_latest };

struct perf_counter_info {
    int32_t key;
    const char *group, *name, *unit, *label, *text;
    enum perf_rollup rollup;
    int stats; /* enum vim_PerfStatsType */
    int level; /* 1: kept for long; 4: for who asks */
};

/* Both in the order of their keys. Of those that are known by name label and text are NULL. */
extern const struct perf_counter_info perf_counters[PERF_COUNTERS];
extern const struct perf_counter_info perf_named[];
extern const unsigned perf_named_count;

int perf_counter_find(int32_t key);                             /* -1: it is not measured */
const struct perf_counter_info *perf_counter_info(int32_t key); /* of both; NULL: there is none */
