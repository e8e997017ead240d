/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's decoder on any bytes, in each kind of code: a length that fits, fields that
 * are in range, the same answer from exactly as many bytes as the instruction has, and a request
 * for more from fewer. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "vm/engine/bt/disasm.h"
#include "vm/engine/bt/insn.h"

static void check_operand(const struct bt_insn *insn, const struct bt_operand *operand)
{
    switch (operand->kind) {
    case BT_OPERAND_GPR:
        FUZZ_CHECK(operand->reg < 16 && operand->size && operand->size <= 8);
        FUZZ_CHECK(!operand->high_byte || (operand->reg < 4 && operand->size == 1));
        break;
    case BT_OPERAND_MEM:
        FUZZ_CHECK(insn->has_mem && operand->size <= 32);
        break;
    case BT_OPERAND_SEG:
        FUZZ_CHECK(operand->reg <= CPU_GS);
        break;
    case BT_OPERAND_CR:
    case BT_OPERAND_VEC:
        FUZZ_CHECK(operand->reg < 16);
        break;
    case BT_OPERAND_DR:
    case BT_OPERAND_ST:
    case BT_OPERAND_MMX:
        FUZZ_CHECK(operand->reg < 8);
        break;
    default:
        FUZZ_CHECK(operand->kind != BT_OPERAND_NONE && operand->kind <= BT_OPERAND_STRING_DST);
        break;
    }
}

static void check_fields(const struct bt_insn *insn)
{
    FUZZ_CHECK(insn->length && insn->length <= BT_INSN_MAX && insn->op < BT_OP_MAX);
    FUZZ_CHECK(insn->operand_count <= BT_OPERANDS_MAX);
    if (insn->op <= BT_OP_TOO_LONG)
        return;
    FUZZ_CHECK(insn->base < 16 || insn->base == BT_REG_NONE);
    FUZZ_CHECK(insn->index < 16 || insn->index == BT_REG_NONE);
    FUZZ_CHECK(insn->scale <= 3 && insn->seg <= CPU_GS && insn->cond < 16 && insn->vex_vvvv < 16);
    FUZZ_CHECK(insn->addr_size == 2 || insn->addr_size == 4 || insn->addr_size == 8);
    for (unsigned i = 0; i < insn->operand_count; i++)
        check_operand(insn, &insn->operand[i]);
    if (insn->prefixes & BT_PREFIX_LOCK)
        FUZZ_CHECK(insn->properties & BT_INSN_LOCKABLE && insn->operand[0].kind == BT_OPERAND_MEM);
}

static void check_cuts(const uint8_t *bytes, unsigned size, unsigned code,
                       const struct bt_insn *insn)
{
    struct bt_insn part;

    for (unsigned len = 0; len < insn->length; len++)
        FUZZ_CHECK(bt_decode(bytes, len, code, &part) == 0);
    for (unsigned len = insn->length; len <= size; len++) {
        FUZZ_CHECK(bt_decode(bytes, len, code, &part) == insn->length);
        FUZZ_CHECK(!memcmp(&part, insn, sizeof part));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned codes[] = {BT_MODE_CODE16, BT_MODE_CODE32, BT_MODE_CODE64,
                                     BT_MODE_CODE64 | BT_DECODE_AMD_BRANCHES};
    unsigned len = size > 64 ? 64 : (unsigned)size;
    char text[BT_DISASM_MAX];

    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct bt_insn insn;
        unsigned length = bt_decode(data, len, codes[i], &insn);
        if (!length) {
            FUZZ_CHECK(len < BT_INSN_MAX);
            continue;
        }
        FUZZ_CHECK(length == insn.length && length <= len);
        check_fields(&insn);
        check_cuts(data, len, codes[i], &insn);
        FUZZ_CHECK(strlen(bt_disasm(&insn, UINT64_MAX - 7, text)) < BT_DISASM_MAX);
    }
    return 0;
}
