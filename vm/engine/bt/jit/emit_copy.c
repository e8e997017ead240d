/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions that the host carries out as they are: the same operation, on the host's registers
 * of the same names, on the host address of the memory operand. Guest R10 and R11 are in their
 * slots: the slot is the operand where the encoding allows memory there, else the register is
 * loaded before and stored behind.
 *
 * Also what instructions do to what is known of registers. */
#include <string.h>

#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/opcode_table.h"

/* --- which operands are written --- */

static bool keeps_first(unsigned op)
{
    switch (op) {
    case BT_OP_CMP:
    case BT_OP_TEST:
    case BT_OP_BT:
    case BT_OP_PUSH:
    case BT_OP_JMP:
    case BT_OP_CALL:
    case BT_OP_MUL:
    case BT_OP_IMUL_WIDE:
    case BT_OP_DIV:
    case BT_OP_IDIV:
        return true;
    default:
        return false;
    }
}

static bool writes_second(unsigned op)
{
    return op == BT_OP_XCHG || op == BT_OP_XADD || op == BT_OP_MULX;
}

static bool writes(const struct bt_insn *insn, unsigned i)
{
    return i == 0 ? !keeps_first(insn->op) : i == 1 && writes_second(insn->op);
}

/* Operand 0 is replaced as a whole, whatever it was. */
static bool replaces_first(const struct bt_insn *insn)
{
    if (insn->operand[0].size < 4)
        return false;
    switch (insn->op) {
    case BT_OP_MOV:
    case BT_OP_MOVZX:
    case BT_OP_MOVSX:
    case BT_OP_MOVSXD:
    case BT_OP_LEA:
    case BT_OP_POPCNT:
    case BT_OP_ANDN:
    case BT_OP_RORX:
    case BT_OP_SARX:
    case BT_OP_SHLX:
    case BT_OP_SHRX:
        return true;
    case BT_OP_IMUL:
        return insn->operand_count == 3;
    default:
        return insn->properties & BT_INSN_VECTOR;
    }
}

static bool is_reg(const struct bt_insn *insn, unsigned i, unsigned reg)
{
    return i < insn->operand_count && insn->operand[i].kind == BT_OPERAND_GPR &&
           insn->operand[i].reg == reg && !insn->operand[i].high_byte;
}

static bool in_slot(const struct bt_insn *insn, unsigned i)
{
    return insn->operand[i].kind == BT_OPERAND_GPR && emit_in_slot(insn->operand[i].reg);
}

/* RAX, RCX or RDX, of what is copied at all. */
static bool writes_implicit(unsigned op)
{
    switch (op) {
    case BT_OP_MUL:
    case BT_OP_IMUL_WIDE:
    case BT_OP_DIV:
    case BT_OP_IDIV:
    case BT_OP_CBW:
    case BT_OP_CWD:
    case BT_OP_LAHF:
    case BT_OP_CMPXCHG:
    case BT_OP_CMPXCHG8B:
    case BT_OP_CMPXCHG16B:
    case BT_OP_LOOP:
    case BT_OP_LOOPE:
    case BT_OP_LOOPNE:
    case BT_OP_PCMPESTRI:
    case BT_OP_PCMPISTRI:
    case BT_OP_VPCMPESTRI:
    case BT_OP_VPCMPISTRI:
        return true;
    default:
        return false;
    }
}

uint32_t emit_written(const struct bt_insn *insn)
{
    uint32_t mask = 0;

    if (writes_implicit(insn->op))
        mask |= 1u << CPU_RAX | 1u << CPU_RCX | 1u << CPU_RDX;
    if (insn->properties & BT_INSN_STACK)
        mask |= 1u << CPU_RSP | (insn->op == BT_OP_LEAVE ? 1u << CPU_RBP : 0);
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_GPR && writes(insn, i))
            mask |= 1u << insn->operand[i].reg; /* of AH to BH, too, their register's number */
    return mask;
}

static const uint8_t keep_all[BT_OPERANDS_MAX] = {BT_REG_NONE, BT_REG_NONE, BT_REG_NONE,
                                                  BT_REG_NONE};

/* --- with registers only --- */

static unsigned source_of(const struct bt_insn *insn, unsigned i)
{
    return bt_specs[bt_opcodes[insn->row].specs >> 8 * i & 0xff].source;
}

