/* SPDX-License-Identifier: Apache-2.0 */
/* How guest instructions run: the seam between the machine and what executes it (`kvm` by hardware,
 * `bt` by translation).
 *
 * An engine knows guest memory, the bus and interrupts; it knows no device. A trapped access is
 * carried out by the engine itself, on the vCPU's thread, through bus_read/bus_write; so
 * engine_vcpu_run returns only for what ends or pauses a vCPU.
 *
 * Interrupts: lines of the interrupt controllers (GSI 0-23: PIC and IOAPIC as ISA/ACPI number
 * them), messages (MSI), and eventfds bound to either, whose data path needs no thread of ours.
 * Doorbells: eventfds bound to an address, signalled instead of a trap.
 *
 * Threads: the vm functions may be called from any thread; the vcpu functions on the vCPU's own
 * thread, but for kick and nmi. State (struct cpu_state) is the architecture's, not an engine's:
 * what one saves the other loads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/machine/bus.h"
#include "vm/machine/gmem.h"

struct cpu_state;     /* vm/engine/cpu_state.h */
struct irqchip_state; /* vm/engine/irqchip_state.h */
struct cpu_model;     /* vm/engine/cpuid.h: what CPUID and the MSRs say */

enum { ENGINE_CPUS_MAX = 768, ENGINE_GSI_LINES = 24, ENGINE_PIRQ_FIRST = 16, ENGINE_PIRQS = 8 };

struct engine_vm_config {
    struct gmem *gmem;             /* borrowed; mapped by the engine at creation */
    struct bus *bus;               /* borrowed */
    const struct cpu_model *model; /* borrowed until create returns */
    unsigned cpus;
    void (*confine)(void); /* runs first on each thread that the engine itself makes; may be NULL */
};

enum engine_exit {
    ENGINE_EXIT_KICKED,   /* engine_vcpu_kick: nothing happened in the guest */
    ENGINE_EXIT_SHUTDOWN, /* triple fault */
    ENGINE_EXIT_FAILED,   /* the engine cannot go on; err says why */
};

/* Device memory: RAM-like, apart from guest RAM. */
struct engine_memory {
    uint64_t base, size; /* page multiples */
    void *host;    /* NULL: a hole in guest RAM; what is there goes to the bus (VGA's window) */
    bool readonly; /* writes go to the bus (flash) */
    bool smm_only; /* visible in system management mode only (TSEG) */
};

struct engine_vm;
struct engine_vcpu;

struct engine {
    const char *name; /* "kvm", "bt" */

    /* 0: usable, proved by running guest instructions. Otherwise a negative errno and one line why.
     */
    int (*probe)(struct err *err);

    int (*vm_create)(const struct engine_vm_config *config, struct engine_vm **ret_vm,
                     struct err *err);
    void (*vm_destroy)(struct engine_vm *vm); /* all vCPU threads have ended; accepts NULL */

    /* What its processors say of themselves; of processor 0. */
    const struct cpuid_table *(*cpuid)(const struct engine_vm *vm);

    int (*map)(struct engine_vm *vm, const struct engine_memory *memory, struct err *err);
    int (*unmap)(struct engine_vm *vm, uint64_t base);

    /* Dirty pages of guest RAM and of mapped device memory since the last fetch: one bit a page is
     * OR-ed into `bitmap`. */
    int (*dirty_enable)(struct engine_vm *vm, bool on);
    int (*dirty_fetch)(struct engine_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap);

    int (*irq_line)(struct engine_vm *vm, unsigned gsi, bool level);
    /* Line `gsi` (ENGINE_PIRQ_FIRST up, the chip set's PIRQ A to H) also raises input `irq` of the
     * PICs, of which several lines may share one; -1: none, as at power-on. */
    int (*pirq)(struct engine_vm *vm, unsigned gsi, int irq);
    /* Reserves a route for messages; -ENOSPC when there is none left. The route is then set as
     * often as the guest changes it. */
    int (*msi_alloc)(struct engine_vm *vm, unsigned *ret_route);
    void (*msi_free)(struct engine_vm *vm, unsigned route);
    int (*msi_set)(struct engine_vm *vm, unsigned route, uint64_t address, uint32_t data);
    int (*msi_send)(struct engine_vm *vm, uint64_t address, uint32_t data);
    /* Binds an eventfd to a line (gsi < ENGINE_GSI_LINES) or a route; already signalled counts at
     * once. A line takes a resample eventfd (or -1): asserted until the end of interrupt, which
     * signals it. */
    int (*irqfd)(struct engine_vm *vm, unsigned gsi_or_route, int fd, int resample_fd, bool on);
    /* Any write of any width at exactly `addr` signals `fd`. */
    int (*doorbell)(struct engine_vm *vm, enum bus_space space, uint64_t addr, int fd, bool on);

    int (*vcpu_create)(struct engine_vm *vm, unsigned index, struct engine_vcpu **ret_vcpu,
                       struct err *err);
    void (*vcpu_destroy)(struct engine_vcpu *vcpu);
    enum engine_exit (*vcpu_run)(struct engine_vcpu *vcpu, struct err *err);
    /* From any thread: makes a running or the next vcpu_run return ENGINE_EXIT_KICKED soon. */
    void (*vcpu_kick)(struct engine_vcpu *vcpu);
    int (*vcpu_reset)(struct engine_vcpu *vcpu); /* to the state after power-on: BSP at the reset
                                                    vector, APs wait for INIT-SIPI */
    int (*vcpu_get_state)(struct engine_vcpu *vcpu, struct cpu_state *ret_state);
    int (*vcpu_set_state)(struct engine_vcpu *vcpu, const struct cpu_state *state);
    /* From any thread. smi: to every processor that has been started; -ENOSYS where system
     * management mode is not offered. */
    int (*vcpu_nmi)(struct engine_vcpu *vcpu);
    int (*smi)(struct engine_vm *vm);
    /* The same to one processor. May be NULL: then there is only the other. */
    int (*vcpu_smi)(struct engine_vm *vm, unsigned index);
    /* On the thread of vCPU `index`, during one of its accesses: does it come from system
     * management mode? May be NULL where that is not offered. */
    bool (*in_smm)(struct engine_vm *vm, unsigned index);

    /* Interrupt controllers and timer of the whole VM (PIC, IOAPIC, PIT); no vCPU runs. */
    int (*irqchip_get)(struct engine_vm *vm, struct irqchip_state *ret_state);
    int (*irqchip_set)(struct engine_vm *vm, const struct irqchip_state *state);
    /* The HPET takes over interrupt 0 from the PIT's channel 0, or gives it back. While vCPUs run.
     */
    int (*pit_disable)(struct engine_vm *vm, bool on);
};

/* The explicit table; NULL for a name that is not there. "auto" probes kvm, then falls back to bt;
 * ret_why gets one line on a fallback. */
const struct engine *engine_find(const char *name);
const struct engine *engine_choose(const char *name, struct err *ret_why);
