/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions as text (disasm.h). */
#include "vm/engine/bt/disasm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "vm/engine/bt/insn.h"

struct out {
    char *text;
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) put(struct out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out->text + out->len, BT_DISASM_MAX - out->len, format, args);
    va_end(args);
    if (n > 0)
        out->len += (size_t)n;
    if (out->len >= BT_DISASM_MAX)
        out->len = BT_DISASM_MAX - 1;
}

static const char names[8][3] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
static const char seg_names[8][3] = {"es", "cs", "ss", "ds", "fs", "gs", "??", "??"};

static void put_gpr(struct out *out, unsigned reg, unsigned size, bool high_byte)
{
    if (high_byte)
        put(out, "%ch", names[reg & 3][0]);
    else if (reg >= 8)
        put(out, "r%u%s", reg, size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
    else if (size == 1 && reg < 4)
        put(out, "%cl", names[reg][0]);
    else if (size == 1)
        put(out, "%sl", names[reg]);
    else
        put(out, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", names[reg]);
}

static void put_signed(struct out *out, int64_t value, bool plus)
{
    put(out, "%s0x%" PRIx64,
        value < 0 ? "-"
        : plus    ? "+"
                  : "",
        value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void put_memory(struct out *out, const struct bt_insn *insn, uint64_t rip)
{
    bool first = true;

    if (insn->prefixes & BT_PREFIX_SEG)
        put(out, "%s:", seg_names[insn->seg & 7]);
    put(out, "[");
    if (insn->rip_relative) {
        put(out, "0x%" PRIx64 "]", rip + insn->length + (uint64_t)insn->disp);
        return;
    }
    if (insn->base != BT_REG_NONE) {
        put_gpr(out, insn->base, insn->addr_size, false);
        first = false;
    }
    if (insn->index != BT_REG_NONE) {
        put(out, first ? "" : "+");
        if (insn->properties & BT_INSN_VSIB)
            put(out, "xmm%u", insn->index);
        else
            put_gpr(out, insn->index, insn->addr_size, false);
        put(out, "*%u", 1u << insn->scale);
        first = false;
    }
    if (insn->disp || first)
        put_signed(out, insn->disp, !first);
    put(out, "]");
}

static void put_target(struct out *out, const struct bt_insn *insn, uint64_t rip)
{
    uint64_t target = rip + insn->length + (uint64_t)insn->imm[0];
    uint64_t mask = insn->size == 8 ? UINT64_MAX : insn->size == 4 ? UINT32_MAX : UINT16_MAX;
    put(out, "0x%" PRIx64, target & mask);
}

static void put_operand(struct out *out, const struct bt_insn *insn,
                        const struct bt_operand *operand, uint64_t rip)
{
    switch ((enum bt_operand_kind)operand->kind) {
    case BT_OPERAND_NONE:
        break;
    case BT_OPERAND_GPR:
        put_gpr(out, operand->reg, operand->size, operand->high_byte);
        break;
    case BT_OPERAND_MEM:
        put(out, operand->size ? "m%u" : "m", 8u * operand->size);
        put_memory(out, insn, rip);
        break;
    case BT_OPERAND_IMM:
        put_signed(out, insn->imm[0], false);
        break;
    case BT_OPERAND_IMM2:
        put_signed(out, insn->imm[1], false);
        break;
    case BT_OPERAND_REL:
        put_target(out, insn, rip);
        break;
    case BT_OPERAND_SEG:
        put(out, "%s", seg_names[operand->reg & 7]);
        break;
    case BT_OPERAND_CR:
        put(out, "cr%u", operand->reg);
        break;
    case BT_OPERAND_DR:
        put(out, "dr%u", operand->reg);
        break;
    case BT_OPERAND_ST:
        put(out, "st%u", operand->reg);
        break;
    case BT_OPERAND_MMX:
        put(out, "mm%u", operand->reg);
        break;
    case BT_OPERAND_VEC:
        put(out, "%cmm%u", operand->size == 32 ? 'y' : 'x', operand->reg);
        break;
    case BT_OPERAND_MOFFS:
        put(out, "m%u%s:[0x%" PRIx64 "]", 8u * operand->size, seg_names[insn->seg & 7],
            (uint64_t)insn->imm[0]);
        break;
    case BT_OPERAND_STRING_SRC:
        put(out, "m%u%s:[si]", 8u * operand->size, seg_names[insn->seg & 7]);
        break;
    case BT_OPERAND_STRING_DST:
        put(out, "m%ues:[di]", 8u * operand->size);
        break;
    }
}

const char *bt_disasm(const struct bt_insn *insn, uint64_t rip, char text[BT_DISASM_MAX])
{
    static const char conditions[16][4] = {"o", "no", "b", "ae", "e", "ne", "be", "a",
                                           "s", "ns", "p", "np", "l", "ge", "le", "g"};
    struct out out = {.text = text};
    bool condition = insn->op == BT_OP_JCC || insn->op == BT_OP_SETCC || insn->op == BT_OP_CMOVCC;

    text[0] = 0;
    if (insn->prefixes & BT_PREFIX_LOCK)
        put(&out, "LOCK ");
    if (insn->properties & BT_INSN_STRING && insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE))
        put(&out, insn->prefixes & BT_PREFIX_REP ? "REP " : "REPNE ");
    put(&out, "%s", bt_op_name((enum bt_op)insn->op));
    if (condition)
        put(&out, ".%s", conditions[insn->cond & 15]);
    for (unsigned i = 0; i < insn->operand_count && i < BT_OPERANDS_MAX; i++) {
        put(&out, i ? ", " : " ");
        put_operand(&out, insn, &insn->operand[i], rip);
    }
    return text;
}
