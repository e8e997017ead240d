/* SPDX-License-Identifier: Apache-2.0 */
/* x87, MMX, SSE and AVX: the host's own, on the guest's registers, which are loaded when jit.live
 * says so. A unit looks before its first such instruction; only leaving changes it. */
#include "vm/engine/bt/jit/emit.h"

/* Those that touch what their operands do not say, store the host's own addresses, or may leave
 * out a part of their memory operand. */
static bool is_plain(const struct bt_insn *insn)
{
    if (insn->properties & BT_INSN_VSIB)
        return false;
    switch (insn->op) {
    case BT_OP_FXSAVE:
    case BT_OP_FXRSTOR:
    case BT_OP_XSAVE:
    case BT_OP_XSAVEC:
    case BT_OP_XSAVEOPT:
    case BT_OP_XSAVES:
    case BT_OP_XRSTOR:
    case BT_OP_XRSTORS:
    case BT_OP_LDMXCSR:
    case BT_OP_STMXCSR:
    case BT_OP_VLDMXCSR:
    case BT_OP_VSTMXCSR:
    case BT_OP_FLDENV:
    case BT_OP_FNSTENV:
    case BT_OP_FRSTOR:
    case BT_OP_FNSAVE:
    case BT_OP_FNENI:
    case BT_OP_FNDISI:
    case BT_OP_FNSETPM:
    case BT_OP_MASKMOVQ:
    case BT_OP_MASKMOVDQU:
    case BT_OP_VMASKMOVDQU:
    case BT_OP_VMASKMOVPS:
    case BT_OP_VMASKMOVPD:
    case BT_OP_VPMASKMOVD:
    case BT_OP_VPMASKMOVQ:
        return false;
    default:
        return true;
    }
}

static unsigned needs(const struct bt_insn *insn)
{
    unsigned need = insn->prefixes & BT_PREFIX_VEX ? JIT_LIVE_AVX | JIT_LIVE_VEC : JIT_LIVE_VEC;

    if (!insn->map || insn->op == BT_OP_EMMS)
        need |= JIT_LIVE_X87;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_MMX)
            need |= JIT_LIVE_X87;
    return need;
}

/* One bit decides: AVX and X87 come with VEC, and no instruction needs both. */
static void check_live(struct emit *t, unsigned need)
{
    unsigned bit = need & JIT_LIVE_AVX   ? JIT_LIVE_AVX
                   : need & JIT_LIVE_X87 ? JIT_LIVE_X87
                                         : JIT_LIVE_VEC;
    struct jit_site *site = emit_site(t, JIT_SITE_LIVE);

    emit_drop(t);
    site->need = (uint8_t)need;
    site->resume = (uint32_t)encode_here(t->e);
    enum emit_saved saved = emit_save_flags(t, t->live);
    encode_test_mem8(t->e, EMIT_FIELD(t, jit.live), bit);
    struct emit_late *late = emit_late(t, LATE_LEAVE, encode_jcc_later(t->e, ENCODE_ZERO));
    late->saved = (uint8_t)saved;
    emit_restore_flags(t, saved);
    t->live_vec |= (uint8_t)need;
}

bool emit_vector(struct emit *t)
{
    unsigned need = needs(t->insn);

    if (!is_plain(t->insn))
        return false;
    if (need & ~(unsigned)t->live_vec)
        check_live(t, need);
    return emit_copy(t);
}
