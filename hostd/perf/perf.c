/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/perf/perf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/datastore.h"
#include "hostd/model/inventory.h"
#include "hostd/perf/hour.h"
#include "hostd/task/worker.h"
#include "hostd/up/rootdir.h"

#define SECOND_NS UINT64_C(1000000000)

/* The host (vm NULL) or a running VM. */
struct perf_entity {
    struct perf_entity *next;
    struct virtual_machine *vm;
    char id[32];
    bool gone; /* to be freed when the job has let go of it */
    struct perf_series series;
    struct perf_hour hour; /* what of it is in its file */
    /* The reading: the job's while one runs. */
    struct perf_vm about;
    union {
        struct perf_vm_raw *vm_before;
        struct perf_host_raw *host_before;
    };
    struct perf_values values;
};

struct perf {
    struct hostd *hostd;
    struct perf_entity *host, *first; /* of VMs */
    struct perf_history *history;
    struct loop_source timer;
    bool measuring, writing;
    uint64_t column;
    /* What the jobs work on. */
    struct perf_entity **list;
    unsigned count;
    struct perf_store stores[PERF_STORES_MAX];
    unsigned store_count;
    struct perf_row *rows;
    unsigned row_count;
};

static uint64_t column_now(void)
{
    return (uint64_t)clock_realtime(&clock_host) / SECOND_NS / PERF_INTERVAL_S;
}

int64_t perf_column_time(const struct perf *perf, uint64_t column)
{
    (void)perf;
    return (int64_t)column * PERF_INTERVAL_S * 1000000;
}

struct perf_history *perf_history(struct perf *perf)
{
    return perf->history;
}

const struct perf_series *perf_find(const struct perf *perf, const char *id)
{
    struct perf_entity *e = !strcmp(id, perf->host->id) ? perf->host : perf->first;

    while (e && strcmp(e->id, id))
        e = e->next;
    return e && !e->gone && e->series.next ? &e->series : NULL;
}

/* --- entities --- */

static const char *hour_path(const char *id, char path[64])
{
    (void)snprintf(path, 64, ROOTDIR_HOURS "/%.40s", id);
    return path;
}

void perf_forget(const char *id)
{
    char path[64];

    (void)unlink(hour_path(id, path));
}

static struct perf_entity *entity_create(const char *id, size_t raw_size)
{
    struct perf_entity *e = calloc(1, sizeof *e);
    void *before = calloc(1, raw_size);
    char path[64];

    if (!e || !before) {
        free(e);
        free(before);
        return NULL;
    }
    (void)snprintf(e->id, sizeof e->id, "%.31s", id);
    e->vm_before = before;
    perf_hour_read(hour_path(id, path), column_now(), &e->series);
    return e;
}

static void entity_free(struct perf_entity *e)
{
    if (!e)
        return;
    usage_unmap(e->about.usage);
    perf_values_free(&e->values);
    perf_series_free(&e->series);
    free(e->vm_before);
    free(e);
}

void perf_vm_on(struct virtual_machine *vm, const struct keeper_message *message, int fd)
{
    struct perf *perf = vm->e.hostd->perf;
    struct perf_entity *e =
        perf && !vm->perf ? entity_create(vm->e.id, sizeof *e->vm_before) : NULL;
    int pids[3] = {0};
    struct usage *usage = NULL;
    const char *at = message->text;
    char *end;

    for (unsigned i = 0; e && i < ARRAY_SIZE(pids); i++, at = end)
        pids[i] = (int)strtol(at, &end, 10);
    if (e && usage_map(fd, false, &usage) < 0)
        log_warn("VM %s does not tell what its devices do", vm->e.id);
    (void)close_fd(fd);
    if (!e)
        return;
    e->vm = vm;
    e->about = (struct perf_vm){
        .keeper = pids[0],
        .vmm = pids[1],
        .vmx = pids[2],
        .usage = usage,
        .memory = vm->vmx ? vm_memory(vm) : 0,
        .cpu_mhz = (double)vm->e.hostd->inventory->machine.cpu_hz / 1e6,
    };
    e->next = perf->first;
    perf->first = e;
    vm->perf = e;
}

