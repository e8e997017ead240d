/* SPDX-License-Identifier: Apache-2.0 */
/* A processor's architectural state, between KVM's structures and ours (cpu_state.h). The order of
 * setting matters and is that of `kvm_vcpu_set_state`: the APIC's mode before its registers, both
 * before the MSRs (the TSC deadline arms a timer), events last. Linux
 * Documentation/virt/kvm/api.rst. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/cpu_state.h"
#include "vm/engine/kvm/kvm_internal.h"

static int vcpu_ioctl(struct engine_vcpu *vcpu, unsigned long request, void *arg)
{
    return ioctl(vcpu->fd, request, arg) < 0 ? -errno : 0;
}

/* General registers */

#define GPR_FIELDS(X)                                                                  \
    X(CPU_RAX, rax)                                                                    \
    X(CPU_RCX, rcx)                                                                    \
    X(CPU_RDX, rdx)                                                                    \
    X(CPU_RBX, rbx)                                                                    \
    X(CPU_RSP, rsp)                                                                    \
    X(CPU_RBP, rbp)                                                                    \
    X(CPU_RSI, rsi) X(CPU_RDI, rdi) X(CPU_R8, r8) X(CPU_R8 + 1, r9) X(CPU_R8 + 2, r10) \
        X(CPU_R8 + 3, r11) X(CPU_R8 + 4, r12) X(CPU_R8 + 5, r13) X(CPU_R8 + 6, r14)    \
            X(CPU_R8 + 7, r15)

static int get_regs(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_regs regs;
    int rc = vcpu_ioctl(vcpu, KVM_GET_REGS, &regs);

    if (rc)
        return rc;
#define X(index, field) state->gpr[index] = regs.field;
    GPR_FIELDS(X)
#undef X
    state->rip = regs.rip;
    state->rflags = regs.rflags;
    return 0;
}

static int set_regs(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_regs regs = {.rip = state->rip, .rflags = state->rflags};

#define X(index, field) regs.field = state->gpr[index];
    GPR_FIELDS(X)
#undef X
    return vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* System registers */

static struct cpu_segment segment_get(const struct kvm_segment *from)
{
    return (struct cpu_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .attributes = (uint16_t)(from->type | from->s << 4 | from->dpl << CPU_SEG_DPL_SHIFT |
                                 from->present << 7 | (from->unusable ? CPU_SEG_UNUSABLE : 0) |
                                 from->avl << 12 | from->l << 13 | from->db << 14 | from->g << 15),
    };
}

static struct kvm_segment segment_set(const struct cpu_segment *from)
{
    uint16_t a = from->attributes;

    return (struct kvm_segment){
        .base = from->base,
        .limit = from->limit,
        .selector = from->selector,
        .type = a & CPU_SEG_TYPE,
        .s = !!(a & CPU_SEG_S),
        .dpl = a >> CPU_SEG_DPL_SHIFT & 3,
        .present = !!(a & CPU_SEG_P),
        .unusable = !!(a & CPU_SEG_UNUSABLE),
        .avl = !!(a & CPU_SEG_AVL),
        .l = !!(a & CPU_SEG_L),
        .db = !!(a & CPU_SEG_DB),
        .g = !!(a & CPU_SEG_G),
    };
}

#define SEG_FIELDS(X) \
    X(CPU_ES, es)     \
    X(CPU_CS, cs)     \
    X(CPU_SS, ss) X(CPU_DS, ds) X(CPU_FS, fs) X(CPU_GS, gs) X(CPU_LDTR, ldt) X(CPU_TR, tr)

static int get_sregs(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_sregs2 sregs;
    int rc = vcpu_ioctl(vcpu, KVM_GET_SREGS2, &sregs);

    if (rc)
        return rc;
#define X(index, field) state->seg[index] = segment_get(&sregs.field);
    SEG_FIELDS(X)
#undef X
    state->gdtr = (struct cpu_table_register){.base = sregs.gdt.base, .limit = sregs.gdt.limit};
    state->idtr = (struct cpu_table_register){.base = sregs.idt.base, .limit = sregs.idt.limit};
    state->cr0 = sregs.cr0;
    state->cr2 = sregs.cr2;
    state->cr3 = sregs.cr3;
    state->cr4 = sregs.cr4;
    state->cr8 = sregs.cr8;
    state->efer = sregs.efer;
    state->apic_base = sregs.apic_base;
    state->pdptr_valid = sregs.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
    for (unsigned i = 0; i < ARRAY_SIZE(state->pdptr); i++)
        state->pdptr[i] = state->pdptr_valid ? sregs.pdptrs[i] : 0;
    return 0;
}

static int set_sregs(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_sregs2 sregs = {
        .gdt = {.base = state->gdtr.base, .limit = state->gdtr.limit},
        .idt = {.base = state->idtr.base, .limit = state->idtr.limit},
        .cr0 = state->cr0,
        .cr2 = state->cr2,
        .cr3 = state->cr3,
        .cr4 = state->cr4,
        .cr8 = state->cr8,
        .efer = state->efer,
        .apic_base = state->apic_base,
        .flags = state->pdptr_valid ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0,
    };

#define X(index, field) sregs.field = segment_set(&state->seg[index]);
    SEG_FIELDS(X)
#undef X
    for (unsigned i = 0; state->pdptr_valid && i < ARRAY_SIZE(state->pdptr); i++)
        sregs.pdptrs[i] = state->pdptr[i];
    return vcpu_ioctl(vcpu, KVM_SET_SREGS2, &sregs);
}

/* Debug registers */

static int get_debug(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_debugregs debug = {0};
    int rc = vcpu_ioctl(vcpu, KVM_GET_DEBUGREGS, &debug);

    if (rc)
        return rc;
    memcpy(state->dr, debug.db, sizeof state->dr);
    state->dr6 = debug.dr6;
    state->dr7 = debug.dr7;
    return 0;
}

static int set_debug(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_debugregs debug = {.dr6 = state->dr6, .dr7 = state->dr7};

    memcpy(debug.db, state->dr, sizeof state->dr);
    return vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &debug);
}

