/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics without hostd: series, rollups, perf.db, what is made of two looks at a VM. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostd/perf/history.h"
#include "hostd/perf/hour.h"
#include "hostd/perf/reading.h"
#include "hostd/perf/series.h"
#include "tests/tap.h"

static void counters_are_sorted(void)
{
    for (unsigned i = 0; i < PERF_COUNTERS; i++) {
        CHECK_EQ(perf_counter_find(perf_counters[i].key), i);
        CHECK(i == 0 || perf_counters[i].key > perf_counters[i - 1].key);
    }
    CHECK_EQ(perf_counter_find(7), -1);
    for (unsigned i = 0; i < perf_named_count; i++) {
        CHECK(i == 0 || perf_named[i].key > perf_named[i - 1].key);
        CHECK_EQ(perf_counter_find(perf_named[i].key), -1); /* one or the other */
        CHECK(perf_counter_info(perf_named[i].key) == &perf_named[i]);
    }
}

static void put(struct perf_series *series, uint64_t column, int32_t usage)
{
    struct perf_values values = {0};

    perf_add(&values, PERF_cpu_usage, "", usage);
    perf_add(&values, PERF_cpu_ready, "0", 2.0 * usage);
    perf_series_add(series, column, &values);
    perf_values_free(&values);
}

static int32_t usage_at(const struct perf_series *series, uint64_t column)
{
    return perf_series_get(series, perf_series_find(series, PERF_cpu_usage, ""), column);
}

static void an_hour(void)
{
    struct perf_series series = {0};

    for (unsigned i = 0; i < 400; i++)
        if (i != 395)
            put(&series, 1000 + i, (int32_t)i);
    CHECK_EQ(series.next, 1400);
    CHECK_EQ(series.first, 1220);
    CHECK_EQ(usage_at(&series, 1399), 399);
    CHECK_EQ(usage_at(&series, 1395), PERF_NONE); /* hostd was away */
    CHECK_EQ(usage_at(&series, 1220), 220);
    CHECK_EQ(usage_at(&series, 1219), PERF_NONE);
    CHECK_EQ(usage_at(&series, 1400), PERF_NONE);
    CHECK_EQ(perf_series_last(&series, PERF_cpu_usage), 399);
    CHECK_EQ(series.count, 2);
    put(&series, 5000, 7); /* a long sleep */
    CHECK_EQ(series.first, 5000);
    CHECK_EQ(usage_at(&series, 1399), PERF_NONE);
    put(&series, 50, 9); /* the clock was set back */
    CHECK_EQ(usage_at(&series, 50), 9);
    CHECK_EQ(usage_at(&series, 5000), PERF_NONE);
    perf_series_free(&series);
}

/* What was measured is in the file each time, whatever has become of its rows. */
static void an_hour_in_a_file(void)
{
    struct perf_series series = {0};
    struct perf_hour hour = {0};
    char path[] = "/tmp/socle-hour-XXXXXX";
    int fd = mkstemp(path);

    REQUIRE(fd >= 0);
    for (unsigned i = 0; i < 260; i += 1 + (i % 7 == 3)) {
        struct perf_series again = {0};
        struct perf_values values = {0};
        char instance[8];
        (void)snprintf(instance, sizeof instance, "%u", i);
        perf_add(&values, PERF_cpu_usage, "", i);
        perf_add(&values, PERF_cpu_ready, instance, 2.0 * i); /* a new row each time */
        perf_series_add(&series, 1000 + i, &values);
        perf_values_free(&values);
        perf_hour_write(&hour, path, &series);
        perf_hour_read(path, 1000 + i + i % 5, &again);
        CHECK_EQ(again.next, series.next);
        for (uint64_t c = 990; c < 1300; c++)
            CHECK_EQ(again.count ? usage_at(&again, c) : PERF_NONE, usage_at(&series, c));
        perf_series_free(&again);
    }
    struct perf_series none = {0};
    perf_hour_read(path, 1000 + 260 + PERF_COLUMNS, &none); /* too long ago */
    CHECK_EQ(none.count, 0);
    perf_hour_read(path, 1200, &none); /* of the future: the clock was set back */
    CHECK_EQ(none.count, 0);
    int now = open(path, O_WRONLY | O_CLOEXEC);
    off_t size = lseek(now, 0, SEEK_END);
    unsigned places = 0, whole = 0;
    static const uint8_t zeros[4096];
    for (uint64_t c = series.first; c < series.next; c++)
        places += usage_at(&series, c) != PERF_NONE;
    /* A power cut: a block of it never reached the disk. */
    CHECK(pwrite(now, zeros, sizeof zeros, size / 2) == sizeof zeros);
    perf_hour_read(path, 1262, &none);
    for (uint64_t c = none.first; c < none.next; c++) {
        int32_t is = usage_at(&none, c);
        whole += is != PERF_NONE;
        CHECK(is == PERF_NONE || is == usage_at(&series, c));
    }
    CHECK(whole > 0 && whole < places);
    perf_series_free(&none);
    none = (struct perf_series){0};
    CHECK(pwrite(now, "\xff", 1, 9) == 1); /* its room */
    perf_hour_read(path, 1262, &none);
    CHECK_EQ(none.count, 0);
    (void)close(now);
    (void)close(fd);
    (void)unlink(path);
    perf_series_free(&series);
}

