/* SPDX-License-Identifier: Apache-2.0 */
/* Single bits and counts: BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, CRC32, ADCX ADOX; BMI1 and
 * BMI2 but for MULX. SDM volume 2. The host carries them out, with the guest's flags loaded. */
#include "vm/engine/bt/exec.h"

#define BIT_OP(name, insn, bits)                                                               \
    static inline uint##bits##_t bit_##name##_##bits(struct bt_vcpu *vcpu, uint##bits##_t old, \
                                                     uint##bits##_t index, uint16_t status)    \
    {                                                                                          \
        __asm__(FLAGS_LOAD insn " %[index], %[dst]" FLAGS_KEEP                                 \
                : [dst] "+&r"(old), "+&a"(status)                                              \
                : [index] "r"(index)                                                           \
                : "cc");                                                                       \
        vcpu->status = status;                                                                 \
        return old;                                                                            \
    }
#define BIT_REG(name, bits)                                                                 \
    static EXEC(name##_r_##bits)                                                            \
    {                                                                                       \
        uint##bits##_t index = bit_index(vcpu, step) & (bits - 1);                          \
        exec_w##bits(                                                                       \
            vcpu, step->dst,                                                                \
            bit_##name##_##bits(vcpu, exec_r##bits(vcpu, step->dst), index, vcpu->status)); \
        EXEC_NEXT;                                                                          \
    }
#define BIT_MEM(name, bits)                                                   \
    static EXEC(name##_m_##bits)                                              \
    {                                                                         \
        uint16_t before = vcpu->status;                                       \
        uint64_t linear = bit_linear(vcpu, step, bits, MMU_WRITE);            \
        uint##bits##_t index = bit_index(vcpu, step) & (bits - 1);            \
        EXEC_RMW_AT(linear, bits, false, bit_##name##_##bits, index, before); \
        EXEC_NEXT;                                                            \
    }                                                                         \
    static EXEC(name##_lock_m_##bits)                                         \
    {                                                                         \
        uint16_t before = vcpu->status;                                       \
        uint64_t linear = bit_linear(vcpu, step, bits, MMU_WRITE);            \
        uint##bits##_t index = bit_index(vcpu, step) & (bits - 1);            \
        EXEC_RMW_AT(linear, bits, true, bit_##name##_##bits, index, before);  \
        EXEC_NEXT;                                                            \
    }

/* The index: an immediate, or a register as wide as the operand, with its sign. */
static inline int64_t bit_index(const struct bt_vcpu *vcpu, const struct bt_step *step)
{
    switch (step->size) {
    case 2:
        return (int16_t)exec_r16(vcpu, step->src);
    case 4:
        return (int32_t)exec_r32(vcpu, step->src);
    case 8:
        return (int64_t)exec_r64(vcpu, step->src);
    default:
        return step->imm;
    }
}

/* A register's index reaches beyond the operand. */
static inline uint64_t bit_linear(struct bt_vcpu *vcpu, const struct bt_step *step, unsigned bits,
                                  enum mmu_access access)
{
    int64_t units = step->size ? bit_index(vcpu, step) >> __builtin_ctz(bits) : 0;
    uint64_t sum = exec_sum(vcpu, step) + (uint64_t)units * (bits / 8);

    vcpu->step = step;
    return step->ea == EXEC_EA_FLAT ? sum : exec_ea_slow(vcpu, step, sum, bits / 8, access);
}

#define BIT_OPS(name, insn)    \
    BIT_OP(name, insn "w", 16) \
    BIT_OP(name, insn "l", 32) \
    BIT_OP(name, insn "q", 64)
#define BIT_FORMS(name) \
    BIT_REG(name, 16)   \
    BIT_REG(name, 32) BIT_REG(name, 64) BIT_MEM(name, 16) BIT_MEM(name, 32) BIT_MEM(name, 64)
BIT_OPS(bt, "bt")
BIT_OPS(bts, "bts")
BIT_OPS(btr, "btr")
BIT_OPS(btc, "btc")
BIT_FORMS(bts)
BIT_FORMS(btr)
BIT_FORMS(btc)

/* BT only reads. */
#define BIT_TEST(bits)                                                                      \
    static EXEC(bt_test_##bits)                                                             \
    {                                                                                       \
        (void)bit_bt_##bits(vcpu, exec_r##bits(vcpu, step->dst),                            \
                            bit_index(vcpu, step) & (bits - 1), vcpu->status);              \
        EXEC_NEXT;                                                                          \
    }                                                                                       \
                                                                                            \
    static EXEC(bt_read_##bits)                                                             \
    {                                                                                       \
        uint64_t linear = bit_linear(vcpu, step, bits, MMU_READ);                           \
        uint##bits##_t value = (uint##bits##_t)mmu_load(vcpu, linear, bits / 8);            \
        (void)bit_bt_##bits(vcpu, value, bit_index(vcpu, step) & (bits - 1), vcpu->status); \
        EXEC_NEXT;                                                                          \
    }
BIT_TEST(16)
BIT_TEST(32)
BIT_TEST(64)

#define ROW(name)                             \
    {                                         \
        NULL, name##_16, name##_32, name##_64 \
    }
enum { IN_REG, IN_MEM, IN_MEM_LOCKED };
static exec_fn *const bit[4][3][4] = {
    {ROW(bt_test), ROW(bt_read), ROW(bt_read)},
    {ROW(bts_r), ROW(bts_m), ROW(bts_lock_m)},
    {ROW(btr_r), ROW(btr_m), ROW(btr_lock_m)},
    {ROW(btc_r), ROW(btc_m), ROW(btc_lock_m)},
};
static bool bind_bit(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *index = &insn->operand[1];
    unsigned form = dst->kind == BT_OPERAND_GPR       ? IN_REG
                    : insn->prefixes & BT_PREFIX_LOCK ? IN_MEM_LOCKED
                                                      : IN_MEM;

    step->imm = insn->imm[0];
    step->size = 0;
    if (index->kind == BT_OPERAND_GPR) {
        step->size = dst->size;
        step->src = (uint8_t)exec_reg_at(index);
    }
    if (form == IN_REG)
        step->dst = (uint8_t)exec_reg_at(dst);
    step->run = bit[insn->op - BT_OP_BT][form][exec_size_index(dst->size)];
    return step->run;
}

/* The last operand, register or memory, of instructions that have size and src set. */
static inline uint64_t source(struct bt_vcpu *vcpu, const struct bt_step *step)
{
    return step->src == 0xff ? exec_load(vcpu, step, step->size)
                             : exec_read_reg(vcpu, step->src, step->size);
}

/* dst = f(src), with the old dst, which BSF and BSR leave for a zero. */
#define COUNT(name, insn)                                                                   \
    static EXEC(name)                                                                       \
    {                                                                                       \
        uint64_t src = source(vcpu, step), dst = exec_r64(vcpu, step->dst);                 \
        uint16_t status = vcpu->status;                                                     \
        if (step->size == 2)                                                                \
            __asm__(FLAGS_LOAD insn " %w[src], %w[dst]" FLAGS_KEEP                          \
                    : [dst] "+&r"(dst), "+&a"(status)                                       \
                    : [src] "r"(src)                                                        \
                    : "cc");                                                                \
        else if (step->size == 4)                                                           \
            __asm__(FLAGS_LOAD insn " %k[src], %k[dst]" FLAGS_KEEP                          \
                    : [dst] "+&r"(dst), "+&a"(status)                                       \
                    : [src] "r"(src)                                                        \
                    : "cc");                                                                \
        else                                                                                \
            __asm__(FLAGS_LOAD insn " %q[src], %q[dst]" FLAGS_KEEP                          \
                    : [dst] "+&r"(dst), "+&a"(status)                                       \
                    : [src] "r"(src)                                                        \
                    : "cc");                                                                \
        vcpu->status = status;                                                              \
        /* What the host did to the whole register, upper half of a 32-bit one included. */ \
        exec_w64(vcpu, step->dst, dst);                                                     \
        EXEC_NEXT;                                                                          \
    }
COUNT(bsf, "bsf")
COUNT(bsr, "bsr")
COUNT(tzcnt, "tzcnt")
COUNT(lzcnt, "lzcnt")
COUNT(popcnt, "popcnt")

/* ADCX, ADOX: dst += src with one flag only; no 16-bit form. */
#define ADX(name)                                                           \
    static EXEC(name)                                                       \
    {                                                                       \
        uint64_t src = source(vcpu, step), dst = exec_r64(vcpu, step->dst); \
        uint16_t status = vcpu->status;                                     \
        if (step->size == 4)                                                \
            __asm__(FLAGS_LOAD #name " %k[src], %k[dst]" FLAGS_KEEP         \
                    : [dst] "+&r"(dst), "+&a"(status)                       \
                    : [src] "r"(src)                                        \
                    : "cc");                                                \
        else                                                                \
            __asm__(FLAGS_LOAD #name " %q[src], %q[dst]" FLAGS_KEEP         \
                    : [dst] "+&r"(dst), "+&a"(status)                       \
                    : [src] "r"(src)                                        \
                    : "cc");                                                \
        vcpu->status = status;                                              \
        exec_w64(vcpu, step->dst, dst);                                     \
        EXEC_NEXT;                                                          \
    }
ADX(adcx)
ADX(adox)

static EXEC(crc32)
{
    uint64_t src = source(vcpu, step);
    uint32_t crc = exec_r32(vcpu, step->dst);

    if (step->size == 8) {
        uint64_t wide = crc;
        __asm__("crc32q %[src], %[crc]" : [crc] "+r"(wide) : [src] "r"(src));
        crc = (uint32_t)wide;
    } else if (step->size == 4) {
        __asm__("crc32l %k[src], %[crc]" : [crc] "+r"(crc) : [src] "r"(src));
    } else if (step->size == 2) {
        __asm__("crc32w %w[src], %[crc]" : [crc] "+r"(crc) : [src] "r"(src));
    } else {
        __asm__("crc32b %b[src], %[crc]" : [crc] "+r"(crc) : [src] "q"(src));
    }
    exec_w32(vcpu, step->dst, crc);
    EXEC_NEXT;
}

/* BMI: dst = f(src, other). */
static inline uint64_t other(const struct bt_vcpu *vcpu, const struct bt_step *step)
{
    return exec_read_reg(vcpu, step->with, step->size);
}

/* AT&T operand order: insn third, second, first. */
#define BMI3(name, order32, order64)                                      \
    static EXEC(name)                                                     \
    {                                                                     \
        uint64_t src = source(vcpu, step), with = other(vcpu, step), dst; \
        uint16_t status = vcpu->status;                                   \
        if (step->size == 4)                                              \
            __asm__(FLAGS_LOAD #name order32 FLAGS_KEEP                   \
                    : [dst] "=&r"(dst), "+&a"(status)                     \
                    : [src] "r"(src), [with] "r"(with)                    \
                    : "cc");                                              \
        else                                                              \
            __asm__(FLAGS_LOAD #name order64 FLAGS_KEEP                   \
                    : [dst] "=&r"(dst), "+&a"(status)                     \
                    : [src] "r"(src), [with] "r"(with)                    \
                    : "cc");                                              \
        vcpu->status = status;                                            \
        exec_write_reg(vcpu, step->dst, step->size, dst);                 \
        EXEC_NEXT;                                                        \
    }
/* r/m last in Intel's order: ANDN, PDEP, PEXT; r/m in the middle: the others. */
#define RM_LAST(name)   BMI3(name, " %k[src], %k[with], %k[dst]", " %q[src], %q[with], %q[dst]")
#define RM_MIDDLE(name) BMI3(name, " %k[with], %k[src], %k[dst]", " %q[with], %q[src], %q[dst]")
#define RM_ONLY(name)   BMI3(name, " %k[src], %k[dst]", " %q[src], %q[dst]")
RM_LAST(andn)
RM_LAST(pdep)
RM_LAST(pext)
RM_MIDDLE(bextr)
RM_MIDDLE(bzhi)
RM_MIDDLE(sarx)
RM_MIDDLE(shlx)
RM_MIDDLE(shrx)
RM_ONLY(blsi)
RM_ONLY(blsmsk)
RM_ONLY(blsr)

static EXEC(rorx)
{
    uint64_t src = source(vcpu, step);
    unsigned bits = 8u * step->size, by = (unsigned)step->imm & (bits - 1);

    exec_write_reg(vcpu, step->dst, step->size, by ? src >> by | src << (bits - by) : src);
    EXEC_NEXT;
}

/* Which operand is the register or memory one; 3: not one of these. */
static unsigned rm_operand(const struct bt_insn *insn)
{
    switch (insn->op) {
    case BT_OP_ANDN:
    case BT_OP_PDEP:
    case BT_OP_PEXT:
        return 2;
    default:
        return 1;
    }
}

bool exec_bit_bind(const struct bt_insn *insn, struct bt_step *step)
{
    static exec_fn *const run[BT_OP_MAX] = {
        [BT_OP_BSF] = bsf,     [BT_OP_BSR] = bsr,       [BT_OP_TZCNT] = tzcnt,
        [BT_OP_LZCNT] = lzcnt, [BT_OP_POPCNT] = popcnt, [BT_OP_CRC32] = crc32,
        [BT_OP_ADCX] = adcx,   [BT_OP_ADOX] = adox,     [BT_OP_ANDN] = andn,
        [BT_OP_BEXTR] = bextr, [BT_OP_BLSI] = blsi,     [BT_OP_BLSMSK] = blsmsk,
        [BT_OP_BLSR] = blsr,   [BT_OP_BZHI] = bzhi,     [BT_OP_PDEP] = pdep,
        [BT_OP_PEXT] = pext,   [BT_OP_RORX] = rorx,     [BT_OP_SARX] = sarx,
        [BT_OP_SHLX] = shlx,   [BT_OP_SHRX] = shrx,
    };

    if (insn->op >= BT_OP_BT && insn->op <= BT_OP_BTC)
        return bind_bit(insn, step);
    if (!run[insn->op])
        return false;
    unsigned rm = rm_operand(insn);
    const struct bt_operand *src = &insn->operand[rm];
    step->dst = (uint8_t)exec_reg_at(&insn->operand[0]);
    step->size = src->size;
    step->src = src->kind == BT_OPERAND_MEM ? 0xff : (uint8_t)exec_reg_at(src);
    step->imm = insn->imm[0];
    if (insn->operand_count > 2 && insn->operand[3 - rm].kind == BT_OPERAND_GPR)
        step->with = (uint8_t)exec_reg_at(&insn->operand[3 - rm]);
    step->run = run[insn->op];
    return true;
}
