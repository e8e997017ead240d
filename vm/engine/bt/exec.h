/* SPDX-License-Identifier: Apache-2.0 */
/* What the interpreter's own handlers (exec_*.c) are made of.
 *
 * A handler gets its step (block.h), does its work, and goes on with the next step by a tail call
 * (EXEC_NEXT); a step that ends the block sets RIP and returns where the loop finds the successor:
 * a slot of the block's `link`, or NULL to look it up. One that may fault says so first (vcpu->step
 * = step, part of exec_ea), translates and reads memory, and changes state last.
 *
 * exec_*_bind choose the handler of an instruction when a block is made and fill in the step's
 * operands; false: not theirs. */
#pragma once

#include <stddef.h>

#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flags.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/mmu.h"
#include "vm/engine/bt/segment.h"

#define EXEC_NEXT  return step[1].run(vcpu, step + 1)
#define EXEC(name) struct bt_block **name(struct bt_vcpu *vcpu, const struct bt_step *step)

typedef EXEC(exec_fn);

/* How the memory operand becomes a linear address: the sum itself (64-bit mode, no FS or GS), or
 * the sum cut to so many bytes, then by its segment; FAR: RIP-relative, with a displacement so
 * large that EXEC_FAR has been taken from it. */
enum { EXEC_EA_FLAT = 0, EXEC_EA_SIZE = 15, EXEC_EA_FAR = 16 };
enum { EXEC_FAR = 8192 };