static void rollups(void)
{
    const int32_t values[] = {10, PERF_NONE, 20, 31};
    const int32_t none[] = {PERF_NONE, PERF_NONE};
    struct perf_series series = {0};

    CHECK_EQ(perf_roll(PERF_average, values, 4), 20);
    CHECK_EQ(perf_roll(PERF_summation, values, 4), 61);
    CHECK_EQ(perf_roll(PERF_latest, values, 4), 31);
    CHECK_EQ(perf_roll(PERF_average, none, 2), PERF_NONE);
    CHECK_EQ(perf_roll(PERF_summation, (const int32_t[]){INT32_MAX, INT32_MAX}, 2), INT32_MAX);
    for (unsigned i = 0; i < 30; i++)
        put(&series, 100 + i, (int32_t)i);
    CHECK_EQ(perf_series_roll(&series, perf_series_find(&series, PERF_cpu_usage, ""), 100, 115), 7);
    CHECK_EQ(perf_series_roll(&series, perf_series_find(&series, PERF_cpu_ready, "0"), 100, 102),
             2);
    perf_series_free(&series);
}

struct seen {
    unsigned count;
    int64_t first, last;
    int32_t usage, ready;
};

static void see(void *ctx, int64_t time, const int32_t *values)
{
    struct seen *seen = ctx;

    if (!seen->count++)
        seen->first = time;
    seen->last = time;
    seen->usage = values[PERF_cpu_usage];
    seen->ready = values[PERF_cpu_ready];
}

static struct seen read_all(struct perf_history *history, unsigned interval, const char *id)
{
    struct seen seen = {0};

    perf_history_read(history, interval, id, 0, INT64_MAX, see, &seen);
    return seen;
}

static void write_row(struct perf_history *history, int64_t time, int32_t usage)
{
    struct perf_row rows[2] = {{.id = "ha-host"}, {.id = "12"}};

    for (unsigned c = 0; c < PERF_COUNTERS; c++)
        rows[0].value[c] = rows[1].value[c] = PERF_NONE;
    rows[0].value[PERF_cpu_usage] = usage;
    rows[0].value[PERF_cpu_ready] = 5;
    rows[1].value[PERF_cpu_usage] = 2 * usage;
    perf_history_write(history, time, rows, 2);
}

/* Two days by five minutes: what becomes of them, and how much room they take. */
static void a_history(void)
{
    char folder[] = "/tmp/socle-perf-XXXXXX";
    const int64_t day = 86400, start = 1000 * day;
    struct perf_history *history = NULL;

    REQUIRE(mkdtemp(folder) && chdir(folder) == 0);
    REQUIRE(perf_history_create(&history) == 0);
    for (int64_t t = start + 300; t <= start + 2 * day; t += 300)
        write_row(history, t, t > start + day ? 300 : 100);
    struct seen past_day = read_all(history, 0, "ha-host"), week = read_all(history, 1, "ha-host");
    struct seen month = read_all(history, 2, "12"), year = read_all(history, 3, "ha-host");
    CHECK_EQ(past_day.count, 288); /* the older ones went */
    CHECK_EQ(past_day.first, start + day + 300);
    CHECK_EQ(week.count, 96);
    CHECK_EQ(week.usage, 300);
    CHECK_EQ(week.ready, 30); /* six times five: a sum */
    CHECK_EQ(month.count, 24);
    CHECK_EQ(month.usage, 600);
    CHECK_EQ(month.ready, PERF_NONE);
    CHECK_EQ(year.count, 2);
    CHECK_EQ(year.last, start + 2 * day);
    CHECK_EQ(year.ready, 5 * 288);
    perf_history_destroy(history);
    REQUIRE(perf_history_create(&history) == 0);
    CHECK_EQ(read_all(history, 3, "ha-host").count, 2);
    perf_history_destroy(history);
    (void)unlink("perf.db");
    (void)unlink("perf.db-wal");
    (void)unlink("perf.db-shm");
    (void)rmdir(folder);
}

