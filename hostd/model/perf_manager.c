/* SPDX-License-Identifier: Apache-2.0 */
/* PerformanceManager ha-perfmgr: what perf/ measures, as clients ask for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/text.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/perf/perf.h"

enum { SPECS_MAX = 4096, VALUES_MAX = 4000000 };

/* --- what there is --- */

static struct vim_ElementDescription *describe(struct arena *arena, const char *key,
                                               const char *label, const char *summary)
{
    struct vim_ElementDescription *d = VIM_NEW(arena, ElementDescription);

    d->key = key;
    d->label = label;
    d->summary = summary;
    return d;
}

static struct vim_ElementDescription *describe_unit(struct arena *arena, const char *unit)
{
    static const char *const units[][3] = {
        {"percent", "%", "Percentage"},
        {"kiloBytes", "KB", "Kilobytes"},
        {"megaBytes", "MB", "Megabytes"},
        {"megaHertz", "MHz", "Megahertz"},
        {"number", "num", "Number"},
        {"millisecond", "ms", "Milliseconds"},
        {"second", "s", "Seconds"},
        {"microsecond", "\u00b5s", "Microseconds"},
        {"kiloBytesPerSecond", "KBps", "Kilobytes per second"},
        {"watt", "W", "Watt"},
        {"joule", "J", "Joule"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(units); i++)
        if (!strcmp(units[i][0], unit))
            return describe(arena, unit, units[i][1], units[i][2]);
    return describe(arena, unit, unit, unit);
}

static struct vim_ElementDescription *describe_group(struct arena *arena, const char *group)
{
    static const char *const groups[][2] = {
        {"cpu", "CPU"},
        {"mem", "Memory"},
        {"disk", "Disk"},
        {"virtualDisk", "Virtual disk"},
        {"net", "Network"},
        {"sys", "System"},
        {"power", "Power"},
        {"datastore", "Datastore"},
        {"storageAdapter", "Storage adapter"},
        {"storagePath", "Storage path"},
        {"rescpu", "Resource group CPU"},
        {"managementAgent", "Management agent"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        if (!strcmp(groups[i][0], group))
            return describe(arena, group, groups[i][1], groups[i][1]);
    return describe(arena, group, group, group);
}

static enum vim_PerfSummaryType rollup_type(enum perf_rollup rollup)
{
    return rollup == PERF_summation ? VIM_PerfSummaryType_summation
           : rollup == PERF_latest  ? VIM_PerfSummaryType_latest
                                    : VIM_PerfSummaryType_average;
}

static struct vim_PerfCounterInfo *counter_info(struct arena *arena,
                                                const struct perf_counter_info *c)
{
    struct vim_PerfCounterInfo *info = VIM_NEW(arena, PerfCounterInfo);
    const char *label = c->label ? c->label : text_words(arena, c->name);

    info->key = c->key;
    info->nameInfo = describe(arena, c->name, label, c->text ? c->text : label);
    info->groupInfo = describe_group(arena, c->group);
    info->unitInfo = describe_unit(arena, c->unit);
    info->rollupType = rollup_type(c->rollup);
    info->statsType = (enum vim_PerfStatsType)c->stats;
    info->level = vim_int(c->level);
    info->perDeviceLevel = vim_int(MAX(c->level, 3));
    return info;
}

typedef VIM_LIST(struct vim_PerfCounterInfo *) counter_list;

static struct vim_any counters_value(counter_list *list)
{
    if (!list->items)
        VIM_EMPTY(list);
    return VIM_ANY_LIST(VIM_DATA, VIM_T_PerfCounterInfo, list);
}

static struct vim_any counters_up_to(struct arena *arena, int level)
{
    counter_list list = {0};

    for (unsigned i = 0, n = 0; i < PERF_COUNTERS || n < perf_named_count;) {
        bool ours = n == perf_named_count ||
                    (i < PERF_COUNTERS && perf_counters[i].key < perf_named[n].key);
        const struct perf_counter_info *c = ours ? &perf_counters[i++] : &perf_named[n++];
        if (c->level <= level)
            VIM_ADD(arena, &list, counter_info(arena, c));
    }
    return counters_value(&list);
}

static struct vim_any get_counters(struct mo *mo, struct call *call)
{
    (void)mo;
    return counters_up_to(call->arena, 4);
}

static void query_counters_by_level(struct mo *mo, struct call *call)
{
    const struct vim_QueryPerfCounterByLevel_args *args = call->args;

    (void)mo;
    if (args->level < 1 || args->level > 4)
        call_fault_argument(call, "level");
    else
        call_return(call, counters_up_to(call->arena, args->level));
}

static void query_counters(struct mo *mo, struct call *call)
{
    const struct vim_QueryPerfCounter_args *args = call->args;
    counter_list list = {0};

    (void)mo;
    for (size_t i = 0; i < args->counterId.count; i++) {
        const struct perf_counter_info *c = perf_counter_info(args->counterId.items[i]);
        if (!c) {
            call_fault_argument(call, "counterId");
            return;
        }
        VIM_ADD(call->arena, &list, counter_info(call->arena, c));
    }
    call_return(call, counters_value(&list));
}

static struct vim_any get_intervals(struct mo *mo, struct call *call)
{
    VIM_LIST(struct vim_PerfInterval *) list = {0};

    (void)mo;
    for (unsigned i = 0; i < PERF_HISTORY_INTERVALS; i++) {
        struct vim_PerfInterval *interval = VIM_NEW(call->arena, PerfInterval);
        interval->key = (int32_t)i + 1;
        interval->samplingPeriod = perf_intervals[i].seconds;
        interval->name = perf_intervals[i].name;
        interval->length = perf_intervals[i].length;
        interval->level = vim_int(PERF_HISTORY_LEVEL);
        interval->enabled = true;
        VIM_ADD(call->arena, &list, interval);
    }
    return VIM_ANY_LIST(VIM_DATA, VIM_T_PerfInterval, &list);
}

static struct vim_any get_description(struct mo *mo, struct call *call)
{
    struct vim_PerformanceDescription *d = VIM_NEW(call->arena, PerformanceDescription);
    const struct vim_enum *kinds[] = {&vim_enums[VIM_E_PerfSummaryType],
                                      &vim_enums[VIM_E_PerfStatsType]};

    (void)mo;
    for (unsigned i = 1; i < kinds[0]->count; i++)
        VIM_ADD(
            call->arena, &d->counterType,
            describe(call->arena, kinds[0]->values[i], kinds[0]->values[i], kinds[0]->values[i]));
    for (unsigned i = 1; i < kinds[1]->count; i++)
        VIM_ADD(
            call->arena, &d->statsType,
            describe(call->arena, kinds[1]->values[i], kinds[1]->values[i], kinds[1]->values[i]));
    return vim_any_data(d);
}

/* Hosts and VMs are measured, nothing else is. */
static bool is_provider(const struct vim_managed *type)
{
    return vim_managed_is(type, VIM_MANAGED(HostSystem)) ||
           vim_managed_is(type, VIM_MANAGED(VirtualMachine));
}

static void query_provider(struct mo *mo, struct call *call)
{
    const struct vim_QueryPerfProviderSummary_args *args = call->args;
    struct mo *entity = call_resolve(call, args->entity);
    struct vim_PerfProviderSummary *summary = VIM_NEW(call->arena, PerfProviderSummary);

    (void)mo;
    if (!entity)
        return;
    bool is = is_provider(entity->class->type);
    summary->entity = mo_ref(entity);
    summary->currentSupported = summary->summarySupported = is;
    if (is)
        summary->refreshRate = vim_int(PERF_INTERVAL_S);
    call_return(call, vim_any_data(summary));
}

/* --- which metrics an entity has --- */

typedef VIM_LIST(struct vim_PerfMetricId *) metric_list;

static void add_metric(struct arena *arena, metric_list *list, unsigned counter,
                       const char *instance)
{
    struct vim_PerfMetricId *id = VIM_NEW(arena, PerfMetricId);

    id->counterId = perf_counters[counter].key;
    id->instance = arena_strdup(arena, instance);
    VIM_ADD(arena, list, id);
}

static void note_measured(void *ctx, int64_t time, const int32_t *values)
{
    bool *there = ctx;

    (void)time;
    for (unsigned i = 0; i < PERF_COUNTERS; i++)
        there[i] |= values[i] != PERF_NONE;
}

static void query_available(struct mo *mo, struct call *call)
{
    const struct vim_QueryAvailablePerfMetric_args *args = call->args;
    struct perf *perf = hostd_of(call)->perf;
    struct mo *entity = call_resolve(call, args->entity);
    int32_t seconds = args->intervalId.set ? args->intervalId.v : PERF_INTERVAL_S;
    int interval = perf_interval_find(seconds);
    metric_list list = {0};

    (void)mo;
    if (!entity)
        return;
    const struct perf_series *series = perf_find(perf, entity->id);
    if (seconds == PERF_INTERVAL_S) {
        for (unsigned i = 0; series && i < series->count; i++)
            add_metric(call->arena, &list, series->metric[i].counter, series->metric[i].instance);
    } else if (interval >= 0) {
        bool there[PERF_COUNTERS] = {0};
        perf_history_read(perf_history(perf), (unsigned)interval, entity->id, 0, INT64_MAX,
                          note_measured, there);
        for (unsigned i = 0; i < PERF_COUNTERS; i++)
            if (there[i])
                add_metric(call->arena, &list, i, "");
    } else {
        call_fault_argument(call, "intervalId");
        return;
    }
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_PerfMetricId, &list));
}

/* --- values --- */

/* One line of an answer. */
struct line {
    uint16_t counter;
    const char *instance;
    int64_t *value; /* [times] */
};

struct answer {
    struct arena *arena;
    const struct vim_PerfQuerySpec *spec;
    int32_t seconds;
    int64_t from, to; /* us; from < time <= to */
    int64_t *time;    /* us */
    struct line *line;
    unsigned times, lines;
};

/* Asked for: everything when nothing is named; "*" any instance. */
static bool is_wanted(const struct vim_PerfQuerySpec *spec, unsigned counter, const char *instance)
{
    for (size_t i = 0; i < spec->metricId.count; i++) {
        const struct vim_PerfMetricId *id = spec->metricId.items[i];
        if (id->counterId == perf_counters[counter].key &&
            (!strcmp(id->instance, "*") || !strcmp(id->instance, instance)))
            return true;
    }
    return !spec->metricId.count;
}

static void add_line(struct answer *a, unsigned counter, const char *instance)
{
    a->line[a->lines++] =
        (struct line){.counter = (uint16_t)counter,
                      .instance = arena_strdup(a->arena, instance),
                      .value = arena_array(a->arena, MAX(a->times, 1u), sizeof(int64_t))};
}

static void read_recent(struct answer *a, const struct perf *perf, const struct perf_series *series)
{
    uint64_t first = series->first;
    unsigned limit = a->spec->maxSample.set && a->spec->maxSample.v > 0
                         ? (unsigned)MIN(a->spec->maxSample.v, PERF_COLUMNS)
                         : PERF_COLUMNS;
    uint64_t column[PERF_COLUMNS];

    for (uint64_t c = series->next; c-- > first && a->times < limit;)
        if (perf_column_time(perf, c) > a->from && perf_column_time(perf, c) <= a->to)
            column[a->times++] = c;
    a->time = arena_array(a->arena, a->times + 1, sizeof *a->time);
    a->line = arena_array(a->arena, series->count + 1, sizeof *a->line);
    for (unsigned i = 0; i < a->times; i++)
        a->time[i] = perf_column_time(perf, column[a->times - 1 - i]);
    for (unsigned m = 0; m < series->count; m++) {
        const struct perf_metric *metric = &series->metric[m];
        if (!is_wanted(a->spec, metric->counter, metric->instance))
            continue;
        add_line(a, metric->counter, metric->instance);
        for (unsigned i = 0; i < a->times; i++)
            a->line[a->lines - 1].value[i] =
                perf_series_get(series, metric, column[a->times - 1 - i]);
    }
}

struct rows {
    struct arena *arena;
    VIM_LIST(struct kept_row *) list;
};

struct kept_row {
    int64_t time;
    int32_t value[PERF_COUNTERS];
};

static void keep_row(void *ctx, int64_t time, const int32_t *values)
{
    struct rows *rows = ctx;
    struct kept_row *row = arena_new(rows->arena, struct kept_row);

    row->time = time * 1000000;
    memcpy(row->value, values, sizeof row->value);
    VIM_ADD(rows->arena, &rows->list, row);
}

static bool is_measured(const struct rows *rows, unsigned counter)
{
    for (size_t i = 0; i < rows->list.count; i++)
        if (rows->list.items[i]->value[counter] != PERF_NONE)
            return true;
    return false;
}

static void read_history(struct answer *a, struct perf *perf, unsigned interval)
{
    struct rows rows = {.arena = a->arena};
    int64_t to = MIN(a->to / 1000000, INT64_MAX / 1000000);

    perf_history_read(perf_history(perf), interval, a->spec->entity.id, a->from / 1000000, to,
                      keep_row, &rows);
    a->times = (unsigned)rows.list.count;
    a->time = arena_array(a->arena, a->times + 1, sizeof *a->time);
    a->line = arena_array(a->arena, PERF_COUNTERS, sizeof *a->line);
    for (unsigned i = 0; i < a->times; i++)
        a->time[i] = rows.list.items[i]->time;
    for (unsigned c = 0; c < PERF_COUNTERS; c++) {
        if (!is_wanted(a->spec, c, "") || !is_measured(&rows, c))
            continue;
        add_line(a, c, "");
        for (unsigned i = 0; i < a->times; i++)
            a->line[a->lines - 1].value[i] = rows.list.items[i]->value[c];
    }
}

static struct vim_PerfMetricId *line_id(struct arena *arena, const struct line *line)
{
    struct vim_PerfMetricId *id = VIM_NEW(arena, PerfMetricId);

