/* SPDX-License-Identifier: Apache-2.0 */
/* PUSH, POP, LEAVE, and the stack's part of CALL and RET. RSP is a multiple of a slot's size
 * (jit.h), so the slots are aligned and no flags are touched. RSP changes behind the access.
 *
 * In 32-bit code a slot's address is not cut to 32 bits: an ESP of less than a slot leads below
 * zero, where nothing is, and the interpreter wraps it. */
#include "vm/engine/bt/jit/emit.h"

static struct emit_access slot(const struct emit *t, int disp, bool write)
{
    return (struct emit_access){
        .address = {.base = CPU_RSP, .index = BT_REG_NONE, .disp = disp},
        .size = (uint8_t)t->word,
        .write = write,
        .live = t->live,
    };
}

static void move_stack(struct emit *t, int by)
{
    struct emit_known *k = &t->known[CPU_RSP];

    encode_lea(t->e, CPU_RSP, encode_at(CPU_RSP, by), t->word);
    k->residue = (uint8_t)((k->residue + (unsigned)by) & ((1u << k->bits) - 1));
}

/* The value is in T1, or, not to be lost before, in jit.save[1] or a slot of the vCPU. */
void emit_push_from(struct emit *t, struct encode_mem from)
{
    struct emit_access access = slot(t, -(int)t->word, true);

    access.free_t1 = true;
    struct encode_mem mem = emit_access(t, &access);
    emit_load_word(t, T1, from);
    emit_store_word(t, mem, T1);
    move_stack(t, -(int)t->word);
}

bool emit_read_operand(struct emit *t, unsigned size)
{
    struct emit_access access = {
        .address = emit_operand(t), .size = (uint8_t)size, .live = t->live};

    if (access.address.disp != (int32_t)access.address.disp)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    emit_load_word(t, T1, mem);
    return true;
}

/* --- several at once --- */

/* Runs of pushes, and of pops with a return behind them, by one look-up: if all their slots are in
 * one page. If not, the unit is left, with an address that says so (site.align), and made again
 * without the run when that is often. */
enum { RUN_MAX = 8, RUN_MIN = 3, RUN_MIN_LIVE = 5 /* with flags to be saved */ };

static bool joins(const struct emit *t, const struct bt_insn *insn, unsigned op)
{
    return insn->op == op && insn->size == t->word && insn->operand[0].kind == BT_OPERAND_GPR &&
           !emit_in_slot(insn->operand[0].reg) && insn->operand[0].reg != CPU_RSP;
}

/* How many from `at` on. */
static unsigned run_length(const struct emit *t, unsigned at, unsigned op)
{
    unsigned n = 0;

    while (n < RUN_MAX && at + n < t->count && (at + n == t->at || at + n != t->second) &&
           joins(t, &t->insns[at + n], op))
        n++;
    return n;
}

static bool returns(const struct emit *t, unsigned at)
{
    return at < t->count && at != t->second && t->insns[at].op == BT_OP_RET &&
           t->insns[at].size == t->word && !t->insns[at].operand_count;
}

static bool pays(const struct emit *t, unsigned n)
{
    return n >= (t->live ? RUN_MIN_LIVE : RUN_MIN) && !emit_is_careful(t);
}

/* T2 = the entry of the page of [RSP + from] and [RSP + to]; returns the operand of the latter. In
 * 32-bit code T1 is its address, which may have wrapped. */
static struct encode_mem look_up_run(struct emit *t, int from, int to, int32_t view)
{
    struct jit_site *site = emit_site(t, JIT_SITE_ACCESS);
    enum emit_saved saved = emit_save_flags(t, t->live);
    bool in_t1 = saved == SAVED_NOT;

    site->align = (uint8_t)(t->word - 1);
    emit_drop(t);
    t->accessed = true;
    encode_lea(t->e, T2, encode_at(CPU_RSP, from), 4);
    if (in_t1) {
        encode_lea(t->e, T1, encode_at(CPU_RSP, to), t->word);
        encode_xor32(t->e, T2, T1);
    } else {
        encode_xor32(t->e, T2, CPU_RSP); /* `to` is 0 */
    }
    encode_test_imm32(t->e, T2, 0x1000);
    struct emit_late *late = emit_late(t, LATE_ACCESS, encode_jcc_later(t->e, ENCODE_NOT_ZERO));
    late->saved = (uint8_t)saved;
    late->recompute = true;
    late->address = (struct emit_address){.base = CPU_RSP, .index = BT_REG_NONE, .disp = from + 1};
    emit_restore_flags(t, saved);
    encode_rorx(t->e, T2, in_t1 ? T1 : CPU_RSP, 12);
    encode_flat_entry(t->e, T2, T2, view);
    return in_t1 && t->word == 4 ? encode_indexed(T1, T2, 0) : encode_indexed(CPU_RSP, T2, to);
}

