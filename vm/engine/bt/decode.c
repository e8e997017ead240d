/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction decoding (insn.h): Intel SDM volume 2, chapter 2 (prefixes, ModRM, SIB, VEX) and
 * AMD64 APM volume 3, chapter 1. The opcodes are in opcodes.def.
 *
 * Bytes are read without asking how many there are: short input is decoded from a copy with zeros
 * behind it, and at the end it shows whether the instruction was longer than its bytes. A decision
 * counts only what has been passed, so that what is read beyond the end never decides. */
#include <string.h>

#include "vm/engine/bt/opcode_table.h"
#include "vm/engine/bt/uninitialized.h"

/* At most 15 prefixes, VEX, opcode, ModRM, SIB and eight more bytes are read. */
_Static_assert(BT_DECODE_WHOLE >= BT_INSN_MAX + 3 + 1 + 2 + 8, "what may be read");

struct decoder {
    const uint8_t *bytes;
    unsigned at;
    bool code64;
    bool amd_branches;
    bool modrm;
    uint8_t mandatory; /* BT_KEY_PREFIX */
    bool w;            /* REX.W or VEX.W, as it stands */
    bool refused;     /* #UD, but the processor first reads all of it: it may be too long, or end on
                         the next page */
    uint8_t vvvv_raw; /* inverted already, all four bits */
    struct bt_insn *insn;
};

/* --- prefixes and opcode --- */

enum { NOT_PREFIX, SEG_PREFIX, REX_PREFIX, OTHER_PREFIX };

static const uint8_t prefix_class[256] = {
    [0x26] = SEG_PREFIX,          [0x2e] = SEG_PREFIX,   [0x36] = SEG_PREFIX,
    [0x3e] = SEG_PREFIX,          [0x64] = SEG_PREFIX,   [0x65] = SEG_PREFIX,
    [0x40 ... 0x4f] = REX_PREFIX, [0x66] = OTHER_PREFIX, [0x67] = OTHER_PREFIX,
    [0xf0] = OTHER_PREFIX,        [0xf2] = OTHER_PREFIX, [0xf3] = OTHER_PREFIX,
};

static void seg_prefix(struct decoder *d, uint8_t byte)
{
    if (byte >= 0x64)
        d->insn->seg = byte == 0x64 ? CPU_FS : CPU_GS;
    else if (d->code64)
        return; /* the others are ignored, and an FS or GS before them stays */
    else
        d->insn->seg = (byte >> 3) & 3;
    d->insn->prefixes |= BT_PREFIX_SEG;
}

static void other_prefix(struct decoder *d, uint8_t byte)
{
    struct bt_insn *insn = d->insn;

    switch (byte) {
    case 0x66:
        insn->prefixes |= BT_PREFIX_OPSIZE;
        break;
    case 0x67:
        insn->prefixes |= BT_PREFIX_ADDRSIZE;
        break;
    case 0xf0:
        insn->prefixes |= BT_PREFIX_LOCK;
        break;
    default: /* F2, F3: the last one counts */
        insn->prefixes &= (uint8_t) ~(BT_PREFIX_REP | BT_PREFIX_REPNE);
        insn->prefixes |= byte == 0xf3 ? BT_PREFIX_REP : BT_PREFIX_REPNE;
        break;
    }
}

/* Leaves `at` on the opcode. REX counts only when nothing stands between it and the opcode. */
static void read_prefixes(struct decoder *d)
{
    struct bt_insn *insn = d->insn;
    uint8_t rex = 0;

    for (; d->at < BT_INSN_MAX; d->at++) {
        uint8_t byte = d->bytes[d->at], class = prefix_class[byte];
        if (class == NOT_PREFIX || (class == REX_PREFIX && !d->code64))
            break;
        if (class == REX_PREFIX) {
            rex = byte;
            continue;
        }
        rex = 0;
        if (class == SEG_PREFIX)
            seg_prefix(d, byte);
        else
            other_prefix(d, byte);
    }
    if (rex) {
        insn->prefixes |= BT_PREFIX_REX;
        insn->rex = rex & 15;
        d->w = rex & 8;
    }
    if (insn->prefixes & BT_PREFIX_REP)
        d->mandatory = 2;
    else if (insn->prefixes & BT_PREFIX_REPNE)
        d->mandatory = 3;
    else
        d->mandatory = insn->prefixes & BT_PREFIX_OPSIZE ? 1 : 0;
}

