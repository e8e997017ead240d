/* SPDX-License-Identifier: Apache-2.0 */
/* A processor under the software engine: what happens between instructions. The interpreter runs
 * until there is a request that counts; here requests are carried out, interrupts and debug traps
 * delivered in the processor's order (SDM volume 3 table 6-2), and halted processors wait.
 *
 * A request made at any time is seen: the loop looks after each block, a sleeper looks after it has
 * said that it sleeps, and who requests looks for sleepers after the request. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/irqchip.h"
#include "vm/engine/bt/jit/jit.h"
#include "vm/engine/bt/lapic.h"
#include "vm/engine/bt/mmu.h"
#include "vm/engine/bt/pvclock.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/system.h"
#include "vm/engine/bt/vec.h"

/* Making */

void bt_vcpu_destroy(struct bt_vcpu *vcpu)
{
    if (!vcpu)
        return;
    if (atomic_load(&vcpu->vm->vcpu[vcpu->index]) == vcpu)
        atomic_store(&vcpu->vm->vcpu[vcpu->index], NULL);
    bt_lapic_destroy(vcpu);
    jit_vcpu_destroy(vcpu);
    block_cache_destroy(vcpu);
    flat_destroy(vcpu);
    mmu_destroy(vcpu);
    free(vcpu->cpuid);
    (void)pthread_cond_destroy(&vcpu->wait);
    (void)pthread_mutex_destroy(&vcpu->wait_lock);
    if (vcpu->jit.low)
        jit_vcpu_free(vcpu);
    else
        free(vcpu);
}

static int setup(struct bt_vcpu *vcpu)
{
    struct bt_vm *vm = vcpu->vm;
    int rc;

    vcpu->cpuid = malloc(sizeof *vcpu->cpuid);
    if (!vcpu->cpuid)
        return -ENOMEM;
    *vcpu->cpuid = vm->cpuid;
    cpuid_set_cpu(&vm->model, vcpu->cpuid, vcpu->index);
    rc = mmu_create(vcpu);
    if (!rc)
        rc = block_cache_create(vcpu);
    if (!rc)
        rc = jit_vcpu_create(vcpu);
    if (!rc)
        rc = bt_lapic_create(vm->irqchip, vcpu, cpu_model_apic_id(&vm->model, vcpu->index));
    return rc ? rc : bt_vcpu_reset(vcpu);
}

int bt_vcpu_create(struct bt_vm *vm, unsigned index, struct bt_vcpu **ret_vcpu, struct err *err)
{
    struct bt_vcpu *vcpu, *low;

    if (index >= vm->model.cpus)
        return err_set(err, -EINVAL, "processor %u of %u", index, vm->model.cpus);
    low = jit_vcpu_alloc(vm);
    vcpu = low ? low : aligned_alloc(64, (sizeof *vcpu + 63) & ~(size_t)63);
    if (!vcpu)
        return err_sys(err, -ENOMEM, "processor %u", index);
    memset(vcpu, 0, sizeof *vcpu);
    vcpu->jit.low = low != NULL;
    vcpu->vm = vm;
    vcpu->index = index;
    vcpu->fault_vector = -1;
    vcpu->quiet = true;
    (void)pthread_mutex_init(&vcpu->wait_lock, NULL);
    (void)pthread_cond_init(&vcpu->wait, NULL);
    int rc = setup(vcpu);
    if (rc) {
        bt_vcpu_destroy(vcpu);
        return err_sys(err, rc, "cannot set up processor %u", index);
    }
    atomic_store(&vm->vcpu[index], vcpu);
    *ret_vcpu = vcpu;
    return 0;
}

/* State */

static int check_state(const struct bt_vcpu *vcpu, const struct cpu_state *s)
{
    uint64_t efer = BT_EFER_SCE | BT_EFER_LME | BT_EFER_LMA | BT_EFER_NXE | BIT(21);
    bool paging = s->cr0 & BT_CR0_PG, lma = s->efer & BT_EFER_LMA;

    if (s->cr0 >> 32 || (paging && !(s->cr0 & BT_CR0_PE)) || s->efer & ~efer ||
        s->cr4 & ~vcpu->vm->cr4 || s->xcr0 & ~vcpu->vm->xcr0 || !(s->xcr0 & 1))
        return -EINVAL;
    if (lma != (paging && s->efer & BT_EFER_LME) || (lma && !(s->cr4 & BT_CR4_PAE)))
        return -EINVAL;
    if (s->cr3 & ~(BIT64(vcpu->vm->phys_bits) - 1) || (s->cr4 & BT_CR4_PCIDE && !lma))
        return -EINVAL;
    return 0;
}

