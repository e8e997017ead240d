/* SPDX-License-Identifier: Apache-2.0 */
/* Shifts and rotations: ROL ROR RCL RCR SHL SHR SAR, SHLD, SHRD. SDM volume 2.
 *
 * The host carries them out with the guest's flags loaded, so a count of zero changes none and
 * undefined flags are the host's. */
#include "vm/engine/bt/exec.h"

#define SHIFT(name, insn, bits)                                                                  \
    static inline uint##bits##_t shift_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                       uint8_t count, uint16_t status)           \
    {                                                                                            \
        __asm__(FLAGS_LOAD insn " %%cl, %[dst]" FLAGS_KEEP                                       \
                : [dst] "+q"(old), "+a"(status)                                                  \
                : "c"(count)                                                                     \
                : "cc");                                                                         \
        vcpu->status = status;                                                                   \
        return old;                                                                              \
    }                                                                                            \
    static EXEC(name##_ri_##bits)                                                                \
    {                                                                                            \
        exec_w##bits(vcpu, step->dst,                                                            \
                     shift_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),                  \
                                           (uint8_t)step->imm, vcpu->status));                   \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(name##_rc_##bits)                                                                \
    {                                                                                            \
        exec_w##bits(vcpu, step->dst,                                                            \
                     shift_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),                  \
                                           exec_r8(vcpu, CPU_RCX * 8), vcpu->status));           \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(name##_m_##bits)                                                                 \
    {                                                                                            \
        uint16_t before = vcpu->status;                                                          \
        uint8_t count = step->size ? (uint8_t)step->imm : exec_r8(vcpu, CPU_RCX * 8);            \
        EXEC_RMW(bits, false, shift_##name##_##bits, count, before);                             \
        EXEC_NEXT;                                                                               \
    }

#define SIZES(name, insn)    \
    SHIFT(name, insn "b", 8) \
    SHIFT(name, insn "w", 16) SHIFT(name, insn "l", 32) SHIFT(name, insn "q", 64)
/* clang-format off */
SIZES(rol, "rol")
SIZES(ror, "ror")
SIZES(rcl, "rcl")
SIZES(rcr, "rcr")
SIZES(shl, "shl")
SIZES(shr, "shr")
SIZES(sar, "sar")
/* clang-format on */

#define ROW(name, form)                                                               \
    {                                                                                 \
        name##_##form##_8, name##_##form##_16, name##_##form##_32, name##_##form##_64 \
    }
#define FORMS(name)                                \
    {                                              \
        ROW(name, ri), ROW(name, rc), ROW(name, m) \
    }
enum { REG_IMM, REG_CL, MEM };
static exec_fn *const shift[7][3][4] = {FORMS(rol), FORMS(ror), FORMS(rcl), FORMS(rcr),
                                        FORMS(shl), FORMS(shr), FORMS(sar)};

static bool bind_shift(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *count = &insn->operand[1];
    bool by_cl = insn->operand_count > 1 && count->kind == BT_OPERAND_GPR;
    unsigned form = dst->kind == BT_OPERAND_MEM ? MEM : by_cl ? REG_CL : REG_IMM;

    if (dst->kind == BT_OPERAND_GPR)
        step->dst = (uint8_t)exec_reg_at(dst);
    step->imm = by_cl ? 0 : insn->operand_count > 1 ? insn->imm[0] : 1;
    step->size = !by_cl; /* of a MEM form: the count is in imm */
    step->run = shift[insn->op - BT_OP_ROL][form][exec_size_index(dst->size)];
    return true;
}

#define DOUBLE(name, insn, bits)                                                                  \
    static inline uint##bits##_t double_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                        uint##bits##_t src, uint8_t count,        \
                                                        uint16_t status)                          \
    {                                                                                             \
        __asm__(FLAGS_LOAD insn " %%cl, %[src], %[dst]" FLAGS_KEEP                                \
                : [dst] "+&r"(old), "+&a"(status)                                                 \
                : [src] "r"(src), "c"(count)                                                      \
                : "cc");                                                                          \
        vcpu->status = status;                                                                    \
        return old;                                                                               \
    }                                                                                             \
    static EXEC(name##_##bits)                                                                    \
    {                                                                                             \
        uint16_t before = vcpu->status;                                                           \
        uint8_t count = step->size ? (uint8_t)step->imm : exec_r8(vcpu, CPU_RCX * 8);             \
        exec_w##bits(vcpu, step->dst,                                                             \
                     double_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),                  \
                                            exec_r##bits(vcpu, step->src), count, before));       \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(name##_m_##bits)                                                                  \
    {                                                                                             \
        uint16_t before = vcpu->status;                                                           \
        uint8_t count = step->size ? (uint8_t)step->imm : exec_r8(vcpu, CPU_RCX * 8);             \
        EXEC_RMW(bits, false, double_##name##_##bits, exec_r##bits(vcpu, step->src), count,       \
                 before);                                                                         \
        EXEC_NEXT;                                                                                \
    }
DOUBLE(shld, "shldw", 16)
DOUBLE(shld, "shldl", 32)
DOUBLE(shld, "shldq", 64)
DOUBLE(shrd, "shrdw", 16)
DOUBLE(shrd, "shrdl", 32)
DOUBLE(shrd, "shrdq", 64)

#define DOUBLE_ROW(name)                      \
    {                                         \
        NULL, name##_16, name##_32, name##_64 \
    }
static exec_fn *const double_reg[2][4] = {DOUBLE_ROW(shld), DOUBLE_ROW(shrd)};
static exec_fn *const double_mem[2][4] = {DOUBLE_ROW(shld_m), DOUBLE_ROW(shrd_m)};

static bool bind_double(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0];
    unsigned size = exec_size_index(dst->size), right = insn->op == BT_OP_SHRD;

    step->src = (uint8_t)exec_reg_at(&insn->operand[1]);
    step->size = insn->operand[2].kind == BT_OPERAND_IMM;
    step->imm = insn->imm[0];
    if (dst->kind == BT_OPERAND_GPR)
        step->dst = (uint8_t)exec_reg_at(dst);
    step->run = (dst->kind == BT_OPERAND_GPR ? double_reg : double_mem)[right][size];
    return step->run;
}

bool exec_shift_bind(const struct bt_insn *insn, struct bt_step *step)
{
    switch (insn->op) {
    case BT_OP_ROL:
    case BT_OP_ROR:
    case BT_OP_RCL:
    case BT_OP_RCR:
    case BT_OP_SHL:
    case BT_OP_SHR:
    case BT_OP_SAR:
        return bind_shift(insn, step);
    case BT_OP_SHLD:
    case BT_OP_SHRD:
        return bind_double(insn, step);
    default:
        return false;
    }
}
