/* SPDX-License-Identifier: Apache-2.0 */
/* Sensors of a made-up machine: two chips in a folder as /sys/class/hwmon has them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostd/host/sensor.h"
#include "tests/tap.h"

static const struct {
    const char *path, *text;
} files[] = {
    {"hwmon0/name", "coretemp\n"},
    {"hwmon0/temp1_input", "45000\n"},
    {"hwmon0/temp1_label", "Package id 0\n"},
    {"hwmon0/temp1_max", "80000\n"},
    {"hwmon0/temp1_crit", "100000\n"},
    {"hwmon0/temp2_input", "85000\n"},
    {"hwmon0/temp2_max", "80000\n"},
    {"hwmon0/temp2_crit", "100000\n"},
    {"hwmon0/temp3_input", "100000\n"},
    {"hwmon0/temp3_crit", "100000\n"},
    {"hwmon0/temp4_input", "broken\n"},
    {"hwmon2/name", "nct6775\n"},
    {"hwmon2/in0_input", "1200\n"},
    {"hwmon2/fan1_input", "900\n"},
    {"hwmon2/fan1_alarm", "1\n"},
    {"hwmon2/power1_input", "12500000\n"},
    {"hwmon3/temp1_input", "1\n"}, /* of a chip without a name */
};

static const struct sensor *find(const struct sensors *list, const char *label)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i].label, label))
            return &list->items[i];
    return NULL;
}

static void is(const struct sensors *list, const char *label, enum sensor_kind kind, int64_t value,
               enum sensor_state state)
{
    const struct sensor *s = find(list, label);

    CHECK(s);
    if (!s)
        return;
    CHECK_EQ(s->kind, kind);
    CHECK_EQ(s->value, value);
    CHECK_EQ(s->state, state);
}

static void chips_of_a_folder(void)
{
    char root[] = "/tmp/socle-sensor-XXXXXX";
    struct arena cleanup_arena arena = {0};

    CHECK(mkdtemp(root));
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = arena_printf(&arena, "%s/%s", root, files[i].path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK_EQ(write(fd, files[i].text, strlen(files[i].text)), (ssize_t)strlen(files[i].text));
        (void)close(fd);
    }
    struct sensors list = sensor_list(&arena, root);
    CHECK_EQ(list.count, 6);
    is(&list, "Package id 0", SENSOR_TEMPERATURE, 45000, SENSOR_GOOD);
    is(&list, "temp2", SENSOR_TEMPERATURE, 85000, SENSOR_WARNING);
    is(&list, "temp3", SENSOR_TEMPERATURE, 100000, SENSOR_ALARM);
    is(&list, "in0", SENSOR_VOLTAGE, 1200, SENSOR_UNKNOWN);
    is(&list, "fan1", SENSOR_FAN, 900, SENSOR_WARNING);
    is(&list, "power1", SENSOR_POWER, 12500000, SENSOR_UNKNOWN);
    CHECK_STR(find(&list, "fan1")->chip, "nct6775");
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(arena_printf(&arena, "%s/%s", root, files[i].path));
    for (unsigned i = 0; i < 4; i++)
        (void)rmdir(arena_printf(&arena, "%s/hwmon%u", root, i));
    CHECK_EQ(rmdir(root), 0);
}

static void no_folder(void)
{
    struct arena cleanup_arena arena = {0};

    CHECK_EQ(sensor_list(&arena, "/nonexistent").count, 0);
}

TAP_MAIN(TAP_CASE(chips_of_a_folder), TAP_CASE(no_folder))
