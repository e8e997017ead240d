/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: proc_pid_stat(5), proc_pid_statm(5); /proc/PID/task/TID/schedstat has three numbers, ns
 * on a processor, ns waiting for one, how often (Documentation/scheduler/sched-stats.rst). */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "base/range.h"
#include "hostd/perf/reading.h"

/* Fields 14 and 15 of /proc/PID/stat; the name before them, in parentheses, may be anything. */
static uint64_t used_ns(pid_t pid)
{
    const uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    char path[32], text[512], *at;
    uint64_t ticks = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (pid <= 0 || !perf_file(path, text, sizeof text) || !(at = strrchr(text, ')')))
        return 0;
    for (unsigned field = 2; field < 15 && (at = strchr(at, ' ')); field++) {
        at++;
        if (field >= 13)
            ticks += strtoull(at, NULL, 10);
    }
    return ticks * tick_ns;
}

/* Bytes resident, and those of them that are memory shared with other processes. */
static bool memory_of(pid_t pid, uint64_t *ret_resident, uint64_t *ret_shared)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char path[32], text[128], *at;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (pid <= 0 || !perf_file(path, text, sizeof text))
        return false;
    (void)strtoull(text, &at, 10);
    *ret_resident = strtoull(at, &at, 10) * page;
    *ret_shared = strtoull(at, &at, 10) * page;
    return true;
}

/* Of the vCPU whose thread this is, by its name ("vcpu-3"). */
static void read_thread(const char *task, const char *tid, struct perf_vm_raw *raw)
{
    char path[80], text[128], *end;

    (void)snprintf(path, sizeof path, "%s/%.16s/comm", task, tid);
    if (!perf_file(path, text, sizeof text) || strncmp(text, "vcpu-", 5))
        return;
    unsigned long number = strtoul(text + 5, &end, 10);
    if (end == text + 5 || number >= PERF_VCPUS_MAX)
        return;
    (void)snprintf(path, sizeof path, "%s/%.16s/schedstat", task, tid);
    if (!perf_file(path, text, sizeof text))
        return;
    raw->vcpu[number].run_ns = strtoull(text, &end, 10);
    raw->vcpu[number].ready_ns = strtoull(end, &end, 10);
    raw->vcpus = MAX(raw->vcpus, (unsigned)number + 1);
}

static void read_vcpus(pid_t vmm, struct perf_vm_raw *raw)
{
    char task[32];

    (void)snprintf(task, sizeof task, "/proc/%d/task", (int)vmm);
    DIR *dir = vmm > 0 ? opendir(task) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            read_thread(task, e->d_name, raw);
    if (dir)
        (void)closedir(dir);
}

