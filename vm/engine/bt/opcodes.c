/* SPDX-License-Identifier: Apache-2.0 */
/* opcodes.def as data, and an index over it: map and opcode to the rows that share them. The index
 * is made once, before main: the preprocessor cannot sort. */
#include "vm/engine/bt/opcode_table.h"

#include <assert.h>

#define CONSTRAINT(mask, value) ((uint32_t)(mask) << 16 | (uint32_t)(value))

/* The notation of opcodes.def. */
#define ANY    0
#define NP     CONSTRAINT(BT_KEY_PREFIX, 0)
#define P66    CONSTRAINT(BT_KEY_PREFIX, 1)
#define PF3    CONSTRAINT(BT_KEY_PREFIX, 2)
#define PF2    CONSTRAINT(BT_KEY_PREFIX, 3)
#define NOREP  CONSTRAINT(2, 0)
#define MEM    CONSTRAINT(BT_KEY_MOD3, 0)
#define RRR    CONSTRAINT(BT_KEY_MOD3, BT_KEY_MOD3)
#define REG(n) CONSTRAINT(7 << BT_KEY_REG_SHIFT, (n) << BT_KEY_REG_SHIFT)
#define RM(n)  CONSTRAINT(7 << BT_KEY_RM_SHIFT, (n) << BT_KEY_RM_SHIFT)
#define W0     CONSTRAINT(BT_KEY_W, 0)
#define W1     CONSTRAINT(BT_KEY_W, BT_KEY_W)
#define Q0     CONSTRAINT(BT_KEY_Q, 0)
#define Q1     CONSTRAINT(BT_KEY_Q, BT_KEY_Q)
#define L0     CONSTRAINT(BT_KEY_L, 0)
#define L1     CONSTRAINT(BT_KEY_L, BT_KEY_L)
#define I64    CONSTRAINT(BT_KEY_CODE64, 0)
#define O64    CONSTRAINT(BT_KEY_CODE64, BT_KEY_CODE64)
#define B0     CONSTRAINT(BT_KEY_B, 0)

enum { V1 = BT_MAP_VEX, V2, V3 };

enum {
    RD = BT_INSN_READS,
    WR = BT_INSN_WRITES,
    RMW = RD | WR,
    LOCKABLE = BT_INSN_LOCKABLE,
    STACK = BT_INSN_STACK,
    STRING = BT_INSN_STRING,
    ENDS = BT_INSN_ENDS_BLOCK,
    PRIVILEGED = BT_INSN_PRIVILEGED,
    SSE = BT_INSN_VECTOR,
    FPU = BT_INSN_VECTOR,
    VSIB = BT_INSN_VSIB,
    NEAR = BT_ROW_NEAR,
    COND = BT_ROW_COND,
    MOD3 = BT_ROW_MOD3,
    SHIFTS = BT_ROW_SHIFTS,
    REPCOND = BT_ROW_REPCOND,
};

/* As bt_insn.flags_read. */
enum {
    FC = BT_FLAG_CF,
    FO = 2,
    FP = BT_FLAG_PF,
    FA = BT_FLAG_AF,
    FZ = BT_FLAG_ZF,
    FS = BT_FLAG_SF,
};

