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

void encode_byte(struct encode *e, unsigned byte);
void encode_u32(struct encode *e, uint32_t value);
void encode_load(struct encode *e, unsigned reg, struct encode_mem mem);          /* 64 bits */
void encode_store(struct encode *e, struct encode_mem mem, unsigned reg);         /* 64 bits */
void encode_store_imm32(struct encode *e, struct encode_mem mem, uint32_t value); /* 32 bits */
void encode_lea(struct encode *e, unsigned reg, struct encode_mem mem, unsigned size /* 4, 8 */);
void encode_mov(struct encode *e, unsigned dst, unsigned src);
void encode_rorx(struct encode *e, unsigned dst, unsigned src, unsigned count);
/* mov dst, gs:[index32 * 8 + disp] */
void encode_flat_entry(struct encode *e, unsigned dst, unsigned index, int32_t disp);
void encode_add(struct encode *e, unsigned dst, unsigned src);
void encode_test_imm8(struct encode *e, unsigned reg, unsigned mask);
void encode_test(struct encode *e, unsigned a, unsigned b);
/* Jumps to run addresses; those with a return value give the place of their 32-bit distance, to be
 * set by encode_patch when the target is known. */
void encode_jmp(struct encode *e, uint64_t target);
uint8_t *encode_jmp_later(struct encode *e);
uint8_t *encode_jcc_later(struct encode *e, unsigned cond);
void encode_patch(struct encode *e, uint8_t *place, uint64_t target);
void encode_jmp_reg(struct encode *e, unsigned reg);

/* `insn` with its register operands mapped (reg[i] replaces operand i when that is a general
 * register or a vector register named by ModRM, VEX or an immediate; BT_REG_NONE keeps it) and its
 * memory operand, if any, replaced by `mem`. Segment overrides, address sizes and prefixes without
 * a meaning are dropped; LOCK is kept. False: it cannot be written so (AH..BH together with a
 * register that needs REX, an implicit operand that would have to move); nothing was written. */
bool encode_insn(struct encode *e, const struct bt_insn *insn, const uint8_t reg[BT_OPERANDS_MAX],
                 const struct encode_mem *mem);