void perf_vm_off(struct virtual_machine *vm)
{
    if (!vm->perf)
        return;
    vm->perf->gone = true;
    vm->perf->vm = NULL;
    vm->perf = NULL;
}

/* While no job holds them. */
static void free_gone(struct perf *perf)
{
    for (struct perf_entity **at = &perf->first; *at;)
        if ((*at)->gone) {
            struct perf_entity *e = *at;
            *at = e->next;
            entity_free(e);
        } else {
            at = &(*at)->next;
        }
}

/* --- the job --- */

static void measure_host(const struct perf *perf, struct perf_entity *e)
{
    struct perf_host_raw *now = malloc(sizeof *now);

    if (!now)
        return;
    perf_host_read(perf->stores, perf->store_count, now);
    perf_host_values(e->about.cpu_mhz, e->host_before, now, &e->values);
    free(e->host_before);
    e->host_before = now;
}

static void measure_vm(struct perf_entity *e)
{
    struct perf_vm_raw now;

    perf_vm_read(&e->about, &now);
    perf_vm_values(&e->about, e->vm_before, &now, &e->values);
    *e->vm_before = now;
}

static void measure(void *arg)
{
    struct perf *perf = arg;

    for (unsigned i = 0; i < perf->count; i++) {
        struct perf_entity *e = perf->list[i];
        e->values.count = 0;
        if (e == perf->host)
            measure_host(perf, e);
        else
            measure_vm(e);
    }
}

static void write_history(void *arg)
{
    struct perf *perf = arg;

    perf_history_write(perf->history, perf_column_time(perf, perf->column) / 1000000, perf->rows,
                       perf->row_count);
}

static void history_written(void *arg)
{
    struct perf *perf = arg;

    perf->writing = false;
    free(perf->rows);
    perf->rows = NULL;
}

static void fill_row(struct perf_row *row, const struct perf_entity *e, uint64_t from, uint64_t to)
{
    (void)snprintf(row->id, sizeof row->id, "%s", e->id);
    for (unsigned i = 0; i < PERF_HISTORY_COUNTERS; i++)
        row->value[i] = PERF_NONE;
    for (unsigned i = 0; i < e->series.count; i++) {
        const struct perf_metric *metric = &e->series.metric[i];
        if (!*metric->instance && perf_counters[metric->counter].level <= PERF_HISTORY_LEVEL)
            row->value[metric->counter] = perf_series_roll(&e->series, metric, from, to);
    }
}

/* Every five minutes, what was measured in them. */
static void keep(struct perf *perf)
{
    const unsigned columns = (unsigned)perf_intervals[0].seconds / PERF_INTERVAL_S;

    if (perf->writing || perf->column % columns)
        return;
    perf->rows = calloc(perf->count, sizeof *perf->rows);
    perf->row_count = 0;
    for (unsigned i = 0; perf->rows && i < perf->count; i++)
        if (!perf->list[i]->gone)
            fill_row(&perf->rows[perf->row_count++], perf->list[i], perf->column + 1 - columns,
                     perf->column + 1);
    perf->writing =
        perf->rows && worker_post(perf->hostd->worker, write_history, history_written, perf) == 0;
    if (!perf->writing)
        history_written(perf);
}

static void take_values(struct perf *perf, struct perf_entity *e)
{
    const struct virtual_machine *vm = e->vm;

    if (vm && vm->boot_us) {
        int64_t up = perf_column_time(perf, perf->column) - vm->boot_us;
        perf_add(&e->values, PERF_sys_uptime, "", (double)up / 1e6);
        perf_add(&e->values, PERF_sys_osUptime, "", (double)up / 1e6);
    }
    perf_series_add(&e->series, perf->column, &e->values);
    char path[64];
    perf_hour_write(&e->hour, hour_path(e->id, path), &e->series);
    if (vm)
        mo_changed((struct mo *)(uintptr_t)&vm->e.mo, VIM_P_VirtualMachine_summary);
    else
        mo_changed(&perf->hostd->inventory->host.mo, VIM_P_HostSystem_summary);
}

