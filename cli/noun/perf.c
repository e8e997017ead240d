/* SPDX-License-Identifier: Apache-2.0 */
/* `socle perf`: what the host measures, as numbers and small curves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

enum { REALTIME_S = 20, SAMPLES = 30, SAMPLES_MAX = 2000 };

static const struct column columns[] = {
    {"counter", "COUNTER", COLUMN_TEXT},
    {"last", "LAST", COLUMN_NUMBER},
    {"average", "AVERAGE", COLUMN_NUMBER},
    {"max", "MAX", COLUMN_NUMBER},
    {"unit", "UNIT", COLUMN_TEXT},
    {"values", "OLDEST TO LATEST", COLUMN_PLOT},
    {"label", "LABEL", COLUMN_TEXT, .wide = true},
};

static const struct option perf_options[] = {
    {"counter", "NAME", "such as cpu.usage.average; may be repeated (default: the basic ones)",
     NULL},
    {"all", NULL, "all counters that have values", NULL},
    {"samples", "N", "the last N values (default 30)", NULL},
    {"interval", "SECONDS", "20 (default, the last hour), 300, 1800, 7200 or 86400", NULL},
};

/* "cpu.usage.average" */
static json_t *counter_name(const json_t *counter)
{
    return json_sprintf("%s.%s.%s", api_text(json_object_get(counter, "groupInfo"), "key"),
                        api_text(json_object_get(counter, "nameInfo"), "key"),
                        api_text(counter, "rollupType"));
}

static const json_t *find_counter(const json_t *counters, const json_t *key)
{
    json_t *counter;
    size_t i;

    json_array_foreach(
        counters, i, counter) if (json_equal(json_object_get(counter, "key"), key)) return counter;
    return NULL;
}

static bool is_wanted(const struct command *command, const json_t *counter, bool *matched)
{
    cleanup_json json_t *name = counter_name(counter);
    bool named = false;

    if (command_flag(command, "all"))
        return true;
    for (unsigned i = 0; i < command->options.hit_count; i++) {
        const struct option_hit *hit = &command->options.hits[i];
        if (strcmp(hit->option->name, "counter") != 0)
            continue;
        named = true;
        if (!strcmp(hit->value, json_string_value(name)))
            return *matched = true;
    }
    return !named && json_integer_value(json_object_get(counter, "level")) == 1;
}

/* Those of the object as a whole (instance ""), of the counters that are wanted. */
static int choose(const struct command *command, struct api *api, const json_t *entity,
                  unsigned interval, const json_t *counters, json_t *ids, struct err *err)
{
    cleanup_json json_t *available = NULL;
    bool matched = !command_flag(command, "counter");
    json_t *metric;
    size_t i;
    int rc = api_call(api, api_manager(api, "perfManager"), "QueryAvailablePerfMetric",
                      json_pack("{s:O, s:i}", "entity", entity, "intervalId", (int)interval),
                      &available, err);

    json_array_foreach(available, i, metric)
    {
        const json_t *key = json_object_get(metric, "counterId");
        const json_t *counter = find_counter(counters, key);
        if (counter && !*api_text(metric, "instance") && is_wanted(command, counter, &matched))
            (void)json_array_append_new(ids,
                                        json_pack("{s:O, s:s}", "counterId", key, "instance", ""));
    }
    if (rc == 0 && !matched)
        rc = err_set(err, -ENOENT, "it has no counter \"%s\"; \"socle perf counters\" shows all",
                     command_value(command, "counter"));
    return rc;
}

