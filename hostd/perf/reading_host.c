/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: proc_stat(5), proc_meminfo(5), proc_vmstat(5), Documentation/admin-guide/iostats.rst,
 * proc_pid_net(5), Documentation/power/powercap/powercap.rst. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/range.h"
#include "hostd/perf/reading.h"

enum { SECTOR = 512 };

/* user nice system idle iowait irq softirq steal */
static struct perf_cpu_raw cpu_line(const char *at)
{
    const uint64_t tick_ms = 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t v[8] = {0};
    char *end = (char *)(uintptr_t)at;

    for (unsigned i = 0; i < 8; i++)
        v[i] = strtoull(end, &end, 10);
    return (struct perf_cpu_raw){(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * tick_ms,
                                 (v[3] + v[4]) * tick_ms};
}

static void read_cpus(struct perf_host_raw *raw)
{
    char line[512];
    FILE *file = fopen("/proc/stat", "re");

    while (file && fgets(line, sizeof line, file) && !strncmp(line, "cpu", 3)) {
        char *end;
        unsigned long number = strtoul(line + 3, &end, 10);
        if (line[3] == ' ')
            raw->all = cpu_line(line + 3);
        else if (number < PERF_CPUS_MAX) {
            raw->cpu[number] = cpu_line(end);
            raw->cpus = MAX(raw->cpus, (unsigned)number + 1);
        }
    }
    if (file)
        (void)fclose(file);
}

/* Calls for each line "NAME[:] NUMBER ..." of a file. */
static void each_number(const char *path,
                        void (*found)(void *ctx, const char *name, uint64_t value), void *ctx)
{
    char line[256];
    FILE *file = fopen(path, "re");

    while (file && fgets(line, sizeof line, file)) {
        size_t len = strcspn(line, ": \t");
        char *at = line + len + strspn(line + len, ": \t");
        line[len] = '\0';
        found(ctx, line, strtoull(at, NULL, 10));
    }
    if (file)
        (void)fclose(file);
}

static void on_meminfo(void *ctx, const char *name, uint64_t kib)
{
    struct perf_host_raw *raw = ctx;
    uint64_t bytes = kib << 10;

    if (!strcmp(name, "MemTotal"))
        raw->memory = bytes;
    else if (!strcmp(name, "MemAvailable"))
        raw->available = bytes;
    else if (!strcmp(name, "SwapTotal"))
        raw->swap_used += bytes;
    else if (!strcmp(name, "SwapFree"))
        raw->swap_used -= MIN(bytes, raw->swap_used);
    else if (!strcmp(name, "SUnreclaim") || !strcmp(name, "KernelStack") ||
             !strcmp(name, "PageTables"))
        raw->kernel += bytes;
}

static void on_vmstat(void *ctx, const char *name, uint64_t pages)
{
    struct perf_host_raw *raw = ctx;
    uint64_t bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);

    if (!strcmp(name, "pswpin"))
        raw->swapped_in = bytes;
    else if (!strcmp(name, "pswpout"))
        raw->swapped_out = bytes;
}

/* Whole disks only, and none of those that are only in front of others. */
static bool is_disk(const char *name)
{
    char path[96];

    (void)snprintf(path, sizeof path, "/sys/block/%.40s/device", name);
    return access(path, F_OK) == 0;
}

/* major minor name reads merged sectors ms writes merged sectors ms ... */
static void note_stores(const struct perf_store *stores, unsigned count, uint64_t device,
                        const struct perf_disk_raw *disk, struct perf_host_raw *raw)
{
    for (unsigned i = 0; i < count && raw->stores < PERF_STORES_MAX; i++) {
        if (stores[i].device != device)
            continue;
        raw->store[raw->stores] = *disk;
        memcpy(raw->store[raw->stores++].name, stores[i].id, sizeof stores[i].id);
    }
}