/* Behind REX they are LES and LDS again, which 64-bit code has not. */
static bool is_vex(const struct decoder *d)
{
    const uint8_t *b = d->bytes + d->at;

    if (d->insn->prefixes & BT_PREFIX_REX)
        return false;
    return (b[0] == 0xc4 || b[0] == 0xc5) && (d->code64 || b[1] >= 0xc0);
}

/* Returns false for a map that there is not. VEX may not follow LOCK nor mandatory prefixes. */
static bool read_vex(struct decoder *d)
{
    struct bt_insn *insn = d->insn;
    const uint8_t *b = d->bytes + d->at;
    bool two = b[0] == 0xc5;
    uint8_t last = b[two ? 1 : 2];

    d->at += two ? 2 : 3;
    if (insn->prefixes & (BT_PREFIX_LOCK | BT_PREFIX_OPSIZE | BT_PREFIX_REP | BT_PREFIX_REPNE))
        d->refused = true;
    insn->prefixes |= BT_PREFIX_VEX;
    insn->map = two ? 1 : b[1] & 31;
    insn->rex = two ? (~b[1] & 0x80) >> 5 : (~b[1] & 0xe0) >> 5;
    d->w = !two && last & 0x80;
    insn->rex |= d->w ? 8 : 0;
    if (!d->code64)
        insn->rex &= 8;
    d->vvvv_raw = (~last >> 3) & 15;
    insn->vex_vvvv = d->code64 ? d->vvvv_raw : d->vvvv_raw & 7;
    insn->vex_l = (last >> 2) & 1;
    insn->vex_pp = last & 3;
    d->mandatory = insn->vex_pp;
    insn->opcode = d->bytes[d->at++];
    return insn->map >= 1 && insn->map <= 3;
}

static bool read_opcode(struct decoder *d)
{
    struct bt_insn *insn = d->insn;

    if (is_vex(d))
        return read_vex(d);
    insn->opcode = d->bytes[d->at++];
    if (insn->opcode != 0x0f)
        return true;
    insn->map = 1;
    insn->opcode = d->bytes[d->at++];
    if (insn->opcode != 0x38 && insn->opcode != 0x3a)
        return true;
    insn->map = insn->opcode == 0x38 ? 2 : 3;
    insn->opcode = d->bytes[d->at++];
    return true;
}

/* NULL: an opcode without any meaning. One without this meaning has the length of its others. */
static const struct bt_opcode *find_row(struct decoder *d)
{
    struct bt_insn *insn = d->insn;
    bool vex = insn->prefixes & BT_PREFIX_VEX;
    const struct bt_opcode_slot *slot =
        &bt_opcode_slots[insn->map + (vex ? BT_MAP_VEX - BT_MAP_0F : 0)][insn->opcode];
    unsigned key = d->mandatory;

    d->modrm = slot->modrm;
    if (d->modrm) {
        insn->modrm = d->bytes[d->at++];
        key |= insn->modrm >= 0xc0 ? BT_KEY_MOD3 : 0;
        key |= (insn->modrm & 0x38u) >> 3 << BT_KEY_REG_SHIFT;
        key |= (insn->modrm & 7u) << BT_KEY_RM_SHIFT;
    }
    key |= d->w ? BT_KEY_W : 0;
    key |= d->code64 ? BT_KEY_CODE64 | (d->w ? BT_KEY_Q : 0) : 0;
    key |= insn->vex_l ? BT_KEY_L : 0;
    key |= insn->rex & 1 ? BT_KEY_B : 0;

    const struct bt_opcode_match *match = &bt_opcode_matches[slot->first];
    for (unsigned left = slot->count; left; left--, match++) {
        if ((key & match->mask) != match->value)
            continue;
        if (vex && !match->uses_vvvv && d->vvvv_raw)
            d->refused = true;
        return &bt_opcodes[match->row];
    }
    d->refused = true;
    return slot->count ? &bt_opcodes[bt_opcode_matches[slot->first].row] : NULL;
}

