/* SPDX-License-Identifier: Apache-2.0 */
/* Delivery through the IDT, returns, system calls, the flags that go with them, and debug
 * exceptions: see except.h. Deliberately missing: VME and PVI (CPUID does not offer them), the
 * user-interrupt and FRED ways. */
#include "vm/engine/bt/except.h"

#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/transfer.h"

enum { BENIGN = 256 }; /* fault_vector: what never makes a double fault is being delivered */
enum { DR7_GD = 1 << 13 };

/* Raising */

static _Noreturn void leave(struct bt_vcpu *vcpu, enum bt_vector vector, bool has_error,
                            uint32_t error)
{
    interp_sync(vcpu);
    vcpu->event = (struct bt_event){
        .kind = BT_EVENT_FAULT, .vector = vector, .has_error = has_error, .error = error};
    vcpu->debug_hit = vcpu->debug_waits;
    longjmp(vcpu->unwind, 1);
}

void bt_raise(struct bt_vcpu *vcpu, enum bt_vector vector)
{
    leave(vcpu, vector, false, 0);
}

void bt_raise_error(struct bt_vcpu *vcpu, enum bt_vector vector, uint32_t error)
{
    bool ext = vcpu->fault_vector >= 0 && vcpu->external && vector >= BT_TS && vector <= BT_GP;

    leave(vcpu, vector, true, error | ext);
}

void bt_raise_page_fault(struct bt_vcpu *vcpu, uint64_t address, uint32_t error)
{
    vcpu->cr2 = address;
    leave(vcpu, BT_PF, true, error);
}

/* Flags */

static void flags_changed(struct bt_vcpu *vcpu)
{
    bt_update_heed(vcpu);
    if (vcpu->rflags & BT_FLAG_TF)
        bt_attend(vcpu);
    if (vcpu->cr0 & BT_CR0_AM)
        mmu_update_context(vcpu);
}

void except_set_flags(struct bt_vcpu *vcpu, uint64_t value, uint64_t mask)
{
    enum { RESERVED = 0x8028 };

    /* RF only matters while a breakpoint is armed. */
    if (!except_breaks_armed(vcpu))
        value &= ~(uint64_t)BT_FLAG_RF;
    vcpu->rflags = ((vcpu->rflags & ~mask) | (value & mask) | 2) & ~(uint64_t)RESERVED;
    flags_changed(vcpu);
}

static unsigned iopl(const struct bt_vcpu *vcpu)
{
    return vcpu->rflags >> 12 & 3;
}

/* What POPF and IRET may change at this level. */
static uint64_t writable_flags(const struct bt_vcpu *vcpu, unsigned size)
{
    uint64_t mask = BT_FLAGS_STATUS | BT_FLAG_TF | BT_FLAG_DF | BT_FLAG_NT;

    if (size > 2)
        mask |= BT_FLAG_AC | BT_FLAG_ID;
    if (vcpu->cpl == 0)
        mask |= BT_FLAG_IOPL;
    if (vcpu->cpl <= iopl(vcpu))
        mask |= BT_FLAG_IF;
    return mask;
}

/* Delivery */

static void deliver_real(struct bt_vcpu *vcpu, const struct bt_event *event)
{
    unsigned at = event->vector * 4u;

    if (at + 3 > vcpu->idtr.limit)
        bt_raise(vcpu, BT_GP);
    uint32_t target = (uint32_t)mmu_load_system(vcpu, vcpu->idtr.base + at, 4);
    struct segment_stack stack = {.ss = vcpu->seg[CPU_SS], .rsp = vcpu->gpr[CPU_RSP]};
    segment_stack_push(vcpu, &stack, 2, vcpu->rflags & 0xffff);
    segment_stack_push(vcpu, &stack, 2, vcpu->seg[CPU_CS].selector);
    segment_stack_push(vcpu, &stack, 2, vcpu->rip + event->length);
    vcpu->gpr[CPU_RSP] = stack.rsp;
    segment_set_real(vcpu, CPU_CS, (uint16_t)(target >> 16));
    vcpu->rip = target & 0xffff;
    vcpu->rflags &= ~(uint64_t)(BT_FLAG_IF | BT_FLAG_TF | BT_FLAG_AC | BT_FLAG_RF);
}

struct gate {
    struct segment_descriptor d;
    unsigned type, ist;
    uint16_t selector;
    uint64_t rip;
};

