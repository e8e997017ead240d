/* SPDX-License-Identifier: Apache-2.0 */
/* Far JMP, CALL and RET, through gates of all kinds, and the return to an outer level that IRET
 * has in common with RET. SDM volume 3 sections 5.8 and 7.3, volume 2 at each instruction. */
#include "vm/engine/bt/transfer.h"

#include "base/range.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/segment.h"

enum { CONFORMING = 4, CODE = 8 };

static unsigned type_of(const struct segment_descriptor *d)
{
    return (d->low >> 40) & 0x1f;
}

static unsigned dpl_of(const struct segment_descriptor *d)
{
    return (d->low >> 45) & 3;
}

static bool present(const struct segment_descriptor *d)
{
    return d->low >> 47 & 1;
}

static uint64_t operand_mask(unsigned size)
{
    return size == 8 ? UINT64_MAX : BIT64(size * 8) - 1;
}

/* L and D both set is no code segment of long mode. */
static bool bad_code(const struct bt_vcpu *vcpu, const struct segment_descriptor *d)
{
    return (type_of(d) & (0x10 | CODE)) != (0x10 | CODE) ||
           (vcpu->mode & BT_MODE_LONG && d->low & BIT64(53) && d->low & BIT64(54));
}

struct cpu_segment transfer_code(struct bt_vcpu *vcpu, uint16_t selector, unsigned cpl,
                                 struct segment_descriptor *d)
{
    segment_set_accessed(vcpu, selector, d);
    return segment_unpack((uint16_t)((selector & ~3u) | cpl), d);
}

static void commit(struct bt_vcpu *vcpu, const struct cpu_segment *cs, uint64_t rip)
{
    vcpu->seg[CPU_CS] = *cs;
    vcpu->rip = rip;
    bt_mode_update(vcpu);
}

/* Real mode and V86. */
static void far_real(struct bt_vcpu *vcpu, uint16_t selector, uint64_t rip)
{
    if (rip > vcpu->seg[CPU_CS].limit)
        bt_raise_error(vcpu, BT_GP, 0);
    segment_set_real(vcpu, CPU_CS, selector);
    vcpu->rip = rip;
    bt_mode_update(vcpu);
}

static void push_return(struct bt_vcpu *vcpu, unsigned size, uint64_t next)
{
    struct segment_stack stack = {
        .ss = vcpu->seg[CPU_SS],
        .rsp = vcpu->gpr[CPU_RSP], /* changes for good behind both */
        .cpl = vcpu->cpl,
        .code64 = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64,
    };
    segment_stack_push(vcpu, &stack, size, vcpu->seg[CPU_CS].selector);
    segment_stack_push(vcpu, &stack, size, next);
    vcpu->gpr[CPU_RSP] = stack.rsp;
}

/* A code segment named directly. */
static void far_direct(struct bt_vcpu *vcpu, uint16_t selector, struct segment_descriptor *d,
                       uint64_t rip, unsigned size, bool call, uint64_t next)
{
    unsigned dpl = dpl_of(d), rpl = selector & 3;

    if (bad_code(vcpu, d) ||
        (type_of(d) & CONFORMING ? dpl > vcpu->cpl : rpl > vcpu->cpl || dpl != vcpu->cpl))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!present(d))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    struct cpu_segment cs = transfer_code(vcpu, selector, vcpu->cpl, d);
    segment_check_rip(vcpu, &cs, vcpu->mode & BT_MODE_LONG, rip);
    if (call)
        push_return(vcpu, size, next);
    commit(vcpu, &cs, rip);
}

/* A call gate to an inner level: the new stack gets the old one's pointer, `count` parameters
 * (legacy) and the return address. */
static void call_inner(struct bt_vcpu *vcpu, const struct cpu_segment *cs, unsigned cpl,
                       uint64_t rip, unsigned size, unsigned count, uint64_t next)
{
    struct segment_stack stack;

    segment_tss_stack(vcpu, cpl, &stack);
    segment_stack_push(vcpu, &stack, size, vcpu->seg[CPU_SS].selector);
    segment_stack_push(vcpu, &stack, size, vcpu->gpr[CPU_RSP]);
    while (count--)
        segment_stack_push(vcpu, &stack, size, segment_peek(vcpu, count * size, size));
    segment_stack_push(vcpu, &stack, size, vcpu->seg[CPU_CS].selector);
    segment_stack_push(vcpu, &stack, size, next);
    vcpu->seg[CPU_SS] = stack.ss;
    vcpu->gpr[CPU_RSP] = stack.rsp;
    commit(vcpu, cs, rip);
}

