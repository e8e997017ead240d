/* SPDX-License-Identifier: Apache-2.0 */
/* A decoded instruction, written again with other operands (encode.h). Where an operand's number
 * goes is what the opcode table says of where it comes from (opcode_table.h). The last word is the
 * decoder's: it gets the bytes back, and has to find the operation and the operands asked for. */
#include "vm/engine/bt/jit/encode_bytes.h"
#include "vm/engine/bt/opcode_table.h"
#include "vm/engine/bt/uninitialized.h"

/* The fields of an encoding. */
struct fields {
    unsigned opcode, reg, rm, vvvv;
    int is4; /* a register in an immediate; -1: none */
    bool need_rex, no_rex;
};

/* The number under which a register operand is encoded. AH to BH are 4 to 7. */
static unsigned number_of(const struct bt_operand *op, uint8_t replacement, struct fields *f)
{
    unsigned reg = replacement == BT_REG_NONE ? op->reg : replacement;

    if (op->kind != BT_OPERAND_GPR || op->size != 1)
        return reg;
    if (op->high_byte && replacement == BT_REG_NONE) {
        f->no_rex = true;
        return reg + 4;
    }
    f->need_rex |= reg >= 4 && reg < 8;
    return reg;
}

static bool place(const struct bt_insn *insn, unsigned i, uint8_t replacement, struct fields *f)
{
    const struct bt_spec *spec = &bt_specs[bt_opcodes[insn->row].specs >> 8 * i & 0xff];
    const struct bt_operand *op = &insn->operand[i];

    switch (spec->source) {
    case BT_FROM_RM:
    case BT_FROM_RM_REG:
    case BT_FROM_MMX_RM:
    case BT_FROM_MMX_RM_REG:
    case BT_FROM_VEC_RM:
    case BT_FROM_VEC_RM_REG:
    case BT_FROM_ST_RM:
        if (op->kind != BT_OPERAND_MEM)
            f->rm = number_of(op, replacement, f);
        return true;
    case BT_FROM_REG:
    case BT_FROM_MMX_REG:
    case BT_FROM_VEC_REG:
        f->reg = number_of(op, replacement, f);
        return true;
    case BT_FROM_OPCODE:
        f->rm = number_of(op, replacement, f);
        f->opcode = (f->opcode & ~7u) | (f->rm & 7);
        return true;
    case BT_FROM_VVVV:
    case BT_FROM_VEC_VVVV:
        f->vvvv = number_of(op, replacement, f);
        return true;
    case BT_FROM_VEC_IMM:
        f->is4 = (int)number_of(op, replacement, f);
        return true;
    case BT_FROM_MEM:
    case BT_FROM_ADDRESS:
    case BT_FROM_IMM:
    case BT_FROM_IMM_SIGNED:
    case BT_FROM_IMM2:
    case BT_FROM_ONE:
        return true;
    case BT_FROM_FIXED:
    case BT_FROM_VEC_0:
    case BT_FROM_ST0:
        return replacement == BT_REG_NONE || replacement == op->reg;
    default:
        return false;
    }
}

/* Which prefixes have a meaning: those that the row asks for, and 66 where it is the operand size.
 */
static void put_prefixes(struct encode_bytes *b, const struct bt_insn *insn)
{
    const struct bt_opcode *row = &bt_opcodes[insn->row];
    unsigned mandatory =
        (row->mask & BT_KEY_PREFIX) == BT_KEY_PREFIX ? row->value & BT_KEY_PREFIX : 0;

    if (insn->prefixes & BT_PREFIX_LOCK)
        encode_bytes_put(b, 0xf0);
    if (insn->prefixes & BT_PREFIX_OPSIZE && !(mandatory > 1 && row->properties & BT_INSN_VECTOR))
        encode_bytes_put(b, 0x66);
    if (mandatory > 1)
        encode_bytes_put(b, mandatory == 2 ? 0xf3 : 0xf2);
}

static void put_legacy(struct encode_bytes *b, const struct bt_insn *insn, const struct fields *f,
                       unsigned rex)
{
    put_prefixes(b, insn);
    if (rex || f->need_rex)
        encode_bytes_put(b, 0x40 | rex);
    if (insn->map)
        encode_bytes_put(b, 0x0f);
    if (insn->map > 1)
        encode_bytes_put(b, insn->map == 2 ? 0x38 : 0x3a);
    encode_bytes_put(b, f->opcode);
}

static void put_vex(struct encode_bytes *b, const struct bt_insn *insn, const struct fields *f,
                    unsigned rex)
{
    unsigned last = (~f->vvvv & 15) << 3 | (unsigned)(insn->vex_l != 0) << 2 | insn->vex_pp;

    if (insn->map == 1 && !(rex & 11)) {
        encode_bytes_put(b, 0xc5);
        encode_bytes_put(b, (rex & 4 ? 0 : 0x80) | last);
    } else {
        encode_bytes_put(b, 0xc4);
        encode_bytes_put(b, (~rex & 7) << 5 | insn->map);
        encode_bytes_put(b, (rex & 8 ? 0x80 : 0) | last);
    }
    encode_bytes_put(b, f->opcode);
}

