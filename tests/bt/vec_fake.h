/* SPDX-License-Identifier: Apache-2.0 */
/* A processor around the vector unit: what it takes from the interpreter, the MMU and exceptions,
 * over a small memory of four pages: two that can be written, one that can be read, one that is not
 * there. */
#pragma once

#include "vm/engine/bt/vec.h"
#include "vm/engine/bt/vec_image.h"

enum { FAKE_PAGE = 4096, FAKE_SIZE = 3 * FAKE_PAGE, FAKE_READONLY = 2 * FAKE_PAGE };
#define FAKE_BASE UINT64_C(0x10000000)

extern uint8_t fake_memory[FAKE_SIZE]; /* of the guest */

/* In 64-bit mode with everything enabled. */
struct bt_vcpu *fake_create(void);
void fake_destroy(struct bt_vcpu *vcpu);
/* Whether the TLB has the three pages, or every access takes the long way. On after creation. */
void fake_tlb(struct bt_vcpu *vcpu, bool hits);
/* Executes the instruction at `bytes`: the exception, or -1. Aborts when it is none of ours. */
int fake_run(struct bt_vcpu *vcpu, struct vec_cache *cache, const uint8_t *bytes, unsigned len,
             unsigned code);
int fake_run_insn(struct bt_vcpu *vcpu, const struct bt_insn *insn);