static struct gate read_gate(struct bt_vcpu *vcpu, const struct bt_event *event)
{
    bool long_mode = vcpu->mode & BT_MODE_LONG;
    unsigned size = long_mode ? 16 : 8, at = event->vector * size;
    uint32_t error = event->vector * 8u + 2;
    struct gate g = {0};

    if (at + size - 1 > vcpu->idtr.limit)
        bt_raise_error(vcpu, BT_GP, error);
    g.d.low = mmu_load_system(vcpu, vcpu->idtr.base + at, 8);
    if (long_mode)
        g.d.high = mmu_load_system(vcpu, vcpu->idtr.base + at + 8, 8);
    g.type = g.d.low >> 40 & 0x1f;
    g.selector = (uint16_t)(g.d.low >> 16);
    g.rip = (g.d.low & 0xffff) | (g.type & 8 ? g.d.low >> 32 & 0xffff0000 : 0);
    if (long_mode) {
        g.rip |= g.d.high << 32;
        g.ist = g.d.low >> 32 & 7;
    }
    bool known =
        g.type == 14 || g.type == 15 || (!long_mode && (g.type == 5 || g.type == 6 || g.type == 7));
    if (!known || (event->kind == BT_EVENT_SOFT && (g.d.low >> 45 & 3) < vcpu->cpl))
        bt_raise_error(vcpu, BT_GP, error);
    if (!(g.d.low >> 47 & 1))
        bt_raise_error(vcpu, BT_NP, error);
    return g;
}

