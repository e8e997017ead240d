/* SPDX-License-Identifier: Apache-2.0 */
/* Addition, subtraction, logic, comparison: ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT, in
 * every size and form, each form a function of its own. SDM volume 2.
 *
 * The host carries out the operation; its flags are the guest's. A function alu_OP_BITS(vcpu, old
 * destination, source) yields the result and sets vcpu->status from the carry that was there before
 * (saved by the caller for those that may be called twice: see LOCKED). */
#include "vm/engine/bt/exec.h"

#define ALU(name, insn, bits)                                                                  \
    static inline uint##bits##_t alu_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                     uint##bits##_t src)                       \
    {                                                                                          \
        uint16_t status;                                                                       \
        __asm__(insn " %[src], %[dst]" FLAGS_KEEP                                              \
                : [dst] "+q"(old), "=a"(status)                                                \
                : [src] "q"(src)                                                               \
                : "cc");                                                                       \
        vcpu->status = status;                                                                 \
        return old;                                                                            \
    }
/* With the carry: the old status goes in. */
#define ALU_CARRY(name, insn, bits)                                                            \
    static inline uint##bits##_t alu_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                     uint##bits##_t src, uint16_t status)      \
    {                                                                                          \
        __asm__(CARRY_LOAD insn " %[src], %[dst]" FLAGS_KEEP                                   \
                : [dst] "+q"(old), "+a"(status)                                                \
                : [src] "q"(src)                                                               \
                : "cc");                                                                       \
        vcpu->status = status;                                                                 \
        return old;                                                                            \
    }
#define ALU_ONE(name, insn, bits)                                                               \
    static inline uint##bits##_t alu_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old,  \
                                                     uint16_t status)                           \
    {                                                                                           \
        __asm__(CARRY_LOAD insn " %[dst]" FLAGS_KEEP : [dst] "+q"(old), "+a"(status) : : "cc"); \
        vcpu->status = status;                                                                  \
        return old;                                                                             \
    }