/* A bit's number in a register reaches beyond the operand. */
static bool reaches_out(const struct bt_insn *insn)
{
    return (insn->op == BT_OP_BT || insn->op == BT_OP_BTS || insn->op == BT_OP_BTR ||
            insn->op == BT_OP_BTC) &&
           insn->operand[1].kind == BT_OPERAND_GPR;
}

/* The operand that may be the slot itself; -1: none. A 32-bit result would have to clear the upper
 * half; XCHG would be atomic, and XADD may be of one register. */
static int slot_operand(const struct bt_insn *insn)
{
    if (writes_second(insn->op) || insn->properties & BT_INSN_VECTOR || reaches_out(insn))
        return -1;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (in_slot(insn, i) && source_of(insn, i) == BT_FROM_RM &&
            !(insn->operand[i].size == 4 && writes(insn, i)))
            return (int)i;
    return -1;
}

/* --- R10 and R11 in the host's, for a while --- */

static void want(struct emit *t, unsigned reg)
{
    if (t->cached >> reg & 1)
        return;
    encode_load(t->e, reg, emit_slot(t, reg));
    t->cached |= (uint16_t)(1u << reg);
}

void emit_flush(struct emit *t)
{
    for (unsigned reg = T2; reg <= T1; reg++)
        if (t->dirty >> reg & 1)
            encode_store(t->e, emit_slot(t, reg), reg);
    t->cached = t->dirty = 0;
}

static bool names_slot(const struct bt_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (in_slot(insn, i))
            return true;
    return (insn->base != BT_REG_NONE && emit_in_slot(insn->base)) ||
           (insn->index != BT_REG_NONE && emit_in_slot(insn->index));
}

/* On registers alone, and nothing that may trap or leave; ADX, too, may be missing here. */
static bool keeps(const struct bt_insn *insn)
{
    if (insn->op == BT_OP_LEA)
        return !insn->rip_relative && insn->size >= 4 && !(emit_written(insn) >> CPU_RSP & 1);
    return !insn->has_mem && insn->op != BT_OP_DIV && insn->op != BT_OP_IDIV &&
           insn->op != BT_OP_ADCX && insn->op != BT_OP_ADOX &&
           !(insn->properties &
             (BT_INSN_ENDS_BLOCK | BT_INSN_STACK | BT_INSN_STRING | BT_INSN_VECTOR)) &&
           !(emit_written(insn) >> CPU_RSP & 1);
}

bool emit_keeps(const struct emit *t)
{
    return keeps(t->insn);
}

/* Whether it pays to have the register and not to use its slot as operand. */
static bool is_used_next(const struct emit *t)
{
    return t->at + 1 < t->count && keeps(&t->insns[t->at + 1]) && names_slot(&t->insns[t->at + 1]);
}

/* All but operand `except`, which is the slot itself. */
static void fetch(struct emit *t, const struct bt_insn *insn, int except)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        unsigned reg = insn->operand[i].reg;
        if ((int)i == except || !in_slot(insn, i))
            continue;
        if (i || !replaces_first(insn) || is_reg(insn, 1, reg) || is_reg(insn, 2, reg))
            want(t, reg);
    }
}

static void note_written(struct emit *t, const struct bt_insn *insn, int except)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if ((int)i == except || !in_slot(insn, i) || !writes(insn, i))
            continue;
        t->cached |= (uint16_t)(1u << insn->operand[i].reg);
        t->dirty |= (uint16_t)(1u << insn->operand[i].reg);
    }
}

static bool copy_registers(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    int slot = slot_operand(insn);
    struct bt_insn changed = *insn;
    struct encode_mem mem;

    if (slot >= 0 && (t->cached >> insn->operand[slot].reg & 1 || is_used_next(t)))
        slot = -1;
    if (slot >= 0) {
        changed.has_mem = true;
        mem = emit_slot(t, insn->operand[slot].reg);
        changed.operand[slot] =
            (struct bt_operand){.kind = BT_OPERAND_MEM, .size = insn->operand[slot].size};
    }
    if (names_slot(insn))
        emit_drop(t);
    fetch(t, insn, slot);
    if (!encode_insn(t->e, &changed, keep_all, slot >= 0 ? &mem : NULL))
        return false;
    if (slot >= 0) /* ADD R10, R10: what was loaded for the other operand is the old value */
        t->cached &= (uint16_t)~(1u << insn->operand[slot].reg);
    note_written(t, insn, slot);
    if (!keeps(insn))
        emit_flush(t);
    return true;
}

/* --- with memory --- */