    id->counterId = perf_counters[line->counter].key;
    id->instance = line->instance;
    return id;
}

static struct vim_any as_normal(const struct answer *a)
{
    struct vim_PerfEntityMetric *metric = VIM_NEW(a->arena, PerfEntityMetric);

    metric->entity = a->spec->entity;
    for (unsigned i = 0; i < a->times; i++) {
        struct vim_PerfSampleInfo *info = VIM_NEW(a->arena, PerfSampleInfo);
        info->timestamp = a->time[i];
        info->interval = a->seconds;
        VIM_ADD(a->arena, &metric->sampleInfo, info);
    }
    for (unsigned l = 0; l < a->lines && a->times; l++) {
        struct vim_PerfMetricIntSeries *series = VIM_NEW(a->arena, PerfMetricIntSeries);
        series->id = line_id(a->arena, &a->line[l]);
        series->value.items = a->line[l].value;
        series->value.count = a->times;
        VIM_ADD(a->arena, &metric->value, (struct vim_PerfMetricSeries *)(void *)series);
    }
    return vim_any_data(metric);
}

static const char *csv_times(const struct answer *a)
{
    cleanup_buf struct buf text = {0};
    char time[TEXT_TIME_MAX];

    for (unsigned i = 0; i < a->times; i++)
        buf_printf(&text, "%s%d,%s", i ? "," : "", a->seconds, text_time(time, a->time[i]));
    return arena_strdup(a->arena, buf_cstr(&text));
}

static const char *csv_values(const struct answer *a, const struct line *line)
{
    cleanup_buf struct buf text = {0};

    for (unsigned i = 0; i < a->times; i++)
        buf_printf(&text, "%s%lld", i ? "," : "", (long long)line->value[i]);
    return arena_strdup(a->arena, buf_cstr(&text));
}

static struct vim_any as_csv(const struct answer *a)
{
    struct vim_PerfEntityMetricCSV *metric = VIM_NEW(a->arena, PerfEntityMetricCSV);