static void read_disks(const struct perf_store *stores, unsigned count, struct perf_host_raw *raw)
{
    char line[512];
    FILE *file = fopen("/proc/diskstats", "re");

    while (file && raw->disks < PERF_DEVICES_MAX && fgets(line, sizeof line, file)) {
        struct perf_disk_raw *d = &raw->disk[raw->disks];
        char *at = line;
        uint64_t v[8] = {0};
        unsigned long number[2];
        for (unsigned i = 0; i < 2; i++)
            number[i] = strtoul(at, &at, 10);
        at += strspn(at, " ");
        size_t len = strcspn(at, " ");
        if (!len || len >= sizeof d->name)
            continue;
        *d = (struct perf_disk_raw){0};
        (void)snprintf(d->name, sizeof d->name, "%.*s", (int)len, at);
        at += len;
        for (unsigned i = 0; i < 8; i++)
            v[i] = strtoull(at, &at, 10);
        d->reads = v[0];
        d->read_bytes = v[2] * SECTOR;
        d->read_ns = v[3] * 1000000;
        d->writes = v[4];
        d->write_bytes = v[6] * SECTOR;
        d->write_ns = v[7] * 1000000;
        note_stores(stores, count, makedev((unsigned)number[0], (unsigned)number[1]), d, raw);
        raw->disks += is_disk(d->name);
    }
    if (file)
        (void)fclose(file);
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop" */
static void read_nics(struct perf_host_raw *raw)
{
    char line[512];
    FILE *file = fopen("/proc/net/dev", "re");

    while (file && raw->nics < PERF_DEVICES_MAX && fgets(line, sizeof line, file)) {
        struct perf_nic_raw *n = &raw->nic[raw->nics];
        char *name = line + strspn(line, " "), *colon = strchr(name, ':');
        uint64_t v[12] = {0};
        if (!colon || colon - name >= (ptrdiff_t)sizeof n->name || !strncmp(name, "lo:", 3))
            continue;
        *n = (struct perf_nic_raw){0};
        (void)snprintf(n->name, sizeof n->name, "%.*s", (int)(colon - name), name);
        char *at = colon + 1;
        for (unsigned i = 0; i < 12; i++)
            v[i] = strtoull(at, &at, 10);
        n->rx_bytes = v[0];
        n->rx_packets = v[1];
        n->rx_errors = v[2];
        n->rx_dropped = v[3];
        n->multicast = v[7];
        n->tx_bytes = v[8];
        n->tx_packets = v[9];
        n->tx_errors = v[10];
        n->tx_dropped = v[11];
        raw->nics++;
    }
    if (file)
        (void)fclose(file);
}

/* Packages ("intel-rapl:0"), without their parts ("intel-rapl:0:0"). Readable by root alone. */
static void read_energy(struct perf_host_raw *raw)
{
    DIR *dir = opendir("/sys/class/powercap");
    char path[320], text[32];

    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *colon = strchr(e->d_name, ':');
        if (!colon || strchr(colon + 1, ':') || strncmp(e->d_name, "intel-rapl", 10))
            continue;
        (void)snprintf(path, sizeof path, "/sys/class/powercap/%s/energy_uj", e->d_name);
        if (perf_file(path, text, sizeof text)) {
            raw->energy_uj += strtoull(text, NULL, 10);
            raw->energy_known = true;
        }
    }
    if (dir)
        (void)closedir(dir);
}

void perf_host_read(const struct perf_store *stores, unsigned count, struct perf_host_raw *ret_raw)
{
    struct timespec up = {0};

    *ret_raw = (struct perf_host_raw){.at_ns = clock_now()};
    read_cpus(ret_raw);
    each_number("/proc/meminfo", on_meminfo, ret_raw);
    each_number("/proc/vmstat", on_vmstat, ret_raw);
    read_disks(stores, count, ret_raw);
    read_nics(ret_raw);
    read_energy(ret_raw);
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    ret_raw->uptime_s = (uint64_t)up.tv_sec;
}