static const struct bt_operand *memory_operand(const struct bt_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_MEM)
            return &insn->operand[i];
    return NULL;
}

/* Vector operands of 16 bytes and more that need not be aligned. */
static bool is_loose(const struct bt_insn *insn, unsigned size)
{
    if (size < 16 || !(insn->properties & BT_INSN_VECTOR))
        return false;
    switch (insn->op) {
    case BT_OP_MOVUPS:
    case BT_OP_MOVUPD:
    case BT_OP_MOVDQU:
    case BT_OP_LDDQU:
    case BT_OP_PCMPESTRI:
    case BT_OP_PCMPESTRM:
    case BT_OP_PCMPISTRI:
    case BT_OP_PCMPISTRM:
        return true;
    case BT_OP_VMOVAPS:
    case BT_OP_VMOVAPD:
    case BT_OP_VMOVDQA:
    case BT_OP_VMOVNTPS:
    case BT_OP_VMOVNTPD:
    case BT_OP_VMOVNTDQ:
    case BT_OP_VMOVNTDQA:
        return false;
    default:
        return insn->prefixes & BT_PREFIX_VEX;
    }
}

/* Nothing but registers, none of them in a slot. */
static bool is_quiet(const struct bt_insn *insn)
{
    if (insn->has_mem || insn->properties & (BT_INSN_ENDS_BLOCK | BT_INSN_STACK | BT_INSN_STRING))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (in_slot(insn, i))
            return false;
    return true;
}

/* An instruction that adds a constant to a whole register. */
static bool adds(const struct bt_insn *insn, unsigned reg, int64_t *ret_by)
{
    bool immediate = insn->operand_count > 1 && insn->operand[1].kind == BT_OPERAND_IMM;

    if (!is_reg(insn, 0, reg) || insn->operand[0].size != 8)
        return false;
    *ret_by = insn->op == BT_OP_ADD   ? insn->imm[0]
              : insn->op == BT_OP_SUB ? -insn->imm[0]
              : insn->op == BT_OP_INC ? 1
              : insn->op == BT_OP_DEC ? -1
                                      : insn->disp;
    return ((insn->op == BT_OP_ADD || insn->op == BT_OP_SUB) && immediate) ||
           insn->op == BT_OP_INC || insn->op == BT_OP_DEC ||
           (insn->op == BT_OP_LEA && insn->base == reg && insn->index == BT_REG_NONE &&
            insn->addr_size == 8);
}

/* The same address as the registers are behind `insn`; false: it cannot be said. *ret_by: what has
 * been added to the base. */
static bool follow(struct emit_address *a, const struct bt_insn *insn, int64_t *ret_by)
{
    uint32_t mask = emit_written(insn);
    int64_t by = 0;

    *ret_by = 0;
    if (a->index != BT_REG_NONE && mask >> a->index & 1)
        return false;
    if (a->base == BT_REG_NONE || !(mask >> a->base & 1))
        return true;
    if (a->narrow || !adds(insn, a->base, &by))
        return false;
    a->disp -= by;
    *ret_by = by;
    return a->disp == (int32_t)a->disp;
}

/* Whether a store to the operand that is loaded now follows, with nothing in between. */
static bool will_write(const struct emit *t)
{
    struct emit_address a = emit_operand(t);
    int64_t by;

    for (unsigned i = t->at; follow(&a, &t->insns[i], &by);) {
        if (++i == t->count)
            return false;
        const struct bt_insn *insn = &t->insns[i];
        if (is_quiet(insn))
            continue;
        struct emit_address b = emit_operand_of(insn, t->offsets[i]);
        if (!insn->has_mem || insn->properties & BT_INSN_ENDS_BLOCK || !emit_same_address(&a, &b))
            return false;
        if (insn->properties & BT_INSN_WRITES)
            return true;
    }
    return false;
}

/* At most one register in a slot; T1 stands for it. */
static bool map_slots(const struct bt_insn *insn, uint8_t map[BT_OPERANDS_MAX], int *ret_reg)
{
    int reg = -1;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        map[i] = BT_REG_NONE;
        if (insn->operand[i].kind == BT_OPERAND_GPR && insn->operand[i].high_byte)
            return false;
        if (!in_slot(insn, i))
            continue;
        if (reg >= 0 && reg != insn->operand[i].reg)
            return false;
        reg = insn->operand[i].reg;
        map[i] = T1;
    }
    *ret_reg = reg;
    return true;
}

