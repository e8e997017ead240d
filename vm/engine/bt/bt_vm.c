/* SPDX-License-Identifier: Apache-2.0 */
/* A VM of the software engine: its making and its end, doorbells, and the engine's table of
 * functions. See bt_vm.h. */
#include "vm/engine/bt/bt_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/irqchip.h"
#include "vm/engine/bt/system.h"
#include "vm/engine/bt/vec.h"
#include "vm/engine/host_cpu.h"

/* Doorbells */

static int compare_bell(const struct bt_doorbell *bell, enum bus_space space, uint64_t addr)
{
    if (bell->space != space)
        return bell->space < space ? -1 : 1;
    return bell->addr < addr ? -1 : bell->addr > addr;
}

static bool ring(struct bt_vm *vm, enum bus_space space, uint64_t addr)
{
    const struct bt_doorbells *bells = atomic_load_explicit(&vm->doorbells, memory_order_acquire);
    unsigned low = 0, high = bells ? bells->count : 0;
    uint64_t one = 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        int order = compare_bell(&bells->bell[middle], space, addr);
        if (!order) {
            (void)!write(bells->bell[middle].fd, &one, sizeof one);
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Copied and swapped: vCPUs search without a lock. Old tables go with the VM. */
static int change_doorbells(struct bt_vm *vm, enum bus_space space, uint64_t addr, int fd, bool on)
{
    struct bt_doorbells *old = atomic_load(&vm->doorbells), *new;
    unsigned count = old ? old->count : 0, at = 0;

    while (at < count && compare_bell(&old->bell[at], space, addr) < 0)
        at++;
    bool found = at < count && !compare_bell(&old->bell[at], space, addr);
    if (on == found)
        return on ? -EEXIST : -ENOENT;
    new = calloc(1, sizeof *new + (count + 1) * sizeof new->bell[0]);
    if (!new)
        return -ENOMEM;
    for (unsigned i = 0; i < at; i++)
        new->bell[new->count++] = old->bell[i];
    if (on)
        new->bell[new->count++] = (struct bt_doorbell){.space = space, .addr = addr, .fd = fd};
    for (unsigned i = at + found; i < count; i++)
        new->bell[new->count++] = old->bell[i];
    new->older = old;
    atomic_store(&vm->doorbells, new);
    return 0;
}

static int bt_doorbell(struct engine_vm *engine_vm, enum bus_space space, uint64_t addr, int fd,
                       bool on)
{
    struct bt_vm *vm = bt_vm_of(engine_vm);

    (void)pthread_mutex_lock(&vm->lock);
    int rc = change_doorbells(vm, space, addr, fd, on);
    (void)pthread_mutex_unlock(&vm->lock);
    if (!on) /* the descriptor may be closed now */
        bt_vm_settle(vm, BT_REQUEST_ATTEND);
    return rc;
}

uint64_t bt_bus_read(struct bt_vcpu *vcpu, enum bus_space space, uint64_t addr, unsigned size)
{
    bt_vcpu_quiet(vcpu);
    uint64_t value = bus_read(vcpu->vm->bus, space, addr, size);
    bt_vcpu_busy(vcpu);
    return value;
}

void bt_bus_write(struct bt_vcpu *vcpu, enum bus_space space, uint64_t addr, unsigned size,
                  uint64_t value)
{
    if (ring(vcpu->vm, space, addr))
        return;
    bt_vcpu_quiet(vcpu);
    bus_write(vcpu->vm->bus, space, addr, size, value);
    bt_vcpu_busy(vcpu);
}

/* Attention of all */

bool bt_vcpu_settled(struct bt_vcpu *vcpu, uint32_t bits)
{
    return atomic_load(&vcpu->quiet) || !(atomic_load(&vcpu->request) & bits);
}

void bt_vm_pause(unsigned tries)
{
    const struct timespec pause = {.tv_nsec = 20000};

    if (tries < 20)
        (void)sched_yield();
    else
        (void)nanosleep(&pause, NULL);
}

void bt_vm_settle(struct bt_vm *vm, uint32_t bits)
{
    for (unsigned i = 0; i < vm->model.cpus; i++) {
        struct bt_vcpu *vcpu = atomic_load(&vm->vcpu[i]);
        if (vcpu) {
            atomic_fetch_or(&vcpu->request, bits);
            jit_call(vcpu);
        }
    }
    for (unsigned i = 0; i < vm->model.cpus; i++) {
        struct bt_vcpu *vcpu = atomic_load(&vm->vcpu[i]);
        for (unsigned tries = 0; vcpu && !bt_vcpu_settled(vcpu, bits); tries++)
            bt_vm_pause(tries);
    }
}

/* Making */

/* The same moment by the host's clock and by its TSC: the narrowest of a few looks. */
static uint64_t moment(uint64_t *ret_tsc)
{
    uint64_t best = UINT64_MAX, ns = 0;

    for (unsigned i = 0; i < 8; i++) {
        struct timespec t;
        uint64_t before = __builtin_ia32_rdtsc();
        (void)clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        uint64_t width = __builtin_ia32_rdtsc() - before;
        if (width >= best)
            continue;
        best = width;
        ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
        *ret_tsc = before + width / 2;
    }
    return ns;
}

/* The host's TSC against its clock, for a fiftieth of a second, asleep. */
static uint32_t measure_tsc_khz(void)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    uint64_t from, to, start = moment(&from);

    (void)nanosleep(&pause, NULL);
    uint64_t ns = moment(&to) - start;
    return (uint32_t)((unsigned __int128)(to - from) * 1000000 / MAX(ns, UINT64_C(1)));
}

static int build_cpuid(struct bt_vm *vm, struct err *err)
{
    cleanup_free struct cpuid_table *supported = calloc(1, sizeof *supported);
    int rc = supported ? bt_cpuid_supported(supported) : -ENOMEM;

    if (rc)
        return err_sys(err, rc, "CPUID");
    const struct cpuid_entry *vendor = cpuid_find(supported, 0, 0);
    vm->amd = vendor && vendor->reg[CPUID_EBX] != 0x756e6547; /* "Genu"ineIntel */
    vm->tsc_khz = measure_tsc_khz();
    rc = cpuid_build(&vm->model, supported, vm->tsc_khz, &vm->cpuid, err);
    const struct cpuid_entry *sizes = cpuid_find(&vm->cpuid, 0x80000008, 0);
    vm->phys_bits = sizes ? sizes->reg[CPUID_EAX] & 0xff : host_phys_bits();
    const struct cpuid_entry *xsave = cpuid_find(&vm->cpuid, 0xd, 0);
    vm->cr4 = system_cr4_offered(&vm->cpuid);
    vm->invpcid = cpuid_has(&vm->cpuid, "invpcid");
    vm->xcr0 = xsave ? xsave->reg[CPUID_EAX] & VEC_XCR0 : 3;
    return rc;
}

static void bt_vm_destroy(struct engine_vm *engine_vm)
{
    struct bt_vm *vm = bt_vm_of(engine_vm);

    if (!vm)
        return;
    bt_irqchip_destroy(vm->irqchip);
    block_vm_destroy(vm);
    bt_memory_destroy(vm);
    flat_vm_destroy(vm->flat);
    free(vm->warm);
    vec_destroy(vm->vec);
    for (struct bt_doorbells *d = atomic_load(&vm->doorbells), *older; d; d = older) {
        older = d->older;
        free(d);
    }
    (void)pthread_mutex_destroy(&vm->lock);
    (void)pthread_mutex_destroy(&vm->split_lock);
    free(vm);
}

static int bt_vm_create(const struct engine_vm_config *config, struct engine_vm **ret_vm,
                        struct err *err)
{
    struct bt_vm *vm = calloc(1, sizeof *vm);
    int rc;

    if (!vm)
        return err_sys(err, -ENOMEM, "VM");
    (void)pthread_mutex_init(&vm->lock, NULL);
    (void)pthread_mutex_init(&vm->split_lock, NULL);
    vm->gmem = config->gmem;
    vm->bus = config->bus;
    vm->model = *config->model;
    vm->model.cpus = config->cpus;
    rc = cpu_model_check(&vm->model, err);
    if (!rc)
        rc = build_cpuid(vm, err);
    struct bt_irqchip_config chip = {.bus = vm->bus,
                                     .tsc_hz = (uint64_t)vm->tsc_khz * 1000,
                                     .phys_bits = vm->phys_bits,
                                     .thread_start = config->confine};
    if (!rc)
        rc = bt_irqchip_create(&chip, &vm->irqchip, err);
    if (!rc)
        rc = vec_create(&vm->vec, err);
    if (!rc && (rc = bt_memory_create(vm)))
        (void)err_sys(err, rc, "guest memory");
    if (!rc && (rc = block_vm_create(vm)))
        (void)err_sys(err, rc, "guest code");
    if (!rc)
        (void)jit_vm_create(vm, &vm->jit_why);
    if (rc)
        bt_vm_destroy((struct engine_vm *)vm);
    else
        *ret_vm = (struct engine_vm *)vm;
    return rc;
}

/* Anything that runs us will do: code is written for the baseline and asks CPUID for the rest. */
static int bt_probe(struct err *err)
{
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt"))
        return err_set(err, -ENOSYS, "this processor is older than SSE4.2");
    return 0;
}

/* The seam: what each function does is engine.h's to say. */

static int map(struct engine_vm *vm, const struct engine_memory *memory, struct err *err)
{
    return bt_memory_map(bt_vm_of(vm), memory, err);
}
static int unmap(struct engine_vm *vm, uint64_t base)
{
    return bt_memory_unmap(bt_vm_of(vm), base);
}
static int dirty_enable(struct engine_vm *vm, bool on)
{
    return bt_memory_dirty_enable(bt_vm_of(vm), on);
}
static int dirty_fetch(struct engine_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap)
{
    return bt_memory_dirty_fetch(bt_vm_of(vm), base, size, bitmap);
}
static int irq_line(struct engine_vm *vm, unsigned gsi, bool level)
{
    return bt_irqchip_line(bt_vm_of(vm)->irqchip, gsi, level);
}
static int pirq(struct engine_vm *vm, unsigned gsi, int irq)
{
    return bt_irqchip_pirq(bt_vm_of(vm)->irqchip, gsi, irq);
}
static int msi_alloc(struct engine_vm *vm, unsigned *ret_route)
{
    return bt_irqchip_msi_alloc(bt_vm_of(vm)->irqchip, ret_route);
}
static void msi_free(struct engine_vm *vm, unsigned route)
{
    bt_irqchip_msi_free(bt_vm_of(vm)->irqchip, route);
}
static int msi_set(struct engine_vm *vm, unsigned route, uint64_t address, uint32_t data)
{
    return bt_irqchip_msi_set(bt_vm_of(vm)->irqchip, route, address, data);
}
static int msi_send(struct engine_vm *vm, uint64_t address, uint32_t data)
{
    return bt_irqchip_msi_send(bt_vm_of(vm)->irqchip, address, data);
}
static int irqfd(struct engine_vm *vm, unsigned gsi_or_route, int fd, int resample_fd, bool on)
{
    return bt_irqchip_irqfd(bt_vm_of(vm)->irqchip, gsi_or_route, fd, resample_fd, on);
}
static int irqchip_get(struct engine_vm *vm, struct irqchip_state *ret_state)
{
    return bt_irqchip_get(bt_vm_of(vm)->irqchip, ret_state);
}
static int irqchip_set(struct engine_vm *vm, const struct irqchip_state *state)
{
    return bt_irqchip_set(bt_vm_of(vm)->irqchip, state);
}
static int pit_disable(struct engine_vm *vm, bool on)
{
    return bt_irqchip_pit_disable(bt_vm_of(vm)->irqchip, on);
}
static int vcpu_create(struct engine_vm *vm, unsigned index, struct engine_vcpu **ret_vcpu,
                       struct err *err)
{
    struct bt_vcpu *vcpu = NULL;
    int rc = bt_vcpu_create(bt_vm_of(vm), index, &vcpu, err);

    if (!rc)
        *ret_vcpu = (struct engine_vcpu *)vcpu;
    return rc;
}
static void vcpu_destroy(struct engine_vcpu *vcpu)
{
    bt_vcpu_destroy(bt_vcpu_of(vcpu));
}
static enum engine_exit vcpu_run(struct engine_vcpu *vcpu, struct err *err)
{
    return bt_vcpu_run(bt_vcpu_of(vcpu), err);
}
static void vcpu_kick(struct engine_vcpu *vcpu)
{
    bt_vcpu_request(bt_vcpu_of(vcpu), BT_REQUEST_KICK);
}
static int vcpu_reset(struct engine_vcpu *vcpu)
{
    return bt_vcpu_reset(bt_vcpu_of(vcpu));
}
static int vcpu_get_state(struct engine_vcpu *vcpu, struct cpu_state *ret_state)
{
    return bt_vcpu_get_state(bt_vcpu_of(vcpu), ret_state);
}
static int vcpu_set_state(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    return bt_vcpu_set_state(bt_vcpu_of(vcpu), state);
}
static int vcpu_nmi(struct engine_vcpu *vcpu)
{
    bt_vcpu_request(bt_vcpu_of(vcpu), BT_REQUEST_NMI);
    return 0;
}
static int smi(struct engine_vm *engine_vm)
{
    struct bt_vm *vm = bt_vm_of(engine_vm);

    for (unsigned i = 0; i < vm->model.cpus; i++) {
        struct bt_vcpu *vcpu = atomic_load(&vm->vcpu[i]);
        if (vcpu)
            bt_vcpu_request(vcpu, BT_REQUEST_SMI);
    }
    return 0;
}

static int vcpu_smi(struct engine_vm *engine_vm, unsigned index)
{
    struct bt_vm *vm = bt_vm_of(engine_vm);
    struct bt_vcpu *vcpu = index < vm->model.cpus ? atomic_load(&vm->vcpu[index]) : NULL;

    if (!vcpu)
        return -EINVAL;
    bt_vcpu_request(vcpu, BT_REQUEST_SMI);
    return 0;
}

static bool in_smm(struct engine_vm *engine_vm, unsigned index)
{
    struct bt_vm *vm = bt_vm_of(engine_vm);
    const struct bt_vcpu *vcpu = index < vm->model.cpus ? atomic_load(&vm->vcpu[index]) : NULL;

    return vcpu && vcpu->smm;
}

static const struct cpuid_table *shown_cpuid(const struct engine_vm *vm)
{
    return &bt_vm_of((struct engine_vm *)(uintptr_t)vm)->cpuid;
}

const struct engine engine_bt = {
    .name = "bt",
    .probe = bt_probe,
    .vm_create = bt_vm_create,
    .vm_destroy = bt_vm_destroy,
    .cpuid = shown_cpuid,
    .map = map,
    .unmap = unmap,
    .dirty_enable = dirty_enable,
    .dirty_fetch = dirty_fetch,
    .irq_line = irq_line,
    .pirq = pirq,
    .msi_alloc = msi_alloc,
    .msi_free = msi_free,
    .msi_set = msi_set,
    .msi_send = msi_send,
    .irqfd = irqfd,
    .doorbell = bt_doorbell,
    .irqchip_get = irqchip_get,
    .irqchip_set = irqchip_set,
    .pit_disable = pit_disable,
    .vcpu_create = vcpu_create,
    .vcpu_destroy = vcpu_destroy,
    .vcpu_run = vcpu_run,
    .vcpu_kick = vcpu_kick,
    .vcpu_reset = vcpu_reset,
    .vcpu_get_state = vcpu_get_state,
    .vcpu_set_state = vcpu_set_state,
    .vcpu_nmi = vcpu_nmi,
    .smi = smi,
    .vcpu_smi = vcpu_smi,
    .in_smm = in_smm,
};
