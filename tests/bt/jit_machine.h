/* SPDX-License-Identifier: Apache-2.0 */
/* A processor of the software engine with the translator, in long mode at CPL 0, on
 * which programs run that the host's processor runs too, at the same addresses (jit_diff.c).
 *
 * Code and data are linear addresses that this program has mapped itself; the guest's pages behind
 * them are in no order. One page of data is read-only, one is absent. An exception ends at a HLT of
 * its own (by an IST, so whatever RSP is). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/bt/bt.h"
#include "vm/engine/bt/vec_image.h"

enum { JIT_PAGE = 4096 };
enum { JIT_CODE = 0x10000000, JIT_CODE_PAGES = 3, JIT_CODE_BYTES = JIT_CODE_PAGES * JIT_PAGE };
enum { JIT_DATA = 0x10100000, JIT_DATA_PAGES = 12, JIT_DATA_BYTES = JIT_DATA_PAGES * JIT_PAGE };
enum { JIT_READONLY = JIT_DATA + 9 * JIT_PAGE, JIT_ABSENT = JIT_DATA + 10 * JIT_PAGE };
/* Loops count here; random accesses do not reach it. */
enum { JIT_COUNTER = JIT_DATA + 11 * JIT_PAGE + 2048 };
enum { JIT_GS = JIT_DATA + 0x3008 };
/* What the guest has for itself, and natively nobody. */
enum { JIT_SYSTEM = 0x10200000, JIT_SYSTEM_BYTES = 8 * JIT_PAGE };
enum { JIT_IMAGE = 832 };

struct jit_regs {
    uint64_t gpr[CPU_GPRS], rip, flags;
    uint64_t cr2;
    int trap; /* vector, or -1: none */
    _Alignas(64) uint8_t image[JIT_IMAGE];
};

struct jit_machine;

/* `code`: BT_MODE_CODE64, or CODE32 in compatibility mode. NULL, having said why: not on this
 * host. */
struct jit_machine *jit_machine_open(unsigned code);
void jit_machine_close(struct jit_machine *m);
/* Code and data, the latter all of it. */
void jit_machine_write_code(struct jit_machine *m, const uint8_t *code);
void jit_machine_write_data(struct jit_machine *m, const uint8_t *data);
void jit_machine_read_data(struct jit_machine *m, uint8_t *data);
/* Has what was interpreted so far translated the next time. */
void jit_machine_heat(struct jit_machine *m);
/* Forgets all translations. */
void jit_machine_forget(struct jit_machine *m);
/* The flat tables have no memory any more, or have it again. */
void jit_machine_starve(struct jit_machine *m, bool starve);
/* From `regs` to HLT or an exception. False: neither came. */
bool jit_machine_run(struct jit_machine *m, struct jit_regs *regs);

/* Prints the host code of all units, as comments. */
void jit_machine_dump(struct jit_machine *m);

struct jit_machine_stats {
    uint64_t units, guest_insns, guest_bytes, host_bytes, traps;
};
void jit_machine_stats(struct jit_machine *m, struct jit_machine_stats *ret);