/* The handler's segment, and by *ret_cpl its level. */
static struct cpu_segment gate_code(struct bt_vcpu *vcpu, const struct gate *gate,
                                    unsigned *ret_cpl)
{
    uint16_t selector = gate->selector;
    bool long_mode = vcpu->mode & BT_MODE_LONG, v86 = vcpu->mode & BT_MODE_V86;
    struct segment_descriptor d;

    if (!(selector & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
    segment_read_or_raise(vcpu, selector, BT_GP, &d);
    unsigned type = d.low >> 40 & 0x1f, dpl = d.low >> 45 & 3;
    bool conforming = type & 4;
    if ((type & 0x18) != 0x18 || dpl > vcpu->cpl || (v86 && (dpl || conforming)) ||
        (long_mode && (d.low >> 53 & 3) != 1))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!(d.low >> 47 & 1))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    *ret_cpl = conforming ? vcpu->cpl : dpl;
    return transfer_code(vcpu, selector, *ret_cpl, &d);
}

static struct segment_stack gate_stack(struct bt_vcpu *vcpu, const struct gate *gate, unsigned cpl)
{
    bool long_mode = vcpu->mode & BT_MODE_LONG;
    struct segment_stack stack = {
        .ss = vcpu->seg[CPU_SS], .rsp = vcpu->gpr[CPU_RSP], .cpl = cpl, .code64 = long_mode};

    if (cpl < vcpu->cpl)
        segment_tss_stack(vcpu, cpl, &stack);
    if (gate->ist)
        stack.rsp = segment_tss_ist(vcpu, gate->ist);
    if (long_mode)
        stack.rsp &= ~UINT64_C(15);
    return stack;
}

/* The data segments of a V86 task, below what any interrupt pushes. */
static void push_v86(struct bt_vcpu *vcpu, struct segment_stack *stack, unsigned size)
{
    static const enum cpu_seg order[] = {CPU_GS, CPU_FS, CPU_DS, CPU_ES};

    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        segment_stack_push(vcpu, stack, size, vcpu->seg[order[i]].selector);
}

static uint64_t flags_image(const struct bt_vcpu *vcpu, const struct bt_event *event)
{
    bool fault = event->kind == BT_EVENT_FAULT && event->vector != BT_DB;

    return vcpu->rflags | (fault ? BT_FLAG_RF : 0);
}

static void deliver_gate(struct bt_vcpu *vcpu, const struct bt_event *event,
                         const struct gate *gate)
{
    bool long_mode = vcpu->mode & BT_MODE_LONG, v86 = vcpu->mode & BT_MODE_V86;
    unsigned size = long_mode ? 8 : gate->type & 8 ? 4 : 2, cpl;
    struct cpu_segment cs = gate_code(vcpu, gate, &cpl);
    bool inner = cpl < vcpu->cpl;
    struct segment_stack stack = gate_stack(vcpu, gate, cpl);

    segment_check_rip(vcpu, &cs, long_mode, gate->rip);
    if (v86)
        push_v86(vcpu, &stack, size);
    if (inner || long_mode) {
        segment_stack_push(vcpu, &stack, size, vcpu->seg[CPU_SS].selector);
        segment_stack_push(vcpu, &stack, size, vcpu->gpr[CPU_RSP]);
    }
    segment_stack_push(vcpu, &stack, size, flags_image(vcpu, event));
    segment_stack_push(vcpu, &stack, size, vcpu->seg[CPU_CS].selector);
    segment_stack_push(vcpu, &stack, size, vcpu->rip + event->length);
    if (event->has_error)
        segment_stack_push(vcpu, &stack, size, event->error);
    vcpu->gpr[CPU_RSP] = stack.rsp;
    vcpu->seg[CPU_SS] = stack.ss;
    vcpu->seg[CPU_CS] = cs;
    vcpu->rip = gate->rip;
    vcpu->rflags &= ~(uint64_t)(BT_FLAG_TF | BT_FLAG_NT | BT_FLAG_RF | BT_FLAG_VM);
    if (!(gate->type & 1))
        vcpu->rflags &= ~(uint64_t)BT_FLAG_IF;
    if (v86)
        for (unsigned i = CPU_ES; i <= CPU_GS; i++)
            if (i != CPU_CS && i != CPU_SS)
                vcpu->seg[i] = (struct cpu_segment){.attributes = CPU_SEG_UNUSABLE};
}

void except_deliver(struct bt_vcpu *vcpu, const struct bt_event *event)
{
    bool exception = event->kind == BT_EVENT_FAULT || event->kind == BT_EVENT_TRAP;

    vcpu->fault_vector = exception ? event->vector : BENIGN;
    vcpu->external = event->kind != BT_EVENT_SOFT;
    if (!(vcpu->cr0 & BT_CR0_PE))
        deliver_real(vcpu, event);
    else {
        struct gate gate = read_gate(vcpu, event);
        if (gate.type == 5)
            segment_task_switch(vcpu, gate.selector, SEGMENT_TASK_GATE, vcpu->rip + event->length,
                                event->has_error, event->error);
        else
            deliver_gate(vcpu, event, &gate);
    }
    if (exception && event->vector == BT_DB) { /* INT1 takes what waits with it */
        vcpu->dr7 &= ~(uint64_t)DR7_GD;
        vcpu->dr6 |= vcpu->debug_hit;
        vcpu->debug_hit = 0;
    }
    vcpu->fault_vector = -1;
    vcpu->deliveries++;
    vcpu->nested = 0;
    bt_mode_update(vcpu);
    flags_changed(vcpu);
}

/* SDM table 6-5. */
static bool contributory(int vector)
{
    return vector == BT_DE || (vector >= BT_TS && vector <= BT_GP);
}

void except_landed(struct bt_vcpu *vcpu)
{
    enum { NESTED_MAX = 8 };
    int first = vcpu->fault_vector, second = vcpu->event.vector;

    /* A guest can make #AC whose delivery meets #AC, for ever: processors hang there too. */
    if ((first == BT_DF && (contributory(second) || second == BT_PF)) ||
        ++vcpu->nested > NESTED_MAX) {
        vcpu->triple_fault = true;
        vcpu->fault_vector = -1;
        vcpu->nested = 0;
        bt_attend(vcpu);
        return;
    }
    if ((contributory(first) && contributory(second)) ||
        (first == BT_PF && (contributory(second) || second == BT_PF)))
        vcpu->event = (struct bt_event){.kind = BT_EVENT_FAULT, .vector = BT_DF, .has_error = true};
    struct bt_event event = vcpu->event;
    except_deliver(vcpu, &event);
}

void except_inject(struct bt_vcpu *vcpu, const struct bt_event *event)
{
    struct bt_event copy = *event;

    if (setjmp(vcpu->unwind))
        except_landed(vcpu);
    else
        except_deliver(vcpu, &copy);
}

/* Debug registers */

uint32_t except_breakpoints(const struct bt_vcpu *vcpu, uint64_t address, unsigned size,
                            enum except_break access)
{
    static const uint8_t lengths[] = {1, 2, 8, 4};
    uint32_t hit = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned control = vcpu->dr7 >> (16 + i * 4) & 15, type = control & 3;
        uint64_t len = lengths[control >> 2], at = vcpu->dr[i] & ~(len - 1);
        if (!(vcpu->dr7 >> (i * 2) & 3))
            continue;
        if (type != access && !(type == EXCEPT_BREAK_ACCESS && access == EXCEPT_BREAK_WRITE))
            continue;
        if (access == EXCEPT_BREAK_EXECUTE ? vcpu->dr[i] == address
                                           : range_overlaps(at, len, address, size))
            hit |= BIT(i);
    }
    return hit;
}