/* --- sizes --- */

static unsigned operand_size(const struct decoder *d, unsigned code, uint32_t properties)
{
    bool prefix = d->insn->prefixes & BT_PREFIX_OPSIZE;

    if (!d->code64)
        return (code == BT_MODE_CODE16) != prefix ? 2 : 4;
    if (properties & BT_ROW_NEAR)
        return d->amd_branches && prefix && !d->w ? 2 : 8;
    if (d->w)
        return 8;
    if (prefix)
        return 2;
    return properties & BT_INSN_STACK ? 8 : 4;
}

static unsigned address_size(const struct decoder *d, unsigned code)
{
    bool prefix = d->insn->prefixes & BT_PREFIX_ADDRSIZE;

    if (d->code64)
        return prefix ? 4 : 8;
    return (code == BT_MODE_CODE16) != prefix ? 2 : 4;
}

static unsigned size_of(const struct decoder *d, unsigned size)
{
    const struct bt_insn *insn = d->insn;

    if (size <= BT_SIZE_FIXED_MAX)
        return size;
    switch (size) {
    case BT_SIZE_V:
        return insn->size;
    case BT_SIZE_Y:
        return d->w && d->code64 ? 8 : 4;
    case BT_SIZE_Z:
        return insn->size == 2 ? 2 : 4;
    case BT_SIZE_M:
        return d->code64 ? 8 : 4;
    case BT_SIZE_P:
        return insn->size + 2;
    case BT_SIZE_S:
        return d->code64 ? 10 : 6;
    case BT_SIZE_A:
        return 2 * insn->size;
    default: /* BT_SIZE_X and its parts */
        return (insn->vex_l ? 32u : 16u) >> (size - BT_SIZE_X);
    }
}

/* --- the memory operand --- */

static int64_t read_signed(struct decoder *d, unsigned size)
{
    const uint8_t *b = d->bytes + d->at;
    int64_t value;

    d->at += size;
    switch (size) {
    case 1:
        return (int8_t)*b;
    case 2:
        return (int16_t)(b[0] | b[1] << 8);
    case 4: {
        int32_t word;
        memcpy(&word, b, sizeof word);
        return word;
    }
    default:
        memcpy(&value, b, sizeof value);
        return value;
    }
}

static void set_base(struct decoder *d, uint8_t base)
{
    d->insn->base = base;
    if ((base == CPU_RSP || base == CPU_RBP) && !(d->insn->prefixes & BT_PREFIX_SEG))
        d->insn->seg = CPU_SS;
}

/* SDM table 2-1. */
static void read_memory16(struct decoder *d)
{
    static const uint8_t base[] = {CPU_RBX, CPU_RBX, CPU_RBP, CPU_RBP,
                                   CPU_RSI, CPU_RDI, CPU_RBP, CPU_RBX};
    struct bt_insn *insn = d->insn;
    unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;

    if (mod == 0 && rm == 6) {
        insn->disp = read_signed(d, 2);
        return;
    }
    set_base(d, base[rm]);
    if (rm < 4)
        insn->index = rm & 1 ? CPU_RDI : CPU_RSI;
    if (mod)
        insn->disp = read_signed(d, mod == 1 ? 1 : 2);
}

/* SDM tables 2-2 and 2-3. In a gather every index number is a register. */
static void read_memory(struct decoder *d, bool vsib)
{
    struct bt_insn *insn = d->insn;
    unsigned mod = insn->modrm >> 6, base = insn->modrm & 7;

    if (base == 4) {
        uint8_t sib = d->bytes[d->at++];
        unsigned index = ((sib >> 3) & 7) | (insn->rex & 2) << 2;
        base = sib & 7;
        insn->scale = sib >> 6;
        if (index != 4 || vsib)
            insn->index = (uint8_t)index;
        if (mod == 0 && base == 5) {
            insn->disp = read_signed(d, 4);
            return;
        }
    } else if (mod == 0 && base == 5) {
        insn->rip_relative = d->code64;
        insn->disp = read_signed(d, 4);
        return;
    }
    set_base(d, (uint8_t)(base | (insn->rex & 1) << 3));
    if (mod)
        insn->disp = read_signed(d, mod == 1 ? 1 : 4);
}