static bool slot_written(const struct bt_insn *insn, unsigned reg)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (is_reg(insn, i, reg) && writes(insn, i))
            return true;
    return false;
}

/* AH, CH, DH or BH with memory: a base or index of ours needs REX, which names other registers. As
 * a source it is in T1 meanwhile; as a destination it changes places with AL to BL, and the other
 * operand is in T1. */
static bool copy_high(struct emit *t)
{
    static const uint8_t from_t1[BT_OPERANDS_MAX] = {BT_REG_NONE, T1, BT_REG_NONE, BT_REG_NONE};
    struct bt_insn changed = *t->insn;
    bool source = changed.operand[0].kind == BT_OPERAND_MEM;
    struct emit_access access = {.address = emit_operand(t),
                                 .size = 1,
                                 .write = changed.properties & BT_INSN_WRITES,
                                 .free_t1 = true,
                                 .live = t->live};
    unsigned reg = changed.operand[source].reg;

    if (writes_second(changed.op) || access.address.disp != (int32_t)access.address.disp)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    if (source) {
        encode_rorx(t->e, T1, reg, 8);
        return encode_insn(t->e, t->insn, from_t1, &mem);
    }
    encode_load8(t->e, T1, mem);
    changed.has_mem = false;
    changed.operand[0].high_byte = false;
    changed.operand[1] = (struct bt_operand){.kind = BT_OPERAND_GPR, .reg = T1, .size = 1};
    encode_swap_bytes(t->e, reg);
    if (!encode_insn(t->e, &changed, keep_all, NULL))
        return false;
    encode_swap_bytes(t->e, reg);
    return true;
}

static bool is_high(const struct bt_insn *insn)
{
    return insn->operand_count == 2 && (insn->operand[0].high_byte || insn->operand[1].high_byte);
}

static bool copy_memory(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    const struct bt_operand *operand = memory_operand(insn);
    uint8_t map[BT_OPERANDS_MAX];
    int slot;

    if (!operand || operand->size < 1 || operand->size > 32 || !map_slots(insn, map, &slot))
        return false;
    struct emit_access access = {
        .address = emit_operand(t),
        .size = operand->size,
        .write = insn->properties & BT_INSN_WRITES,
        .will_write = will_write(t),
        .loose = is_loose(insn, operand->size),
        .free_t1 = slot >= 0,
        .strict = insn->prefixes & BT_PREFIX_LOCK || insn->op == BT_OP_XCHG ||
                  insn->op == BT_OP_CMPXCHG16B,
        .live = t->live,
    };
    if (access.address.disp != (int32_t)access.address.disp)
        return false;
    struct encode_mem mem = emit_access(t, &access);
    if (slot >= 0)
        encode_load(t->e, T1, emit_slot(t, (unsigned)slot));
    if (!encode_insn(t->e, insn, map, &mem))
        return false;
    if (slot >= 0 && slot_written(insn, (unsigned)slot))
        encode_store(t->e, emit_slot(t, (unsigned)slot), T1);
    return true;
}

bool emit_copy(struct emit *t)
{
    if (!t->insn->has_mem)
        return copy_registers(t);
    if (is_high(t->insn))
        return copy_high(t);
    return reaches_out(t->insn) ? emit_bit_string(t) : copy_memory(t);
}

bool emit_lea(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    struct emit_address a = emit_operand(t);
    unsigned dst = insn->operand[0].reg, size = insn->size;

    a.seg = 0;
    if (size == 2 || a.disp != (int32_t)a.disp)
        return false;
    a.narrow |= size == 4;
    if (a.page) {
        emit_linear(t, &a);
        if (emit_in_slot(dst))
            encode_store(t->e, emit_slot(t, dst), T1);
        else
            encode_mov(t->e, dst, T1);
        return true;
    }
    if (names_slot(insn))
        emit_drop(t);
    if (a.base != BT_REG_NONE && emit_in_slot(a.base))
        want(t, a.base);
    if (a.index != BT_REG_NONE && emit_in_slot(a.index))
        want(t, a.index);
    struct encode_mem mem = {a.base, a.index, a.scale, (int32_t)a.disp};
    encode_lea(t->e, dst, mem, a.narrow ? 4 : 8);
    note_written(t, insn, -1);
    if (!keeps(insn))
        emit_flush(t);
    return true;
}

/* --- what is known of registers --- */

static struct emit_known constant(int64_t value)
{
    return (struct emit_known){EMIT_KNOWN_BITS, value & ((1 << EMIT_KNOWN_BITS) - 1)};
}

