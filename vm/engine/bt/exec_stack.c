/* SPDX-License-Identifier: Apache-2.0 */
/* The stack: PUSH, POP, PUSHA, POPA, ENTER, LEAVE. SDM volume 2. 64-bit code has a short path;
 * everything else goes by the stack's address size and segment. RSP changes last. */
#include "vm/engine/bt/exec.h"

static inline void push_64(struct bt_vcpu *vcpu, const struct bt_step *step, uint64_t value)
{
    uint64_t rsp = vcpu->gpr[CPU_RSP] - 8;

    vcpu->step = step;
    mmu_store(vcpu, rsp, 8, value);
    vcpu->gpr[CPU_RSP] = rsp;
}

static EXEC(push_r_64)
{
    push_64(vcpu, step, exec_r64(vcpu, step->src));
    EXEC_NEXT;
}

static EXEC(push_i_64)
{
    push_64(vcpu, step, (uint64_t)step->imm);
    EXEC_NEXT;
}

static EXEC(pop_r_64)
{
    uint64_t rsp = vcpu->gpr[CPU_RSP];

    vcpu->step = step;
    uint64_t value = mmu_load(vcpu, rsp, 8);
    vcpu->gpr[CPU_RSP] = rsp + 8;
    exec_w64(vcpu, step->dst, value); /* POP RSP: the value counts */
    EXEC_NEXT;
}

static EXEC(push_r)
{
    vcpu->step = step;
    segment_push(vcpu, step->size, exec_read_reg(vcpu, step->src, step->size));
    EXEC_NEXT;
}

static EXEC(push_i)
{
    vcpu->step = step;
    segment_push(vcpu, step->size, (uint64_t)step->imm);
    EXEC_NEXT;
}

static EXEC(push_m)
{
    segment_push(vcpu, step->size, exec_load(vcpu, step, step->size));
    EXEC_NEXT;
}

static EXEC(pop_r)
{
    vcpu->step = step;
    uint64_t value = segment_pop(vcpu, step->size);
    exec_write_reg(vcpu, step->dst, step->size, value);
    EXEC_NEXT;
}

/* An address by RSP is of the RSP behind the pop. */
static EXEC(pop_m)
{
    uint64_t old = vcpu->gpr[CPU_RSP];

    vcpu->step = step;
    uint64_t value = segment_peek(vcpu, 0, step->size);
    uint64_t sum = exec_sum(vcpu, step) + (step->base == CPU_RSP * 8 ? step->size : 0);
    uint64_t linear =
        step->ea == EXEC_EA_FLAT ? sum : exec_ea_slow(vcpu, step, sum, step->size, MMU_WRITE);
    mmu_store(vcpu, linear, step->size, value);
    vcpu->gpr[CPU_RSP] = old;
    segment_add_rsp(vcpu, step->size);
    EXEC_NEXT;
}

/* The linear address of [rsp, rsp + size), `rsp` cut to the stack's address size. */
static uint64_t stack_linear(struct bt_vcpu *vcpu, uint64_t rsp, unsigned size,
                             enum mmu_access access)
{
    if ((vcpu->mode & BT_MODE_CODE) != BT_MODE_CODE64)
        rsp = vcpu->mode & BT_MODE_STACK32 ? (uint32_t)rsp : (uint16_t)rsp;
    return segment_linear(vcpu, CPU_SS, rsp, size, access);
}

static EXEC(pusha)
{
    unsigned size = step->size;
    uint64_t rsp = vcpu->gpr[CPU_RSP];

    vcpu->step = step;
    for (unsigned i = 0; i < 8; i++)
        mmu_check_write(vcpu, stack_linear(vcpu, rsp - (i + 1) * size, size, MMU_WRITE), size);
    for (unsigned i = 0; i < 8; i++)
        mmu_store(vcpu, stack_linear(vcpu, rsp - (i + 1) * size, size, MMU_WRITE), size,
                  vcpu->gpr[i]);
    segment_add_rsp(vcpu, -8 * (int64_t)size);
    EXEC_NEXT;
}