static void put_immediates(struct encode_bytes *b, const struct bt_insn *insn,
                           const struct fields *f)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        unsigned from = bt_specs[bt_opcodes[insn->row].specs >> 8 * i & 0xff].source;
        unsigned size = insn->operand[i].size;
        if (from == BT_FROM_VEC_IMM)
            encode_bytes_put(b, (unsigned)f->is4 << 4);
        else if (from == BT_FROM_IMM || from == BT_FROM_IMM_SIGNED)
            encode_bytes_number(b, (uint64_t)insn->imm[0], size);
        else if (from == BT_FROM_IMM2)
            encode_bytes_number(b, (uint64_t)insn->imm[1], size);
    }
}

static bool same_memory(const struct bt_insn *insn, const struct encode_mem *mem)
{
    return !insn->rip_relative && insn->base == mem->base && insn->index == mem->index &&
           insn->scale == (mem->index == BT_REG_NONE ? 0 : mem->scale) && insn->disp == mem->disp &&
           insn->seg < CPU_FS && insn->addr_size == 8;
}

static bool same_operand(const struct bt_operand *got, const struct bt_operand *asked,
                         uint8_t replacement)
{
    if (got->kind != asked->kind || got->size != asked->size)
        return false;
    if (replacement != BT_REG_NONE && asked->kind != BT_OPERAND_MEM)
        return got->reg == replacement && !got->high_byte;
    return got->reg == asked->reg && got->high_byte == asked->high_byte;
}

static bool verify(const struct encode_bytes *b, const struct bt_insn *asked,
                   const uint8_t reg[BT_OPERANDS_MAX], const struct encode_mem *mem)
{
    const unsigned kept = BT_PREFIX_LOCK | BT_PREFIX_VEX;
    struct bt_insn got BT_UNINITIALIZED;

    if (b->len > BT_INSN_MAX ||
        bt_decode(b->byte, sizeof b->byte, BT_MODE_CODE64, &got) != b->len || got.op != asked->op ||
        got.row != asked->row || got.size != asked->size || got.cond != asked->cond ||
        got.vex_l != asked->vex_l || got.has_mem != asked->has_mem ||
        (got.prefixes ^ asked->prefixes) & kept || (got.rex ^ asked->rex) & 8 ||
        got.operand_count != asked->operand_count || got.imm[0] != asked->imm[0] ||
        got.imm[1] != asked->imm[1])
        return false;
    for (unsigned i = 0; i < got.operand_count; i++)
        if (!same_operand(&got.operand[i], &asked->operand[i], reg[i]))
            return false;
    return !got.has_mem || same_memory(&got, mem);
}

bool encode_insn(struct encode *e, const struct bt_insn *insn, const uint8_t reg[BT_OPERANDS_MAX],
                 const struct encode_mem *mem)
{
    struct fields f = {.opcode = insn->opcode,
                       .reg = (insn->modrm >> 3 & 7u) | (insn->rex & 4u) << 1,
                       .rm = (insn->modrm & 7u) | (insn->rex & 1u) << 3,
                       .vvvv = insn->vex_vvvv,
                       .is4 = -1};
    struct encode_mem own = {insn->base, insn->index, insn->scale, (int32_t)insn->disp};
    const struct bt_opcode *row = &bt_opcodes[insn->row];
    bool modrm = bt_opcode_slots[row->map][insn->opcode].modrm;
    struct encode_bytes b = {.len = 0};

    if (insn->op == BT_OP_UD || insn->op == BT_OP_TOO_LONG || insn->properties & BT_INSN_VSIB ||
        (!mem && insn->rip_relative))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (!place(insn, i, reg[i], &f))
            return false;
    if (insn->has_mem && !mem)
        mem = &own;
    unsigned rex = (insn->rex & 8u) | (modrm && f.reg & 8 ? 4u : 0);
    rex |= insn->has_mem ? encode_mem_rex(*mem) : f.rm & 8 ? 1u : 0;
    if (f.no_rex && (rex || f.need_rex))
        return false;
    if (insn->prefixes & BT_PREFIX_VEX)
        put_vex(&b, insn, &f, rex);
    else
        put_legacy(&b, insn, &f, rex);
    if (modrm && insn->has_mem)
        encode_bytes_mem(&b, f.reg, *mem);
    else if (modrm)
        encode_bytes_put(&b, 0xc0 | (f.reg & 7) << 3 | (f.rm & 7));
    put_immediates(&b, insn, &f);
    if (!verify(&b, insn, reg, mem))
        return false;
    encode_bytes_append(e, &b);
    return true;
}
