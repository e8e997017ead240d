/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/series.h"

#include <stdlib.h>
#include <string.h>

#include "base/range.h"

void perf_series_free(struct perf_series *series)
{
    for (unsigned i = 0; i < series->count; i++)
        free(series->metric[i].column);
    free(series->metric);
    *series = (struct perf_series){0};
}

static bool is_metric(const struct perf_metric *metric, unsigned counter, const char *instance)
{
    return metric->counter == counter && !strcmp(metric->instance, instance);
}

const struct perf_metric *perf_series_find(const struct perf_series *series, unsigned counter,
                                           const char *instance)
{
    for (unsigned i = 0; i < series->count; i++)
        if (is_metric(&series->metric[i], counter, instance))
            return &series->metric[i];
    return NULL;
}

static bool grow(struct perf_series *series)
{
    unsigned room = series->room ? 2 * series->room : 64;
    struct perf_metric *metric =
        room <= PERF_METRICS_MAX ? realloc(series->metric, room * sizeof *metric) : NULL;

    if (!metric)
        return false;
    series->metric = metric;
    series->room = room;
    return true;
}

static struct perf_metric *add_metric(struct perf_series *series, const struct perf_value *value)
{
    if (series->count == series->room && !grow(series))
        return NULL;
    struct perf_metric *metric = &series->metric[series->count];
    metric->column = malloc(PERF_COLUMNS * sizeof *metric->column);
    if (!metric->column)
        return NULL;
    for (unsigned i = 0; i < PERF_COLUMNS; i++)
        metric->column[i] = PERF_NONE;
    metric->counter = value->counter;
    memcpy(metric->instance, value->instance, sizeof metric->instance);
    series->count++;
    return metric;
}

/* Values come in the same order each time: the row after the last is looked at first. */
static struct perf_metric *row_of(struct perf_series *series, const struct perf_value *value,
                                  unsigned *hint)
{
    struct perf_metric *found = NULL;

    if (*hint < series->count && is_metric(&series->metric[*hint], value->counter, value->instance))
        found = &series->metric[*hint];
    if (!found)
        found = (struct perf_metric *)(uintptr_t)perf_series_find(series, value->counter,
                                                                  value->instance);
    if (!found)
        found = add_metric(series, value);
    if (found)
        *hint = (unsigned)(found - series->metric) + 1;
    return found;
}

static void clear(struct perf_series *series, uint64_t column)
{
    for (unsigned i = 0; i < series->count; i++)
        series->metric[i].column[column % PERF_COLUMNS] = PERF_NONE;
}

void perf_series_add(struct perf_series *series, uint64_t column, const struct perf_values *values)
{
    unsigned hint = 0;

    if (column < series->next)
        perf_series_free(series); /* the clock was set back */
    if (!series->next || column - series->next >= PERF_COLUMNS)
        series->first = series->next = column;
    for (uint64_t c = series->next; c <= column; c++)
        clear(series, c);
    series->next = column + 1;
    if (series->next - series->first > PERF_COLUMNS)
        series->first = series->next - PERF_COLUMNS;
    for (unsigned i = 0; i < values->count; i++) {
        struct perf_metric *metric = row_of(series, &values->items[i], &hint);
        if (metric)
            metric->column[column % PERF_COLUMNS] = values->items[i].value;
    }
}

int32_t perf_series_get(const struct perf_series *series, const struct perf_metric *metric,
                        uint64_t column)
{
    return column >= series->first && column < series->next ? metric->column[column % PERF_COLUMNS]
                                                            : PERF_NONE;
}

int32_t perf_series_last(const struct perf_series *series, enum perf_counter counter)
{
    const struct perf_metric *metric = perf_series_find(series, counter, "");
    int32_t value = metric ? perf_series_get(series, metric, series->next - 1) : PERF_NONE;

    return MAX(value, 0);
}

int32_t perf_roll(enum perf_rollup rollup, const int32_t *values, unsigned count)
{
    int64_t sum = 0, last = 0;
    unsigned measured = 0;

    for (unsigned i = 0; i < count; i++)
        if (values[i] != PERF_NONE) {
            sum += values[i];
            last = values[i];
            measured++;
        }
    if (!measured)
        return PERF_NONE;
    int64_t result = rollup == PERF_summation ? sum
                     : rollup == PERF_latest  ? last
                                              : (sum + measured / 2) / measured;
    return (int32_t)MIN(result, INT32_MAX);
}

int32_t perf_series_roll(const struct perf_series *series, const struct perf_metric *metric,
                         uint64_t from, uint64_t to)
{
    int32_t values[PERF_COLUMNS];
    unsigned count = 0;

    for (uint64_t c = from; c < to && count < PERF_COLUMNS; c++)
        values[count++] = perf_series_get(series, metric, c);
    return perf_roll(perf_counters[metric->counter].rollup, values, count);
}