    metric->entity = a->spec->entity;
    metric->sampleInfoCSV = csv_times(a);
    for (unsigned l = 0; l < a->lines && a->times; l++) {
        struct vim_PerfMetricSeriesCSV *series = VIM_NEW(a->arena, PerfMetricSeriesCSV);
        series->id = line_id(a->arena, &a->line[l]);
        series->value = csv_values(a, &a->line[l]);
        VIM_ADD(a->arena, &metric->value, series);
    }
    return vim_any_data(metric);
}

/* Without an interval: the finest one that reaches back far enough. */
static int32_t choose_interval(const struct vim_PerfQuerySpec *spec)
{
    int64_t now = clock_realtime(&clock_host) / 1000000000;
    int64_t age = spec->startTime.set ? now - spec->startTime.v / 1000000 : 0;

    if (spec->intervalId.set)
        return spec->intervalId.v;
    if (age <= (int64_t)PERF_COLUMNS * PERF_INTERVAL_S)
        return PERF_INTERVAL_S;
    for (unsigned i = 0; i < PERF_HISTORY_INTERVALS; i++)
        if (age <= perf_intervals[i].length)
            return perf_intervals[i].seconds;
    return perf_intervals[PERF_HISTORY_INTERVALS - 1].seconds;
}

/* A fault: VIM_NONE. Nothing measured: an answer without samples. */
static struct vim_any answer_spec(struct call *call, const struct vim_PerfQuerySpec *spec)
{
    struct perf *perf = hostd_of(call)->perf;
    struct answer a = {.arena = call->arena,
                       .spec = spec,
                       .seconds = choose_interval(spec),
                       .from = spec->startTime.set ? spec->startTime.v : 0,
                       .to = spec->endTime.set ? spec->endTime.v : INT64_MAX};
    int interval = perf_interval_find(a.seconds);
    bool csv = spec->format && !strcmp(spec->format, "csv");
    struct mo *entity = call_resolve(call, spec->entity);

