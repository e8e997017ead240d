/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of code, one of each for a vCPU, that units jump to for what is too long to be in each of
 * them (emit_cross.c, emit_string.c). A unit has set jit.site and jit.cross.back before.
 *
 * A stub begins with stub_borrow: RCX, RSI and RDI are kept in jit.cross, and the flags are in RAX
 * then, and kept too. A trap between there and the end goes on at `fail` (trap.c), which gives back
 * all of them and leaves; T1 is the linear address that is missing. */
#pragma once

#include "vm/engine/bt/jit/emit.h"

enum { STUB_FAILS_MAX = 64 };

struct stub {
    struct encode *e;
    const struct bt_vcpu *vcpu;
    uint8_t *fail[STUB_FAILS_MAX];
    unsigned fail_count;
};

#define STUB_FIELD(s, field) \
    encode_absolute((uint32_t)(uintptr_t)(s)->vcpu + (uint32_t)offsetof(struct bt_vcpu, field))

void stub_borrow(struct stub *s);
void stub_flags_back(struct stub *s); /* and RAX */
void stub_give_back(struct stub *s);  /* all */
void stub_fail_if(struct stub *s, unsigned cond);

/* emit_string.c */
void string_stubs(struct stub *s, struct translate_stubs *ret_stubs);
