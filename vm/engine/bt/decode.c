/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction decoding (insn.h). */
#include "vm/engine/bt/insn.h"

unsigned bt_decode(const uint8_t *bytes, unsigned len, unsigned code, struct bt_insn *ret_insn)
{
    if (len == 0)
        return 0;
    *ret_insn = (struct bt_insn){.op = BT_OP_UD, .length = 1};
    return 1;
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