    if (!entity)
        return vim_any_none();
    const struct perf_series *series = perf_find(perf, entity->id);
    if (a.seconds != PERF_INTERVAL_S && interval < 0) {
        call_fault_argument(call, "querySpec.intervalId");
        return vim_any_none();
    }
    if (!is_provider(entity->class->type)) {
        call_fault_argument(call, "querySpec.entity");
        return vim_any_none();
    }
    if (a.seconds != PERF_INTERVAL_S)
        read_history(&a, perf, (unsigned)interval);
    else if (series)
        read_recent(&a, perf, series);
    return csv ? as_csv(&a) : as_normal(&a);
}

typedef VIM_LIST(struct vim_PerfEntityMetricBase *) answer_list;

static bool add_answer(struct call *call, const struct vim_PerfQuerySpec *spec, answer_list *list)
{
    struct vim_any value = answer_spec(call, spec);

    if (value.shape.kind == VIM_NONE)
        return false;
    if (arena_exceeded(call->arena)) {
        CALL_FAULT_TEXT(call, InvalidArgument, "The answer would be too large; ask for less.");
        return false;
    }
    VIM_ADD(call->arena, list, (struct vim_PerfEntityMetricBase *)(void *)value.data);
    return true;
}

static void query_perf(struct mo *mo, struct call *call)
{
    const struct vim_QueryPerf_args *args = call->args;
    answer_list list = {0};

    (void)mo;
    if (args->querySpec.count > SPECS_MAX) {
        call_fault_argument(call, "querySpec");
        return;
    }
    for (size_t i = 0; i < args->querySpec.count; i++)
        if (!add_answer(call, args->querySpec.items[i], &list))
            return;
    if (!list.items)
        VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_DATA, VIM_T_PerfEntityMetricBase, &list));
}