static bool push_run(struct emit *t, unsigned n)
{
    int word = (int)t->word;
    struct encode_mem last = look_up_run(t, -word, -word * (int)n, FLAT_STORE);

    for (unsigned i = 0; i < n; i++) {
        struct encode_mem mem = last;
        mem.disp += word * (int)(n - 1 - i);
        emit_store_word(t, mem, t->insns[t->at + i].operand[0].reg);
    }
    move_stack(t, -word * (int)n);
    t->skip = n - 1;
    return true;
}

static bool pop_run(struct emit *t, unsigned n, bool with_return)
{
    unsigned slots = n + with_return;
    int word = (int)t->word;
    struct encode_mem mem = look_up_run(t, word * (int)(slots - 1), 0, FLAT_LOAD);

    for (unsigned i = 0; i < n; i++, mem.disp += word)
        emit_load_word(t, t->insns[t->at + i].operand[0].reg, mem);
    if (with_return)
        emit_load_word(t, T1, mem);
    move_stack(t, word * (int)slots);
    if (with_return)
        emit_look_up_any(t);
    t->skip = slots - 1;
    return true;
}

/* The frame given up by ADD, pops and a return. The flags are dead in front of the ADD, so
 * everything is asked there. What is behind it may trap all the same (an entry may be another
 * address's, flat.h), and is the first pop's. */
static void look_up_behind(struct emit *t, int by, int last)
{
    struct jit_site *site = emit_site(t, JIT_SITE_ACCESS);

    site->align = (uint8_t)(t->word - 1);
    emit_drop(t);
    t->accessed = true;
    encode_lea(t->e, T1, encode_at(CPU_RSP, by), t->word);
    encode_lea(t->e, T2, encode_at(CPU_RSP, by + last), 4);
    encode_xor32(t->e, T2, T1);
    encode_test_imm32(t->e, T2, 0x1000);
    struct emit_late *late = emit_late(t, LATE_ACCESS, encode_jcc_later(t->e, ENCODE_NOT_ZERO));
    late->recompute = true;
    late->address = (struct emit_address){.base = CPU_RSP, .index = BT_REG_NONE, .disp = by + 1};
    encode_rorx(t->e, T2, T1, 12);
    encode_flat_entry(t->e, T2, T2, FLAT_LOAD);
    encode_add(t->e, T2, T1);
    (void)emit_late(t, LATE_ACCESS, encode_jcc_later(t->e, ENCODE_SIGN)); /* T1 is the address */
}

bool emit_give_up_frame(struct emit *t)
{
    static const uint8_t keep[BT_OPERANDS_MAX] = {BT_REG_NONE, BT_REG_NONE, BT_REG_NONE,
                                                  BT_REG_NONE};
    const struct bt_insn *insn = t->insn;
    int64_t by = insn->imm[0];
    int word = (int)t->word;

    if (insn->op != BT_OP_ADD || insn->size != t->word || insn->operand[0].kind != BT_OPERAND_GPR ||
        insn->operand[0].reg != CPU_RSP || insn->operand[1].kind != BT_OPERAND_IMM ||
        by & (word - 1) || by > INT32_MAX / 2 || by < 0 || t->live || t->at + 1 == t->second)
        return false;
    unsigned n = run_length(t, t->at + 1, BT_OP_POP);
    bool with_return = returns(t, t->at + 1 + n);
    unsigned slots = n + with_return;
    if (slots < RUN_MIN || emit_is_careful(t))
        return false;
    look_up_behind(t, (int)by, word * (int)(slots - 1));
    (void)encode_insn(t->e, insn, keep, NULL);
    t->skip_at = t->e->at;
    for (unsigned i = 0; i < n; i++)
        emit_load_word(t, t->insns[t->at + 1 + i].operand[0].reg, encode_at(T2, word * (int)i));
    if (with_return)
        emit_load_word(t, T1, encode_at(T2, word * (int)n));
    move_stack(t, word * (int)slots);
    if (with_return)
        emit_look_up_any(t);
    t->skip = slots;
    return true;
}

