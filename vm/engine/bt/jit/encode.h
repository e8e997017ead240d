/* SPDX-License-Identifier: Apache-2.0 */
/* Host instructions, into a buffer. Two halves: the few that translation itself needs, by name; and
 * encode_insn, which writes a decoded guest instruction again with other registers and another
 * memory operand. What encode_insn wrote is decoded again by the engine's own decoder and has to be
 * the same operation on the operands asked for: guest bytes are never copied.
 *
 * A full buffer sets `full` and drops the rest; the translation is then given up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/bt/insn.h"

struct encode {
    uint8_t *at, *end; /* written through this mapping */
    int64_t run;       /* address where it will run, less `at` */
    bool full;
};

static inline uint64_t encode_here(const struct encode *e)
{
    return (uint64_t)((int64_t)(uintptr_t)e->at + e->run);
}

/* Registers are numbers 0-15 (RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 ...). */
struct encode_mem {
    uint8_t base, index, scale; /* BT_REG_NONE; scale is a shift */
    int32_t disp;               /* without base and index: an absolute address below 2 GiB */
};

static inline struct encode_mem encode_at(unsigned base, int32_t disp)
{
    return (struct encode_mem){.base = (uint8_t)base, .index = BT_REG_NONE, .disp = disp};
}
static inline struct encode_mem encode_indexed(unsigned base, unsigned index, int32_t disp)
{
    return (struct encode_mem){.base = (uint8_t)base, .index = (uint8_t)index, .disp = disp};
}
static inline struct encode_mem encode_absolute(uint32_t address)
{
    return encode_at(BT_REG_NONE, (int32_t)address);
}

/* 64 bits, unless a name or a size (4, 8) says otherwise. None but add, and, cmp, test and sahf
 * touches flags. */
void encode_load(struct encode *e, unsigned reg, struct encode_mem mem);
void encode_load32(struct encode *e, unsigned reg, struct encode_mem mem);
void encode_load8(struct encode *e, unsigned reg, struct encode_mem mem);  /* zero-extended */
void encode_load16(struct encode *e, unsigned reg, struct encode_mem mem); /* 16 bits, extended */
void encode_store(struct encode *e, struct encode_mem mem, unsigned reg);
void encode_store32(struct encode *e, struct encode_mem mem, unsigned reg);
/* `size` bytes: 1, 2 (the rest of `reg` stays), 4, 8. */
void encode_load_part(struct encode *e, unsigned reg, struct encode_mem mem, unsigned size);
void encode_store_part(struct encode *e, struct encode_mem mem, unsigned reg, unsigned size);
void encode_store_imm32(struct encode *e, struct encode_mem mem, uint32_t value); /* 32 bits */
void encode_store_signed(struct encode *e, struct encode_mem mem, int32_t value); /* extended */
void encode_lea(struct encode *e, unsigned reg, struct encode_mem mem, unsigned size /* 4, 8 */);
void encode_mov(struct encode *e, unsigned dst, unsigned src);
void encode_mov_imm(struct encode *e, unsigned dst, uint64_t value);
void encode_rorx(struct encode *e, unsigned dst, unsigned src, unsigned count);
void encode_rorx32(struct encode *e, unsigned dst, unsigned src, unsigned count);
/* mov dst, gs:[index32 * 8 + disp] */
void encode_flat_entry(struct encode *e, unsigned dst, unsigned index, int32_t disp);
void encode_add(struct encode *e, unsigned dst, unsigned src);
void encode_sub(struct encode *e, unsigned dst, unsigned src);
void encode_and_imm(struct encode *e, unsigned reg, int32_t mask); /* extended */
void encode_movzx8(struct encode *e, unsigned dst, unsigned src);
void encode_movzx16(struct encode *e, unsigned dst, unsigned src);
void encode_movsxd(struct encode *e, unsigned dst, unsigned src);
void encode_sar(struct encode *e, unsigned reg, unsigned count);
void encode_shl32(struct encode *e, unsigned reg, unsigned count);
void encode_or32(struct encode *e, unsigned dst, unsigned src);
void encode_or_mem32(struct encode *e, struct encode_mem mem, uint32_t mask);
void encode_and_mem32(struct encode *e, struct encode_mem mem, uint32_t mask);
void encode_test_mem32(struct encode *e, struct encode_mem mem, uint32_t mask);
void encode_rep_movsb(struct encode *e);
void encode_rep(struct encode *e, unsigned opcode /* of bytes: A4, AA */, unsigned size);
void encode_rdtsc(struct encode *e, bool ordered); /* behind all loads */
void encode_mov32(struct encode *e, unsigned dst, unsigned src);
void encode_not(struct encode *e, unsigned reg);        /* keeps flags */
void encode_swap_bytes(struct encode *e, unsigned reg); /* AL and AH, to BL and BH */
void encode_xor32(struct encode *e, unsigned dst, unsigned src);
void encode_cmp_imm32(struct encode *e, unsigned reg, uint32_t value); /* 32 bits */
void encode_test_imm8(struct encode *e, unsigned reg, unsigned mask);
void encode_test_imm32(struct encode *e, unsigned reg, uint32_t mask);
void encode_test_imm64(struct encode *e, unsigned reg, int32_t mask); /* extended */
void encode_test_mem8(struct encode *e, struct encode_mem mem, unsigned mask);
void encode_test(struct encode *e, unsigned a, unsigned b);
/* The status flags into AH and AL, and back: RAX is lost. `overflow`: OF too. */
void encode_save_flags(struct encode *e, bool overflow);
void encode_restore_flags(struct encode *e, bool overflow);

/* Jumps to run addresses; those with a return value give the place of their 32-bit distance, to be
 * set by encode_patch when the target is known (NULL when the buffer is full). */
enum {
    ENCODE_NOT_ZERO = 5,
    ENCODE_ZERO = 4,
    ENCODE_ABOVE = 7,
    ENCODE_SIGN = 8
}; /* conditions, as in insn->cond */
void encode_jmp(struct encode *e, uint64_t target);
uint8_t *encode_jmp_later(struct encode *e);
uint8_t *encode_jcc_later(struct encode *e, unsigned cond);
void encode_patch(struct encode *e, uint8_t *place, uint64_t target);
/* The immediate that ends at `end`, which was e->at behind its instruction. */
void encode_patch_imm32(struct encode *e, uint8_t *end, uint32_t value);
void encode_jmp_reg(struct encode *e, unsigned reg);
void encode_jmp_mem(struct encode *e, struct encode_mem mem);
/* A jump on RCX or ECX, LOOP and its kin (opcodes E0 to E3): the place of its 8-bit distance. */
uint8_t *encode_loop_later(struct encode *e, unsigned opcode, bool ecx);
void encode_patch8(struct encode *e, uint8_t *place);

/* `insn`, of 64-bit code, with its register operands mapped (reg[i] replaces operand i when that is
 * a general register or a vector register named by ModRM, VEX or an immediate; BT_REG_NONE keeps
 * it) and its memory operand, if any, replaced by `mem` (NULL: kept, which relative to RIP it
 * cannot be). Segment overrides, address sizes and prefixes without a meaning are dropped; LOCK is
 * kept. False: it cannot be written so (AH..BH together with a register that needs REX, an implicit
 * operand that would have to move, operands that are no ordinary ones); nothing was written. */
bool encode_insn(struct encode *e, const struct bt_insn *insn, const uint8_t reg[BT_OPERANDS_MAX],
                 const struct encode_mem *mem);
