/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/counter.h"

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

const struct perf_counter_info perf_counters[PERF_COUNTERS] = {
#define COUNTER(key, group, name, rollup, stats, unit, level, label, text) \
    {key, #group, #name, #unit, label, text, PERF_##rollup, VIM_PerfStatsType_##stats, level},
#include "hostd/perf/counter.def"
#undef COUNTER
};

const struct perf_counter_info perf_named[] = {
#define COUNTER(key, group, name, rollup, stats, unit) \
    {key, #group, #name, #unit, NULL, NULL, PERF_##rollup, VIM_PerfStatsType_##stats, 4},
#include "hostd/perf/counter_named.def"
#undef COUNTER
};
const unsigned perf_named_count = ARRAY_SIZE(perf_named);

const struct perf_counter_info *perf_counter_info(int32_t key)
{
    int at = perf_counter_find(key);

    for (unsigned i = 0; at < 0 && i < perf_named_count; i++)
        if (perf_named[i].key == key)
            return &perf_named[i];
    return at < 0 ? NULL : &perf_counters[at];
}

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