/* XSAVE area and XCR0. KVM's structure is the standard format; what does not fit into it (AMX) is
 * not offered. */

_Static_assert(sizeof(struct kvm_xsave) == CPU_XSAVE_SIZE, "the XSAVE area is one page");

static int get_fpu(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_xcrs xcrs = {0};
    int rc = vcpu_ioctl(vcpu, KVM_GET_XCRS, &xcrs);

    state->xcr0 = 1;
    for (unsigned i = 0; !rc && i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
        if (xcrs.xcrs[i].xcr == 0)
            state->xcr0 = xcrs.xcrs[i].value;
    return rc ? rc : vcpu_ioctl(vcpu, KVM_GET_XSAVE, state->xsave);
}

static int set_fpu(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = state->xcr0}}};
    int rc = vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);

    return rc ? rc : vcpu_ioctl(vcpu, KVM_SET_XSAVE, (void *)(uintptr_t)state->xsave);
}

/* MSRs. KVM takes them in order and says how far it came. One that it does not take (it depends on
 * what CPUID offers) is passed over when it is zero anyway; another value would be lost, so that is
 * an error. */

static struct kvm_msrs *msrs_alloc(void)
{
    struct kvm_msrs *msrs;

    return calloc(1, sizeof *msrs + MSR_SLOT_MAX * sizeof msrs->entries[0]);
}

static int get_msrs(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    cleanup_free struct kvm_msrs *msrs = msrs_alloc();

    if (!msrs)
        return -ENOMEM;
    for (unsigned slot = 0; slot < MSR_SLOT_MAX;) {
        uint8_t slots[MSR_SLOT_MAX];
        unsigned count = 0;
        for (unsigned s = slot; s < MSR_SLOT_MAX; s++) {
            state->msr[s] = 0;
            if (vcpu->vm->msr_supported[s]) {
                slots[count] = (uint8_t)s;
                msrs->entries[count++] = (struct kvm_msr_entry){.index = msr_info[s].index};
            }
        }
        msrs->nmsrs = count;
        int done = count ? ioctl(vcpu->fd, KVM_GET_MSRS, msrs) : 0;
        if (done < 0)
            return -errno;
        for (int i = 0; i < done; i++)
            state->msr[slots[i]] = msrs->entries[i].data;
        slot = (unsigned)done < count ? slots[done] + 1u : MSR_SLOT_MAX;
    }
    return 0;
}