enum { BT_SPEC_ = BT_SPEC_None };
#define OPS(...) OPS_(__VA_ARGS__, None, None, None, None)
#define OPS_(a, b, c, d, ...) \
    (BT_SPEC_##a | BT_SPEC_##b << 8 | BT_SPEC_##c << 16 | (uint32_t)BT_SPEC_##d << 24)

#define OPCODE(map_, first_, last_, when, name, ops, props, fr, fw) \
    {.map = (map_),                                                 \
     .first = (first_),                                             \
     .last = (last_),                                               \
     .flags_read = (fr),                                            \
     .flags_written = (fw),                                         \
     .specs = (ops),                                                \
     .op = BT_OP_##name,                                            \
     .mask = (uint16_t)((when) >> 16),                              \
     .value = (uint16_t)((when)&0xffff),                            \
     .properties = (props)},

const struct bt_opcode bt_opcodes[] = {
#include "vm/engine/bt/opcodes.def"
};

enum { ROWS = sizeof bt_opcodes / sizeof bt_opcodes[0] };
const unsigned bt_opcodes_count = ROWS;

const struct bt_spec bt_specs[] = {
#define SPEC(name, from, size_, mem_size_, reg_) \
    [BT_SPEC_##name] = {                         \
        .source = BT_FROM_##from, .size = (size_), .mem_size = (mem_size_), .reg = (reg_)},
    BT_SPECS(SPEC)
#undef SPEC
};

/* Rows that cover eight or sixteen opcodes are few. */
enum { MATCHES_MAX = ROWS + 512 };

struct bt_opcode_slot bt_opcode_slots[BT_MAP_MAX][256];
struct bt_opcode_match bt_opcode_matches[MATCHES_MAX];

/* What a row's operands say of ModRM: whether there is one, and whether it must name a register or
 * memory. */
static struct bt_opcode_match row_match(unsigned row, bool *ret_modrm)
{
    const struct bt_opcode *opcode = &bt_opcodes[row];
    struct bt_opcode_match match = {
        .mask = opcode->mask, .value = opcode->value, .row = (uint16_t)row};
    bool modrm = opcode->mask & (BT_KEY_MOD3 | 0x3f << BT_KEY_REG_SHIFT);

    for (uint32_t specs = opcode->specs; specs; specs >>= 8) {
        switch (bt_specs[specs & 0xff].source) {
        case BT_FROM_RM_REG:
        case BT_FROM_MMX_RM_REG:
        case BT_FROM_VEC_RM_REG:
        case BT_FROM_ST_RM:
            match.value |= BT_KEY_MOD3;
            __attribute__((fallthrough));
        case BT_FROM_MEM:
        case BT_FROM_ADDRESS:
            match.mask |= BT_KEY_MOD3;
            modrm = true;
            break;
        case BT_FROM_RM:
        case BT_FROM_MMX_RM:
        case BT_FROM_VEC_RM:
        case BT_FROM_REG:
            modrm = true;
            break;
        case BT_FROM_VVVV:
        case BT_FROM_VEC_VVVV:
            match.uses_vvvv = true;
            break;
        default:
            break;
        }
    }
    if (opcode->properties & BT_ROW_MOD3)
        match.mask &= (uint16_t)~BT_KEY_MOD3;
    match.value &= match.mask;
    *ret_modrm = modrm;
    return match;
}

static void __attribute__((constructor)) build_index(void)
{
    unsigned at = 0;

    for (unsigned row = 0; row < ROWS; row++)
        for (unsigned byte = bt_opcodes[row].first; byte <= bt_opcodes[row].last; byte++)
            bt_opcode_slots[bt_opcodes[row].map][byte].count++;
    for (unsigned map = 0; map < BT_MAP_MAX; map++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            struct bt_opcode_slot *slot = &bt_opcode_slots[map][byte];
            slot->first = (uint16_t)at;
            at += slot->count;
            slot->count = 0;
        }
    }
    assert(at <= MATCHES_MAX);
    for (unsigned row = 0; row < ROWS; row++) {
        const struct bt_opcode *opcode = &bt_opcodes[row];
        bool modrm;
        struct bt_opcode_match match = row_match(row, &modrm);
        for (unsigned byte = opcode->first; byte <= opcode->last; byte++) {
            struct bt_opcode_slot *slot = &bt_opcode_slots[opcode->map][byte];
            bt_opcode_matches[slot->first + slot->count++] = match;
            slot->modrm |= modrm;
        }
    }
}

const char *bt_op_name(enum bt_op op)
{
    static const char *const names[] = {
#define OPCODE_NAME(name) #name,
#include "vm/engine/bt/opcode_names.def"
#undef OPCODE_NAME
    };
    return op < BT_OP_MAX ? names[op] : "?";
}
