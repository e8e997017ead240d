/* SPDX-License-Identifier: Apache-2.0 */
/* MUL, IMUL, DIV, IDIV, MULX. SDM volume 2. A quotient that does not fit is #DE before the host's
 * divider could say so. */
#include "vm/engine/bt/exec.h"

/* The r/m operand of the one-operand forms. */
static inline uint64_t operand(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    return step->src == 0xff ? exec_load(vcpu, step, step->size)
                             : exec_read_reg(vcpu, step->src, step->size);
}

/* RDX:RAX, or AX, = RAX * src. The flags pass through RAX, which the instruction itself needs. */
#define MUL(name, insn, bits)                                                                  \
    static EXEC(name##_##bits)                                                                 \
    {                                                                                          \
        uint64_t src = operand(vcpu, step);                                                    \
        uint64_t low = vcpu->gpr[CPU_RAX], high = vcpu->gpr[CPU_RDX], status = vcpu->status;   \
        __asm__("xchg %%rax, %[status]\n\t" FLAGS_LOAD "xchg %%rax, %[status]\n\t" insn "\n\t" \
                "xchg %%rax, %[status]" FLAGS_KEEP "\n\txchg %%rax, %[status]"                 \
                : "+&a"(low), "+&d"(high), [status] "+&r"(status)                              \
                : [src] "r"(src)                                                               \
                : "cc");                                                                       \
        vcpu->status = (uint16_t)status;                                                       \
        vcpu->gpr[CPU_RAX] = low;                                                              \
        vcpu->gpr[CPU_RDX] = high;                                                             \
        EXEC_NEXT;                                                                             \
    }
MUL(mul, "mulb %b[src]", 8)
MUL(mul, "mulw %w[src]", 16)
MUL(mul, "mull %k[src]", 32)
MUL(mul, "mulq %q[src]", 64)
MUL(imul, "imulb %b[src]", 8)
MUL(imul, "imulw %w[src]", 16)
MUL(imul, "imull %k[src]", 32)
MUL(imul, "imulq %q[src]", 64)

/* dst = a * b, truncated: IMUL with two and three operands. */
#define IMUL(insn, bits)                                                                         \
    static inline uint##bits##_t product_##bits(struct bt_vcpu *vcpu, uint##bits##_t a,          \
                                                uint##bits##_t b)                                \
    {                                                                                            \
        uint16_t status = vcpu->status;                                                          \
        __asm__(FLAGS_LOAD insn " %[b], %[a]" FLAGS_KEEP                                         \
                : [a] "+&r"(a), "+&a"(status)                                                    \
                : [b] "r"(b)                                                                     \
                : "cc");                                                                         \
        vcpu->status = status;                                                                   \
        return a;                                                                                \
    }                                                                                            \
    static EXEC(imul2_r_##bits)                                                                  \
    {                                                                                            \
        exec_w##bits(                                                                            \
            vcpu, step->dst,                                                                     \
            product_##bits(vcpu, exec_r##bits(vcpu, step->dst), exec_r##bits(vcpu, step->src))); \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(imul2_m_##bits)                                                                  \
    {                                                                                            \
        uint##bits##_t src = (uint##bits##_t)exec_load(vcpu, step, bits / 8);                    \
        exec_w##bits(vcpu, step->dst, product_##bits(vcpu, exec_r##bits(vcpu, step->dst), src)); \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(imul3_r_##bits)                                                                  \
    {                                                                                            \
        exec_w##bits(                                                                            \
            vcpu, step->dst,                                                                     \
            product_##bits(vcpu, exec_r##bits(vcpu, step->src), (uint##bits##_t)step->imm));     \
        EXEC_NEXT;                                                                               \
    }                                                                                            \
    static EXEC(imul3_m_##bits)                                                                  \
    {                                                                                            \
        uint##bits##_t src = (uint##bits##_t)exec_load(vcpu, step, bits / 8);                    \
        exec_w##bits(vcpu, step->dst, product_##bits(vcpu, src, (uint##bits##_t)step->imm));     \
        EXEC_NEXT;                                                                               \
    }
IMUL("imulw", 16)
IMUL("imull", 32)
IMUL("imulq", 64)

/* Whether the quotient of the double-width dividend fits, decided by arithmetic. */
static bool div_fits(unsigned size, uint64_t high, uint64_t low, uint64_t divisor)
{
    return divisor && high < divisor;
}

static bool idiv_fits(unsigned size, uint64_t high, uint64_t low, uint64_t divisor)
{
    unsigned bits = 8 * size, up = 64 - bits;
    __int128 dividend =
        size == 8 ? (__int128)(((unsigned __int128)high << 64) | low)
                  : (__int128)((int64_t)(high << up) >> up) * ((__int128)1 << bits) + (__int128)low;
    __int128 by = (int64_t)(divisor << up) >> up;

    if (!by)
        return false;
    /* The only quotient that overflows 128 bits. */
    if (by == -1 && size == 8 && high == UINT64_C(1) << 63 && !low)
        return false;
    __int128 quotient = dividend / by;
    return quotient >= -((__int128)1 << (bits - 1)) && quotient < (__int128)1 << (bits - 1);
}

#define DIV(name, insn, bits)                                                                  \
    static EXEC(name##_##bits)                                                                 \
    {                                                                                          \
        uint64_t src = operand(vcpu, step);                                                    \
        uint64_t rax = vcpu->gpr[CPU_RAX], rdx = vcpu->gpr[CPU_RDX], status = vcpu->status;    \
        uint##bits##_t low = (uint##bits##_t)rax;                                              \
        uint##bits##_t high = bits == 8 ? (uint##bits##_t)(rax >> 8) : (uint##bits##_t)rdx;    \
        if (!name##_fits(bits / 8, high, low, src))                                            \
            exec_raise(vcpu, step, BT_DE);                                                     \
        __asm__("xchg %%rax, %[status]\n\t" FLAGS_LOAD "xchg %%rax, %[status]\n\t" insn "\n\t" \
                "xchg %%rax, %[status]" FLAGS_KEEP "\n\txchg %%rax, %[status]"                 \
                : "+&a"(rax), "+&d"(rdx), [status] "+&r"(status)                               \
                : [src] "r"(src)                                                               \
                : "cc");                                                                       \
        vcpu->status = (uint16_t)status;                                                       \
        vcpu->gpr[CPU_RAX] = rax;                                                              \
        vcpu->gpr[CPU_RDX] = rdx;                                                              \
        EXEC_NEXT;                                                                             \
    }
DIV(div, "divb %b[src]", 8)
DIV(div, "divw %w[src]", 16)
DIV(div, "divl %k[src]", 32)
DIV(div, "divq %q[src]", 64)
DIV(idiv, "idivb %b[src]", 8)
DIV(idiv, "idivw %w[src]", 16)
DIV(idiv, "idivl %k[src]", 32)
DIV(idiv, "idivq %q[src]", 64)

/* MULX: no flags; the destinations are operands 0 (high) and 1 (low). */
static EXEC(mulx)
{
    const struct bt_insn *insn = step->insn;
    uint64_t src = operand(vcpu, step), a = exec_read_reg(vcpu, CPU_RDX * 8, step->size);
    unsigned __int128 product = (unsigned __int128)a * src;
    unsigned high = exec_reg_at(&insn->operand[0]), low = exec_reg_at(&insn->operand[1]);

    exec_write_reg(vcpu, low, step->size, (uint64_t)product);
    exec_write_reg(vcpu, high, step->size, (uint64_t)(product >> 8 * step->size));
    EXEC_NEXT;
}

#define ROW(name)                                 \
    {                                             \
        name##_8, name##_16, name##_32, name##_64 \
    }
#define ROW3(name)                            \
    {                                         \
        NULL, name##_16, name##_32, name##_64 \
    }
static exec_fn *const mul[4] = ROW(mul), *const imul[4] = ROW(imul), *const divide[4] = ROW(div),
                      *const idivide[4] = ROW(idiv);
static exec_fn *const imul2_r[4] = ROW3(imul2_r), *const imul2_m[4] = ROW3(imul2_m);
static exec_fn *const imul3_r[4] = ROW3(imul3_r), *const imul3_m[4] = ROW3(imul3_m);

/* The multiplier or divisor is the last register or memory operand. */
static bool bind_wide(exec_fn *const table[4], const struct bt_insn *insn, struct bt_step *step)
{
    unsigned last = insn->operand_count - 1;

    step->size = insn->operand[last].size;
    step->src = insn->operand[last].kind == BT_OPERAND_MEM
                    ? 0xff
                    : (uint8_t)exec_reg_at(&insn->operand[last]);
    step->run = table[exec_size_index(step->size)];
    return true;
}

static bool bind_imul(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];
    bool three = insn->operand_count > 2;
    unsigned size = exec_size_index(dst->size);

    step->dst = (uint8_t)exec_reg_at(dst);
    step->imm = insn->imm[0];
    if (src->kind == BT_OPERAND_GPR)
        step->src = (uint8_t)exec_reg_at(src);
    step->run = src->kind == BT_OPERAND_GPR ? (three ? imul3_r : imul2_r)[size]
                                            : (three ? imul3_m : imul2_m)[size];
    return step->run;
}

bool exec_muldiv_bind(const struct bt_insn *insn, struct bt_step *step)
{
    switch (insn->op) {
    case BT_OP_MUL:
        return bind_wide(mul, insn, step);
    case BT_OP_IMUL_WIDE:
        return bind_wide(imul, insn, step);
    case BT_OP_DIV:
        return bind_wide(divide, insn, step);
    case BT_OP_IDIV:
        return bind_wide(idivide, insn, step);
    case BT_OP_IMUL:
        return bind_imul(insn, step);
    case BT_OP_MULX:
        step->insn = insn;
        step->size = insn->operand[2].size;
        step->src = insn->operand[2].kind == BT_OPERAND_MEM
                        ? 0xff
                        : (uint8_t)exec_reg_at(&insn->operand[2]);
        step->run = mulx;
        return true;
    default:
        return false;
    }
}