static void one_cpu(const char *name, const struct perf_cpu_raw *a, const struct perf_cpu_raw *b,
                    struct perf_values *values)
{
    double busy = (double)(b->busy_ms - MIN(a->busy_ms, b->busy_ms));
    double idle = (double)(b->idle_ms - MIN(a->idle_ms, b->idle_ms));
    double part = busy + idle > 0 ? busy / (busy + idle) : 0;

    perf_add(values, PERF_cpu_usage, name, part * 10000);
    perf_add(values, PERF_cpu_utilization, name, part * 10000);
    perf_add(values, PERF_cpu_used, name, busy);
    perf_add(values, PERF_cpu_idle, name, idle);
}

static void cpu_values(double mhz, const struct perf_host_raw *a, const struct perf_host_raw *b,
                       struct perf_values *values)
{
    double busy = (double)(b->all.busy_ms - MIN(a->all.busy_ms, b->all.busy_ms));
    double idle = (double)(b->all.idle_ms - MIN(a->all.idle_ms, b->all.idle_ms));
    char name[12];

    for (unsigned i = 0; i < b->cpus; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        one_cpu(name, &a->cpu[i], &b->cpu[i], values);
    }
    one_cpu("", &a->all, &b->all, values);
    perf_add(values, PERF_cpu_totalCapacity, "", mhz * b->cpus);
    if (busy + idle > 0)
        perf_add(values, PERF_cpu_usagemhz, "", busy / (busy + idle) * mhz * b->cpus);
}

static void memory_values(const struct perf_host_raw *now, struct perf_values *values)
{
    uint64_t used = now->memory - MIN(now->available, now->memory);
    double free_part = now->memory ? (double)now->available / (double)now->memory : 1;

    if (now->memory)
        perf_add(values, PERF_mem_usage, "", (1 - free_part) * 10000);
    perf_add(values, PERF_mem_consumed, "", (double)(used >> 10));
    perf_add(values, PERF_mem_swapused, "", (double)(now->swap_used >> 10));
    perf_add(values, PERF_mem_sysUsage, "", (double)(now->kernel >> 10));
    perf_add(values, PERF_mem_totalCapacity, "", (double)(now->memory >> 20));
    perf_add(values, PERF_mem_state, "",
             free_part > 0.04   ? 0
             : free_part > 0.02 ? 1
             : free_part > 0.01 ? 2
                                : 3);
}

static void one_disk(const char *name, const struct perf_span *s, double seconds,
                     struct perf_values *values)
{
    double read = perf_latency(s->read_ms, s->reads), write = perf_latency(s->write_ms, s->writes),
           both = perf_latency(s->read_ms + s->write_ms, s->reads + s->writes);

    perf_add(values, PERF_disk_read, name, s->read_kib / seconds);
    perf_add(values, PERF_disk_write, name, s->write_kib / seconds);
    perf_add(values, PERF_disk_numberRead, name, s->reads);
    perf_add(values, PERF_disk_numberWrite, name, s->writes);
    perf_add(values, PERF_disk_commands, name, s->reads + s->writes);
    perf_add(values, PERF_disk_numberReadAveraged, name, s->reads / seconds);
    perf_add(values, PERF_disk_numberWriteAveraged, name, s->writes / seconds);
    perf_add(values, PERF_disk_commandsAveraged, name, (s->reads + s->writes) / seconds);
    perf_add(values, PERF_disk_deviceReadLatency, name, read);
    perf_add(values, PERF_disk_totalReadLatency, name, read);
    perf_add(values, PERF_disk_deviceWriteLatency, name, write);
    perf_add(values, PERF_disk_totalWriteLatency, name, write);
    perf_add(values, PERF_disk_deviceLatency, name, both);
    perf_add(values, PERF_disk_totalLatency, name, both);
}

