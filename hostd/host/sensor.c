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

static const struct kind {
    const char *prefix;
    enum sensor_kind kind;
} kinds[] = {
    {"temp", SENSOR_TEMPERATURE},
    {"fan", SENSOR_FAN},
    {"in", SENSOR_VOLTAGE},
    {"power", SENSOR_POWER},
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

/* The kind of "temp12_input"; NULL: it is no reading. */
static const struct kind *kind_of(const char *name)
{
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        size_t len = strlen(kinds[k].prefix);
        if (!strncmp(name, kinds[k].prefix, len) &&
            !strcmp(name + len + strspn(name + len, "0123456789"), "_input"))
            return &kinds[k];
    }
    return NULL;
}

static void read_sensor(struct arena *arena, const char *folder, const char *chip, const char *name,
                        struct sensors *list)
{
    const struct kind *kind = kind_of(name);
    int64_t value;

    if (!kind || list->count == SENSORS_MAX)
        return;
    const char *stem = arena_strndup(arena, name, strlen(name) - strlen("_input"));
    if (!read_number(arena, folder, stem, "input", &value))
        return;
    const char *label = read_text(arena, folder, arena_printf(arena, "%s_label", stem));
    list->items[list->count++] = (struct sensor){.kind = kind->kind,
                                                 .state = judge(arena, folder, stem, value),
                                                 .chip = chip,
                                                 .stem = stem,
                                                 .label = label && *label ? label : stem,
                                                 .value = value};
}

static void read_chip(struct arena *arena, const char *folder, struct sensors *list)
{
    const char *chip = read_text(arena, folder, "name");
    DIR *dir = chip ? opendir(folder) : NULL;

    for (struct dirent *e; dir && (e = readdir(dir));)
        read_sensor(arena, folder, chip, e->d_name, list);
    if (dir)
        (void)closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    const struct sensor *x = a, *y = b;
    int order = strcmp(x->chip, y->chip);

    return order ? order : strverscmp(x->stem, y->stem);
}

struct sensors sensor_list(struct arena *arena, const char *root)
{
    struct sensors list = {.items = arena_array(arena, SENSORS_MAX, sizeof *list.items)};
    DIR *dir = opendir(root = root ? root : "/sys/class/hwmon");

    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            read_chip(arena, arena_printf(arena, "%s/%s", root, e->d_name), &list);
    if (dir)
        (void)closedir(dir);
    qsort(list.items, list.count, sizeof *list.items, by_name);
    return list;
}