static int set_msrs(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    cleanup_free struct kvm_msrs *msrs = msrs_alloc();

    if (!msrs)
        return -ENOMEM;
    for (unsigned slot = 0; slot < MSR_SLOT_MAX;) {
        uint8_t slots[MSR_SLOT_MAX];
        unsigned count = 0;
        for (unsigned s = slot; s < MSR_SLOT_MAX; s++) {
            if (!vcpu->vm->msr_supported[s]) {
                if (state->msr[s])
                    return -ENOTSUP;
                continue;
            }
            slots[count] = (uint8_t)s;
            msrs->entries[count++] =
                (struct kvm_msr_entry){.index = msr_info[s].index, .data = state->msr[s]};
        }
        msrs->nmsrs = count;
        int done = count ? ioctl(vcpu->fd, KVM_SET_MSRS, msrs) : 0;
        if (done < 0)
            return -errno;
        if ((unsigned)done == count)
            break;
        if (state->msr[slots[done]])
            return -ENOTSUP;
        slot = slots[done] + 1u;
    }
    return 0;
}

_Static_assert(MSR_SLOT_MAX <= 256, "slots are numbered in bytes");

/* Local APIC: KVM has each 32-bit register in 16 bytes, as the page has them. */

static int get_lapic(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_lapic_state lapic;
    int rc = vcpu_ioctl(vcpu, KVM_GET_LAPIC, &lapic);

    for (unsigned i = 0; !rc && i < CPU_LAPIC_REGISTERS; i++)
        memcpy(&state->lapic[i], lapic.regs + i * 16, sizeof state->lapic[i]);
    return rc;
}

static int set_lapic(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_lapic_state lapic = {0};

    for (unsigned i = 0; i < CPU_LAPIC_REGISTERS; i++)
        memcpy(lapic.regs + i * 16, &state->lapic[i], sizeof state->lapic[i]);
    return vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
}

/* Events and run state */

static int get_events(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_vcpu_events from = {0};
    int rc = vcpu_ioctl(vcpu, KVM_GET_VCPU_EVENTS, &from);

    if (rc)
        return rc;
    state->events = (struct cpu_events){
        .exception_stage = from.exception.injected  ? CPU_EXCEPTION_INJECTED
                           : from.exception.pending ? CPU_EXCEPTION_PENDING
                                                    : CPU_EXCEPTION_NONE,
        .exception_vector = from.exception.nr,
        .exception_has_error = from.exception.has_error_code,
        .exception_has_payload = from.exception_has_payload,
        .exception_error = from.exception.error_code,
        .exception_payload = from.exception_has_payload ? from.exception_payload : 0,
        .interrupt_injected = from.interrupt.injected,
        .interrupt_soft = from.interrupt.soft,
        .interrupt_vector = from.interrupt.nr,
        .interrupt_shadow = from.interrupt.shadow,
        .nmi_injected = from.nmi.injected,
        .nmi_pending = from.nmi.pending,
        .nmi_masked = from.nmi.masked,
        .smm = from.smi.smm,
        .smi_pending = from.smi.pending,
        .smm_inside_nmi = from.smi.smm_inside_nmi,
        .init_latched = from.smi.latched_init,
        .triple_fault = from.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && from.triple_fault.pending,
        .sipi_vector = (uint8_t)from.sipi_vector,
    };
    if (!state->events.exception_stage) {
        state->events.exception_vector = 0;
        state->events.exception_has_error = false;
        state->events.exception_error = 0;
    }
    return 0;
}

