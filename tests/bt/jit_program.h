/* SPDX-License-Identifier: Apache-2.0 */
/* Random programs for the translator: instructions that user code may use, in every form that the
 * decoder's table has, with addresses that mostly lie in the data (jit_machine.h); jumps forward,
 * loops that count in memory, calls and returns. What an instruction does to registers is left to
 * chance, RSP included. */
#pragma once

#include "tests/bt/jit_machine.h"

enum { JIT_PIECES_MAX = 80 };

struct jit_program {
    uint8_t code[JIT_CODE_BYTES];
    unsigned start, end;         /* offsets; HLT at the end */
    unsigned at[JIT_PIECES_MAX]; /* where each piece begins */
    unsigned count;
    uint16_t op[JIT_PIECES_MAX]; /* its instruction; BT_OP_UD: a jump */
};

extern uint64_t jit_seed;
extern unsigned jit_code; /* BT_MODE_CODE64 or BT_MODE_CODE32: what programs are made of */
uint64_t jit_random(void);
unsigned jit_below(unsigned n);

void jit_program_make(struct jit_program *program, unsigned pieces);
/* Registers and flags to begin with, and a vector unit's image. */
void jit_program_state(const struct jit_program *program, struct jit_regs *regs);
void jit_program_data(uint8_t *data);