static void set_events(struct bt_vcpu *vcpu, const struct cpu_events *e)
{
    bool pending = e->exception_stage == CPU_EXCEPTION_PENDING && e->exception_has_payload;

    vcpu->inject_valid =
        e->exception_stage || (e->interrupt_injected && !e->interrupt_soft) || e->nmi_injected;
    vcpu->inject = (struct bt_event){.kind = BT_EVENT_INTERRUPT, .vector = e->interrupt_vector};
    if (e->nmi_injected)
        vcpu->inject = (struct bt_event){.kind = BT_EVENT_NMI, .vector = BT_NMI};
    if (e->exception_stage)
        vcpu->inject = (struct bt_event){.kind = BT_EVENT_FAULT,
                                         .vector = e->exception_vector,
                                         .has_error = e->exception_has_error,
                                         .error = e->exception_error};
    if (pending && e->exception_vector == BT_PF)
        vcpu->cr2 = e->exception_payload;
    if (pending && e->exception_vector == BT_DB)
        vcpu->dr6 |= e->exception_payload;
    vcpu->shadow = e->interrupt_shadow;
    vcpu->nmi_pending = e->nmi_pending;
    vcpu->nmi_masked = e->nmi_masked;
    vcpu->smm = e->smm;
    vcpu->smi_pending = e->smi_pending;
    vcpu->init_latched = e->init_latched;
    vcpu->triple_fault = e->triple_fault;
    vcpu->sipi_vector = e->sipi_vector;
}

static void set_registers(struct bt_vcpu *vcpu, const struct cpu_state *s)
{
    memcpy(vcpu->gpr, s->gpr, sizeof vcpu->gpr);
    memcpy(vcpu->seg, s->seg, sizeof vcpu->seg);
    memcpy(vcpu->dr, s->dr, sizeof vcpu->dr);
    memcpy(vcpu->msr, s->msr, sizeof vcpu->msr);
    memcpy(vcpu->pdptr, s->pdptr, sizeof vcpu->pdptr);
    memcpy(vcpu->xsave, s->xsave, sizeof vcpu->xsave);
    vcpu->rip = s->rip;
    vcpu->rflags = (s->rflags & 0x3f7fd7) | 2;
    vcpu->gdtr = s->gdtr;
    vcpu->idtr = s->idtr;
    vcpu->cr0 = s->cr0 | 16;
    vcpu->cr2 = s->cr2;
    vcpu->cr4 = s->cr4;
    vcpu->efer = s->efer;
    vcpu->dr6 = (s->dr6 & 0x1e00f) | 0xffff0ff0;
    vcpu->dr7 = (s->dr7 & 0xffff2fff) | 0x400;
    vcpu->xcr0 = s->xcr0;
    jit_vec_off(vcpu);
}

int bt_vcpu_set_state(struct bt_vcpu *vcpu, const struct cpu_state *s)
{
    int rc = check_state(vcpu, s);

    if (!rc)
        rc = bt_lapic_restore_base(vcpu, s->apic_base);
    if (rc)
        return rc;
    set_registers(vcpu, s);
    set_events(vcpu, &s->events);
    vec_image_complete(vcpu);
    vcpu->tsc_offset = s->msr[MSR_SLOT_tsc] - __builtin_ia32_rdtsc();
    vcpu->run_state = s->run_state == CPU_SIPI_RECEIVED ? CPU_WAIT_FOR_SIPI : s->run_state;
    vcpu->fault_vector = -1;
    vcpu->debug_hit = 0;
    mmu_set_cr3(vcpu, s->cr3);
    mmu_flush_all(vcpu);
    if (!s->pdptr_valid)
        (void)mmu_load_pdptrs(vcpu, vcpu->cr0, vcpu->cr4, vcpu->cr3);
    bt_mode_update(vcpu);
    bt_update_heed(vcpu);
    bt_lapic_set_state(vcpu, s->lapic);
    bt_lapic_tsc_changed(vcpu);
    vcpu->pvclock_generation = 0;
    bt_lapic_set_deadline(vcpu, s->msr[MSR_SLOT_tsc_deadline]);
    if (s->run_state == CPU_SIPI_RECEIVED)
        bt_vcpu_request(vcpu, BT_REQUEST_SIPI);
    return 0;
}