static void disk_values(const struct perf_host_raw *before, const struct perf_host_raw *now,
                        double seconds, struct perf_values *values)
{
    double read = 0, write = 0, slowest = 0;

    for (unsigned i = 0; i < now->disks; i++) {
        struct perf_span s = perf_disk_span(&before->disk[i], &now->disk[i]);
        if (strcmp(before->disk[i].name, now->disk[i].name))
            continue;
        one_disk(now->disk[i].name, &s, seconds, values);
        read += s.read_kib / seconds;
        write += s.write_kib / seconds;
        slowest = MAX(slowest, perf_latency(s.read_ms + s.write_ms, s.reads + s.writes));
    }
    perf_add(values, PERF_disk_usage, "", read + write);
    perf_add(values, PERF_disk_read, "", read);
    perf_add(values, PERF_disk_write, "", write);
    perf_add(values, PERF_disk_maxTotalLatency, "", slowest);
}

/* A datastore may come or go between the two looks. */
static const struct perf_disk_raw *store_of(const struct perf_host_raw *raw, const char *id)
{
    for (unsigned i = 0; i < raw->stores; i++)
        if (!strcmp(raw->store[i].name, id))
            return &raw->store[i];
    return NULL;
}

static void store_values(const struct perf_host_raw *before, const struct perf_host_raw *now,
                         double seconds, struct perf_values *values)
{
    double slowest = 0;

    for (unsigned i = 0; i < now->stores; i++) {
        const char *id = now->store[i].name;
        const struct perf_disk_raw *then = store_of(before, id);
        if (!then)
            continue;
        struct perf_span s = perf_disk_span(then, &now->store[i]);
        perf_add(values, PERF_datastore_numberReadAveraged, id, s.reads / seconds);
        perf_add(values, PERF_datastore_numberWriteAveraged, id, s.writes / seconds);
        perf_add(values, PERF_datastore_read, id, s.read_kib / seconds);
        perf_add(values, PERF_datastore_write, id, s.write_kib / seconds);
        perf_add(values, PERF_datastore_totalReadLatency, id, perf_latency(s.read_ms, s.reads));
        perf_add(values, PERF_datastore_totalWriteLatency, id, perf_latency(s.write_ms, s.writes));
        slowest = MAX(slowest, perf_latency(s.read_ms + s.write_ms, s.reads + s.writes));
    }
    if (now->stores)
        perf_add(values, PERF_datastore_maxTotalLatency, "", slowest);
}

static void swap_values(const struct perf_host_raw *a, const struct perf_host_raw *b,
                        double seconds, struct perf_values *values)
{
    double in = (double)(b->swapped_in - MIN(a->swapped_in, b->swapped_in)),
           out = (double)(b->swapped_out - MIN(a->swapped_out, b->swapped_out));

    perf_add(values, PERF_mem_swapinRate, "", in / 1024 / seconds);
    perf_add(values, PERF_mem_swapoutRate, "", out / 1024 / seconds);
}

void perf_host_values(double cpu_mhz, const struct perf_host_raw *before,
                      const struct perf_host_raw *now, struct perf_values *values)
{
    double seconds = (double)now->at_ns / 1e9 - (double)before->at_ns / 1e9;

    memory_values(now, values);
    perf_add(values, PERF_sys_uptime, "", (double)now->uptime_s);
    if (!before->at_ns || seconds <= 0)
        return;
    cpu_values(cpu_mhz, before, now, values);
    swap_values(before, now, seconds, values);
    disk_values(before, now, seconds, values);
    store_values(before, now, seconds, values);
    perf_nic_values(before->nic, now->nic, MIN(before->nics, now->nics), seconds, values);
    if (before->energy_known && now->energy_known && now->energy_uj >= before->energy_uj) {
        double joule = (double)(now->energy_uj - before->energy_uj) / 1e6;
        perf_add(values, PERF_power_power, "", joule / seconds);
        perf_add(values, PERF_power_energy, "", joule);
    }
}