/* Registers by byte offset in struct bt_vcpu. */
#define EXEC_REG(bits)                                                                 \
    static inline uint##bits##_t exec_r##bits(const struct bt_vcpu *vcpu, unsigned at) \
    {                                                                                  \
        return *(const uint##bits##_t *)((const char *)vcpu + at);                     \
    }
EXEC_REG(8)
EXEC_REG(16)
EXEC_REG(32)
EXEC_REG(64)
#undef EXEC_REG

static inline void exec_w8(struct bt_vcpu *vcpu, unsigned at, uint8_t value)
{
    *(uint8_t *)((char *)vcpu + at) = value;
}
static inline void exec_w16(struct bt_vcpu *vcpu, unsigned at, uint16_t value)
{
    *(uint16_t *)((char *)vcpu + at) = value;
}
static inline void exec_w32(struct bt_vcpu *vcpu, unsigned at, uint32_t value)
{
    *(uint64_t *)((char *)vcpu + at) = value; /* the upper half becomes 0 */
}
static inline void exec_w64(struct bt_vcpu *vcpu, unsigned at, uint64_t value)
{
    *(uint64_t *)((char *)vcpu + at) = value;
}

/* For handlers that learn the size from the step. */
static inline uint64_t exec_read_reg(const struct bt_vcpu *vcpu, unsigned at, unsigned size)
{
    return size == 8   ? exec_r64(vcpu, at)
           : size == 4 ? exec_r32(vcpu, at)
           : size == 2 ? exec_r16(vcpu, at)
                       : exec_r8(vcpu, at);
}
static inline void exec_write_reg(struct bt_vcpu *vcpu, unsigned at, unsigned size, uint64_t value)
{
    if (size == 8)
        exec_w64(vcpu, at, value);
    else if (size == 4)
        exec_w32(vcpu, at, (uint32_t)value);
    else if (size == 2)
        exec_w16(vcpu, at, (uint16_t)value);
    else
        exec_w8(vcpu, at, (uint8_t)value);
}

/* The effective address before truncation; the address of the operand. */
static inline uint64_t exec_sum(const struct bt_vcpu *vcpu, const struct bt_step *step)
{
    return exec_r64(vcpu, step->base) + (exec_r64(vcpu, step->index) << step->scale) +
           (uint64_t)(int64_t)step->disp;
}

uint64_t exec_ea_slow(struct bt_vcpu *vcpu, const struct bt_step *step, uint64_t sum, unsigned size,
                      enum mmu_access access);

static inline __attribute__((always_inline)) uint64_t
exec_ea(struct bt_vcpu *vcpu, const struct bt_step *step, unsigned size, enum mmu_access access)
{
    uint64_t sum = exec_sum(vcpu, step);

    vcpu->step = step;
    return __builtin_expect(step->ea == EXEC_EA_FLAT, 1)
               ? sum
               : exec_ea_slow(vcpu, step, sum, size, access);
}

static inline __attribute__((always_inline)) uint64_t
exec_load(struct bt_vcpu *vcpu, const struct bt_step *step, unsigned size)
{
    return mmu_load(vcpu, exec_ea(vcpu, step, size, MMU_READ), size);
}

static inline uint64_t exec_rip(const struct bt_vcpu *vcpu, uint64_t rip)
{
    return interp_wrap(vcpu, rip);
}

/* A read-modify-write that found no host address: RAM across pages, or a device. `lock`: nobody
 * else's locked one comes between; the lock is given up by exec_rmw_end, or by a fault. */
uint64_t exec_rmw_begin(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, bool lock);
void exec_rmw_end(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value, bool lock);

/* Compare and exchange at any alignment: false when *host was not *old, which it then becomes. */
#define EXEC_CAS(bits)                                                                       \
    static inline bool exec_cas##bits(void *host, uint##bits##_t *old, uint##bits##_t value) \
    {                                                                                        \
        bool ok;                                                                             \
        __asm__ volatile("lock cmpxchg %[value], %[mem]"                                     \
                         : "=@ccz"(ok), [mem] "+m"(*(char(*)[bits / 8]) host), "+a"(*old)    \
                         : [value] "q"(value)                                                \
                         : "memory");                                                        \
        return ok;                                                                           \
    }
EXEC_CAS(8)
EXEC_CAS(16)
EXEC_CAS(32)
EXEC_CAS(64)
#undef EXEC_CAS

/* The operand in memory is read, changed by FN(vcpu, old value, ...), and written; `lock`: by a
 * host atomic. FN may be called again with another value when somebody else was faster. */
#define EXEC_RMW(bits, lock, FN, ...) \
    EXEC_RMW_AT(exec_ea(vcpu, step, bits / 8, MMU_WRITE), bits, lock, FN, ##__VA_ARGS__)
#define EXEC_RMW_AT(at, bits, lock, FN, ...)                                                     \
    do {                                                                                         \
        uint64_t linear_ = (at);                                                                 \
        void *host_ = mmu_host_rmw(vcpu, linear_, bits / 8);                                     \
        if (__builtin_expect(host_ != NULL, 1)) {                                                \
            uint##bits##_t old_ = (uint##bits##_t)mmu_host_load(host_, bits / 8);                \
            if (lock)                                                                            \
                while (!exec_cas##bits(host_, &old_, FN(vcpu, old_, ##__VA_ARGS__)))             \
                    ;                                                                            \
            else                                                                                 \
                mmu_host_store(host_, bits / 8, FN(vcpu, old_, ##__VA_ARGS__));                  \
        } else {                                                                                 \
            uint##bits##_t old_ = (uint##bits##_t)exec_rmw_begin(vcpu, linear_, bits / 8, lock); \
            exec_rmw_end(vcpu, linear_, bits / 8, FN(vcpu, old_, ##__VA_ARGS__), lock);          \
        }                                                                                        \
    } while (0)

/* Binding. */
static inline unsigned exec_reg_at(const struct bt_operand *operand)
{
    if (operand->size == 1 && operand->high_byte)
        return (operand->reg & 3) * 8u + 1;
    return operand->reg * 8u;
}
static inline unsigned exec_size_index(unsigned size)
{
    return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
}
static inline bool exec_is(const struct bt_insn *insn, unsigned operand, unsigned kind)
{
    return insn->operand_count > operand && insn->operand[operand].kind == kind;
}

bool exec_alu_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_move_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_shift_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_muldiv_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_bit_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_string_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_stack_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_flow_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_atomic_bind(const struct bt_insn *insn, struct bt_step *step);
bool exec_misc_bind(const struct bt_insn *insn, struct bt_step *step);

/* exec.c: all of the above, else the handler of another part, else #UD. `step->offset` is set; of
 * an instruction that goes on in a step (step->insn) the step keeps the pointer. */
void exec_bind(struct bt_vcpu *vcpu, struct bt_insn *insn, struct bt_step *step);
/* Those, and they are most, whose steps say everything: they keep no pointer. */
bool exec_is_in_step(const struct bt_insn *insn);
EXEC(exec_end);   /* behind the last step: goes on behind the block */
EXEC(exec_leave); /* in place of the steps of a block that is void: at this instruction, later */
_Noreturn void exec_raise(struct bt_vcpu *vcpu, const struct bt_step *step, enum bt_vector vector);