static void get_events(const struct bt_vcpu *vcpu, struct cpu_events *e)
{
    const struct bt_event *inject = &vcpu->inject;

    *e = (struct cpu_events){
        .interrupt_shadow = vcpu->shadow,
        .nmi_pending = vcpu->nmi_pending || atomic_load(&vcpu->request) & BT_REQUEST_NMI,
        .nmi_masked = vcpu->nmi_masked,
        .smm = vcpu->smm,
        .smi_pending = vcpu->smi_pending || atomic_load(&vcpu->request) & BT_REQUEST_SMI,
        .init_latched = vcpu->init_latched,
        .triple_fault = vcpu->triple_fault,
        .sipi_vector = vcpu->sipi_vector,
    };
    if (!vcpu->inject_valid)
        return;
    if (inject->kind == BT_EVENT_FAULT) {
        e->exception_stage = CPU_EXCEPTION_INJECTED;
        e->exception_vector = inject->vector;
        e->exception_has_error = inject->has_error;
        e->exception_error = inject->error;
    }
    e->nmi_injected = inject->kind == BT_EVENT_NMI;
    e->interrupt_injected = inject->kind == BT_EVENT_INTERRUPT;
    e->interrupt_vector = e->interrupt_injected ? inject->vector : 0;
}

int bt_vcpu_get_state(struct bt_vcpu *vcpu, struct cpu_state *s)
{
    memset(s, 0, sizeof *s);
    memcpy(s->gpr, vcpu->gpr, sizeof s->gpr);
    memcpy(s->seg, vcpu->seg, sizeof s->seg);
    memcpy(s->dr, vcpu->dr, sizeof s->dr);
    memcpy(s->msr, vcpu->msr, sizeof s->msr);
    memcpy(s->pdptr, vcpu->pdptr, sizeof s->pdptr);
    memcpy(s->xsave, vcpu->xsave, sizeof s->xsave);
    s->pdptr_valid = vcpu->cr0 & BT_CR0_PG && vcpu->cr4 & BT_CR4_PAE && !(vcpu->efer & BT_EFER_LMA);
    s->rip = vcpu->rip;
    s->rflags = vcpu->rflags;
    s->gdtr = vcpu->gdtr;
    s->idtr = vcpu->idtr;
    s->cr0 = vcpu->cr0;
    s->cr2 = vcpu->cr2;
    s->cr3 = vcpu->cr3;
    s->cr4 = vcpu->cr4;
    s->cr8 = bt_lapic_cr8(vcpu);
    s->dr6 = vcpu->dr6;
    s->dr7 = vcpu->dr7;
    s->efer = vcpu->efer;
    s->apic_base = vcpu->apic_base;
    s->xcr0 = vcpu->xcr0;
    s->msr[MSR_SLOT_tsc] = system_tsc(vcpu);
    s->msr[MSR_SLOT_tsc_deadline] = bt_lapic_deadline(vcpu);
    s->run_state = vcpu->run_state;
    if (vcpu->run_state == CPU_WAIT_FOR_SIPI && atomic_load(&vcpu->request) & BT_REQUEST_SIPI)
        s->run_state = CPU_SIPI_RECEIVED;
    get_events(vcpu, &s->events);
    bt_lapic_get_state(vcpu, s->lapic);
    return 0;
}

int bt_vcpu_reset(struct bt_vcpu *vcpu)
{
    const struct cpu_model *model = &vcpu->vm->model;
    struct cpu_state state;

    cpu_state_power_on(&state, cpu_model_apic_id(model, vcpu->index), vcpu->index == 0);
    atomic_fetch_and(&vcpu->request, ~(uint32_t)(BT_REQUEST_NMI | BT_REQUEST_SMI | BT_REQUEST_INIT |
                                                 BT_REQUEST_SIPI));
    return bt_vcpu_set_state(vcpu, &state);
}

/* What INIT leaves alone: vector registers, XCR0, TSC, MTRRs and other MSRs, the caches' bits of
 * CR0 (SDM table 10-1). */
void bt_vcpu_init(struct bt_vcpu *vcpu)
{
    const uint64_t cache = 0x60000000;
    struct cpu_state state;
    bool bsp = vcpu->apic_base & 0x100;

    cpu_state_power_on(&state, 0, bsp);
    memcpy(state.msr, vcpu->msr, sizeof state.msr);
    memcpy(state.xsave, vcpu->xsave, sizeof state.xsave);
    state.xcr0 = vcpu->xcr0;
    state.cr0 = 0x10 | (vcpu->cr0 & cache);
    /* The SIPI may have come before this INIT was looked at. */
    state.events.sipi_vector = __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_ACQUIRE);
    set_registers(vcpu, &state);
    set_events(vcpu, &state.events);
    vcpu->debug_hit = 0;
    mmu_set_cr3(vcpu, 0);
    mmu_flush_all(vcpu);
    bt_mode_update(vcpu);
    bt_update_heed(vcpu);
    bt_lapic_init(vcpu);
    vcpu->run_state = bsp ? CPU_RUNNING : CPU_WAIT_FOR_SIPI;
}