/* --- operands --- */

static void set_gpr(const struct decoder *d, struct bt_operand *operand, unsigned number)
{
    operand->kind = BT_OPERAND_GPR;
    operand->reg = (uint8_t)number;
    if (operand->size == 1 && number >= 4 && number < 8 && !(d->insn->prefixes & BT_PREFIX_REX)) {
        operand->reg = (uint8_t)(number - 4);
        operand->high_byte = true;
    }
}

static bool set_reg(struct bt_operand *operand, enum bt_operand_kind kind, unsigned number,
                    unsigned limit)
{
    operand->kind = (uint8_t)kind;
    operand->reg = (uint8_t)number;
    return number < limit;
}

/* CR0, CR2, CR3, CR4, CR8. */
static bool set_cr(struct bt_operand *operand, unsigned number)
{
    return set_reg(operand, BT_OPERAND_CR, number, 9) && (0x11d >> number & 1);
}

static void read_imm(struct decoder *d, struct bt_operand *operand, unsigned which, bool is_signed)
{
    int64_t value = read_signed(d, operand->size);

    operand->kind = which ? BT_OPERAND_IMM2 : BT_OPERAND_IMM;
    if (!is_signed && operand->size < 8)
        value &= (INT64_C(1) << 8 * operand->size) - 1;
    d->insn->imm[which] = value;
}

static void read_moffs(struct decoder *d, struct bt_operand *operand)
{
    unsigned size = d->insn->addr_size;
    int64_t value = read_signed(d, size);

    operand->kind = BT_OPERAND_MOFFS;
    d->insn->imm[0] = size < 8 ? value & ((INT64_C(1) << 8 * size) - 1) : value;
}

static void set_memory(struct decoder *d, struct bt_operand *operand, const struct bt_spec *spec)
{
    operand->kind = BT_OPERAND_MEM;
    operand->size = (uint8_t)size_of(d, spec->mem_size);
}