static struct emit_known added(struct emit_known k, int64_t value)
{
    k.residue = (uint8_t)((k.residue + (uint64_t)value) & ((1u << k.bits) - 1));
    return k;
}

/* A bit that the mask clears is known; so are those known before, up to the first that is not. */
static struct emit_known masked(struct emit_known k, int64_t mask)
{
    while (k.bits < EMIT_KNOWN_BITS && !(mask >> k.bits & 1))
        k.bits++;
    k.residue = (uint8_t)(k.residue & mask & ((1 << k.bits) - 1));
    return k;
}

/* Of operand 0, a register written by this instruction. */
static struct emit_known result(const struct emit *t, const struct bt_insn *insn)
{
    struct emit_known old = t->known[insn->operand[0].reg];
    bool immediate = insn->operand_count > 1 && insn->operand[1].kind == BT_OPERAND_IMM;
    struct emit_address a;

    if (insn->operand[0].size < 4)
        return (struct emit_known){0, 0};
    switch (insn->op) {
    case BT_OP_MOV:
        if (immediate)
            return constant(insn->imm[0]);
        return insn->operand[1].kind == BT_OPERAND_GPR ? t->known[insn->operand[1].reg]
                                                       : (struct emit_known){0, 0};
    case BT_OP_LEA:
        a = emit_operand(t);
        a.seg = 0;
        return emit_known_address(t, &a);
    case BT_OP_ADD:
        return immediate ? added(old, insn->imm[0]) : (struct emit_known){0, 0};
    case BT_OP_SUB:
        return immediate ? added(old, -insn->imm[0]) : (struct emit_known){0, 0};
    case BT_OP_AND:
        return immediate ? masked(old, insn->imm[0]) : (struct emit_known){0, 0};
    case BT_OP_INC:
        return added(old, 1);
    case BT_OP_DEC:
        return added(old, -1);
    default:
        return (struct emit_known){0, 0};
    }
}

static void check_stack(struct emit *t)
{
    enum emit_saved saved = emit_save_flags(t, t->live_out);

    encode_test_imm8(t->e, CPU_RSP, t->word - 1);
    struct jit_site *site = emit_site(t, JIT_SITE_END);
    site->offset = (uint16_t)(t->offset + t->insn->length);
    struct emit_late *late = emit_late(t, LATE_LEAVE, encode_jcc_later(t->e, ENCODE_NOT_ZERO));
    late->saved = (uint8_t)saved;
    emit_restore_flags(t, saved);
}

/* What has been added to one of the two has been added to both. */
static void follow_pair(struct emit_pair *p, const struct bt_insn *insn)
{
    uint32_t mask = emit_written(insn);
    int64_t by = 0;

    if (mask >> p->base & 1) {
        if (!adds(insn, p->base, &by))
            p->known.bits = 0;
        p->known = added(p->known, by);
    }
    if (mask >> p->index & 1) {
        if (!adds(insn, p->index, &by))
            p->known.bits = 0;
        p->known = added(p->known, (int64_t)((uint64_t)by << p->scale));
    }
}

void emit_learn(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    bool stack = false;

    if (writes_implicit(insn->op))
        t->known[CPU_RAX] = t->known[CPU_RCX] = t->known[CPU_RDX] = (struct emit_known){0, 0};
    for (unsigned i = 0; i < EMIT_PAIRS; i++)
        if (t->pair[i].known.bits)
            follow_pair(&t->pair[i], insn);
    if (t->held.valid) {
        struct emit_held *held = &t->held;
        int64_t by;
        held->valid = follow(&held->address, insn, &by);
        if (held->mem.base == held->address.base && held->mem.base != BT_REG_NONE)
            held->mem.disp -= (int32_t)by;
    }
    for (unsigned i = insn->operand_count; i-- > 0;) {
        if (insn->operand[i].kind != BT_OPERAND_GPR || !writes(insn, i))
            continue;
        unsigned reg =
            insn->operand[i].high_byte ? insn->operand[i].reg & 3u : insn->operand[i].reg;
        t->known[reg] =
            i || insn->operand[i].high_byte ? (struct emit_known){0, 0} : result(t, insn);
        stack |= reg == CPU_RSP;
    }
    struct emit_known *k = &t->known[CPU_RSP];
    if (stack && (1u << k->bits < t->word || k->residue & (t->word - 1))) {
        check_stack(t);
        *k = emit_known_stack(t);
    }
}