static void start(struct bt_vcpu *vcpu)
{
    struct cpu_segment *cs = &vcpu->seg[CPU_CS];

    cs->selector = (uint16_t)(vcpu->sipi_vector << 8);
    cs->base = (uint64_t)vcpu->sipi_vector << 12;
    vcpu->rip = 0;
    vcpu->run_state = CPU_RUNNING;
    bt_mode_update(vcpu);
}

/* Attention */

void bt_vcpu_request(struct bt_vcpu *vcpu, uint32_t bits)
{
    atomic_fetch_or(&vcpu->request, bits);
    jit_call(vcpu);
    if (!atomic_load(&vcpu->waiting))
        return;
    (void)pthread_mutex_lock(&vcpu->wait_lock);
    (void)pthread_cond_signal(&vcpu->wait);
    (void)pthread_mutex_unlock(&vcpu->wait_lock);
}

void bt_vcpu_quiet(struct bt_vcpu *vcpu)
{
    atomic_store(&vcpu->quiet, true);
}

/* Blocks cannot go while one of them runs: FLUSH stays for the loop, but for the TLB. */
void bt_vcpu_busy(struct bt_vcpu *vcpu)
{
    atomic_store(&vcpu->quiet, false);
    uint32_t request = atomic_load(&vcpu->request);
    if (request & BT_REQUEST_FLUSH)
        mmu_flush_all(vcpu);
    if (request & BT_REQUEST_PROTECT) {
        atomic_fetch_and(&vcpu->request, ~(uint32_t)BT_REQUEST_PROTECT);
        mmu_drop_writable(vcpu);
    }
}

/* Requests that end a wait. An interrupt does if it would be taken. */
static uint32_t wakes(const struct bt_vcpu *vcpu)
{
    uint32_t mask = ~(uint32_t)BT_REQUEST_INTERRUPT;

    return vcpu->run_state == CPU_HALTED ? mask | vcpu->heed : mask;
}

static void wait(struct bt_vcpu *vcpu)
{
    bt_vcpu_quiet(vcpu);
    (void)pthread_mutex_lock(&vcpu->wait_lock);
    atomic_store(&vcpu->waiting, true);
    while (!(atomic_load(&vcpu->request) & wakes(vcpu)))
        (void)pthread_cond_wait(&vcpu->wait, &vcpu->wait_lock);
    atomic_store(&vcpu->waiting, false);
    (void)pthread_mutex_unlock(&vcpu->wait_lock);
    bt_vcpu_busy(vcpu);
}

/* The requests that are no events of the guest's. */
static void housekeeping(struct bt_vcpu *vcpu, uint32_t request)
{
    const uint32_t mine =
        BT_REQUEST_FLUSH | BT_REQUEST_PROTECT | BT_REQUEST_ATTEND | BT_REQUEST_CODE;

    atomic_fetch_and(&vcpu->request, ~(request & mine));
    if (request & BT_REQUEST_FLUSH) {
        mmu_flush_all(vcpu);
        block_drop_all(vcpu);
    }
    if (request & BT_REQUEST_PROTECT)
        mmu_drop_writable(vcpu);
}

static void inject(struct bt_vcpu *vcpu, enum bt_event_kind kind, uint8_t vector)
{
    struct bt_event event = {.kind = kind, .vector = vector};

    vcpu->run_state = CPU_RUNNING;
    except_inject(vcpu, &event);
}

/* INIT, SIPI, SMI, NMI as they come in. */
static void take_signals(struct bt_vcpu *vcpu, uint32_t request)
{
    const uint32_t signals = BT_REQUEST_INIT | BT_REQUEST_SIPI | BT_REQUEST_SMI | BT_REQUEST_NMI;
    bool started = vcpu->run_state == CPU_RUNNING || vcpu->run_state == CPU_HALTED;

    if (!(request & signals))
        return;
    atomic_fetch_and(&vcpu->request, ~(request & signals));
    if (request & BT_REQUEST_INIT) {
        if (vcpu->smm)
            vcpu->init_latched = true;
        else
            bt_vcpu_init(vcpu);
    }
    if (request & BT_REQUEST_SIPI && vcpu->run_state == CPU_WAIT_FOR_SIPI)
        start(vcpu);
    if (request & BT_REQUEST_SMI && started)
        vcpu->smi_pending = true;
    if (request & BT_REQUEST_NMI && started)
        vcpu->nmi_pending = true;
}