/* --- one --- */

bool emit_push(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    const struct bt_operand *op = &insn->operand[0];
    int word = (int)t->word;

    if (insn->size != t->word)
        return false;
    if (!t->live && pays(t, run_length(t, t->at, BT_OP_PUSH)))
        return push_run(t, run_length(t, t->at, BT_OP_PUSH));
    if (op->kind == BT_OPERAND_MEM) {
        if (!emit_read_operand(t, t->word))
            return false;
        encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
        emit_push_from(t, EMIT_FIELD(t, jit.save[1]));
        return true;
    }
    if (op->kind == BT_OPERAND_GPR && emit_in_slot(op->reg)) {
        emit_push_from(t, emit_slot(t, op->reg));
        return true;
    }
    struct emit_access access = slot(t, -word, true);
    struct encode_mem mem = emit_access(t, &access);
    if (op->kind != BT_OPERAND_IMM)
        emit_store_word(t, mem, op->reg);
    else if (word == 8)
        encode_store_signed(t->e, mem, (int32_t)insn->imm[0]);
    else
        encode_store_imm32(t->e, mem, (uint32_t)insn->imm[0]);
    move_stack(t, -word);
    return true;
}

bool emit_push_seg(struct emit *t)
{
    struct encode_mem selector = EMIT_FIELD(t, seg[0].selector);

    if (t->insn->size != t->word)
        return false;
    selector.disp += t->insn->operand[0].reg * (int32_t)sizeof(struct cpu_segment);
    emit_drop(t);
    encode_load16(t->e, T1, selector);
    encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
    emit_push_from(t, EMIT_FIELD(t, jit.save[1]));
    return true;
}

bool emit_pop(struct emit *t)
{
    const struct bt_operand *op = &t->insn->operand[0];
    struct emit_access access = slot(t, 0, false);

    if (t->insn->size != t->word || op->kind != BT_OPERAND_GPR)
        return false;
    unsigned n = run_length(t, t->at, BT_OP_POP);
    bool with_return = n && returns(t, t->at + n);
    if (pays(t, n + with_return))
        return pop_run(t, n, with_return);
    struct encode_mem mem = emit_access(t, &access);
    if (emit_in_slot(op->reg)) {
        encode_load(t->e, T1, mem);
        encode_store(t->e, emit_slot(t, op->reg), T1);
    } else {
        emit_load_word(t, op->reg, mem);
    }
    if (op->reg != CPU_RSP)
        move_stack(t, (int)t->word);
    return true;
}

bool emit_leave_frame(struct emit *t)
{
    struct emit_access access = {
        .address = {.base = CPU_RBP, .index = BT_REG_NONE},
        .size = (uint8_t)t->word,
        .strict = true, /* so RSP will be aligned */
        .live = t->live,
    };

    if (t->insn->size != t->word)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    emit_load_word(t, T2, mem);
    encode_lea(t->e, CPU_RSP, encode_at(CPU_RBP, (int)t->word), t->word);
    encode_mov(t->e, CPU_RBP, T2);
    t->known[CPU_RSP] = emit_known_stack(t);
    t->known[CPU_RBP] = (struct emit_known){0, 0};
    return true;
}

void emit_push_return(struct emit *t)
{
    struct emit_access access = slot(t, -(int)t->word, true);

    access.free_t1 = true;
    struct encode_mem mem = emit_access(t, &access);
    encode_load(t->e, T1, EMIT_FIELD(t, jit.page));
    encode_lea(t->e, T1, encode_at(T1, t->offset + t->insn->length), t->word);
    emit_store_word(t, mem, T1);
    move_stack(t, -(int)t->word);
}

void emit_pop_target(struct emit *t, unsigned beyond)
{
    struct emit_access access = slot(t, 0, false);
    struct encode_mem mem = emit_access(t, &access);

    emit_load_word(t, T1, mem);
    move_stack(t, (int)(t->word + beyond));
}
