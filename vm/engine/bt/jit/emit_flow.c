/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps, calls and returns. In the page: a link, which the cache patches; to the unit's own
 * beginning at once. Everywhere else: a look-up in the target page's code map (flat.h), which
 * touches no flags. */
#include "vm/engine/bt/jit/emit.h"

enum { PAGE_BYTES = 4096 };

static bool in_page(int64_t target)
{
    return target >= 0 && target < PAGE_BYTES;
}

void emit_look_up(struct emit *t)
{
    encode_rorx(t->e, T2, T1, 12);
    encode_flat_entry(t->e, T2, T2, flat_exec(t->in->mode));
    encode_lea(t->e, T2, encode_indexed(T2, T1, 0), 8);
    struct encode_mem word = {.base = BT_REG_NONE, .index = T2, .scale = 2};
    encode_load32(t->e, T2, word);
    encode_jmp_reg(t->e, T2);
    t->accessed = true;
}

/* The look-up traps for addresses that are not canonical, but for those of which four times is
 * right (flat.h): so the upper 16 bits are asked before, by a load that traps unless all are the
 * same. */
void emit_look_up_any(struct emit *t)
{
    if (t->word == 8) {
        encode_rorx(t->e, T2, T1, 48);
        encode_movzx16(t->e, T2, T2);
        struct encode_mem word = encode_absolute(t->in->canonical);
        word.index = T2;
        word.scale = 3;
        encode_load32(t->e, T2, word);
    }
    emit_look_up(t);
}

/* What a call (jit.h) stops: of a loop that accesses no memory. */
static void poll(struct emit *t, int64_t target)
{
    if (t->accessed || target > t->offset || !in_page(target))
        return;
    emit_drop(t);
    encode_flat_entry(t->e, T2, BT_REG_NONE, FLAT_LOAD);
    t->accessed = true;
}

static void link_later(struct emit *t, uint8_t *place, int64_t target)
{
    struct jit_site *site = emit_site(t, JIT_SITE_LINK);

    site->offset = (uint16_t)target;
    site->link = place ? (uint32_t)((int64_t)(uintptr_t)place + t->e->run) : 0;
    (void)emit_late(t, LATE_LEAVE, place);
}

/* May the second copy of a loop begin again, with what is known now? */
static bool covers(const struct emit *t)
{
    if (!t->second || t->at < t->second || t->second_live_vec & ~t->live_vec)
        return false;
    for (unsigned i = 0; i < CPU_GPRS; i++)
        if (!emit_knows(t->known[i], t->second_known[i]))
            return false;
    for (unsigned i = 0; i < EMIT_PAIRS; i++) {
        const struct emit_pair *p = &t->second_pair[i];
        if (!emit_knows(emit_known_pair(t, p->base, p->index, p->scale), p->known))
            return false;
    }
    return true;
}

static void jump_from(struct emit *t, uint8_t *place, int64_t target)
{
    if (target == t->in->offset)
        encode_patch(t->e, place, covers(t) ? t->second_code : t->code);
    else if (in_page(target))
        link_later(t, place, target);
    else
        emit_late(t, LATE_JUMP, place)->address.disp = target;
}

void emit_far(struct emit *t, int64_t target)
{
    encode_load(t->e, T1, EMIT_FIELD(t, jit.page));
    encode_lea(t->e, T1, encode_at(T1, (int32_t)target), t->word);
    emit_look_up(t);
}

void emit_goto(struct emit *t, int64_t target)
{
    if (in_page(target))
        jump_from(t, encode_jmp_later(t->e), target);
    else
        emit_far(t, target);
}

int64_t emit_target(const struct emit *t)
{
    return t->offset + t->insn->length + t->insn->imm[0];
}

/* Out of reach for an address computed by LEA. */
static bool unreachable(int64_t target)
{
    return target != (int32_t)target;
}

static bool load_target(struct emit *t)
{
    const struct bt_operand *op = &t->insn->operand[0];

    if (op->kind == BT_OPERAND_MEM)
        return emit_read_operand(t, t->word);
    if (emit_in_slot(op->reg))
        encode_load(t->e, T1, emit_slot(t, op->reg));
    else
        encode_mov(t->e, T1, op->reg);
    return true;
}

bool emit_jump(struct emit *t)
{
    if (t->insn->size != t->word)
        return false;
    if (t->insn->operand[0].kind != BT_OPERAND_REL) {
        if (!load_target(t))
            return false;
        emit_look_up_any(t);
        return true;
    }
    if (unreachable(emit_target(t)))
        return false;
    if (t->second && t->at == t->turn) /* into the second copy */
        return true;
    poll(t, emit_target(t));
    emit_goto(t, emit_target(t));
    return true;
}

bool emit_call(struct emit *t)
{
    const struct bt_operand *op = &t->insn->operand[0];

    if (t->insn->size != t->word)
        return false;
    if (op->kind == BT_OPERAND_REL) {
        if (unreachable(emit_target(t)))
            return false;
        emit_push_return(t);
        emit_goto(t, emit_target(t));
        return true;
    }
    if (op->kind == BT_OPERAND_GPR && op->reg == CPU_RSP)
        return false;
    if (op->kind == BT_OPERAND_MEM) {
        if (!load_target(t))
            return false;
        encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
        emit_push_return(t);
        encode_load(t->e, T1, EMIT_FIELD(t, jit.save[1]));
    } else {
        emit_push_return(t);
        (void)load_target(t);
    }
    emit_look_up_any(t);
    return true;
}

bool emit_return(struct emit *t)
{
    unsigned beyond = t->insn->operand_count ? (unsigned)t->insn->imm[0] : 0;

    if (t->insn->size != t->word || beyond & (t->word - 1))
        return false;
    emit_pop_target(t, beyond);
    emit_look_up_any(t);
    return true;
}

bool emit_jcc(struct emit *t)
{
    int64_t target = emit_target(t);

    if (t->insn->size != t->word || unreachable(target))
        return false;
    if (t->second && t->at == t->turn) {
        jump_from(t, encode_jcc_later(t->e, t->insn->cond ^ 1u), t->offset + t->insn->length);
        return true;
    }
    poll(t, target);
    jump_from(t, encode_jcc_later(t->e, t->insn->cond), target);
    return true;
}

/* LOOP and its kin have short distances only: over a jump. */
bool emit_loop(struct emit *t)
{
    int64_t target = emit_target(t);

    if (t->insn->size != t->word || unreachable(target))
        return false;
    poll(t, target);
    uint8_t *taken = encode_loop_later(t->e, t->insn->opcode, t->insn->addr_size == 4);
    uint8_t *over = encode_jmp_later(t->e);
    encode_patch8(t->e, taken);
    if (t->insn->op != BT_OP_JRCXZ) /* it counts before it jumps */
        t->known[CPU_RCX] = (struct emit_known){0, 0};
    jump_from(t, encode_jmp_later(t->e), target);
    encode_patch(t->e, over, encode_here(t->e));
    return true;
}
