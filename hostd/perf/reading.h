/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the machine or at a VM: counters as Linux and the VM's processes tell them, and,
 * from two looks, the values of the time between them.
 *
 * On a worker's thread; touches only what it is given. What can not be read (a process that has
 * just ended, a file that this kernel does not have) leaves its values out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hostd/perf/counter.h"
#include "vm/process/usage.h"

enum {
    PERF_INSTANCE_MAX = 40,
    PERF_STORES_MAX = 64,
    PERF_VCPUS_MAX = 128,
    PERF_CPUS_MAX = 1024,
    PERF_DEVICES_MAX = 64
};

/* A value of one counter; instance "": of the whole. */
struct perf_value {
    uint16_t counter;
    int32_t value;
    char instance[PERF_INSTANCE_MAX];
};

/* Owned; grows. A zeroed one is empty. */
struct perf_values {
    struct perf_value *items;
    unsigned count, room;
};
void perf_values_free(struct perf_values *values);
/* Bounded to what an int32_t holds, negative ones to 0. Without memory nothing is added. */
void perf_add(struct perf_values *values, enum perf_counter counter, const char *instance,
              double v);

struct perf_disk_raw {
    char name[PERF_INSTANCE_MAX];
    uint64_t reads, writes, read_bytes, write_bytes, read_ns, write_ns;
};
struct perf_nic_raw {
    char name[PERF_INSTANCE_MAX];
    uint64_t rx_packets, rx_bytes, rx_errors, rx_dropped, multicast;
    uint64_t tx_packets, tx_bytes, tx_errors, tx_dropped;
};

/* --- a VM (reading_vm.c) --- */

struct perf_vm {
    pid_t keeper, vmm, vmx;    /* 0: not known */
    const struct usage *usage; /* NULL: not known; borrowed */
    uint64_t memory;           /* bytes that the guest has */
    double cpu_mhz;            /* of one processor */
};

struct perf_vm_raw {
    uint64_t at_ns; /* CLOCK_MONOTONIC; 0: there is none */
    uint64_t used_ns;
    struct {
        uint64_t run_ns, ready_ns;
    } vcpu[PERF_VCPUS_MAX];
    unsigned vcpus;
    uint64_t guest, overhead; /* bytes */
    bool memory_known;
    struct perf_disk_raw disk[VMCFG_DISKS_MAX];
    struct perf_nic_raw nic[VMCFG_NICS_MAX];
    unsigned disks, nics;
};

void perf_vm_read(const struct perf_vm *vm, struct perf_vm_raw *ret_raw);
/* `before` may be without a time: then only what needs none is told. */
void perf_vm_values(const struct perf_vm *vm, const struct perf_vm_raw *before,
                    const struct perf_vm_raw *now, struct perf_values *values);

/* --- the machine (reading_host.c) --- */

/* A datastore, and the device that its files are on (st_dev). */
struct perf_store {
    char id[PERF_INSTANCE_MAX];
    uint64_t device;
};

struct perf_host_raw {
    uint64_t at_ns;
    struct perf_cpu_raw {
        uint64_t busy_ms, idle_ms;
    } cpu[PERF_CPUS_MAX], all;
    unsigned cpus;
    uint64_t memory, available, kernel, swap_used; /* bytes */
    uint64_t swapped_in, swapped_out;              /* bytes so far */
    struct perf_disk_raw disk[PERF_DEVICES_MAX];
    struct perf_nic_raw nic[PERF_DEVICES_MAX];
    struct perf_disk_raw store[PERF_STORES_MAX]; /* of which Linux counts the device's requests */
    unsigned disks, nics, stores;
    uint64_t energy_uj; /* of all packages so far */
    bool energy_known;
    uint64_t uptime_s;
};

void perf_host_read(const struct perf_store *stores, unsigned count, struct perf_host_raw *ret_raw);
void perf_host_values(double cpu_mhz, const struct perf_host_raw *before,
                      const struct perf_host_raw *now, struct perf_values *values);

/* --- for both --- */

/* A small file, NUL-terminated; false when it can not be read. */
bool perf_file(const char *path, char *text, size_t size);
/* What happened on one disk between two looks. */
struct perf_span {
    double reads, writes, read_kib, write_kib, read_ms, write_ms;
};
struct perf_span perf_disk_span(const struct perf_disk_raw *before,
                                const struct perf_disk_raw *now);
static inline double perf_latency(double ms, double requests)
{
    return requests > 0 ? ms / requests : 0;
}

/* Of devices and together ("" last). `seconds` between the two. */
void perf_nic_values(const struct perf_nic_raw *before, const struct perf_nic_raw *now,
                     unsigned count, double seconds, struct perf_values *values);
