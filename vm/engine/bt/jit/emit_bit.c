/* SPDX-License-Identifier: Apache-2.0 */
/* BT, BTS, BTR and BTC of a bit string in memory: the bit's number, a register, reaches beyond the
 * operand. The word that holds it is found first, aligned; then it is the same operation on a
 * register, or, with LOCK, on that word. Where ZF is wanted afterwards, which they leave alone,
 * they are for the interpreter. */
#include "vm/engine/bt/jit/emit.h"

/* T1 = the linear address of the word. */
static void find_word(struct emit *t, const struct emit_address *a, unsigned size)
{
    unsigned reg = t->insn->operand[1].reg, scale = size == 8 ? 3 : 2;
    struct encode_mem word = {
        .base = a->base, .index = T1, .scale = (uint8_t)scale, .disp = (int32_t)a->disp};

    if (a->page) {
        encode_load(t->e, T2, EMIT_FIELD(t, jit.page));
        word.base = T2;
    } else if (a->index != BT_REG_NONE) {
        encode_lea(t->e, T2, (struct encode_mem){a->base, a->index, a->scale, 0}, 8);
        word.base = T2;
    } else if (a->base != BT_REG_NONE && emit_in_slot(a->base)) {
        encode_load(t->e, T2, emit_slot(t, a->base));
        word.base = T2;
    }
    if (size == 8)
        encode_mov(t->e, T1, reg);
    else
        encode_movsxd(t->e, T1, reg);
    encode_sar(t->e, T1, size == 8 ? 6 : 5);
    encode_lea(t->e, T1, word, a->narrow ? 4 : 8);
}

/* T2 = the host's address of it. The flags are dead. */
static void look_up(struct emit *t, unsigned size, bool write)
{
    struct jit_site *site = emit_site(t, JIT_SITE_ACCESS);

    site->align = (uint8_t)(size - 1);
    t->accessed = true;
    encode_rorx(t->e, T2, T1, 12);
    encode_flat_entry(t->e, T2, T2, write ? FLAT_STORE : FLAT_LOAD);
    encode_add(t->e, T2, T1);
    encode_test_imm8(t->e, T2, size - 1);
    (void)emit_late(t, LATE_ACCESS, encode_jcc_later(t->e, ENCODE_NOT_ZERO));
}

static bool put_locked(struct emit *t, unsigned size)
{
    static const uint8_t map[BT_OPERANDS_MAX] = {BT_REG_NONE, T1, BT_REG_NONE, BT_REG_NONE};
    struct encode_mem mem = encode_at(T2, 0);

    encode_mov(t->e, T1, t->insn->operand[1].reg);
    encode_and_imm(t->e, T1, (int32_t)(8 * size - 1));
    return encode_insn(t->e, t->insn, map, &mem);
}

static bool put_plain(struct emit *t, unsigned size)
{
    static const uint8_t keep[BT_OPERANDS_MAX] = {BT_REG_NONE, BT_REG_NONE, BT_REG_NONE,
                                                  BT_REG_NONE};
    struct bt_insn changed = *t->insn;
    struct encode_mem mem = encode_at(T2, 0);

    changed.has_mem = false;
    changed.operand[0] =
        (struct bt_operand){.kind = BT_OPERAND_GPR, .reg = T1, .size = (uint8_t)size};
    if (size == 8)
        encode_load(t->e, T1, mem);
    else
        encode_load32(t->e, T1, mem);
    if (!encode_insn(t->e, &changed, keep, NULL))
        return false;
    if (t->insn->op != BT_OP_BT && size == 8)
        encode_store(t->e, mem, T1);
    else if (t->insn->op != BT_OP_BT)
        encode_store32(t->e, mem, T1);
    return true;
}

bool emit_bit_string(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    struct emit_address a = emit_operand(t);
    unsigned size = insn->operand[0].size, reg = insn->operand[1].reg;
    bool locked = insn->prefixes & BT_PREFIX_LOCK;

    if (size < 4 || t->live || a.seg || emit_in_slot(reg) || emit_is_careful(t) ||
        a.disp != (int32_t)a.disp || (a.narrow && t->word == 8) ||
        (a.index != BT_REG_NONE &&
         (emit_in_slot(a.index) || (a.base != BT_REG_NONE && emit_in_slot(a.base)))))
        return false;
    emit_drop(t);
    find_word(t, &a, size);
    look_up(t, size, locked || insn->op != BT_OP_BT);
    return locked ? put_locked(t, size) : put_plain(t, size);
}