static void arm(struct perf *perf)
{
    const uint64_t interval = PERF_INTERVAL_S * SECOND_NS;
    uint64_t now = (uint64_t)clock_realtime(&clock_host);

    (void)loop_timer_arm(&perf->timer, clock_now() + interval - now % interval);
}

static void measured(void *arg)
{
    struct perf *perf = arg;

    perf->measuring = false;
    for (unsigned i = 0; i < perf->count; i++)
        if (!perf->list[i]->gone && perf->column)
            take_values(perf, perf->list[i]);
    if (perf->column)
        keep(perf);
    free(perf->list);
    perf->list = NULL;
    perf->count = 0;
    free_gone(perf);
}

static void list_stores(struct perf *perf)
{
    struct inventory *inventory = perf->hostd->inventory;
    struct stat st;

    perf->store_count = 0;
    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e)) &&
                                  perf->store_count < PERF_STORES_MAX;) {
        const struct datastore *datastore = ENTITY_OF(datastore, &e->mo);
        struct perf_store *store = &perf->stores[perf->store_count];
        if (datastore->lost || fstat(datastore->fd, &st) < 0)
            continue;
        (void)snprintf(store->id, sizeof store->id, "%.39s", e->id);
        store->device = st.st_dev;
        perf->store_count++;
    }
}

/* `column` 0: only to have something to compare with the next time. */
static void begin(struct perf *perf, uint64_t column)
{
    unsigned count = 1;

    free_gone(perf);
    for (struct perf_entity *e = perf->first; e; e = e->next)
        count++;
    perf->list = calloc(count, sizeof(struct perf_entity *));
    if (!perf->list)
        return;
    perf->count = 0;
    perf->column = column;
    perf->list[perf->count++] = perf->host;
    for (struct perf_entity *e = perf->first; e; e = e->next)
        perf->list[perf->count++] = e;
    list_stores(perf);
    perf->measuring = worker_post(perf->hostd->worker, measure, measured, perf) == 0;
    if (!perf->measuring) {
        free(perf->list);
        perf->list = NULL;
    }
}

static void on_timer(void *ctx, uint32_t events)
{
    struct perf *perf = ctx;

    (void)events;
    if (!perf->measuring)
        begin(perf, column_now());
    arm(perf);
}

/* --- life --- */

int perf_create(struct hostd *hostd, struct perf **ret_perf)
{
    struct perf *perf = calloc(1, sizeof *perf);
    int rc = perf ? perf_history_create(&perf->history) : -ENOMEM;

    (void)mkdir(ROOTDIR_HOURS, 0700);

    if (rc == 0)
        rc = loop_add_timer(hostd->loop, &perf->timer, on_timer, perf);
    if (rc == 0 && !(perf->host = entity_create("ha-host", sizeof(struct perf_host_raw))))
        rc = -ENOMEM;
    if (rc < 0) {
        perf_destroy(perf);
        return rc;
    }
    perf->hostd = hostd;
    perf->host->about.cpu_mhz = (double)hostd->inventory->machine.cpu_hz / 1e6;
    begin(perf, 0);
    arm(perf);
    *ret_perf = perf;
    return 0;
}

/* The workers have ended. */
void perf_destroy(struct perf *perf)
{
    if (!perf)
        return;
    loop_del(&perf->timer);
    while (perf->first) {
        struct perf_entity *e = perf->first;
        perf->first = e->next;
        if (e->vm)
            e->vm->perf = NULL;
        entity_free(e);
    }
    entity_free(perf->host);
    perf_history_destroy(perf->history);
    free(perf->list);
    free(perf);
}
