/* SPDX-License-Identifier: Apache-2.0 */
/* Executes one instruction on the processor itself with given registers, and says what became of
 * them. */
#pragma once

#include <stdint.h>

enum { NATIVE_IMAGE = 832 };

/* In and out. RSP is the host's: an instruction must not use it to address memory. */
extern uint64_t native_gpr[16], native_flags;
extern uint8_t native_image[4096]; /* XSAVE with mask 7 */

void native_create(void);
/* The exception that it met, or -1. */
int native_run(const uint8_t *insn, unsigned len);