static uint64_t get(const _Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The VM may write anything at any time: what it says is printable, and ends. */
static void copy_name(char name[PERF_INSTANCE_MAX], const char *from)
{
    unsigned i = 0;

    for (char c; i < USAGE_NAME_MAX - 1 && (c = from[i]) > ' ' && c < 127; i++)
        name[i] = c;
    name[i] = '\0';
}

static void read_devices(const struct perf_vm *vm, struct perf_vm_raw *raw)
{
    for (unsigned i = 0; i < VMCFG_DISK_PLACES && raw->disks < VMCFG_DISKS_MAX; i++) {
        const struct disk_usage *u = &vm->usage->disk[i];
        struct perf_disk_raw *d = &raw->disk[raw->disks];
        if (!vm->usage->disk_name[i][0])
            continue;
        *d = (struct perf_disk_raw){.reads = get(&u->reads),
                                    .writes = get(&u->writes),
                                    .read_bytes = get(&u->read_bytes),
                                    .write_bytes = get(&u->write_bytes),
                                    .read_ns = get(&u->read_ns),
                                    .write_ns = get(&u->write_ns)};
        copy_name(d->name, vm->usage->disk_name[i]);
        raw->disks++;
    }
    for (unsigned i = 0; i < VMCFG_NIC_PLACES && raw->nics < VMCFG_NICS_MAX; i++) {
        const struct nic_stats *s = &vm->usage->nic[i];
        struct perf_nic_raw *n = &raw->nic[raw->nics];
        if (!vm->usage->nic_name[i][0])
            continue;
        *n = (struct perf_nic_raw){.rx_packets = atomic_load(&s->rx_frames),
                                   .rx_bytes = atomic_load(&s->rx_bytes),
                                   .rx_errors = atomic_load(&s->rx_hostile),
                                   .tx_packets = atomic_load(&s->tx_frames),
                                   .tx_bytes = atomic_load(&s->tx_bytes),
                                   .tx_dropped = atomic_load(&s->tx_dropped)};
        copy_name(n->name, vm->usage->nic_name[i]);
        raw->nics++;
    }
}

void perf_vm_read(const struct perf_vm *vm, struct perf_vm_raw *ret_raw)
{
    uint64_t resident, shared, others = 0;

    *ret_raw = (struct perf_vm_raw){.at_ns = clock_now()};
    ret_raw->used_ns = used_ns(vm->keeper) + used_ns(vm->vmm) + used_ns(vm->vmx);
    read_vcpus(vm->vmm, ret_raw);
    /* What vmm shares is the guest's memory, which vmx and keeper do not count again. */
    if (memory_of(vm->vmm, &resident, &shared)) {
        ret_raw->memory_known = true;
        ret_raw->guest = MIN(shared, vm->memory);
        ret_raw->overhead = resident - ret_raw->guest;
        if (memory_of(vm->vmx, &resident, &shared))
            others += resident - shared;
        if (memory_of(vm->keeper, &resident, &shared))
            others += resident - shared;
        ret_raw->overhead += others;
    }
    if (vm->usage)
        read_devices(vm, ret_raw);
}

static void cpu_values(const struct perf_vm *vm, const struct perf_vm_raw *a,
                       const struct perf_vm_raw *b, double ns, struct perf_values *values)
{
    double used = b->used_ns > a->used_ns ? (double)(b->used_ns - a->used_ns) : 0;
    double all_run = 0, all_ready = 0, vcpus = MAX(b->vcpus, 1u);
    char name[12];

    for (unsigned i = 0; i < b->vcpus; i++) {
        double run = (double)(b->vcpu[i].run_ns - MIN(a->vcpu[i].run_ns, b->vcpu[i].run_ns));
        double ready =
            (double)(b->vcpu[i].ready_ns - MIN(a->vcpu[i].ready_ns, b->vcpu[i].ready_ns));
        (void)snprintf(name, sizeof name, "%u", i);
        perf_add(values, PERF_cpu_usagemhz, name, run / ns * vm->cpu_mhz);
        perf_add(values, PERF_cpu_used, name, run / 1e6);
        perf_add(values, PERF_cpu_run, name, run / 1e6);
        perf_add(values, PERF_cpu_ready, name, ready / 1e6);
        perf_add(values, PERF_cpu_wait, name, (ns - run - ready) / 1e6);
        perf_add(values, PERF_cpu_costop, name, 0);
        all_run += run;
        all_ready += ready;
    }
    used = MAX(used, all_run); /* of ticks and of ns: the finer one counts when they differ */
    perf_add(values, PERF_cpu_usage, "", used / ns / vcpus * 10000);
    perf_add(values, PERF_cpu_usagemhz, "", used / ns * vm->cpu_mhz);
    perf_add(values, PERF_cpu_used, "", used / 1e6);
    perf_add(values, PERF_cpu_run, "", all_run / 1e6);
    perf_add(values, PERF_cpu_ready, "", all_ready / 1e6);
    perf_add(values, PERF_cpu_readiness, "", all_ready / ns / vcpus * 10000);
    perf_add(values, PERF_cpu_latency, "",
             all_ready > 0 ? all_ready / (all_run + all_ready) * 10000 : 0);
    perf_add(values, PERF_cpu_costop, "", 0);
    perf_add(values, PERF_cpu_wait, "", (ns * vcpus - all_run - all_ready) / 1e6);
    perf_add(values, PERF_cpu_demand, "", (used + all_ready) / ns * vm->cpu_mhz);
}

static void memory_values(const struct perf_vm *vm, const struct perf_vm_raw *now,
                          struct perf_values *values)
{
    perf_add(values, PERF_mem_granted, "", (double)(now->guest >> 10));
    perf_add(values, PERF_mem_consumed, "", (double)(now->guest >> 10));
    perf_add(values, PERF_mem_active, "", (double)(now->guest >> 10));
    perf_add(values, PERF_mem_overhead, "", (double)(now->overhead >> 10));
    perf_add(values, PERF_mem_vmmemctl, "", 0);
    if (vm->memory)
        perf_add(values, PERF_mem_usage, "", (double)now->guest / (double)vm->memory * 10000);
}

static void disk_values(const struct perf_vm_raw *before, const struct perf_vm_raw *now,
                        double seconds, struct perf_values *values)
{
    struct perf_span sum = {0};
    double slowest = 0;

    for (unsigned i = 0; i < now->disks; i++) {
        struct perf_span s = perf_disk_span(&before->disk[i], &now->disk[i]);
        const char *name = now->disk[i].name;
        if (strcmp(name, before->disk[i].name))
            continue;
        perf_add(values, PERF_virtualDisk_numberReadAveraged, name, s.reads / seconds);
        perf_add(values, PERF_virtualDisk_numberWriteAveraged, name, s.writes / seconds);
        perf_add(values, PERF_virtualDisk_read, name, s.read_kib / seconds);
        perf_add(values, PERF_virtualDisk_write, name, s.write_kib / seconds);
        perf_add(values, PERF_virtualDisk_totalReadLatency, name, perf_latency(s.read_ms, s.reads));
        perf_add(values, PERF_virtualDisk_totalWriteLatency, name,
                 perf_latency(s.write_ms, s.writes));
        perf_add(values, PERF_virtualDisk_readOIO, name, s.read_ms / 1e3 / seconds);
        perf_add(values, PERF_virtualDisk_writeOIO, name, s.write_ms / 1e3 / seconds);
        slowest = MAX(slowest, perf_latency(s.read_ms + s.write_ms, s.reads + s.writes));
        sum.reads += s.reads;
        sum.writes += s.writes;
        sum.read_kib += s.read_kib;
        sum.write_kib += s.write_kib;
    }
    perf_add(values, PERF_disk_usage, "", (sum.read_kib + sum.write_kib) / seconds);
    perf_add(values, PERF_disk_read, "", sum.read_kib / seconds);
    perf_add(values, PERF_disk_write, "", sum.write_kib / seconds);
    perf_add(values, PERF_disk_numberRead, "", sum.reads);
    perf_add(values, PERF_disk_numberWrite, "", sum.writes);
    perf_add(values, PERF_disk_commands, "", sum.reads + sum.writes);
    perf_add(values, PERF_disk_maxTotalLatency, "", slowest);
}

void perf_vm_values(const struct perf_vm *vm, const struct perf_vm_raw *before,
                    const struct perf_vm_raw *now, struct perf_values *values)
{
    double ns = (double)now->at_ns - (double)before->at_ns;

    if (now->memory_known)
        memory_values(vm, now, values);
    if (!before->at_ns || ns <= 0)
        return;
    cpu_values(vm, before, now, ns, values);
    if (vm->usage) {
        disk_values(before, now, ns / 1e9, values);
        perf_nic_values(before->nic, now->nic, now->nics, ns / 1e9, values);
    }
}
