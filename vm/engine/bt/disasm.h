/* SPDX-License-Identifier: Apache-2.0 */
/* A decoded instruction as text, for traces and messages: Intel's order and operands, our names of
 * operations. Not for an assembler. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bt_insn;

enum { BT_DISASM_MAX = 96 };

/* `rip` is the instruction's own; targets of branches and RIP-relative operands become addresses.
 * Always terminates the text; returns `text`. */
const char *bt_disasm(const struct bt_insn *insn, uint64_t rip, char text[BT_DISASM_MAX]);