/* Returns false when the encoding names something that there is not. */
static bool read_operand(struct decoder *d, const struct bt_spec *spec, struct bt_operand *operand)
{
    struct bt_insn *insn = d->insn;
    unsigned rm = (insn->modrm & 7u) | (insn->rex & 1u) << 3;
    unsigned reg = ((insn->modrm >> 3) & 7u) | (insn->rex & 4u) << 1;

    operand->size = (uint8_t)size_of(d, spec->size);
    switch (spec->source) {
    case BT_FROM_RM:
        if (insn->has_mem)
            set_memory(d, operand, spec);
        else
            set_gpr(d, operand, rm);
        return true;
    case BT_FROM_RM_REG:
        set_gpr(d, operand, rm);
        return true;
    case BT_FROM_MEM:
    case BT_FROM_ADDRESS:
        set_memory(d, operand, spec);
        return true;
    case BT_FROM_REG:
        set_gpr(d, operand, reg);
        return true;
    case BT_FROM_OPCODE:
        set_gpr(d, operand, (insn->opcode & 7u) | (insn->rex & 1u) << 3);
        return true;
    case BT_FROM_VVVV:
        return set_reg(operand, BT_OPERAND_GPR, insn->vex_vvvv, 16);
    case BT_FROM_FIXED:
        return set_reg(operand, BT_OPERAND_GPR, spec->reg, 16);
    case BT_FROM_MMX_RM:
        if (insn->has_mem) {
            set_memory(d, operand, spec);
            return true;
        }
        return set_reg(operand, BT_OPERAND_MMX, rm & 7, 8);
    case BT_FROM_MMX_RM_REG:
        return set_reg(operand, BT_OPERAND_MMX, rm & 7, 8);
    case BT_FROM_MMX_REG:
        return set_reg(operand, BT_OPERAND_MMX, reg & 7, 8);
    case BT_FROM_VEC_RM:
        if (insn->has_mem) {
            set_memory(d, operand, spec);
            return true;
        }
        return set_reg(operand, BT_OPERAND_VEC, rm, 16);
    case BT_FROM_VEC_RM_REG:
        return set_reg(operand, BT_OPERAND_VEC, rm, 16);
    case BT_FROM_VEC_REG:
        return set_reg(operand, BT_OPERAND_VEC, reg, 16);
    case BT_FROM_VEC_VVVV:
        return set_reg(operand, BT_OPERAND_VEC, insn->vex_vvvv, 16);
    case BT_FROM_VEC_IMM: {
        unsigned number = d->bytes[d->at++] >> 4;
        return set_reg(operand, BT_OPERAND_VEC, d->code64 ? number : number & 7, 16);
    }
    case BT_FROM_VEC_0:
        return set_reg(operand, BT_OPERAND_VEC, 0, 16);
    case BT_FROM_ST0:
        return set_reg(operand, BT_OPERAND_ST, 0, 8);
    case BT_FROM_ST_RM:
        return set_reg(operand, BT_OPERAND_ST, rm & 7, 8);
    case BT_FROM_SEG_REG:
        return set_reg(operand, BT_OPERAND_SEG, reg & 7, 6);
    case BT_FROM_SEG_LOAD:
        return set_reg(operand, BT_OPERAND_SEG, reg & 7, 6) && (reg & 7) != CPU_CS;
    case BT_FROM_SEG:
        return set_reg(operand, BT_OPERAND_SEG, spec->reg, 6);
    case BT_FROM_CR:
        return set_cr(operand, reg);
    case BT_FROM_DR:
        return set_reg(operand, BT_OPERAND_DR, reg, 8);
    case BT_FROM_IMM:
        read_imm(d, operand, 0, false);
        return true;
    case BT_FROM_IMM_SIGNED:
        read_imm(d, operand, 0, true);
        return true;
    case BT_FROM_IMM2:
        read_imm(d, operand, 1, false);
        return true;
    case BT_FROM_ONE:
        operand->kind = BT_OPERAND_IMM;
        insn->imm[0] = 1;
        return true;
    case BT_FROM_REL:
        insn->imm[0] = read_signed(d, operand->size);
        operand->kind = BT_OPERAND_REL;
        return true;
    case BT_FROM_MOFFS:
        operand->size = (uint8_t)size_of(d, spec->mem_size);
        read_moffs(d, operand);
        return true;
    case BT_FROM_STRING_SRC:
    case BT_FROM_STRING_DST:
        operand->size = (uint8_t)size_of(d, spec->mem_size);
        operand->kind =
            spec->source == BT_FROM_STRING_SRC ? BT_OPERAND_STRING_SRC : BT_OPERAND_STRING_DST;
        return true;
    case BT_FROM_RDI:
        set_memory(d, operand, spec);
        insn->has_mem = true;
        insn->base = CPU_RDI;
        return true;
    default:
        return false;
    }
}

static bool read_operands(struct decoder *d, const struct bt_opcode *row)
{
    struct bt_insn *insn = d->insn;
    bool ok = true;

    for (uint32_t specs = row->specs; specs; specs >>= 8) {
        const struct bt_spec *spec = &bt_specs[specs & 0xff];
        struct bt_operand *operand = &insn->operand[insn->operand_count++];
        ok &= read_operand(d, spec, operand);
        if (operand->size == 32)
            insn->properties |= BT_INSN_VEX256;
        if (operand->kind == BT_OPERAND_MEM && insn->operand_count > 1 &&
            !(row->properties & (BT_INSN_READS | BT_INSN_WRITES)))
            insn->properties |= spec->source == BT_FROM_ADDRESS ? 0 : BT_INSN_READS;
    }
    return ok;
}

/* --- what follows from all of it --- */

static bool gather_valid(const struct bt_insn *insn)
{
    unsigned data = insn->operand[0].reg, mask = insn->operand[2].reg;

    return insn->index != BT_REG_NONE && data != mask && data != insn->index && mask != insn->index;
}

static bool lock_valid(const struct bt_insn *insn)
{
    return insn->properties & BT_INSN_LOCKABLE && insn->operand[0].kind == BT_OPERAND_MEM;
}

