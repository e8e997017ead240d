/* SPDX-License-Identifier: Apache-2.0 */
/* What 32-bit code has and 64-bit code has not: INC and DEC of one byte and MOV with an address
 * behind the opcode are made what they would be there; what else differs is for the interpreter. */
#include "vm/engine/bt/jit/emit.h"

/* Decodes `bytes` of 64-bit code in place of *insn, whose length stays. */
static void become(struct bt_insn *insn, const uint8_t *bytes, unsigned len)
{
    uint8_t length = insn->length, seg = insn->seg;

    (void)bt_decode(bytes, len, BT_MODE_CODE64, insn);
    insn->length = length;
    insn->seg = seg;
}

static void become_long_count(struct bt_insn *insn)
{
    uint8_t modrm = (uint8_t)(0xc0 | (insn->op == BT_OP_DEC) << 3 | insn->operand[0].reg);
    const uint8_t bytes[] = {0x66, 0xff, modrm};
    unsigned prefixes = insn->size == 2;

    become(insn, bytes + 1 - prefixes, 2 + prefixes);
}

static void become_plain_move(struct bt_insn *insn)
{
    uint8_t opcode = (uint8_t)(0x88 | (insn->opcode & 1) | (insn->opcode & 2 ? 0 : 2));
    uint32_t at = (uint32_t)insn->imm[0];
    const uint8_t bytes[] = {0x66,
                             opcode,
                             0x04,
                             0x25,
                             (uint8_t)at,
                             (uint8_t)(at >> 8),
                             (uint8_t)(at >> 16),
                             (uint8_t)(at >> 24)};
    unsigned prefixes = insn->size == 2 && insn->opcode & 1;

    become(insn, bytes + 1 - prefixes, 7 + prefixes);
    insn->addr_size = 4;
}

void emit_adapt(struct bt_insn *insn)
{
    if (insn->map || insn->prefixes & (BT_PREFIX_VEX | BT_PREFIX_LOCK))
        return;
    if (insn->opcode >= 0x40 && insn->opcode <= 0x4f)
        become_long_count(insn);
    else if (insn->opcode >= 0xa0 && insn->opcode <= 0xa3 && insn->addr_size == 4)
        become_plain_move(insn);
}

bool emit_is_strange(const struct bt_insn *insn)
{
    bool loops = insn->op >= BT_OP_LOOP && insn->op <= BT_OP_JRCXZ;

    if (insn->op == BT_OP_VZEROUPPER || insn->op == BT_OP_VZEROALL) /* of eight registers only */
        return true;
    if (insn->addr_size == 2 && (insn->has_mem || loops || insn->op == BT_OP_LEA))
        return true;
    return insn->has_mem && insn->seg == CPU_CS && insn->properties & BT_INSN_WRITES;
}
