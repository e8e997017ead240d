/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/host/sensor.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/range.h"

enum { CHIPS_MAX = 64, NUMBERS_MAX = 64 };

static const struct kind {
    const char *prefix;
    enum sensor_kind kind;
    unsigned first; /* number of the first: voltages begin at 0 */
} kinds[] = {
    {"temp", SENSOR_TEMPERATURE, 1},
    {"fan", SENSOR_FAN, 1},
    {"in", SENSOR_VOLTAGE, 0},
    {"power", SENSOR_POWER, 1},
};

/* The first line of a chip's file, NULL if there is none. */
static const char *read_text(struct arena *arena, const char *folder, const char *name)
{
    cleanup_buf struct buf text = {0};
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (file_load(AT_FDCWD, path, 4096, &text, NULL) < 0)
        return NULL;
    const char *line = buf_cstr(&text);
    return arena_strndup(arena, line, strcspn(line, "\n"));
}

static bool read_number(struct arena *arena, const char *folder, const char *stem, const char *what,
                        int64_t *ret_value)
{
    const char *text = read_text(arena, folder, arena_printf(arena, "%s_%s", stem, what));
    char *end = NULL;

    if (!text || !*text)
        return false;
    *ret_value = strtoll(text, &end, 10);
    return *end == '\0';
}

/* By the limits that the chip tells, or its own alarm. */
static enum sensor_state judge(struct arena *arena, const char *folder, const char *stem,
                               int64_t value)
{
    int64_t limit, alarm;
    bool told = false;

    if (read_number(arena, folder, stem, "crit", &limit) && limit > 0) {
        if (value >= limit)
            return SENSOR_ALARM;
        told = true;
    }
    if (read_number(arena, folder, stem, "max", &limit) && limit > 0) {
        if (value > limit)
            return SENSOR_WARNING;
        told = true;
    }
    if (read_number(arena, folder, stem, "alarm", &alarm))
        return alarm ? SENSOR_WARNING : SENSOR_GOOD;
    return told ? SENSOR_GOOD : SENSOR_UNKNOWN;
}

static void read_chip(struct arena *arena, const char *folder, struct sensors *list)
{
    const char *chip = read_text(arena, folder, "name");

    for (unsigned k = 0; chip && k < ARRAY_SIZE(kinds); k++)
        for (unsigned n = kinds[k].first; n < NUMBERS_MAX && list->count < SENSORS_MAX; n++) {
            const char *stem = arena_printf(arena, "%s%u", kinds[k].prefix, n);
            int64_t value;
            if (!read_number(arena, folder, stem, "input", &value))
                continue;
            const char *label = read_text(arena, folder, arena_printf(arena, "%s_label", stem));
            list->items[list->count++] = (struct sensor){.kind = kinds[k].kind,
                                                         .state = judge(arena, folder, stem, value),
                                                         .chip = chip,
                                                         .label = label && *label ? label : stem,
                                                         .value = value};
        }
}

struct sensors sensor_list(struct arena *arena, const char *root)
{
    struct sensors list = {.items = arena_array(arena, SENSORS_MAX, sizeof *list.items)};

    root = root ? root : "/sys/class/hwmon";
    for (unsigned i = 0; i < CHIPS_MAX; i++)
        read_chip(arena, arena_printf(arena, "%s/hwmon%u", root, i), &list);
    return list;
}
