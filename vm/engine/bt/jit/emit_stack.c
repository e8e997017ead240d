/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH, POP, LEAVE, and the stack's part of CALL and RET. RSP is a multiple of 8 (jit.h), so the
 * slots are aligned and no flags are touched. RSP changes behind the access. */
#include "vm/engine/bt/jit/emit.h"

static struct emit_access slot(const struct emit *t, int disp, bool write)
{
    return (struct emit_access){
        .address = {.base = CPU_RSP, .index = BT_REG_NONE, .disp = disp},
        .size = 8,
        .write = write,
        .live = t->live,
    };
}

static void move_stack(struct emit *t, int by)
{
    encode_lea(t->e, CPU_RSP, encode_at(CPU_RSP, by), 8);
}

/* The value is in T1, or, not to be lost before, in jit.save[1] or a slot of the vCPU. */
void emit_push_from(struct emit *t, struct encode_mem from)
{
    struct emit_access access = slot(t, -8, true);

    access.free_t1 = true;
    struct encode_mem mem = emit_access(t, &access);
    encode_load(t->e, T1, from);
    encode_store(t->e, mem, T1);
    move_stack(t, -8);
}

bool emit_read_operand(struct emit *t, unsigned size)
{
    struct emit_access access = {
        .address = emit_operand(t), .size = (uint8_t)size, .live = t->live};

    if (access.address.disp != (int32_t)access.address.disp)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    encode_load(t->e, T1, mem);
    return true;
}

bool emit_push(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    const struct bt_operand *op = &insn->operand[0];

    if (insn->size != 8)
        return false;
    if (op->kind == BT_OPERAND_MEM) {
        if (!emit_read_operand(t, 8))
            return false;
        encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
        emit_push_from(t, EMIT_FIELD(t, jit.save[1]));
        return true;
    }
    if (op->kind == BT_OPERAND_GPR && emit_in_slot(op->reg)) {
        emit_push_from(t, emit_slot(t, op->reg));
        return true;
    }
    struct emit_access access = slot(t, -8, true);
    struct encode_mem mem = emit_access(t, &access);
    if (op->kind == BT_OPERAND_IMM)
        encode_store_signed(t->e, mem, (int32_t)insn->imm[0]);
    else
        encode_store(t->e, mem, op->reg);
    move_stack(t, -8);
    return true;
}

bool emit_pop(struct emit *t)
{
    const struct bt_operand *op = &t->insn->operand[0];
    struct emit_access access = slot(t, 0, false);

    if (t->insn->size != 8 || op->kind != BT_OPERAND_GPR)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    if (emit_in_slot(op->reg)) {
        encode_load(t->e, T1, mem);
        encode_store(t->e, emit_slot(t, op->reg), T1);
    } else {
        encode_load(t->e, op->reg, mem);
    }
    if (op->reg != CPU_RSP)
        move_stack(t, 8);
    return true;
}

bool emit_leave_frame(struct emit *t)
{
    struct emit_access access = {
        .address = {.base = CPU_RBP, .index = BT_REG_NONE},
        .size = 8,
        .strict = true, /* so RSP will be aligned */
        .live = t->live,
    };

    if (t->insn->size != 8)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    encode_load(t->e, T2, mem);
    encode_lea(t->e, CPU_RSP, encode_at(CPU_RBP, 8), 8);
    encode_mov(t->e, CPU_RBP, T2);
    t->known[CPU_RSP] = (struct emit_known){3, 0};
    t->known[CPU_RBP] = (struct emit_known){0, 0};
    return true;
}

void emit_push_return(struct emit *t)
{
    struct emit_access access = slot(t, -8, true);

    access.free_t1 = true;
    struct encode_mem mem = emit_access(t, &access);
    encode_load(t->e, T1, EMIT_FIELD(t, jit.page));
    encode_lea(t->e, T1, encode_at(T1, t->offset + t->insn->length), 8);
    encode_store(t->e, mem, T1);
    move_stack(t, -8);
}

void emit_pop_target(struct emit *t, unsigned beyond)
{
    struct emit_access access = slot(t, 0, false);
    struct encode_mem mem = emit_access(t, &access);

    encode_load(t->e, T1, mem);
    move_stack(t, 8 + (int)beyond);
}
