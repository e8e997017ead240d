/* SPDX-License-Identifier: Apache-2.0 */
/* What a processor of the machine says of itself: CPUID, made from what the engine supports, masked
 * by what the machine can keep (cpu_features.def), with a topology and identifiers of its own.
 *
 * Pure functions on tables; the engine supplies `supported` and applies the result. Topology: Intel
 * SDM volume 2 CPUID leaves 1, 4, 0xB, 0x1F; AMD APM volume 3 appendix E leaves 0x80000008, 1D, 1E.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/state.h"

/* Which paravirtual interface the leaves at 0x40000000 announce. */
enum cpu_hypervisor { CPU_HYPERVISOR_KVM, CPU_HYPERVISOR_NONE };

struct cpu_model {
    unsigned cpus;             /* in all */
    unsigned cores_per_socket; /* 0: all in one socket */
    unsigned threads_per_core; /* 0: 1 */
    enum cpu_hypervisor hypervisor;
    bool nested;        /* show VMX or SVM */
    bool unstable_tsc;  /* hide the invariant TSC: the machine may move to a host of another rate */
    uint32_t tsc_khz;   /* 0: the engine's own */
    unsigned phys_bits; /* of a physical address (host_cpu.h); 0: as many as there can be */
    bool portable;      /* show only cpu_portable.def: what all engines have on one host */
    /* NULL, or what the machine has shown its guest before: it shows that again, or is refused. */
    const struct cpuid_table *shown;
};

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX, CPUID_REGS };

struct cpuid_entry {
    uint32_t leaf, subleaf;
    bool indexed; /* the subleaf matters */
    uint32_t reg[CPUID_REGS];
};

enum { CPUID_ENTRIES_MAX = 128 };

struct cpuid_table {
    uint32_t count;
    struct cpuid_entry entry[CPUID_ENTRIES_MAX];
};

/* XSAVE components that a guest may have: x87, SSE, AVX, AVX-512 (three), PKRU. */
#define CPUID_XCR0_ALLOWED UINT64_C(0x2e7)

/* -EINVAL: 0 processors, or a topology that does not divide them. */
int cpu_model_check(const struct cpu_model *model, struct err *err);

/* APIC ids are composed of bit fields (socket, core, thread), so they have gaps where a count is no
 * power of two. MADT and SRAT use the same function. */
uint32_t cpu_model_apic_id(const struct cpu_model *model, unsigned index);
uint32_t cpu_model_max_apic_id(const struct cpu_model *model);

/* The table of processor 0. `tsc_khz` is the rate that the guest's TSC will have. -ENOSPC: too many
 * leaves; -ENOTSUP: the machine has shown what is not supported here, which err names. */
int cpuid_build(const struct cpu_model *model, const struct cpuid_table *supported,
                uint32_t tsc_khz, struct cpuid_table *ret_table, struct err *err);
/* Makes it the table of processor `index`. */
void cpuid_set_cpu(const struct cpu_model *model, struct cpuid_table *table, unsigned index);

/* It is kept with the state of a machine. */
extern const struct state_table cpuid_state;

const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, uint32_t leaf,
                                     uint32_t subleaf);
/* Is the feature of that name (cpu_features.def) set? False for a name that is not there. */
bool cpuid_has(const struct cpuid_table *table, const char *feature);
