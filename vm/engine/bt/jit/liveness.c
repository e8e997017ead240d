/* SPDX-License-Identifier: Apache-2.0 */
/* Which status flags somebody still reads: what lies between may destroy the others. Backwards
 * through the unit; at jumps within the page, and at its end, a little way into what follows. A
 * flag is dead only if everything that can follow writes it first; what an instruction leaves
 * undefined counts as written (insn.h). */
#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/uninitialized.h"

enum { PAGE_BYTES = 4096, AHEAD_INSNS = 10, AHEAD_JUMPS = 3 };

/* Flags wanted from offset `at` on. */
static unsigned ahead(const struct emit *t, int64_t at, unsigned jumps)
{
    unsigned open = EMIT_FLAGS, live = 0;
    struct bt_insn insn BT_UNINITIALIZED;

    for (unsigned i = 0; i < AHEAD_INSNS; i++) {
        if (at < 0 || at >= PAGE_BYTES)
            break;
        unsigned length = bt_decode(t->in->bytes + at, (unsigned)(PAGE_BYTES - at),
                                    t->in->mode & BT_MODE_CODE, &insn);
        if (!length)
            break;
        live |= insn.flags_read & open;
        open &= ~(unsigned)insn.flags_written;
        if (!open)
            return live;
        at += length;
        if (!(insn.properties & BT_INSN_ENDS_BLOCK))
            continue;
        if (!jumps || insn.operand_count != 1 || insn.operand[0].kind != BT_OPERAND_REL)
            break;
        jumps--;
        if (insn.op == BT_OP_JCC)
            live |= ahead(t, at + insn.imm[0], jumps) & open;
        else if (insn.op == BT_OP_JMP)
            at += insn.imm[0];
        else if (insn.op != BT_OP_CALL)
            break;
        else
            at += insn.imm[0];
    }
    return live | open;
}

static unsigned behind(const struct emit *t, unsigned i)
{
    const struct bt_insn *insn = &t->insns[i];
    int64_t next = t->offsets[i] + insn->length;
    unsigned live = 0;

    if (t->second && i == t->turn)
        return t->lives[i + 1] | (insn->op == BT_OP_JCC ? ahead(t, next, AHEAD_JUMPS) : 0);
    if (!(insn->properties & BT_INSN_ENDS_BLOCK))
        return i + 1 < t->count ? t->lives[i + 1] : ahead(t, next, AHEAD_JUMPS);
    switch (insn->op) {
    case BT_OP_STI:
        return i + 1 < t->count ? t->lives[i + 1] : ahead(t, next, AHEAD_JUMPS);
    case BT_OP_JMP:
    case BT_OP_CALL:
        return insn->operand[0].kind == BT_OPERAND_REL ? ahead(t, next + insn->imm[0], AHEAD_JUMPS)
                                                       : (unsigned)EMIT_FLAGS;
    case BT_OP_JCC:
    case BT_OP_LOOP:
    case BT_OP_LOOPE:
    case BT_OP_LOOPNE:
    case BT_OP_JRCXZ:
        live = i + 1 < t->count ? t->lives[i + 1] : ahead(t, next, AHEAD_JUMPS);
        return live | ahead(t, next + insn->imm[0], AHEAD_JUMPS);
    default:
        return EMIT_FLAGS;
    }
}

void emit_liveness(struct emit *t)
{
    for (unsigned i = t->count; i-- > 0;) {
        unsigned after = behind(t, i);
        t->live_after[i] = (uint8_t)after;
        t->lives[i] =
            (uint8_t)((after & ~(unsigned)t->insns[i].flags_written) | t->insns[i].flags_read);
    }
}