static int set_events(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    const struct cpu_events *e = &state->events;
    const struct kvm_caps *caps = &vcpu->vm->caps;
    struct kvm_vcpu_events to = {
        .exception = {.injected = e->exception_stage == CPU_EXCEPTION_INJECTED,
                      .pending = e->exception_stage == CPU_EXCEPTION_PENDING,
                      .nr = e->exception_vector,
                      .has_error_code = e->exception_has_error,
                      .error_code = e->exception_error},
        .exception_has_payload = e->exception_has_payload,
        .exception_payload = e->exception_payload,
        .interrupt = {.injected = e->interrupt_injected,
                      .soft = e->interrupt_soft,
                      .nr = e->interrupt_vector,
                      .shadow = e->interrupt_shadow},
        .nmi = {.injected = e->nmi_injected, .pending = e->nmi_pending, .masked = e->nmi_masked},
        .smi = {.smm = e->smm,
                .pending = e->smi_pending,
                .smm_inside_nmi = e->smm_inside_nmi,
                .latched_init = e->init_latched},
        .sipi_vector = e->sipi_vector,
        .triple_fault = {.pending = e->triple_fault},
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
                 KVM_VCPUEVENT_VALID_PAYLOAD,
    };

    if (state->run_state == CPU_SIPI_RECEIVED)
        to.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
    if (caps->smm)
        to.flags |= KVM_VCPUEVENT_VALID_SMM;
    if (caps->triple_fault)
        to.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    return vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &to);
}

static const uint8_t mp_states[CPU_RUN_STATE_MAX] = {
    [CPU_RUNNING] = KVM_MP_STATE_RUNNABLE,
    [CPU_HALTED] = KVM_MP_STATE_HALTED,
    [CPU_WAIT_FOR_INIT] = KVM_MP_STATE_UNINITIALIZED,
    [CPU_WAIT_FOR_SIPI] = KVM_MP_STATE_INIT_RECEIVED,
    [CPU_SIPI_RECEIVED] = KVM_MP_STATE_SIPI_RECEIVED,
};

/* Asked for first: KVM then accepts a pending INIT or SIPI, which changes the rest. */
static int get_run_state(struct engine_vcpu *vcpu, struct cpu_state *state)
{
    struct kvm_mp_state mp;
    int rc = vcpu_ioctl(vcpu, KVM_GET_MP_STATE, &mp);

    state->run_state = CPU_RUNNING;
    for (unsigned i = 0; !rc && i < CPU_RUN_STATE_MAX; i++)
        if (mp_states[i] == mp.mp_state)
            state->run_state = (uint8_t)i;
    return rc;
}

static int set_run_state(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    struct kvm_mp_state mp;

    if (state->run_state >= CPU_RUN_STATE_MAX)
        return -EINVAL;
    mp.mp_state = mp_states[state->run_state];
    return vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &mp);
}

int kvm_vcpu_get_state(struct engine_vcpu *vcpu, struct cpu_state *ret_state)
{
    static int (*const parts[])(struct engine_vcpu *, struct cpu_state *) = {
        get_run_state, get_regs, get_sregs, get_fpu, get_msrs, get_lapic, get_debug, get_events,
    };
    cleanup_free struct cpu_state *state = calloc(1, sizeof *state);
    int rc = 0;

    if (!state)
        return -ENOMEM;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && !rc; i++)
        rc = parts[i](vcpu, state);
    if (!rc)
        *ret_state = *state;
    return rc;
}

int kvm_vcpu_set_state(struct engine_vcpu *vcpu, const struct cpu_state *state)
{
    static int (*const parts[])(struct engine_vcpu *, const struct cpu_state *) = {
        set_sregs, set_fpu, set_lapic, set_msrs, set_regs, set_debug, set_run_state, set_events,
    };
    int rc = 0;

    vcpu->fresh = false;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && !rc; i++)
        rc = parts[i](vcpu, state);
    return rc;
}

/* What KVM knows better than the architecture's table stays as it is: feature registers that
 * firmware would set, and the clock of the paravirtual leaf goes with its pages. */
int kvm_vcpu_reset(struct engine_vcpu *vcpu)
{
    cleanup_free struct cpu_state *state = NULL;

    if (vcpu->fresh)
        return 0;
    state = malloc(sizeof *state);
    if (!state)
        return -ENOMEM;
    cpu_state_power_on(state, kvm_vcpu_apic_id(vcpu), !vcpu->index);
    state->msr[MSR_SLOT_kvm_poll_control] = 1; /* the host may poll: KVM's default */
    for (unsigned slot = 0; slot < MSR_SLOT_MAX; slot++)
        if (!vcpu->vm->msr_supported[slot])
            state->msr[slot] = 0;
    int rc = kvm_vcpu_set_state(vcpu, state);
    vcpu->fresh = !rc;
    return rc;
}