static EXEC(popa)
{
    unsigned size = step->size;
    uint64_t value[8];

    vcpu->step = step;
    for (unsigned i = 0; i < 8; i++)
        value[i] = segment_peek(vcpu, i * size, size);
    for (unsigned i = 0; i < 8; i++)
        if (7 - i != CPU_RSP)
            exec_write_reg(vcpu, (7 - i) * 8, size, value[i]);
    segment_add_rsp(vcpu, 8 * (int64_t)size);
    EXEC_NEXT;
}

/* Frame pointers of outer procedures are copied by the nesting level. */
static EXEC(enter)
{
    unsigned size = step->size, level = (unsigned)step->insn->imm[1] & 31;
    uint64_t bytes = (uint16_t)step->insn->imm[0];
    uint64_t rbp = vcpu->gpr[CPU_RBP], frame = vcpu->gpr[CPU_RSP] - size, rsp = frame;

    vcpu->step = step;
    mmu_store(vcpu, stack_linear(vcpu, rsp, size, MMU_WRITE), size, rbp);
    for (unsigned i = 1; i < level; i++) {
        rbp -= size;
        rsp -= size;
        uint64_t outer = mmu_load(vcpu, stack_linear(vcpu, rbp, size, MMU_READ), size);
        mmu_store(vcpu, stack_linear(vcpu, rsp, size, MMU_WRITE), size, outer);
    }
    if (level) {
        rsp -= size;
        mmu_store(vcpu, stack_linear(vcpu, rsp, size, MMU_WRITE), size, frame);
    }
    rsp -= bytes;
    /* The new top must be writable. */
    mmu_check_write(vcpu, stack_linear(vcpu, rsp, size, MMU_WRITE), 1);
    segment_add_rsp(vcpu, (int64_t)(rsp - vcpu->gpr[CPU_RSP]));
    exec_write_reg(vcpu, CPU_RBP * 8, size, frame);
    EXEC_NEXT;
}

static EXEC(leave)
{
    unsigned size = step->size;
    uint64_t rbp = vcpu->gpr[CPU_RBP];

    vcpu->step = step;
    uint64_t value = mmu_load(vcpu, stack_linear(vcpu, rbp, size, MMU_READ), size);
    segment_add_rsp(vcpu, (int64_t)(rbp + size - vcpu->gpr[CPU_RSP]));
    exec_write_reg(vcpu, CPU_RBP * 8, size, value);
    EXEC_NEXT;
}

static bool bind_push(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *src = &insn->operand[0];
    bool wide = step->size == 8;

    if (src->kind == BT_OPERAND_GPR) {
        step->src = (uint8_t)exec_reg_at(src);
        step->run = wide ? push_r_64 : push_r;
    } else if (src->kind == BT_OPERAND_IMM) {
        step->imm = insn->imm[0];
        step->run = wide ? push_i_64 : push_i;
    } else {
        step->run = push_m; /* two addresses: #SS and #GP must not be mixed up */
    }
    return true;
}

bool exec_stack_bind(const struct bt_insn *insn, struct bt_step *step)
{
    step->size = insn->size;
    if (!insn->has_mem)
        step->seg = CPU_SS;
    switch (insn->op) {
    case BT_OP_PUSH:
        return bind_push(insn, step);
    case BT_OP_POP:
        if (insn->operand[0].kind == BT_OPERAND_GPR) {
            step->dst = (uint8_t)exec_reg_at(&insn->operand[0]);
            step->run = step->size == 8 ? pop_r_64 : pop_r;
        } else {
            step->run = pop_m;
        }
        return true;
    case BT_OP_PUSHA:
        step->run = pusha;
        return true;
    case BT_OP_POPA:
        step->run = popa;
        return true;
    case BT_OP_ENTER:
        step->insn = insn;
        step->run = enter;
        return true;
    case BT_OP_LEAVE:
        step->run = leave;
        return true;
    default:
        return false;
    }
}
