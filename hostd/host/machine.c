/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: proc(5), Documentation/ABI/testing/sysfs-firmware-dmi-entries, sysfs cpu topology. */
#include "hostd/host/machine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

static void read_line(const char *path, char *text, size_t size, const char *fallback)
{
    cleanup_buf struct buf content = {0};

    if (file_load(AT_FDCWD, path, 4096, &content, NULL) < 0)
        content.len = 0;
    const char *line = content.len ? buf_cstr(&content) : "";
    size_t len = strcspn(line, "\n");
    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    if (!len || len >= size)
        (void)snprintf(text, size, "%s", fallback);
    else
        (void)snprintf(text, size, "%.*s", (int)len, line);
}

static void read_names(struct machine *machine)
{
    (void)gethostname(machine->host_name, sizeof machine->host_name - 1);
    char *dot = strchr(machine->host_name, '.');
    if (dot) {
        (void)snprintf(machine->domain_name, sizeof machine->domain_name, "%s", dot + 1);
        *dot = '\0';
    }
    if (!*machine->host_name)
        (void)snprintf(machine->host_name, sizeof machine->host_name, "localhost");
}

static void read_dmi(struct machine *machine, const char *fallback_uuid)
{
    static const char dmi[] = "/sys/class/dmi/id/";
    char path[64];
    const struct {
        const char *file;
        char *text;
        const char *fallback;
    } items[] = {
        {"sys_vendor", machine->vendor, "Unknown"},
        {"product_name", machine->model, "Unknown"},
        {"product_serial", machine->serial, ""},
        {"bios_vendor", machine->bios_vendor, "Unknown"},
        {"bios_version", machine->bios_version, "Unknown"},
    };

    for (unsigned i = 0; i < sizeof items / sizeof *items; i++) {
        (void)snprintf(path, sizeof path, "%s%s", dmi, items[i].file);
        read_line(path, items[i].text, MACHINE_TEXT, items[i].fallback);
    }
    (void)snprintf(path, sizeof path, "%sproduct_uuid", dmi);
    read_line(path, machine->uuid, sizeof machine->uuid, fallback_uuid);
    if (strlen(machine->uuid) != 36)
        (void)snprintf(machine->uuid, sizeof machine->uuid, "%s", fallback_uuid);
    for (char *c = machine->uuid; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

/* The value behind "key ... : " of a line of /proc/cpuinfo; false if it is another line. */
static int value_of(const char *line, const char *key, const char **ret_value)
{
    size_t len = strlen(key);

    if (strncmp(line, key, len) || (line[len] != '\t' && line[len] != ' ' && line[len] != ':'))
        return 0;
    const char *colon = strchr(line, ':');
    if (!colon)
        return 0;
    *ret_value = colon + 1 + strspn(colon + 1, " \t");
    return 1;
}

static void read_cpuinfo(struct machine *machine)
{
    unsigned long packages[64] = {0}, package = 0, cores = 0;
    char line[512];
    const char *value;
    double mhz = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (value_of(line, "vendor_id", &value))
            (void)snprintf(machine->cpu_vendor, sizeof machine->cpu_vendor, "%.15s", value);
        else if (value_of(line, "model name", &value))
            (void)snprintf(machine->cpu_model, sizeof machine->cpu_model, "%.127s", value);
        else if (value_of(line, "cpu MHz", &value))
            mhz = mhz > strtod(value, NULL) ? mhz : strtod(value, NULL);
        else if (value_of(line, "processor", &value))
            machine->threads++;
        else if (value_of(line, "physical id", &value))
            package = strtoul(value, NULL, 10) % 64;
        else if (value_of(line, "cpu cores", &value))
            packages[package] = strtoul(value, NULL, 10);
    }
    if (file)
        (void)fclose(file);
    for (unsigned i = 0; i < 64; i++) {
        machine->packages += packages[i] != 0;
        cores += packages[i];
    }
    machine->packages = machine->packages ? machine->packages : 1;
    machine->threads = machine->threads ? machine->threads : 1;
    machine->cores = cores ? (unsigned)cores : machine->threads;
    machine->cpu_hz = (uint64_t)(mhz > 0 ? mhz : 1000) * 1000000;
}

static void read_cpuid(struct machine *machine)
{
#if defined(__x86_64__)
    static const uint32_t leaves[] = {0, 1, 0x80000000, 0x80000001, 0x80000008};

    for (unsigned i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        struct machine_cpuid *c = &machine->cpuid[machine->cpuid_count];
        c->leaf = leaves[i];
        if (__get_cpuid(leaves[i], &c->eax, &c->ebx, &c->ecx, &c->edx))
            machine->cpuid_count++;
    }
#else
    (void)machine;
#endif
}

static uint64_t meminfo(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    const char *value;
    FILE *file = fopen("/proc/meminfo", "re");

    while (file && fgets(line, sizeof line, file))
        if (value_of(line, key, &value))
            kib = strtoull(value, NULL, 10);
    if (file)
        (void)fclose(file);
    return kib << 10;
}

void machine_read(struct machine *machine, const char *fallback_uuid)
{
    struct timespec up, now;

    *machine = (struct machine){0};
    read_names(machine);
    read_dmi(machine, fallback_uuid);
    read_cpuinfo(machine);
    read_cpuid(machine);
    machine->memory = meminfo("MemTotal");
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    machine->boot_us = (int64_t)(now.tv_sec - up.tv_sec) * 1000000;
}

uint64_t machine_memory_used(const struct machine *machine)
{
    uint64_t available = meminfo("MemAvailable");

    return machine->memory > available ? machine->memory - available : 0;
}
