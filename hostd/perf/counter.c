/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/counter.h"

#include "hostd/api/vim_types.gen.h"

const struct perf_counter_info perf_counters[PERF_COUNTERS] = {
#define COUNTER(key, group, name, rollup, stats, unit, level, label, text) \
    {key, #group, #name, #unit, label, text, PERF_##rollup, VIM_PerfStatsType_##stats, level},
#include "hostd/perf/counter.def"
#undef COUNTER
};

int perf_counter_find(int32_t key)
{
    unsigned low = 0, high = PERF_COUNTERS;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (perf_counters[middle].key == key)
            return (int)middle;
        if (perf_counters[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