/* A host, and with it each of its VMs that the caller may see. */
static void query_composite(struct mo *mo, struct call *call)
{
    const struct vim_QueryPerfComposite_args *args = call->args;
    struct vim_PerfCompositeMetric *composite = VIM_NEW(call->arena, PerfCompositeMetric);
    struct inventory *inventory = hostd_of(call)->inventory;
    answer_list own = {0}, children = {0};

    (void)mo;
    if (!add_answer(call, args->querySpec, &own))
        return;
    composite->entity = own.items[0];
    bool host = vim_managed_is(args->querySpec->entity.type, VIM_MANAGED(HostSystem));
    for (struct entity *e = NULL;
         host && (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        struct vim_PerfQuerySpec spec = *args->querySpec;
        spec.entity = mo_ref(&e->mo);
        if (entity_visible(call, &e->mo) && perf_find(hostd_of(call)->perf, e->id) &&
            !add_answer(call, &spec, &children))
            return;
    }
    composite->childEntity.count = children.count;
    composite->childEntity.items = children.items;
    call_return(call, vim_any_data(composite));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(PerformanceManager, perfCounter, get_counters),
    MO_PROPERTY(PerformanceManager, historicalInterval, get_intervals),
    MO_PROPERTY(PerformanceManager, description, get_description),
};
static const struct mo_method methods[] = {
    MO_METHOD(QueryPerfProviderSummary, query_provider),
    MO_METHOD(QueryAvailablePerfMetric, query_available),
    MO_METHOD(QueryPerfCounter, query_counters),
    MO_METHOD(QueryPerfCounterByLevel, query_counters_by_level),
    MO_METHOD(QueryPerf, query_perf),
    MO_METHOD(QueryPerfComposite, query_composite),
};
const struct mo_class perf_manager_class = {
    .type = VIM_MANAGED(PerformanceManager),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