/* Software interrupts */

static void software(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum bt_event_kind kind,
                     uint8_t vector)
{
    struct bt_event event = {.kind = kind, .vector = vector, .length = insn->length};

    except_deliver(vcpu, &event);
}

static void int_n(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (vcpu->mode & BT_MODE_V86 && iopl(vcpu) < 3)
        bt_raise_error(vcpu, BT_GP, 0);
    software(vcpu, insn, BT_EVENT_SOFT, (uint8_t)insn->imm[0]);
}

static void int3(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    software(vcpu, insn, BT_EVENT_SOFT, BT_BP);
}

static void int1(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    software(vcpu, insn, BT_EVENT_TRAP, BT_DB);
}

static void into(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (vcpu->rflags & BT_FLAG_OF)
        software(vcpu, insn, BT_EVENT_SOFT, BT_OF);
    else
        interp_advance(vcpu, insn);
}

static void bound(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned size = insn->size;
    uint64_t linear = interp_ea(vcpu, insn, size * 2, MMU_READ);
    uint64_t low = mmu_load(vcpu, linear, size), high = mmu_load(vcpu, linear + size, size);
    unsigned shift = 64 - size * 8;
    int64_t index = (int64_t)(vcpu->gpr[insn->operand[0].reg & 15] << shift);

    if (index < (int64_t)(low << shift) || index > (int64_t)(high << shift))
        bt_raise(vcpu, BT_BR);
}

/* IRET */

static void iret_real(struct bt_vcpu *vcpu, unsigned size)
{
    uint64_t rip = segment_peek(vcpu, 0, size), flags = segment_peek(vcpu, size * 2, size);
    uint16_t selector = (uint16_t)segment_peek(vcpu, size, size);
    uint64_t mask = writable_flags(vcpu, size) | BT_FLAG_IF | (size > 2 ? BT_FLAG_RF : 0);

    if (rip > vcpu->seg[CPU_CS].limit)
        bt_raise_error(vcpu, BT_GP, 0);
    segment_add_rsp(vcpu, size * 3);
    segment_set_real(vcpu, CPU_CS, selector);
    vcpu->rip = rip;
    except_set_flags(vcpu, flags, mask);
    bt_mode_update(vcpu);
}

static void iret_to_v86(struct bt_vcpu *vcpu, uint64_t rip, uint16_t cs, uint64_t flags)
{
    static const enum cpu_seg order[] = {CPU_ES, CPU_DS, CPU_FS, CPU_GS};
    uint16_t selector[4], ss = (uint16_t)segment_peek(vcpu, 16, 4);
    uint32_t esp = (uint32_t)segment_peek(vcpu, 12, 4);

    for (unsigned i = 0; i < 4; i++)
        selector[i] = (uint16_t)segment_peek(vcpu, 20 + i * 4, 4);
    vcpu->rflags |= BT_FLAG_VM; /* segments load as a V86 task's */
    for (unsigned i = 0; i < 4; i++)
        segment_set_real(vcpu, order[i], selector[i]);
    segment_set_real(vcpu, CPU_CS, cs);
    segment_set_real(vcpu, CPU_SS, ss);
    vcpu->gpr[CPU_RSP] = esp;
    vcpu->rip = rip & 0xffff;
    except_set_flags(vcpu, flags, 0x3f7fd7);
    bt_mode_update(vcpu);
}

/* NT: back to the task whose selector is the TSS's link. */
static void iret_task(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (vcpu->mode & BT_MODE_LONG)
        bt_raise_error(vcpu, BT_GP, 0);
    uint16_t link = (uint16_t)mmu_load_system(vcpu, vcpu->seg[CPU_TR].base, 2);
    segment_task_switch(vcpu, link, SEGMENT_TASK_RETURN,
                        interp_wrap(vcpu, vcpu->rip + insn->length), false, 0);
}

static void unmask_nmi(struct bt_vcpu *vcpu)
{
    vcpu->nmi_masked = false;
    if (vcpu->nmi_pending)
        bt_attend(vcpu);
}

