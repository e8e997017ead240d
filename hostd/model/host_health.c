/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/host_health.h"

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/host/sensor.h"
#include "hostd/model/classes.h"

static struct vim_ElementDescription *describe(struct arena *arena, enum sensor_state state)
{
    static const struct {
        const char *key, *label, *summary;
    } states[] = {
        [SENSOR_UNKNOWN] = {"unknown", "Unknown", "The sensor has no limits to judge it by"},
        [SENSOR_GOOD] = {"green", "Green", "Sensor is operating under normal conditions"},
        [SENSOR_WARNING] = {"yellow", "Yellow", "Sensor is operating under a warning condition"},
        [SENSOR_ALARM] = {"red", "Red", "Sensor is operating under a critical condition"},
    };
    struct vim_ElementDescription *d = VIM_NEW(arena, ElementDescription);

    d->key = states[state].key;
    d->label = states[state].label;
    d->summary = states[state].summary;
    return d;
}

/* Readings are integers times ten to the power of unitModifier. */
static struct vim_HostNumericSensorInfo *sensor_info(struct arena *arena, const struct sensor *s,
                                                     size_t number)
{
    static const struct {
        const char *type, *units;
        int modifier;
        int64_t divide;
    } kinds[] = {
        [SENSOR_TEMPERATURE] = {"temperature", "Degrees C", -2, 10},
        [SENSOR_FAN] = {"fan", "RPM", 0, 1},
        [SENSOR_VOLTAGE] = {"voltage", "Volts", -3, 1},
        [SENSOR_POWER] = {"power", "Watts", -2, 10000},
    };
    struct vim_HostNumericSensorInfo *info = VIM_NEW(arena, HostNumericSensorInfo);

    info->name = arena_printf(arena, "%s %s", s->chip, s->label);
    info->healthState = describe(arena, s->state);
    info->currentReading = s->value / kinds[s->kind].divide;
    info->unitModifier = kinds[s->kind].modifier;
    info->baseUnits = kinds[s->kind].units;
    info->sensorType = kinds[s->kind].type;
    info->id = arena_printf(arena, "%zu", number);
    return info;
}

/* The worst of all, under the name that monitoring looks for. */
static struct vim_HostNumericSensorInfo *rollup(struct arena *arena, const struct sensors *sensors)
{
    struct vim_HostNumericSensorInfo *info = VIM_NEW(arena, HostNumericSensorInfo);
    enum sensor_state worst = SENSOR_UNKNOWN;

    for (size_t i = 0; i < sensors->count; i++)
        worst = MAX(worst, sensors->items[i].state);
    info->name = "VMware Rollup Health State";
    info->healthState = describe(arena, worst);
    info->baseUnits = "";
    info->sensorType = "system";
    info->id = arena_printf(arena, "%zu", sensors->count);
    return info;
}

struct vim_HealthSystemRuntime *host_health(struct arena *arena)
{
    struct vim_HealthSystemRuntime *runtime = VIM_NEW(arena, HealthSystemRuntime);
    struct sensors sensors = sensor_list(arena, NULL);

    runtime->systemHealthInfo = VIM_NEW(arena, HostSystemHealthInfo);
    VIM_EMPTY(&runtime->systemHealthInfo->numericSensorInfo);
    for (size_t i = 0; i < sensors.count; i++)
        VIM_ADD(arena, &runtime->systemHealthInfo->numericSensorInfo,
                sensor_info(arena, &sensors.items[i], i));
    VIM_ADD(arena, &runtime->systemHealthInfo->numericSensorInfo, rollup(arena, &sensors));
    return runtime;
}

static struct vim_any get_runtime(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(host_health(call->arena));
}

static void refresh(struct mo *mo, struct call *call)
{
    (void)call;
    mo_changed(mo, VIM_P_HostHealthStatusSystem_runtime);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(HostHealthStatusSystem, runtime, get_runtime),
};
static const struct mo_method methods[] = {MO_METHOD(RefreshHealthStatusSystem, refresh)};
const struct mo_class host_health_status_system_class = {
    .type = VIM_MANAGED(HostHealthStatusSystem),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