static int32_t value_of(const struct perf_values *values, enum perf_counter counter,
                        const char *instance)
{
    for (unsigned i = 0; i < values->count; i++)
        if (values->items[i].counter == counter && !strcmp(values->items[i].instance, instance))
            return values->items[i].value;
    return -1;
}

/* Two seconds of a VM with two processors at 1,000 MHz. */
static void of_a_vm(void)
{
    const struct usage usage = {0};
    const struct perf_vm vm = {.usage = &usage, .memory = 64 << 20, .cpu_mhz = 1000};
    struct perf_vm_raw a = {.at_ns = 1000000000, .vcpus = 2}, b = a;
    struct perf_values values = {0};

    b.at_ns += 2000000000;
    b.used_ns = 1500000000;
    b.vcpu[0].run_ns = 1000000000;
    b.vcpu[1].ready_ns = 500000000;
    b.memory_known = true;
    b.guest = 16 << 20;
    b.overhead = 3 << 20;
    b.disks = a.disks = 1;
    b.disk[0] = (struct perf_disk_raw){"scsi0:0", 10, 4, 1 << 20, 8192, 50000000, 8000000};
    (void)snprintf(a.disk[0].name, sizeof a.disk[0].name, "scsi0:0");
    perf_vm_values(&vm, &a, &b, &values);
    CHECK_EQ(value_of(&values, PERF_cpu_usagemhz, ""), 750);
    CHECK_EQ(value_of(&values, PERF_cpu_usage, ""), 3750); /* of two processors, in 1/100 % */
    CHECK_EQ(value_of(&values, PERF_cpu_used, "0"), 1000);
    CHECK_EQ(value_of(&values, PERF_cpu_ready, "1"), 500);
    CHECK_EQ(value_of(&values, PERF_cpu_wait, "1"), 1500);
    CHECK_EQ(value_of(&values, PERF_mem_usage, ""), 2500);
    CHECK_EQ(value_of(&values, PERF_mem_overhead, ""), 3072);
    CHECK_EQ(value_of(&values, PERF_virtualDisk_read, "scsi0:0"), 512);
    CHECK_EQ(value_of(&values, PERF_virtualDisk_totalReadLatency, "scsi0:0"), 5);
    CHECK_EQ(value_of(&values, PERF_disk_maxTotalLatency, ""), 4);
    values.count = 0;
    perf_vm_values(&vm, &b, &a, &values); /* counters that went back: nothing, not billions */
    CHECK_EQ(value_of(&values, PERF_virtualDisk_read, "scsi0:0"), -1);
    perf_values_free(&values);
}

/* Works until it has used some processor time, says so, and stays. */
static void work(int done)
{
    while (clock() < CLOCKS_PER_SEC / 5)
        continue;
    (void)!write(done, "", 1);
    (void)pause();
}

/* A process of ours, as if it were a VM. */
static void of_a_process(void)
{
    struct perf_vm_raw raw;
    struct perf_host_raw *host = malloc(sizeof *host);
    int done[2];
    char byte;

    CHECK(pipe(done) == 0);
    pid_t child = fork();
    if (!child)
        work(done[1]);
    CHECK(child > 0 && read(done[0], &byte, 1) == 1);
    perf_vm_read(&(struct perf_vm){.keeper = child, .vmm = child, .memory = 1 << 20}, &raw);
    CHECK(raw.used_ns > 100000000 && raw.used_ns < UINT64_C(3600000000000));
    CHECK(raw.memory_known && raw.overhead > 0 && raw.guest <= 1 << 20);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    perf_host_read(NULL, 0, host);
    CHECK(host->cpus > 0 && host->all.busy_ms > 0 && host->memory > host->available);
    CHECK(host->uptime_s > 0);
    free(host);
    (void)close(done[0]);
    (void)close(done[1]);
}

TAP_MAIN(TAP_CASE(counters_are_sorted), TAP_CASE(an_hour), TAP_CASE(an_hour_in_a_file),
         TAP_CASE(rollups), TAP_CASE(a_history), TAP_CASE(of_a_vm), TAP_CASE(of_a_process))