static void iret(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned size = insn->size;

    if (vcpu->mode & BT_MODE_V86 && iopl(vcpu) < 3)
        bt_raise_error(vcpu, BT_GP, 0);
    if (!(vcpu->mode & BT_MODE_PROTECTED)) {
        iret_real(vcpu, size);
        unmask_nmi(vcpu);
        return;
    }
    if (vcpu->rflags & BT_FLAG_NT) {
        iret_task(vcpu, insn);
        unmask_nmi(vcpu);
        return;
    }
    struct transfer_frame frame = {.size = size, .stack_at = size * 3, .iret = true};
    frame.rip = segment_peek(vcpu, 0, size);
    frame.cs = (uint16_t)segment_peek(vcpu, size, size);
    uint64_t flags = segment_peek(vcpu, size * 2, size);
    if (!(vcpu->mode & BT_MODE_LONG) && size == 4 && flags & BT_FLAG_VM && vcpu->cpl == 0)
        iret_to_v86(vcpu, frame.rip, frame.cs, flags);
    else {
        uint64_t mask = writable_flags(vcpu, size) | (size > 2 ? BT_FLAG_RF : 0);
        transfer_return(vcpu, &frame);
        except_set_flags(vcpu, flags, mask);
    }
    unmask_nmi(vcpu);
}

/* CLI, STI, PUSHF, POPF */

static void check_iopl(struct bt_vcpu *vcpu)
{
    if (vcpu->cpl > iopl(vcpu)) /* V86 has CPL 3 */
        bt_raise_error(vcpu, BT_GP, 0);
}

static void cli(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_iopl(vcpu);
    vcpu->rflags &= ~(uint64_t)BT_FLAG_IF;
    bt_update_heed(vcpu);
}

static void sti(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_iopl(vcpu);
    if (!(vcpu->rflags & BT_FLAG_IF))
        vcpu->shadow = CPU_SHADOW_STI;
    vcpu->rflags |= BT_FLAG_IF;
    bt_update_heed(vcpu);
}

static void pushf(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (vcpu->mode & BT_MODE_V86)
        check_iopl(vcpu);
    segment_push(vcpu, insn->size, vcpu->rflags & ~(uint64_t)(BT_FLAG_RF | BT_FLAG_VM));
}

static void popf(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (vcpu->mode & BT_MODE_V86)
        check_iopl(vcpu);
    uint64_t mask = writable_flags(vcpu, insn->size) | BT_FLAG_RF;
    uint64_t value = segment_pop(vcpu, insn->size);
    except_set_flags(vcpu, value & ~(uint64_t)BT_FLAG_RF, mask);
}

/* System calls: flat segments that no descriptor is read for. */

static void flat_segments(struct bt_vcpu *vcpu, uint16_t cs, uint16_t ss, unsigned cpl, bool code64)
{
    uint16_t level = (uint16_t)(cpl << CPU_SEG_DPL_SHIFT);

    vcpu->seg[CPU_CS] = (struct cpu_segment){
        .selector = cs,
        .limit = UINT32_MAX,
        .attributes = CPU_SEG_G | (code64 ? CPU_SEG_L : CPU_SEG_DB) | 0x9b | level};
    vcpu->seg[CPU_SS] = (struct cpu_segment){
        .selector = ss, .limit = UINT32_MAX, .attributes = CPU_SEG_G | CPU_SEG_DB | 0x93 | level};
    bt_mode_update(vcpu);
}

static bool code64(const struct bt_vcpu *vcpu)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
}

/* Single steps end behind these two by the TF that they leave. */
static void step_ends(struct bt_vcpu *vcpu)
{
    vcpu->own_trap = true;
    if (vcpu->rflags & BT_FLAG_TF)
        vcpu->debug_hit |= BT_DR6_BS;
}

static void syscall_(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t star = vcpu->msr[MSR_SLOT_star];
    uint16_t cs = (uint16_t)(star >> 32 & 0xfffc);
    uint64_t next = interp_wrap(vcpu, vcpu->rip + insn->length);

    if (!(vcpu->efer & BT_EFER_SCE) || !(vcpu->mode & BT_MODE_PROTECTED) ||
        (!code64(vcpu) && !vcpu->vm->amd))
        bt_raise(vcpu, BT_UD);
    vcpu->gpr[CPU_RCX] = next;
    if (vcpu->mode & BT_MODE_LONG) {
        vcpu->gpr[CPU_R8 + 3] = vcpu->rflags & ~(uint64_t)BT_FLAG_RF;
        vcpu->rip = vcpu->msr[code64(vcpu) ? MSR_SLOT_lstar : MSR_SLOT_cstar];
        vcpu->rflags &= ~(vcpu->msr[MSR_SLOT_sfmask] | BT_FLAG_RF);
        vcpu->rflags |= 2;
        flat_segments(vcpu, cs, (uint16_t)(cs + 8), 0, true);
    } else {
        vcpu->rip = star & 0xffffffff;
        vcpu->rflags &= ~(uint64_t)(BT_FLAG_IF | BT_FLAG_RF | BT_FLAG_VM);
        flat_segments(vcpu, cs, (uint16_t)(cs + 8), 0, false);
    }
    flags_changed(vcpu);
    step_ends(vcpu);
}