static void finish_flags(struct bt_insn *insn, uint32_t properties)
{
    /* O, B, Z, BE, S, P, L, LE, each with its negation. */
    static const uint8_t read_by[8] = {
        2,          BT_FLAG_CF, BT_FLAG_ZF,     BT_FLAG_CF | BT_FLAG_ZF,
        BT_FLAG_SF, BT_FLAG_PF, BT_FLAG_SF | 2, BT_FLAG_ZF | BT_FLAG_SF | 2};

    if (properties & BT_ROW_COND) {
        insn->cond = insn->opcode & 15;
        insn->flags_read = read_by[insn->cond >> 1];
    }
    unsigned count = (unsigned)insn->imm[0] & (insn->operand[0].size == 8 ? 63 : 31);
    if ((properties & BT_ROW_SHIFTS && !count) ||
        (properties & BT_ROW_REPCOND && insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE)))
        insn->flags_read |= insn->flags_written;
}

static bool decode(struct decoder *d, unsigned code)
{
    struct bt_insn *insn = d->insn;

    read_prefixes(d);
    insn->addr_size = (uint8_t)address_size(d, code);
    if (!read_opcode(d))
        return false;
    const struct bt_opcode *row = find_row(d);
    if (!row)
        return false;
    uint32_t properties = row->properties;
    if (d->modrm && insn->modrm < 0xc0 && !(properties & BT_ROW_MOD3)) {
        insn->has_mem = true;
        if (insn->addr_size == 2)
            read_memory16(d);
        else
            read_memory(d, properties & BT_INSN_VSIB);
    }
    insn->properties = properties & ~(uint32_t)BT_ROW_MASK;
    insn->flags_read = row->flags_read;
    insn->flags_written = row->flags_written;
    insn->size = (uint8_t)operand_size(d, code, properties);
    if (!read_operands(d, row) || d->refused)
        return false;
    if (!insn->has_mem && !(properties & BT_INSN_STRING) &&
        insn->operand[0].kind != BT_OPERAND_MOFFS && insn->operand[1].kind != BT_OPERAND_MOFFS)
        insn->properties &= ~(uint32_t)(BT_INSN_READS | BT_INSN_WRITES);
    finish_flags(insn, properties);
    insn->op = row->op;
    insn->row = (uint16_t)(row - bt_opcodes);
    if (!d->code64 && (row->op == BT_OP_VPCMPESTRI || row->op == BT_OP_VPCMPESTRM))
        insn->rex &= 7; /* W is the size of two lengths, which are 32 bits wide */
    if (properties & BT_INSN_VSIB && (insn->addr_size == 2 || !gather_valid(insn)))
        return false;
    return !(insn->prefixes & BT_PREFIX_LOCK) || lock_valid(insn);
}

unsigned bt_decode(const uint8_t *bytes, unsigned len, unsigned code, struct bt_insn *ret_insn)
{
    uint8_t copy[BT_DECODE_WHOLE] BT_UNINITIALIZED;
    struct decoder d = {.bytes = bytes,
                        .code64 = (code & BT_MODE_CODE) == BT_MODE_CODE64,
                        .amd_branches = code & BT_DECODE_AMD_BRANCHES,
                        .insn = ret_insn};

    if (len < BT_DECODE_WHOLE) {
        memset(copy, 0, sizeof copy);
        memcpy(copy, bytes, len);
        d.bytes = copy;
    }
    *ret_insn = (struct bt_insn){.seg = CPU_DS, .base = BT_REG_NONE, .index = BT_REG_NONE};
    bool ok = decode(&d, code & BT_MODE_CODE);
    if (d.at > len && len < BT_INSN_MAX)
        return 0;
    if (d.at > BT_INSN_MAX) {
        *ret_insn = (struct bt_insn){.op = BT_OP_TOO_LONG, .properties = BT_INSN_ENDS_BLOCK};
        d.at = BT_INSN_MAX;
    } else if (!ok || ret_insn->op == BT_OP_UD) {
        ret_insn->op = BT_OP_UD;
        ret_insn->properties = BT_INSN_ENDS_BLOCK;
        ret_insn->operand_count = 0;
    }
    return ret_insn->length = (uint8_t)d.at;
}
