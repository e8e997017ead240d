/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the KVM engine share: a VM, a vCPU, and who owns what.
 *
 * Threads: `lock` guards memory slots and message routes, both control path; nothing on a vCPU's
 * way from exit to entry takes a lock. A vCPU's descriptor is used by its own thread only, except
 * for immediate_exit in the shared page, which is how others get its attention. */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/cpuid.h"
#include "vm/engine/engine.h"
#include "vm/engine/msr.h"

/* The hole below 4 GiB: between the local APICs at 0xFEE00000 and the flash, which ends at 4 GiB
 * and is 16 MiB at most. Intel processors without unrestricted guest need one page for an identity
 * map and three for a TSS there; nobody else sees them. */
#define KVM_IDENTITY_MAP_ADDRESS UINT64_C(0xfeffc000)
#define KVM_TSS_ADDRESS          UINT64_C(0xfeffd000)

/* Optional abilities; what is required is checked once and not kept (kvm_caps.c). */
struct kvm_caps {
    bool smm;          /* system management mode, with an address space of its own */
    bool user_msr;     /* unknown MSRs come to us */
    bool vcpu_id_max;  /* KVM_CAP_MAX_VCPU_ID can be lowered */
    bool tsc_control;  /* the TSC rate can be chosen */
    bool triple_fault; /* a pending triple fault can be saved */
    unsigned vcpus, slots, routes;
};

enum { KVM_SPACE_NORMAL, KVM_SPACE_SMM, KVM_SPACES };
enum { KVM_MEMORY_MAX = 64, KVM_SLOTS_MAX = 160, KVM_ROUTES_MAX = 3072 };

struct kvm_slot {
    uint64_t base, size; /* size 0: free */
    uint8_t *host;
    bool readonly;
};

struct kvm_route {
    bool used;
    bool valid; /* the address is an interrupt message's */
    uint32_t address_lo, address_hi, data;
};

/* An eventfd that is bound to a PIRQ's GSI with a resample eventfd: see share_lines. */
struct kvm_shared_line {
    int fd, resample_fd; /* borrowed */
    int echo_fd;         /* owned; never signalled */
    unsigned gsi, echo;  /* echo: the GSI where echo_fd is bound; 0: nowhere */
};

enum { KVM_SHARED_LINES_MAX = 64 };

struct engine_vm {
    int kvm_fd, fd;
    struct kvm_caps caps;
    struct gmem *gmem; /* borrowed */
    struct bus *bus;   /* borrowed */
    struct cpu_model model;
    struct cpuid_table cpuid; /* of processor 0 */
    uint8_t msr_supported[MSR_SLOT_MAX];
    unsigned vcpu_mmap_size;
    _Atomic(struct engine_vcpu *) vcpu[ENGINE_CPUS_MAX];

    pthread_mutex_t lock;
    struct engine_memory memory[KVM_MEMORY_MAX]; /* free: size 0 */
    struct kvm_slot slot[KVM_SPACES][KVM_SLOTS_MAX];
    bool smm_used; /* the second space is filled only once somebody needs it */
    bool dirty_on;
    struct kvm_route *route;   /* KVM_ROUTES_MAX; its number is the index + ENGINE_GSI_LINES */
    unsigned route_end;        /* no used route from here on */
    bool routes_changed;       /* since the kernel was told */
    uint8_t *route_bound;      /* irqfds bound to the route */
    int8_t pirq[ENGINE_PIRQS]; /* the PIC's input for GSI 16 + n; -1: none */
    struct kvm_shared_line line[KVM_SHARED_LINES_MAX];
    unsigned line_count;
};

/* What others want of a vCPU; looked at when KVM_RUN returns for immediate_exit. */
enum { KVM_REQUEST_KICK = 1, KVM_REQUEST_NMI = 2, KVM_REQUEST_SMI = 4 };

struct engine_vcpu {
    struct engine_vm *vm;
    struct bus *bus;
    struct kvm_run *run;
    int fd;
    unsigned index;
    bool fresh; /* as KVM made it: the state after power-on */
    _Atomic int tid;
    _Atomic unsigned requests;
};

/* kvm_caps.c */
int kvm_open(struct err *err); /* a descriptor, or a negative errno */
int kvm_caps_read(int kvm_fd, struct kvm_caps *ret_caps, struct err *err);
int kvm_supported_cpuid(int kvm_fd, struct cpuid_table *ret_table, struct err *err);
int kvm_supported_msrs(int kvm_fd, uint8_t supported[MSR_SLOT_MAX]);
int kvm_set_cpuid(int vcpu_fd, const struct cpuid_table *table);

/* kvm_probe.c */
int kvm_probe(struct err *err);

/* kvm_memory.c */
int kvm_memory_init(struct engine_vm *vm, struct err *err);
int kvm_map(struct engine_vm *vm, const struct engine_memory *memory, struct err *err);
int kvm_unmap(struct engine_vm *vm, uint64_t base);
int kvm_memory_use_smm(struct engine_vm *vm);

/* kvm_dirty.c */
int kvm_slot_set(struct engine_vm *vm, unsigned space, unsigned number, uint64_t size);
int kvm_dirty_enable(struct engine_vm *vm, bool on);
int kvm_dirty_fetch(struct engine_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap);

/* kvm_irqchip.c */
struct irqchip_state;
int kvm_irqchip_init(struct engine_vm *vm, struct err *err);
int kvm_irq_line(struct engine_vm *vm, unsigned gsi, bool level);
int kvm_pirq(struct engine_vm *vm, unsigned gsi, int irq);
int kvm_msi_alloc(struct engine_vm *vm, unsigned *ret_route);
void kvm_msi_free(struct engine_vm *vm, unsigned route);
int kvm_msi_set(struct engine_vm *vm, unsigned route, uint64_t address, uint32_t data);
int kvm_msi_send(struct engine_vm *vm, uint64_t address, uint32_t data);
int kvm_irqfd(struct engine_vm *vm, unsigned gsi, int fd, int resample_fd, bool on);
int kvm_doorbell(struct engine_vm *vm, enum bus_space space, uint64_t addr, int fd, bool on);
int kvm_irqchip_get(struct engine_vm *vm, struct irqchip_state *ret_state);
int kvm_pit_disable(struct engine_vm *vm, bool on);
int kvm_irqchip_set(struct engine_vm *vm, const struct irqchip_state *state);

/* kvm_vcpu.c */
int kvm_kick_init(void);
int kvm_vcpu_create(struct engine_vm *vm, unsigned index, struct engine_vcpu **ret_vcpu,
                    struct err *err);
void kvm_vcpu_destroy(struct engine_vcpu *vcpu);
enum engine_exit kvm_vcpu_run(struct engine_vcpu *vcpu, struct err *err);
void kvm_vcpu_kick(struct engine_vcpu *vcpu);
int kvm_vcpu_nmi(struct engine_vcpu *vcpu);
int kvm_smi(struct engine_vm *vm);
int kvm_vcpu_smi(struct engine_vm *vm, unsigned index);
bool kvm_in_smm(struct engine_vm *vm, unsigned index);

/* kvm_state.c */
int kvm_vcpu_reset(struct engine_vcpu *vcpu);
int kvm_vcpu_get_state(struct engine_vcpu *vcpu, struct cpu_state *ret_state);
int kvm_vcpu_set_state(struct engine_vcpu *vcpu, const struct cpu_state *state);

static inline uint32_t kvm_vcpu_apic_id(const struct engine_vcpu *vcpu)
{
    return cpu_model_apic_id(&vcpu->vm->model, vcpu->index);
}