static void far_gate(struct bt_vcpu *vcpu, uint16_t selector, const struct segment_descriptor *gate,
                     bool call, uint64_t next)
{
    bool long_mode = vcpu->mode & BT_MODE_LONG, wide = type_of(gate) == 12;
    unsigned size = long_mode ? 8 : wide ? 4 : 2, count = gate->low >> 32 & 31;
    uint16_t target = (uint16_t)(gate->low >> 16);
    uint64_t rip = (gate->low & 0xffff) | (wide ? gate->low >> 32 & 0xffff0000 : 0);
    struct segment_descriptor d;

    if (dpl_of(gate) < vcpu->cpl || dpl_of(gate) < (selector & 3u))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!present(gate))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    if (!(target & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
    segment_read_or_raise(vcpu, target, BT_GP, &d);
    bool conforming = type_of(&d) & CONFORMING;
    unsigned dpl = dpl_of(&d);
    if (bad_code(vcpu, &d) || dpl > vcpu->cpl || (!call && !conforming && dpl != vcpu->cpl) ||
        (long_mode && !(d.low & BIT64(53))))
        bt_raise_error(vcpu, BT_GP, target & 0xfffc);
    if (!present(&d))
        bt_raise_error(vcpu, BT_NP, target & 0xfffc);
    if (long_mode)
        rip |= gate->high << 32;
    unsigned cpl = conforming ? vcpu->cpl : dpl;
    struct cpu_segment cs = transfer_code(vcpu, target, cpl, &d);
    segment_check_rip(vcpu, &cs, long_mode, rip);
    if (cpl < vcpu->cpl) {
        call_inner(vcpu, &cs, cpl, rip, size, long_mode ? 0 : count, next);
        return;
    }
    if (call)
        push_return(vcpu, size, next);
    commit(vcpu, &cs, rip);
}

static void far_system(struct bt_vcpu *vcpu, uint16_t selector, const struct segment_descriptor *d,
                       bool call, uint64_t next)
{
    unsigned type = type_of(d);
    bool long_mode = vcpu->mode & BT_MODE_LONG;
    enum segment_task_reason reason = call ? SEGMENT_TASK_CALL : SEGMENT_TASK_JUMP;

    if (type == 12 || (type == 4 && !long_mode)) {
        far_gate(vcpu, selector, d, call, next);
        return;
    }
    if (long_mode || (type != 1 && type != 9 && type != 5) || dpl_of(d) < vcpu->cpl ||
        dpl_of(d) < (selector & 3u))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!present(d))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    segment_task_switch(vcpu, type == 5 ? (uint16_t)(d->low >> 16) : selector, reason, next, false,
                        0);
}