/* The most urgent event that may be taken now; true: there was one. */
static bool take_event(struct bt_vcpu *vcpu, uint32_t request)
{
    uint8_t vector;

    if (vcpu->inject_valid) {
        struct bt_event event = vcpu->inject;
        vcpu->inject_valid = false;
        except_inject(vcpu, &event);
        return true;
    }
    if (vcpu->debug_hit && vcpu->shadow != CPU_SHADOW_MOV_SS) {
        vcpu->dr6 = (vcpu->dr6 & ~UINT64_C(15)) | vcpu->debug_hit;
        vcpu->debug_hit = 0;
        inject(vcpu, BT_EVENT_TRAP, BT_DB);
        return true;
    }
    if (vcpu->shadow)
        return false;
    if (vcpu->smi_pending && !vcpu->smm) {
        vcpu->smi_pending = false;
        vcpu->run_state = CPU_RUNNING;
        smm_enter(vcpu);
        return true;
    }
    if (vcpu->nmi_pending && !vcpu->nmi_masked) {
        vcpu->nmi_pending = false;
        vcpu->nmi_masked = true;
        inject(vcpu, BT_EVENT_NMI, BT_NMI);
        return true;
    }
    if (request & BT_REQUEST_INTERRUPT && vcpu->rflags & BT_FLAG_IF &&
        bt_irqchip_interrupt(vcpu, &vector)) {
        inject(vcpu, BT_EVENT_INTERRUPT, vector);
        return true;
    }
    return false;
}

/* Running */

/* One instruction with all that is looked at around one. What MOV SS or POP SS met waits for the
 * instruction behind it, also for one that goes to a handler: the trap is at that one's beginning.
 * SYSCALL and SYSRET trap by the TF that they leave, so that SFMASK keeps it from the system; they
 * see to that themselves. */
static void step(struct bt_vcpu *vcpu)
{
    bool trap = vcpu->rflags & BT_FLAG_TF;
    uint64_t deliveries = vcpu->deliveries, linear = vcpu->rip + vcpu->seg[CPU_CS].base;

    if (except_breaks_armed(vcpu) && !(vcpu->rflags & BT_FLAG_RF) &&
        vcpu->shadow != CPU_SHADOW_MOV_SS) {
        uint32_t hit = except_breakpoints(vcpu, linear, 1, EXCEPT_BREAK_EXECUTE);
        if (hit) {
            vcpu->dr6 = (vcpu->dr6 & ~UINT64_C(15)) | hit;
            inject(vcpu, BT_EVENT_FAULT, BT_DB);
            return;
        }
    }
    vcpu->rflags &= ~(uint64_t)BT_FLAG_RF;
    vcpu->own_trap = false;
    vcpu->debug_waits = vcpu->debug_hit;
    bool done = interp_step(vcpu);
    vcpu->debug_waits = 0;
    if (!done || !trap || vcpu->own_trap || deliveries != vcpu->deliveries)
        return; /* delivery has cleared TF */
    if (vcpu->shadow != CPU_SHADOW_MOV_SS)
        vcpu->debug_hit |= BT_DR6_BS;
}

static void run(struct bt_vcpu *vcpu)
{
    if (vcpu->shadow || vcpu->rflags & BT_FLAG_TF || except_breaks_armed(vcpu))
        step(vcpu);
    else
        jit_run(vcpu);
}

/* The vector unit's stubs may fault, and are sent on by handlers of these. */
static void unblock_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGFPE);
    (void)sigaddset(&set, SIGILL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

enum engine_exit bt_vcpu_run(struct bt_vcpu *vcpu, struct err *err)
{
    enum engine_exit exit = ENGINE_EXIT_KICKED;

    (void)err;
    unblock_signals();
    bt_pvclock_refresh(vcpu);
    bt_vcpu_busy(vcpu);
    for (;;) {
        uint32_t request = atomic_load(&vcpu->request);
        if (request & (BT_REQUEST_FLUSH | BT_REQUEST_PROTECT | BT_REQUEST_ATTEND | BT_REQUEST_CODE))
            housekeeping(vcpu, request);
        if (vcpu->triple_fault) {
            exit = ENGINE_EXIT_SHUTDOWN;
            break;
        }
        if (request & BT_REQUEST_KICK && !vcpu->debug_hit) { /* which is in no state */
            atomic_fetch_and(&vcpu->request, ~(uint32_t)BT_REQUEST_KICK);
            break;
        }
        take_signals(vcpu, request);
        if (take_event(vcpu, request))
            continue;
        if (vcpu->run_state == CPU_RUNNING)
            run(vcpu);
        else
            wait(vcpu);
    }
    bt_vcpu_quiet(vcpu);
    return exit;
}