#define REG_FORMS(name, bits, writes)                                                            \
    static EXEC(name##_rr_##bits)                                                                \
    {                                                                                            \
        uint##bits##_t value = alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),          \
                                                   exec_r##bits(vcpu, step->src));               \
        if (writes)                                                                              \
            exec_w##bits(vcpu, step->dst, value);                                                \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(name##_ri_##bits)                                                                \
    {                                                                                            \
        uint##bits##_t value =                                                                   \
            alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst), (uint##bits##_t)step->imm); \
        if (writes)                                                                              \
            exec_w##bits(vcpu, step->dst, value);                                                \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(name##_rm_##bits)                                                                \
    {                                                                                            \
        uint##bits##_t src = (uint##bits##_t)exec_load(vcpu, step, bits / 8);                    \
        uint##bits##_t value = alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst), src);    \
        if (writes)                                                                              \
            exec_w##bits(vcpu, step->dst, value);                                                \
        EXEC_NEXT;                                                                               \
    }
#define MEM_FORMS(name, bits)                                                      \
    static EXEC(name##_mr_##bits)                                                  \
    {                                                                              \
        EXEC_RMW(bits, false, alu_##name##_##bits, exec_r##bits(vcpu, step->src)); \
        EXEC_NEXT;                                                                 \
    }                                                                              \
    static EXEC(name##_mi_##bits)                                                  \
    {                                                                              \
        EXEC_RMW(bits, false, alu_##name##_##bits, (uint##bits##_t)step->imm);     \
        EXEC_NEXT;                                                                 \
    }                                                                              \
    static EXEC(name##_lock_mr_##bits)                                             \
    {                                                                              \
        EXEC_RMW(bits, true, alu_##name##_##bits, exec_r##bits(vcpu, step->src));  \
        EXEC_NEXT;                                                                 \
    }                                                                              \
    static EXEC(name##_lock_mi_##bits)                                             \
    {                                                                              \
        EXEC_RMW(bits, true, alu_##name##_##bits, (uint##bits##_t)step->imm);      \
        EXEC_NEXT;                                                                 \
    }
/* The destination is only read. */
#define COMPARE_FORMS(name, bits)                                             \
    static EXEC(name##_mr_##bits)                                             \
    {                                                                         \
        uint##bits##_t old = (uint##bits##_t)exec_load(vcpu, step, bits / 8); \
        (void)alu_##name##_##bits(vcpu, old, exec_r##bits(vcpu, step->src));  \
        EXEC_NEXT;                                                            \
    }                                                                         \
    static EXEC(name##_mi_##bits)                                             \
    {                                                                         \
        uint##bits##_t old = (uint##bits##_t)exec_load(vcpu, step, bits / 8); \
        (void)alu_##name##_##bits(vcpu, old, (uint##bits##_t)step->imm);      \
        EXEC_NEXT;                                                            \
    }
/* ADC, SBB. */
#define CARRY_FORMS(name, bits)                                                                    \
    static EXEC(name##_rr_##bits)                                                                  \
    {                                                                                              \
        exec_w##bits(vcpu, step->dst,                                                              \
                     alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),                      \
                                         exec_r##bits(vcpu, step->src), vcpu->status));            \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_ri_##bits)                                                                  \
    {                                                                                              \
        exec_w##bits(vcpu, step->dst,                                                              \
                     alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst),                      \
                                         (uint##bits##_t)step->imm, vcpu->status));                \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_rm_##bits)                                                                  \
    {                                                                                              \
        uint##bits##_t src = (uint##bits##_t)exec_load(vcpu, step, bits / 8);                      \
        exec_w##bits(vcpu, step->dst,                                                              \
                     alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst), src, vcpu->status)); \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_mr_##bits)                                                                  \
    {                                                                                              \
        uint16_t before = vcpu->status;                                                            \
        EXEC_RMW(bits, false, alu_##name##_##bits, exec_r##bits(vcpu, step->src), before);         \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_mi_##bits)                                                                  \
    {                                                                                              \
        uint16_t before = vcpu->status;                                                            \
        EXEC_RMW(bits, false, alu_##name##_##bits, (uint##bits##_t)step->imm, before);             \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_lock_mr_##bits)                                                             \
    {                                                                                              \
        uint16_t before = vcpu->status;                                                            \
        EXEC_RMW(bits, true, alu_##name##_##bits, exec_r##bits(vcpu, step->src), before);          \
        EXEC_NEXT;                                                                                 \
    }                                                                                              \
    static EXEC(name##_lock_mi_##bits)                                                             \
    {                                                                                              \
        uint16_t before = vcpu->status;                                                            \
        EXEC_RMW(bits, true, alu_##name##_##bits, (uint##bits##_t)step->imm, before);              \
        EXEC_NEXT;                                                                                 \
    }
/* INC, DEC, NEG, NOT. */
#define ONE_FORMS(name, bits)                                                                 \
    static EXEC(name##_r_##bits)                                                              \
    {                                                                                         \
        exec_w##bits(vcpu, step->dst,                                                         \
                     alu_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst), vcpu->status)); \
        EXEC_NEXT;                                                                            \
    }                                                                                         \
    static EXEC(name##_m_##bits)                                                              \
    {                                                                                         \
        uint16_t before = vcpu->status;                                                       \
        EXEC_RMW(bits, false, alu_##name##_##bits, before);                                   \
        EXEC_NEXT;                                                                            \
    }                                                                                         \
    static EXEC(name##_lock_m_##bits)                                                         \
    {                                                                                         \
        uint16_t before = vcpu->status;                                                       \
        EXEC_RMW(bits, true, alu_##name##_##bits, before);                                    \
        EXEC_NEXT;                                                                            \
    }

#define SIZES(M, name, insn) \
    M(name, insn "b", 8) M(name, insn "w", 16) M(name, insn "l", 32) M(name, insn "q", 64)
#define FORMS(M, name, ...)   \
    M(name, 8, ##__VA_ARGS__) \
    M(name, 16, ##__VA_ARGS__) M(name, 32, ##__VA_ARGS__) M(name, 64, ##__VA_ARGS__)

/* clang-format off */
SIZES(ALU, add, "add")
SIZES(ALU, or, "or")
SIZES(ALU, and, "and")
SIZES(ALU, sub, "sub")
SIZES(ALU, xor, "xor")
SIZES(ALU, cmp, "cmp")
SIZES(ALU, test, "test")
SIZES(ALU_CARRY, adc, "adc")
SIZES(ALU_CARRY, sbb, "sbb")
SIZES(ALU_ONE, inc, "inc")
SIZES(ALU_ONE, dec, "dec")
SIZES(ALU_ONE, neg, "neg")
/* clang-format on */

/* NOT has no flags. */
#define NOT(bits)                                                                         \
    static inline uint##bits##_t alu_not_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                uint16_t status)                          \
    {                                                                                     \
        return (uint##bits##_t) ~old;                                                     \
    }
NOT(8)
NOT(16)
NOT(32)
NOT(64)

FORMS(REG_FORMS, add, true)
FORMS(REG_FORMS, or, true)
FORMS(REG_FORMS, and, true)
FORMS(REG_FORMS, sub, true)
FORMS(REG_FORMS, xor, true)
FORMS(REG_FORMS, cmp, false)
FORMS(REG_FORMS, test, false)
FORMS(MEM_FORMS, add)
FORMS(MEM_FORMS, or)
FORMS(MEM_FORMS, and)
FORMS(MEM_FORMS, sub)
FORMS(MEM_FORMS, xor)
FORMS(COMPARE_FORMS, cmp)
FORMS(COMPARE_FORMS, test)
FORMS(CARRY_FORMS, adc)
FORMS(CARRY_FORMS, sbb)
FORMS(ONE_FORMS, inc)
FORMS(ONE_FORMS, dec)
FORMS(ONE_FORMS, neg)
FORMS(ONE_FORMS, not )

enum form { RR, RI, RM, MR, MI, LOCK_MR, LOCK_MI, FORM_MAX };

#define ROW(name, form)                                                               \
    {                                                                                 \
        name##_##form##_8, name##_##form##_16, name##_##form##_32, name##_##form##_64 \
    }
#define TWO(op, name)                                                            \
    [op] = {ROW(name, rr), ROW(name, ri),      ROW(name, rm),     ROW(name, mr), \
            ROW(name, mi), ROW(name, lock_mr), ROW(name, lock_mi)}
#define COMPARE(op, name) \
    [op] = {ROW(name, rr), ROW(name, ri), ROW(name, rm), ROW(name, mr), ROW(name, mi)}
#define ONE(op, name) [op] = {ROW(name, r), ROW(name, m), ROW(name, lock_m)}

/* By operation, form and size. */
static exec_fn *const two[BT_OP_CMP + 1][FORM_MAX][4] = {
    TWO(BT_OP_ADD, add), TWO(BT_OP_OR, or),   TWO(BT_OP_ADC, adc), TWO(BT_OP_SBB, sbb),
    TWO(BT_OP_AND, and), TWO(BT_OP_SUB, sub), TWO(BT_OP_XOR, xor), COMPARE(BT_OP_CMP, cmp),
};
static exec_fn *const test[FORM_MAX][4] = {ROW(test, rr), ROW(test, ri), ROW(test, rm),
                                           ROW(test, mr), ROW(test, mi)};
static exec_fn *const one[BT_OP_NOT + 1][3][4] = {ONE(BT_OP_INC, inc), ONE(BT_OP_DEC, dec),
                                                  ONE(BT_OP_NEG, neg), ONE(BT_OP_NOT, not )};

static bool bind_two(exec_fn *const forms[FORM_MAX][4], const struct bt_insn *insn,
                     struct bt_step *step)
{
    bool lock = insn->prefixes & BT_PREFIX_LOCK;
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];
    enum form form;

    if (dst->kind == BT_OPERAND_GPR) {
        step->dst = (uint8_t)exec_reg_at(dst);
        form = src->kind == BT_OPERAND_GPR ? RR : src->kind == BT_OPERAND_IMM ? RI : RM;
    } else {
        form = src->kind == BT_OPERAND_IMM ? (lock ? LOCK_MI : MI) : (lock ? LOCK_MR : MR);
    }
    if (src->kind == BT_OPERAND_GPR)
        step->src = (uint8_t)exec_reg_at(src);
    else if (src->kind == BT_OPERAND_IMM)
        step->imm = insn->imm[0];
    step->run = forms[form][exec_size_index(dst->size)];
    return step->run;
}

bool exec_alu_bind(const struct bt_insn *insn, struct bt_step *step)
{
    switch (insn->op) {
    case BT_OP_ADD:
    case BT_OP_OR:
    case BT_OP_ADC:
    case BT_OP_SBB:
    case BT_OP_AND:
    case BT_OP_SUB:
    case BT_OP_XOR:
    case BT_OP_CMP:
        return bind_two(two[insn->op], insn, step);
    case BT_OP_TEST:
        return bind_two(test, insn, step);
    case BT_OP_INC:
    case BT_OP_DEC:
    case BT_OP_NEG:
    case BT_OP_NOT: {
        const struct bt_operand *dst = &insn->operand[0];
        unsigned form = dst->kind == BT_OPERAND_GPR ? 0 : insn->prefixes & BT_PREFIX_LOCK ? 2 : 1;
        if (!form)
            step->dst = (uint8_t)exec_reg_at(dst);
        step->run = one[insn->op][form][exec_size_index(dst->size)];
        return true;
    }
    default:
        return false;
    }
}
