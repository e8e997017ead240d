/* SPDX-License-Identifier: Apache-2.0 */
/* Near control flow: Jcc, JMP, CALL, RET, LOOP, LOOPE, LOOPNE, JRCXZ. SDM volume 2. Each ends its
 * block.
 *
 * step->imm holds the address of the block's two links: [0] where it falls through to, [1] where it
 * jumps to (block.c). A target outside CS, or not canonical, is #GP of the jump itself. */
#include "vm/engine/bt/exec.h"

static inline struct bt_block **link_of(const struct bt_step *step)
{
    return (struct bt_block **)(uintptr_t)step->imm;
}

static inline uint64_t truncated(uint64_t value, unsigned size)
{
    return __builtin_expect(size == 8, 1) ? value : size == 4 ? (uint32_t)value : (uint16_t)value;
}

static inline uint64_t next_rip(const struct bt_vcpu *vcpu, const struct bt_step *step)
{
    uint64_t next = vcpu->block_rip + step->offset + step->length;

    return __builtin_expect(step->size == 8, 1) ? next : interp_wrap(vcpu, next);
}

static void check_target_slow(struct bt_vcpu *vcpu, const struct bt_step *step, uint64_t target)
{
    vcpu->step = step;
    segment_check_rip(vcpu, &vcpu->seg[CPU_CS], (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64,
                      target);
}

/* May RIP become `target`? */
static inline void check_target(struct bt_vcpu *vcpu, const struct bt_step *step, uint64_t target)
{
    if (__builtin_expect((vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64, 1)
            ? !segment_canonical(target)
            : !(vcpu->mode & BT_MODE_FLAT))
        check_target_slow(vcpu, step, target);
}

static inline struct bt_block **fall_through(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    vcpu->rip = next_rip(vcpu, step);
    return link_of(step);
}

static inline uint64_t relative(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    uint64_t target = vcpu->block_rip + step->offset + step->length + (uint64_t)(int64_t)step->disp;

    target = truncated(target, step->size);
    check_target(vcpu, step, target);
    return target;
}

static inline struct bt_block **jump(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    vcpu->rip = relative(vcpu, step);
    return link_of(step) + 1;
}

#define JCC(n)                                                                            \
    static EXEC(jcc_##n)                                                                  \
    {                                                                                     \
        return flags_cond(vcpu->status, n) ? jump(vcpu, step) : fall_through(vcpu, step); \
    }
JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)
static exec_fn *const jcc[16] = {jcc_0, jcc_1, jcc_2,  jcc_3,  jcc_4,  jcc_5,  jcc_6,  jcc_7,
                                 jcc_8, jcc_9, jcc_10, jcc_11, jcc_12, jcc_13, jcc_14, jcc_15};

static EXEC(jmp_rel)
{
    return jump(vcpu, step);
}

/* The register or memory operand of JMP and CALL. */
static inline uint64_t indirect(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    uint64_t target = step->src == 0xff ? exec_load(vcpu, step, step->size)
                                        : exec_read_reg(vcpu, step->src, step->size);

    check_target(vcpu, step, target);
    return target;
}

static EXEC(jmp_indirect)
{
    vcpu->rip = indirect(vcpu, step);
    return NULL;
}

static inline void push_return(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    uint64_t next = next_rip(vcpu, step);

    vcpu->step = step;
    /* By another segment: the target came from memory, and its faults are not the stack's. */
    if (__builtin_expect(step->size == 8 && step->seg == CPU_SS, 1)) {
        mmu_store(vcpu, vcpu->gpr[CPU_RSP] - 8, 8, next);
        vcpu->gpr[CPU_RSP] -= 8;
    } else {
        segment_push(vcpu, step->size, next);
    }
}

static EXEC(call_rel)
{
    uint64_t target = relative(vcpu, step);

    push_return(vcpu, step);
    vcpu->rip = target;
    return link_of(step) + 1;
}

static EXEC(call_indirect)
{
    uint64_t target = indirect(vcpu, step);

    push_return(vcpu, step);
    vcpu->rip = target;
    return NULL;
}

static EXEC(ret_64)
{
    vcpu->step = step;
    uint64_t target = mmu_load(vcpu, vcpu->gpr[CPU_RSP], 8);
    check_target(vcpu, step, target);
    vcpu->gpr[CPU_RSP] += 8 + (uint64_t)(uint32_t)step->disp;
    vcpu->rip = target;
    return NULL;
}

static EXEC(ret_other)
{
    vcpu->step = step;
    uint64_t target = truncated(segment_peek(vcpu, 0, step->size), step->size);
    check_target(vcpu, step, target);
    segment_add_rsp(vcpu, step->size + (int64_t)(uint32_t)step->disp);
    vcpu->rip = target;
    return NULL;
}

static inline uint64_t counter(const struct bt_vcpu *vcpu, const struct bt_step *step)
{
    return exec_read_reg(vcpu, CPU_RCX * 8, step->with);
}

static inline struct bt_block **loop_if(struct bt_vcpu *vcpu, const struct bt_step *step, bool also)
{
    uint64_t left = truncated(counter(vcpu, step) - 1, step->with);
    bool taken = left && also;
    uint64_t target = taken ? relative(vcpu, step) : 0;

    exec_write_reg(vcpu, CPU_RCX * 8, step->with, left);
    if (!taken)
        return fall_through(vcpu, step);
    vcpu->rip = target;
    return link_of(step) + 1;
}

static EXEC(loop)
{
    return loop_if(vcpu, step, true);
}

static EXEC(loope)
{
    return loop_if(vcpu, step, vcpu->status & STATUS_ZF);
}

static EXEC(loopne)
{
    return loop_if(vcpu, step, !(vcpu->status & STATUS_ZF));
}

static EXEC(jrcxz)
{
    return counter(vcpu, step) ? fall_through(vcpu, step) : jump(vcpu, step);
}

static bool bind_indirect(exec_fn *direct, exec_fn *by_operand, const struct bt_insn *insn,
                          struct bt_step *step)
{
    const struct bt_operand *operand = &insn->operand[0];

    if (operand->kind == BT_OPERAND_REL) {
        step->disp = (int32_t)insn->imm[0];
        step->run = direct;
        return true;
    }
    step->src = operand->kind == BT_OPERAND_MEM ? 0xff : (uint8_t)exec_reg_at(operand);
    step->run = by_operand;
    return true;
}

static bool bind_relative(exec_fn *run, const struct bt_insn *insn, struct bt_step *step)
{
    step->disp = (int32_t)insn->imm[0];
    step->with = insn->addr_size;
    step->run = run;
    return true;
}

bool exec_flow_bind(const struct bt_insn *insn, struct bt_step *step)
{
    step->size = insn->size;
    if (!insn->has_mem)
        step->seg = CPU_SS; /* of CALL and RET */
    switch (insn->op) {
    case BT_OP_JCC:
        return bind_relative(jcc[insn->cond & 15], insn, step);
    case BT_OP_JMP:
        return bind_indirect(jmp_rel, jmp_indirect, insn, step);
    case BT_OP_CALL:
        return bind_indirect(call_rel, call_indirect, insn, step);
    case BT_OP_RET:
        step->disp = insn->operand_count ? (int32_t)(uint16_t)insn->imm[0] : 0;
        step->run = step->size == 8 ? ret_64 : ret_other;
        return true;
    case BT_OP_LOOP:
        return bind_relative(loop, insn, step);
    case BT_OP_LOOPE:
        return bind_relative(loope, insn, step);
    case BT_OP_LOOPNE:
        return bind_relative(loopne, insn, step);
    case BT_OP_JRCXZ:
        return bind_relative(jrcxz, insn, step);
    default:
        return false;
    }
}