static void sysret(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint16_t base = (uint16_t)(vcpu->msr[MSR_SLOT_star] >> 48);
    bool to64 = insn->size == 8 && code64(vcpu);
    uint64_t rcx = vcpu->gpr[CPU_RCX];

    if (!(vcpu->efer & BT_EFER_SCE) || !(vcpu->mode & BT_MODE_PROTECTED) ||
        (!code64(vcpu) && !vcpu->vm->amd))
        bt_raise(vcpu, BT_UD);
    if (vcpu->cpl || (to64 && !vcpu->vm->amd && !segment_canonical(rcx)))
        bt_raise_error(vcpu, BT_GP, 0);
    vcpu->rip = to64 ? rcx : (uint32_t)rcx;
    flat_segments(vcpu, (uint16_t)((base + (to64 ? 16 : 0)) | 3), (uint16_t)((base + 8) | 3), 3,
                  to64);
    if (vcpu->mode & BT_MODE_LONG)
        except_set_flags(vcpu, vcpu->gpr[CPU_R8 + 3], 0x3c7fd7);
    else
        except_set_flags(vcpu, BT_FLAG_IF, BT_FLAG_IF);
    step_ends(vcpu);
}

/* AMD's processors have SYSENTER in legacy mode only. */
static void check_sysenter(struct bt_vcpu *vcpu)
{
    if (vcpu->mode & BT_MODE_LONG && vcpu->vm->amd)
        bt_raise(vcpu, BT_UD);
    if (!(vcpu->cr0 & BT_CR0_PE) || !(vcpu->msr[MSR_SLOT_sysenter_cs] & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
}

static void sysenter(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_sysenter(vcpu);
    bool long_mode = vcpu->mode & BT_MODE_LONG;
    uint16_t cs = (uint16_t)(vcpu->msr[MSR_SLOT_sysenter_cs] & 0xfffc);
    uint64_t mask = long_mode ? UINT64_MAX : UINT32_MAX;
    vcpu->rip = vcpu->msr[MSR_SLOT_sysenter_eip] & mask;
    vcpu->gpr[CPU_RSP] = vcpu->msr[MSR_SLOT_sysenter_esp] & mask;
    vcpu->rflags &= ~(uint64_t)(BT_FLAG_VM | BT_FLAG_IF | BT_FLAG_RF);
    flat_segments(vcpu, cs, (uint16_t)(cs + 8), 0, long_mode);
    flags_changed(vcpu);
}

static void sysexit(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bool to64 = insn->size == 8;

    check_sysenter(vcpu);
    if (vcpu->cpl || !(vcpu->mode & BT_MODE_PROTECTED))
        bt_raise_error(vcpu, BT_GP, 0);
    uint16_t base = (uint16_t)((vcpu->msr[MSR_SLOT_sysenter_cs] & 0xfffc) + (to64 ? 32 : 16));
    uint64_t rip = vcpu->gpr[CPU_RDX], rsp = vcpu->gpr[CPU_RCX];
    if (to64 && (!segment_canonical(rip) || !segment_canonical(rsp)))
        bt_raise_error(vcpu, BT_GP, 0);
    vcpu->rip = to64 ? rip : (uint32_t)rip;
    vcpu->gpr[CPU_RSP] = to64 ? rsp : (uint32_t)rsp;
    flat_segments(vcpu, base | 3, (uint16_t)((base + 8) | 3), 3, to64);
}

const struct interp_handler except_handlers[] = {
    {BT_OP_INT, true, int_n},         {BT_OP_INT3, true, int3},        {BT_OP_INT1, true, int1},
    {BT_OP_INTO, true, into},         {BT_OP_BOUND, false, bound},     {BT_OP_IRET, true, iret},
    {BT_OP_CLI, false, cli},          {BT_OP_STI, false, sti},         {BT_OP_PUSHF, false, pushf},
    {BT_OP_POPF, false, popf},        {BT_OP_SYSCALL, true, syscall_}, {BT_OP_SYSRET, true, sysret},
    {BT_OP_SYSENTER, true, sysenter}, {BT_OP_SYSEXIT, true, sysexit},  {0},
};