static json_t *series_row(const json_t *counter, const json_t *series)
{
    const json_t *raw = json_object_get(series, "value"),
                 *unit = json_object_get(counter, "unitInfo");
    double scale = strcmp(api_text(unit, "key"), "percent") ? 1 : 100, sum = 0, max = 0, last = 0;
    json_t *values = json_array(), *value;
    size_t i, known = 0;

    json_array_foreach(raw, i, value)
    {
        double v = (double)json_integer_value(value) / scale;
        (void)json_array_append_new(values, json_real(v));
        if (v < 0) /* nothing was measured then */
            continue;
        last = v;
        max = MAX(max, v);
        sum += v;
        known++;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:s}", "counter", counter_name(counter),
                     "last", json_real(last), "average", json_real(known ? sum / (double)known : 0),
                     "max", json_real(max), "unit", api_text(unit, "label"), "values", values,
                     "label", api_text(json_object_get(counter, "nameInfo"), "summary"));
}

static int show(struct command *command, struct api *api, const json_t *entity, struct err *err)
{
    cleanup_json json_t *counters = NULL, *ids = json_array(), *result = NULL, *rows = json_array();
    unsigned interval = REALTIME_S, samples = SAMPLES;
    json_t *series;
    size_t i;
    int rc = command_unsigned(command, "samples", 1, SAMPLES_MAX, &samples, err);

    if (rc == 0)
        rc = command_unsigned(command, "interval", 20, 86400, &interval, err);
    if (rc == 0)
        rc = api_get(api, api_manager(api, "perfManager"), "perfCounter", &counters, err);
    if (rc == 0)
        rc = choose(command, api, entity, interval, counters, ids, err);
    if (rc == 0)
        rc = api_call(api, api_manager(api, "perfManager"), "QueryPerf",
                      json_pack("{s:[{s:O, s:i, s:O, s:i}]}", "querySpec", "entity", entity,
                                "maxSample", (int)samples, "metricId", ids, "intervalId",
                                (int)interval),
                      &result, err);
    json_array_foreach(json_object_get(json_array_get(result, 0), "value"), i, series)
    {
        const json_t *key = json_at(series, "id", "counterId", NULL);
        (void)json_array_append_new(rows, series_row(find_counter(counters, key), series));
    }
    return rc < 0 ? rc : out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

static int perf_host(struct command *command, struct err *err)
{
    cleanup_json json_t *host = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = host_find(api, "name", &host, err);
    return rc < 0 ? rc : show(command, api, json_object_get(host, "ref"), err);
}

static int perf_vm(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    struct api *api;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = vm_find(api, command_operand(command, 0), "name", &vm, err);
    return rc < 0 ? rc : show(command, api, json_object_get(vm, "ref"), err);
}

static const struct column counter_columns[] = {
    {"counter", "COUNTER", COLUMN_TEXT},
    {"unit", "UNIT", COLUMN_TEXT},
    {"level", "LEVEL", COLUMN_NUMBER},
    {"label", "WHAT IT IS", COLUMN_TEXT},
};

static int perf_counters(struct command *command, struct err *err)
{
    cleanup_json json_t *counters = NULL, *rows = json_array();
    struct api *api;
    json_t *counter;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_get(api, api_manager(api, "perfManager"), "perfCounter", &counters, err);
    json_array_foreach(counters, i, counter)(void) json_array_append_new(
        rows, json_pack("{s:o, s:s, s:O, s:s}", "counter", counter_name(counter), "unit",
                        api_text(json_object_get(counter, "unitInfo"), "label"), "level",
                        json_object_get(counter, "level"), "label",
                        api_text(json_object_get(counter, "nameInfo"), "summary")));
    return rc < 0 ? rc : out_rows(command, counter_columns, ARRAY_SIZE(counter_columns), rows, err);
}

static const struct verb verbs[] = {
    {"host", "", "shows what the host did lately", OPTIONS(perf_options), perf_host},
    {"vm", "VM", "shows what a virtual machine did", OPTIONS(perf_options), perf_vm},
    {"counters", "", "shows what is measured", NO_OPTIONS, perf_counters},
};

const struct noun noun_perf = {"perf", "Performance: what the host measures.", verbs,
                               ARRAY_SIZE(verbs)};
