/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine measures of itself: /sys/class/hwmon (Documentation/hwmon/sysfs-interface), read
 * each time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { SENSORS_MAX = 256 };

enum sensor_kind { SENSOR_TEMPERATURE, SENSOR_FAN, SENSOR_VOLTAGE, SENSOR_POWER };
enum sensor_state { SENSOR_UNKNOWN, SENSOR_GOOD, SENSOR_WARNING, SENSOR_ALARM };

struct sensor {
    enum sensor_kind kind;
    enum sensor_state state;
    const char *chip, *stem, *label; /* "coretemp", "temp2", "Core 0" */
    int64_t value;                   /* millidegrees C, turns a minute, millivolts, microwatts */
};

struct sensors {
    size_t count;
    struct sensor *items; /* by chip and stem */
};
/* `root`: NULL, or a folder to read instead of /sys/class/hwmon (tests). */
struct sensors sensor_list(struct arena *arena, const char *root);