static void far(struct bt_vcpu *vcpu, uint16_t selector, uint64_t rip, unsigned size, bool call,
                uint64_t next)
{
    struct segment_descriptor d;

    if (!(vcpu->mode & BT_MODE_PROTECTED)) {
        if (rip > vcpu->seg[CPU_CS].limit)
            bt_raise_error(vcpu, BT_GP, 0);
        if (call)
            push_return(vcpu, size, next);
        far_real(vcpu, selector, rip);
        return;
    }
    if (!(selector & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
    segment_read_or_raise(vcpu, selector, BT_GP, &d);
    if (type_of(&d) & 0x10)
        far_direct(vcpu, selector, &d, rip, size, call, next);
    else
        far_system(vcpu, selector, &d, call, next);
}

/* Return */

/* The stack of the outer level: in 64-bit mode null will do but at level 3. */
static struct cpu_segment outer_stack(struct bt_vcpu *vcpu, const struct cpu_segment *cs,
                                      uint16_t selector, unsigned cpl)
{
    bool code64 = vcpu->mode & BT_MODE_LONG && cs->attributes & CPU_SEG_L;

    if (selector & 0xfffc)
        return segment_check_stack(vcpu, selector, cpl, BT_GP);
    if (!code64 || cpl == 3 || (selector & 3u) != cpl)
        bt_raise_error(vcpu, BT_GP, 0);
    return (struct cpu_segment){.selector = selector,
                                .attributes = (uint16_t)(CPU_SEG_UNUSABLE | cpl << 5)};
}

void transfer_return(struct bt_vcpu *vcpu, const struct transfer_frame *frame)
{
    uint16_t selector = frame->cs;
    unsigned rpl = selector & 3;
    struct segment_descriptor d;

    if (!(selector & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
    segment_read_or_raise(vcpu, selector, BT_GP, &d);
    unsigned dpl = dpl_of(&d);
    if (bad_code(vcpu, &d) || rpl < vcpu->cpl ||
        (type_of(&d) & CONFORMING ? dpl > rpl : dpl != rpl))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!present(&d))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    bool outer = rpl > vcpu->cpl, code64 = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
    struct cpu_segment cs = transfer_code(vcpu, selector, rpl, &d), ss = {0};
    uint64_t rsp = 0;
    if (outer || (frame->iret && code64)) {
        uint16_t stack = (uint16_t)segment_peek(vcpu, frame->stack_at + frame->size, frame->size);
        rsp = segment_peek(vcpu, frame->stack_at, frame->size);
        ss = outer_stack(vcpu, &cs, stack, rpl);
    }
    segment_check_rip(vcpu, &cs, vcpu->mode & BT_MODE_LONG, frame->rip);
    if (outer || (frame->iret && code64)) {
        bool new64 = vcpu->mode & BT_MODE_LONG && cs.attributes & CPU_SEG_L;
        vcpu->seg[CPU_SS] = ss;
        vcpu->gpr[CPU_RSP] = new64 ? rsp
                             : ss.attributes & CPU_SEG_DB
                                 ? (uint32_t)rsp
                                 : (vcpu->gpr[CPU_RSP] & ~UINT64_C(0xffff)) | (rsp & 0xffff);
    } else
        segment_add_rsp(vcpu, frame->stack_at);
    commit(vcpu, &cs, frame->rip);
    segment_add_rsp(vcpu, frame->release);
    if (outer)
        segment_drop_inner(vcpu);
}

static void ret_far(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned size = insn->size;
    uint16_t release = insn->operand_count ? (uint16_t)insn->imm[0] : 0;
    struct transfer_frame frame = {
        .size = size, .rip = segment_peek(vcpu, 0, size), .release = release};

    frame.cs = (uint16_t)segment_peek(vcpu, size, size);
    frame.stack_at = size * 2;
    if (vcpu->mode & BT_MODE_PROTECTED) {
        if ((frame.cs & 3) > vcpu->cpl)
            frame.stack_at += release; /* the parameters lie between */
        transfer_return(vcpu, &frame);
        return;
    }
    far_real(vcpu, frame.cs, frame.rip);
    segment_add_rsp(vcpu, size * 2 + release);
}

/* Instructions */

static void far_operand(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool call)
{
    unsigned size = insn->size;
    uint64_t rip = (uint64_t)insn->imm[0], next = interp_wrap(vcpu, vcpu->rip + insn->length);
    uint16_t selector = (uint16_t)insn->imm[1];

    if (insn->has_mem) {
        uint64_t linear = interp_ea(vcpu, insn, size + 2, MMU_READ);
        rip = mmu_load(vcpu, linear, size);
        selector = (uint16_t)mmu_load(vcpu, linear + size, 2);
    }
    far(vcpu, selector, rip & operand_mask(size), size, call, next);
}

static void jmp_far(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    far_operand(vcpu, insn, false);
}
static void call_far(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    far_operand(vcpu, insn, true);
}

const struct interp_handler transfer_handlers[] = {
    {BT_OP_JMP_FAR, true, jmp_far},
    {BT_OP_CALL_FAR, true, call_far},
    {BT_OP_RET_FAR, true, ret_far},
    {0},
};
