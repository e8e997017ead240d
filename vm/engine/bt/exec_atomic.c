/* SPDX-License-Identifier: Apache-2.0 */
/* XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B: by the host's atomics when locked, as XCHG with
 * memory always is. SDM volume 2.
 *
 * CMPXCHG writes even when it fails (SDM: "never produces a locked read without also producing a
 * locked write"), so it needs write permission in any case. */
#include "vm/engine/bt/exec.h"

#define CHANGE(bits)                                                                              \
    static inline uint##bits##_t replace_##bits(struct bt_vcpu *vcpu, uint##bits##_t old,         \
                                                uint##bits##_t value, uint##bits##_t *ret_old)    \
    {                                                                                             \
        *ret_old = old;                                                                           \
        return value;                                                                             \
    }                                                                                             \
    static inline uint##bits##_t add_##bits(struct bt_vcpu *vcpu, uint##bits##_t old,             \
                                            uint##bits##_t value, uint##bits##_t *ret_old)        \
    {                                                                                             \
        uint16_t status;                                                                          \
        *ret_old = old;                                                                           \
        __asm__("add %[value], %[old]" FLAGS_KEEP                                                 \
                : [old] "+q"(old), "=a"(status)                                                   \
                : [value] "q"(value)                                                              \
                : "cc");                                                                          \
        vcpu->status = status;                                                                    \
        return old;                                                                               \
    }                                                                                             \
    static inline void compare_##bits(struct bt_vcpu *vcpu, uint##bits##_t a, uint##bits##_t b)   \
    {                                                                                             \
        uint16_t status;                                                                          \
        __asm__("cmp %[b], %[a]" FLAGS_KEEP : "=a"(status) : [a] "q"(a), [b] "q"(b) : "cc");      \
        vcpu->status = status;                                                                    \
    }                                                                                             \
    static inline uint##bits##_t if_equal_##bits(struct bt_vcpu *vcpu, uint##bits##_t old,        \
                                                 uint##bits##_t value, uint##bits##_t *ret_old)   \
    {                                                                                             \
        *ret_old = old;                                                                           \
        return exec_r##bits(vcpu, CPU_RAX * 8) == old ? value : old;                              \
    }                                                                                             \
    static inline void cmpxchg_done_##bits(struct bt_vcpu *vcpu, uint##bits##_t old)              \
    {                                                                                             \
        compare_##bits(vcpu, exec_r##bits(vcpu, CPU_RAX * 8), old);                               \
        if (exec_r##bits(vcpu, CPU_RAX * 8) != old)                                               \
            exec_w##bits(vcpu, CPU_RAX * 8, old);                                                 \
    }                                                                                             \
    static EXEC(xchg_r_##bits)                                                                    \
    {                                                                                             \
        uint##bits##_t a = exec_r##bits(vcpu, step->dst), b = exec_r##bits(vcpu, step->src);      \
        exec_w##bits(vcpu, step->dst, b);                                                         \
        exec_w##bits(vcpu, step->src, a);                                                         \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(xchg_m_##bits)                                                                    \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        EXEC_RMW(bits, true, replace_##bits, exec_r##bits(vcpu, step->src), &was);                \
        exec_w##bits(vcpu, step->src, was);                                                       \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(xadd_r_##bits)                                                                    \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        uint##bits##_t sum =                                                                      \
            add_##bits(vcpu, exec_r##bits(vcpu, step->dst), exec_r##bits(vcpu, step->src), &was); \
        exec_w##bits(vcpu, step->src, was);                                                       \
        exec_w##bits(vcpu, step->dst, sum);                                                       \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(xadd_m_##bits)                                                                    \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        EXEC_RMW(bits, false, add_##bits, exec_r##bits(vcpu, step->src), &was);                   \
        exec_w##bits(vcpu, step->src, was);                                                       \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(xadd_lock_##bits)                                                                 \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        EXEC_RMW(bits, true, add_##bits, exec_r##bits(vcpu, step->src), &was);                    \
        exec_w##bits(vcpu, step->src, was);                                                       \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(cmpxchg_r_##bits)                                                                 \
    {                                                                                             \
        uint##bits##_t old = exec_r##bits(vcpu, step->dst);                                       \
        bool same = exec_r##bits(vcpu, CPU_RAX * 8) == old;                                       \
        compare_##bits(vcpu, exec_r##bits(vcpu, CPU_RAX * 8), old);                               \
        if (same)                                                                                 \
            exec_w##bits(vcpu, step->dst, exec_r##bits(vcpu, step->src));                         \
        else                                                                                      \
            exec_w##bits(vcpu, CPU_RAX * 8, old);                                                 \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(cmpxchg_m_##bits)                                                                 \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        EXEC_RMW(bits, false, if_equal_##bits, exec_r##bits(vcpu, step->src), &was);              \
        cmpxchg_done_##bits(vcpu, was);                                                           \
        EXEC_NEXT;                                                                                \
    }                                                                                             \
    static EXEC(cmpxchg_lock_##bits)                                                              \
    {                                                                                             \
        uint##bits##_t was;                                                                       \
        EXEC_RMW(bits, true, if_equal_##bits, exec_r##bits(vcpu, step->src), &was);               \
        cmpxchg_done_##bits(vcpu, was);                                                           \
        EXEC_NEXT;                                                                                \
    }
CHANGE(8)
CHANGE(16)
CHANGE(32)
CHANGE(64)

#define ROW(name)                                 \
    {                                             \
        name##_8, name##_16, name##_32, name##_64 \
    }
enum { IN_REG, IN_MEM, IN_MEM_LOCKED };
static exec_fn *const xchg[3][4] = {ROW(xchg_r), ROW(xchg_m), ROW(xchg_m)};
static exec_fn *const xadd[3][4] = {ROW(xadd_r), ROW(xadd_m), ROW(xadd_lock)};
static exec_fn *const cmpxchg[3][4] = {ROW(cmpxchg_r), ROW(cmpxchg_m), ROW(cmpxchg_lock)};

static void set_zf(struct bt_vcpu *vcpu, bool on)
{
    vcpu->status = (uint16_t)((vcpu->status & ~STATUS_ZF) | (on ? STATUS_ZF : 0));
}

static uint64_t exchange_pair(struct bt_vcpu *vcpu, uint64_t old, uint64_t *ret_old)
{
    uint64_t expected = (uint64_t)exec_r32(vcpu, CPU_RDX * 8) << 32 | exec_r32(vcpu, CPU_RAX * 8);

    *ret_old = old;
    return old == expected
               ? (uint64_t)exec_r32(vcpu, CPU_RCX * 8) << 32 | exec_r32(vcpu, CPU_RBX * 8)
               : old;
}

/* Always by an atomic: without LOCK it may be one, too. */
static EXEC(cmpxchg8b)
{
    uint64_t was,
        expected = (uint64_t)exec_r32(vcpu, CPU_RDX * 8) << 32 | exec_r32(vcpu, CPU_RAX * 8);

    EXEC_RMW(64, true, exchange_pair, &was);
    set_zf(vcpu, was == expected);
    if (was != expected) {
        exec_w32(vcpu, CPU_RAX * 8, (uint32_t)was);
        exec_w32(vcpu, CPU_RDX * 8, (uint32_t)(was >> 32));
    }
    EXEC_NEXT;
}

/* Memory must be 16-byte aligned (#GP), so it never crosses a page. */
static EXEC(cmpxchg16b)
{
    uint64_t linear = exec_ea(vcpu, step, 16, MMU_WRITE);

    if (linear & 15) {
        interp_sync(vcpu);
        bt_raise_error(vcpu, BT_GP, 0);
    }
    void *host = mmu_host_rmw(vcpu, linear, 16);
    uint64_t low = vcpu->gpr[CPU_RAX], high = vcpu->gpr[CPU_RDX];
    bool same;
    if (host) {
        __asm__ volatile("lock cmpxchg16b %[mem]"
                         : "=@ccz"(same), [mem] "+m"(*(char(*)[16])host), "+a"(low), "+d"(high)
                         : "b"(vcpu->gpr[CPU_RBX]), "c"(vcpu->gpr[CPU_RCX])
                         : "memory");
    } else { /* a device: not atomic there */
        mmu_check_write(vcpu, linear, 16);
        uint64_t was_low = mmu_load(vcpu, linear, 8), was_high = mmu_load(vcpu, linear + 8, 8);
        same = was_low == low && was_high == high;
        mmu_store(vcpu, linear, 8, same ? vcpu->gpr[CPU_RBX] : was_low);
        mmu_store(vcpu, linear + 8, 8, same ? vcpu->gpr[CPU_RCX] : was_high);
        low = was_low;
        high = was_high;
    }
    set_zf(vcpu, same);
    if (!same) {
        vcpu->gpr[CPU_RAX] = low;
        vcpu->gpr[CPU_RDX] = high;
    }
    EXEC_NEXT;
}

bool exec_atomic_bind(const struct bt_insn *insn, struct bt_step *step)
{
    exec_fn *const(*table)[4];
    const struct bt_operand *dst = &insn->operand[0], *src = &insn->operand[1];

    switch (insn->op) {
    case BT_OP_XCHG:
        table = xchg;
        break;
    case BT_OP_XADD:
        table = xadd;
        break;
    case BT_OP_CMPXCHG:
        table = cmpxchg;
        break;
    case BT_OP_CMPXCHG8B:
        step->run = cmpxchg8b;
        return true;
    case BT_OP_CMPXCHG16B:
        step->run = cmpxchg16b;
        return true;
    default:
        return false;
    }
    unsigned form = dst->kind == BT_OPERAND_GPR       ? IN_REG
                    : insn->prefixes & BT_PREFIX_LOCK ? IN_MEM_LOCKED
                                                      : IN_MEM;
    if (form == IN_REG)
        step->dst = (uint8_t)exec_reg_at(dst);
    step->src = (uint8_t)exec_reg_at(src);
    step->run = table[form][exec_size_index(dst->size)];
    return true;
}
