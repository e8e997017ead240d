/* SPDX-License-Identifier: Apache-2.0 */
/* Moves: MOV, MOVZX, MOVSX, MOVSXD, LEA, MOVBE, MOVNTI, BSWAP, CBW, CWD, SETcc, CMOVcc, XLAT, and
 * the instructions on single flags. SDM volume 2. */
#include "vm/engine/bt/exec.h"

#define MOV(bits)                                                                                 \
    static EXEC(mov_rr_##bits)                                                                    \
    {                                                                                             \
        exec_w##bits(vcpu, step->dst, exec_r##bits(vcpu, step->src));                             \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(mov_ri_##bits)                                                                    \
    {                                                                                             \
        exec_w##bits(vcpu, step->dst, (uint##bits##_t)step->imm);                                 \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(mov_rm_##bits)                                                                    \
    {                                                                                             \
        exec_w##bits(vcpu, step->dst, (uint##bits##_t)exec_load(vcpu, step, bits / 8));           \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(mov_mr_##bits)                                                                    \
    {                                                                                             \
        uint64_t linear = exec_ea(vcpu, step, bits / 8, MMU_WRITE);                               \
        mmu_store(vcpu, linear, bits / 8, exec_r##bits(vcpu, step->src));                         \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(mov_mi_##bits)                                                                    \
    {                                                                                             \
        uint64_t linear = exec_ea(vcpu, step, bits / 8, MMU_WRITE);                               \
        mmu_store(vcpu, linear, bits / 8, (uint##bits##_t)step->imm);                             \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(lea_##bits)                                                                       \
    {                                                                                             \
        exec_w##bits(vcpu, step->dst, (uint##bits##_t)exec_sum(vcpu, step));                      \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(movbe_load_##bits)                                                                \
    {                                                                                             \
        uint64_t value = exec_load(vcpu, step, bits / 8);                                         \
        exec_w##bits(vcpu, step->dst, (uint##bits##_t)(__builtin_bswap64(value) >> (64 - bits))); \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(movbe_store_##bits)                                                               \
    {                                                                                             \
        uint64_t linear = exec_ea(vcpu, step, bits / 8, MMU_WRITE);                               \
        uint64_t value = exec_r##bits(vcpu, step->src);                                           \
        mmu_store(vcpu, linear, bits / 8, __builtin_bswap64(value) >> (64 - bits));               \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(cmov_rr_##bits)                                                                   \
    {                                                                                             \
        bool is = flags_cond(vcpu->status, step->size);                                           \
        exec_w##bits(vcpu, step->dst, exec_r##bits(vcpu, is ? step->src : step->dst));            \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(cmov_rm_##bits)                                                                   \
    {                                                                                             \
        uint##bits##_t value = (uint##bits##_t)exec_load(vcpu, step, bits / 8);                   \
        if (!flags_cond(vcpu->status, step->size))                                                \
            value = exec_r##bits(vcpu, step->dst);                                                \
        exec_w##bits(vcpu, step->dst, value);                                                     \
        EXEC_NEXT;                                                                                \
    }
MOV(8)
MOV(16)
MOV(32)
MOV(64)

/* MOVZX, MOVSX from `from` to `bits`; the source is unsigned for MOVZX. */
#define EXTEND(name, sign, from, bits)                                                    \
    static EXEC(name##_rr_##from##_##bits)                                                \
    {                                                                                     \
        exec_w##bits(vcpu, step->dst,                                                     \
                     (uint##bits##_t)(sign##int##from##_t)exec_r##from(vcpu, step->src)); \
        EXEC_NEXT;                                                                        \
    }                                                                                     \
    static EXEC(name##_rm_##from##_##bits)                                                \
    {                                                                                     \
        uint64_t value = exec_load(vcpu, step, from / 8);                                 \
        exec_w##bits(vcpu, step->dst, (uint##bits##_t)(sign##int##from##_t)value);        \
        EXEC_NEXT;                                                                        \
    }
#define EXTENDS(name, sign)    \
    EXTEND(name, sign, 8, 16)  \
    EXTEND(name, sign, 8, 32)  \
    EXTEND(name, sign, 8, 64)  \
    EXTEND(name, sign, 16, 16) \
    EXTEND(name, sign, 16, 32) \
    EXTEND(name, sign, 16, 64) \
    EXTEND(name, sign, 32, 16) EXTEND(name, sign, 32, 32) EXTEND(name, sign, 32, 64)
EXTENDS(movzx, u)
EXTENDS(movsx, )

#define FROM(name, form, from)                                          \
    {                                                                   \
        NULL, name##_##form##_##from##_16, name##_##form##_##from##_32, \
            name##_##form##_##from##_64                                 \
    }
#define EXTEND_TABLE(name)                                            \
    {                                                                 \
        {FROM(name, rr, 8), FROM(name, rr, 16), FROM(name, rr, 32)},  \
        {                                                             \
            FROM(name, rm, 8), FROM(name, rm, 16), FROM(name, rm, 32) \
        }                                                             \
    }
/* By sign, memory, size of the source and of the destination. */
static exec_fn *const extend[2][2][3][4] = {EXTEND_TABLE(movzx), EXTEND_TABLE(movsx)};

#define ROW(name)                                 \
    {                                             \
        name##_8, name##_16, name##_32, name##_64 \
    }
static exec_fn *const mov_rr[4] = ROW(mov_rr), *const mov_ri[4] = ROW(mov_ri);
static exec_fn *const mov_rm[4] = ROW(mov_rm), *const mov_mr[4] = ROW(mov_mr);
static exec_fn *const mov_mi[4] = ROW(mov_mi);
static exec_fn *const movbe_load[4] = ROW(movbe_load), *const movbe_store[4] = ROW(movbe_store);
static exec_fn *const cmov_rr[4] = ROW(cmov_rr), *const cmov_rm[4] = ROW(cmov_rm);
static exec_fn *const lea[4] = ROW(lea);

/* LEA with an address size of its own: the offset is truncated first. */
static EXEC(lea_any)
{
    vcpu->step = step;
    interp_sync(vcpu); /* relative to RIP */
    uint64_t offset = interp_ea_offset(vcpu, step->insn);
    exec_write_reg(vcpu, step->dst, step->size, offset);
    EXEC_NEXT;
}

/* MOV with a 64-bit address in the instruction. */
static EXEC(mov_moffs)
{
    vcpu->step = step;
    uint64_t linear = segment_linear(vcpu, step->seg, (uint64_t)step->imm, step->size,
                                     step->dst ? MMU_WRITE : MMU_READ);

    if (step->dst)
        mmu_store(vcpu, linear, step->size, exec_read_reg(vcpu, 0, step->size));
    else
        exec_write_reg(vcpu, 0, step->size, mmu_load(vcpu, linear, step->size));
    EXEC_NEXT;
}

static bool bind_moffs(const struct bt_insn *insn, struct bt_step *step)
{
    step->dst = insn->operand[0].kind == BT_OPERAND_MOFFS;
    step->size = insn->operand[step->dst ? 0 : 1].size;
    step->seg = insn->seg;
    step->imm = insn->imm[0];
    step->run = mov_moffs;
    return true;
}

static bool bind_mov(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];
    unsigned size = exec_size_index(dst->size);

    if (dst->kind == BT_OPERAND_MOFFS || src->kind == BT_OPERAND_MOFFS)
        return bind_moffs(insn, step);
    if (dst->kind == BT_OPERAND_GPR)
        step->dst = (uint8_t)exec_reg_at(dst);
    if (src->kind == BT_OPERAND_GPR)
        step->src = (uint8_t)exec_reg_at(src);
    if (src->kind == BT_OPERAND_IMM)
        step->imm = insn->imm[0];
    if (dst->kind == BT_OPERAND_MEM)
        step->run = src->kind == BT_OPERAND_IMM ? mov_mi[size] : mov_mr[size];
    else
        step->run = src->kind == BT_OPERAND_IMM   ? mov_ri[size]
                    : src->kind == BT_OPERAND_MEM ? mov_rm[size]
                                                  : mov_rr[size];
    return true;
}

static bool bind_extend(bool sign, const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];
    bool memory = src->kind == BT_OPERAND_MEM;

    step->dst = (uint8_t)exec_reg_at(dst);
    if (!memory)
        step->src = (uint8_t)exec_reg_at(src);
    step->run = extend[sign][memory][exec_size_index(src->size)][exec_size_index(dst->size)];
    return step->run;
}

static EXEC(bswap)
{
    uint64_t value = exec_read_reg(vcpu, step->dst, step->size);

    /* With 16 bits undefined; the processors that there are store 0. */
    exec_write_reg(vcpu, step->dst, step->size,
                   step->size == 2 ? 0 : __builtin_bswap64(value) >> (64 - 8 * step->size));
    EXEC_NEXT;
}

static EXEC(cbw)
{
    switch (step->size) {
    case 2:
        exec_w16(vcpu, 0, (uint16_t)(int8_t)exec_r8(vcpu, 0));
        break;
    case 4:
        exec_w32(vcpu, 0, (uint32_t)(int16_t)exec_r16(vcpu, 0));
        break;
    default:
        exec_w64(vcpu, 0, (uint64_t)(int32_t)exec_r32(vcpu, 0));
    }
    EXEC_NEXT;
}

static EXEC(cwd)
{
    uint64_t value = exec_read_reg(vcpu, CPU_RAX * 8, step->size);
    bool negative = value >> (8 * step->size - 1) & 1;

    exec_write_reg(vcpu, CPU_RDX * 8, step->size, negative ? ~UINT64_C(0) : 0);
    EXEC_NEXT;
}

static EXEC(setcc_r)
{
    exec_w8(vcpu, step->dst, flags_cond(vcpu->status, step->size));
    EXEC_NEXT;
}

static EXEC(setcc_m)
{
    uint64_t linear = exec_ea(vcpu, step, 1, MMU_WRITE);

    mmu_store(vcpu, linear, 1, flags_cond(vcpu->status, step->size));
    EXEC_NEXT;
}

/* base is (E)BX or RBX, index AL. */
static EXEC(xlat)
{
    const struct bt_insn *insn = step->insn;
    uint64_t offset = vcpu->gpr[CPU_RBX] + exec_r8(vcpu, 0);

    vcpu->step = step;
    if (insn->addr_size != 8)
        offset &= (UINT64_C(1) << 8 * insn->addr_size) - 1;
    exec_w8(vcpu, 0,
            (uint8_t)mmu_load(vcpu, segment_linear(vcpu, insn->seg, offset, 1, MMU_READ), 1));
    EXEC_NEXT;
}

static EXEC(lahf)
{
    exec_w8(vcpu, 1, (uint8_t)(vcpu->status >> 8 & 0xd5) | 2);
    EXEC_NEXT;
}

static EXEC(sahf)
{
    vcpu->status = (uint16_t)((exec_r8(vcpu, 1) & 0xd5) << 8 | (vcpu->status & STATUS_OF));
    EXEC_NEXT;
}

static EXEC(clc)
{
    vcpu->status &= (uint16_t)~STATUS_CF;
    EXEC_NEXT;
}

static EXEC(stc)
{
    vcpu->status |= STATUS_CF;
    EXEC_NEXT;
}

static EXEC(cmc)
{
    vcpu->status ^= STATUS_CF;
    EXEC_NEXT;
}

static EXEC(cld)
{
    vcpu->rflags &= ~(uint64_t)BT_FLAG_DF;
    EXEC_NEXT;
}

static EXEC(std)
{
    vcpu->rflags |= BT_FLAG_DF;
    EXEC_NEXT;
}

static EXEC(salc)
{
    exec_w8(vcpu, 0, vcpu->status & STATUS_CF ? 0xff : 0);
    EXEC_NEXT;
}

static bool bind_cc(const struct bt_insn *insn, struct bt_step *step)
{
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];
    unsigned size = exec_size_index(dst->size);

    step->size = insn->cond;
    if (dst->kind == BT_OPERAND_GPR)
        step->dst = (uint8_t)exec_reg_at(dst);
    if (insn->op == BT_OP_SETCC) {
        step->run = dst->kind == BT_OPERAND_GPR ? setcc_r : setcc_m;
        return true;
    }
    if (src->kind == BT_OPERAND_GPR)
        step->src = (uint8_t)exec_reg_at(src);
    step->run = src->kind == BT_OPERAND_GPR ? cmov_rr[size] : cmov_rm[size];
    return true;
}

static bool bind_lea(const struct bt_insn *insn, struct bt_step *step)
{
    step->dst = (uint8_t)exec_reg_at(&insn->operand[0]);
    step->size = insn->operand[0].size;
    /* Truncation to the register is truncation to the address size, or more of it. */
    if (!(step->ea & EXEC_EA_FAR) && insn->addr_size >= step->size) {
        step->run = lea[exec_size_index(step->size)];
    } else {
        step->insn = insn;
        step->run = lea_any;
    }
    return true;
}

static bool bind_movbe(const struct bt_insn *insn, struct bt_step *step)
{
    bool load = insn->operand[0].kind == BT_OPERAND_GPR;
    const struct bt_operand *reg = &insn->operand[load ? 0 : 1];

    if (load)
        step->dst = (uint8_t)exec_reg_at(reg);
    else
        step->src = (uint8_t)exec_reg_at(reg);
    step->run = (load ? movbe_load : movbe_store)[exec_size_index(reg->size)];
    return true;
}

bool exec_move_bind(const struct bt_insn *insn, struct bt_step *step)
{
    static exec_fn *const simple[BT_OP_MAX] = {
        [BT_OP_CBW] = cbw, [BT_OP_CWD] = cwd,   [BT_OP_LAHF] = lahf, [BT_OP_SAHF] = sahf,
        [BT_OP_CLC] = clc, [BT_OP_STC] = stc,   [BT_OP_CMC] = cmc,   [BT_OP_CLD] = cld,
        [BT_OP_STD] = std, [BT_OP_SALC] = salc,
    };

    switch (insn->op) {
    case BT_OP_MOV:
    case BT_OP_MOVNTI:
        return bind_mov(insn, step);
    case BT_OP_MOVZX:
        return bind_extend(false, insn, step);
    case BT_OP_MOVSX:
    case BT_OP_MOVSXD:
        return bind_extend(true, insn, step);
    case BT_OP_LEA:
        return bind_lea(insn, step);
    case BT_OP_MOVBE:
        return bind_movbe(insn, step);
    case BT_OP_SETCC:
    case BT_OP_CMOVCC:
        return bind_cc(insn, step);
    case BT_OP_BSWAP:
        step->dst = (uint8_t)exec_reg_at(&insn->operand[0]);
        step->size = insn->size;
        step->run = bswap;
        return true;
    case BT_OP_XLAT:
        step->insn = insn;
        step->seg = insn->seg;
        step->run = xlat;
        return true;
    default:
        step->size = insn->size;
        step->run = simple[insn->op];
        return step->run;
    }
}
