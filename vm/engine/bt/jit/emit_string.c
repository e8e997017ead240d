/* SPDX-License-Identifier: Apache-2.0 */
/* REP STOS and REP MOVS, upwards and within a page: the host's own, on host addresses, by a stub of
 * the vCPU's for each of them and each size. Everything else about strings is the interpreter's.
 *
 * A unit sets jit.site, jit.cross.back and jumps to the stub. There, RSI and RDI are the host's
 * while the instruction runs; what they and RCX were is in jit.cross. Before it, everything is
 * checked that could stop it; if it traps all the same (an entry may be another address's), trap.c
 * goes on at `fail` like with the rest of the stubs, and the interpreter begins anew: what has been
 * stored will be stored again. */
#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/jit/stub.h"

enum { PAGE_BITS = 12, NO_OFFSET = -4096 };

/* What is in `reg`, RDI or RSI, for RCX elements, becomes the host's; its entry goes to `entry`. */
static void find(struct stub *s, unsigned reg, unsigned shift, int32_t view,
                 struct encode_mem entry)
{
    struct encode_mem last = {
        .base = (uint8_t)reg, .index = CPU_RCX, .scale = (uint8_t)shift, .disp = -1};

    encode_mov(s->e, T1, reg); /* what is missed, if it is */
    encode_lea(s->e, T2, last, 4);
    encode_xor32(s->e, T2, reg);
    encode_test_imm32(s->e, T2, (uint32_t)NO_OFFSET);
    stub_fail_if(s, ENCODE_NOT_ZERO);
    encode_rorx(s->e, T2, T1, PAGE_BITS);
    encode_flat_entry(s->e, T2, T2, view);
    encode_store(s->e, entry, T2);
    encode_add(s->e, reg, T2);
    stub_fail_if(s, ENCODE_SIGN);
}

/* The guest's again: less its entry. */
static void give_back(struct stub *s, unsigned reg, struct encode_mem entry)
{
    encode_load(s->e, T2, entry);
    encode_not(s->e, T2);
    encode_lea(s->e, reg, encode_indexed(reg, T2, 1), 8);
}

static void put(struct stub *s, bool move, unsigned shift)
{
    stub_borrow(s);
    encode_test_mem32(s->e, STUB_FIELD(s, rflags), BT_FLAG_DF);
    stub_fail_if(s, ENCODE_NOT_ZERO);
    encode_test(s->e, CPU_RCX, CPU_RCX);
    uint8_t *none = encode_jcc_later(s->e, ENCODE_ZERO);
    encode_test_imm64(s->e, CPU_RCX, NO_OFFSET);
    stub_fail_if(s, ENCODE_NOT_ZERO);
    if (move)
        find(s, CPU_RSI, shift, FLAT_LOAD, STUB_FIELD(s, jit.cross.first));
    find(s, CPU_RDI, shift, FLAT_STORE, STUB_FIELD(s, jit.cross.second));
    stub_flags_back(s);
    encode_rep(s->e, move ? 0xa4 : 0xaa, 1u << shift);
    if (move)
        give_back(s, CPU_RSI, STUB_FIELD(s, jit.cross.first));
    give_back(s, CPU_RDI, STUB_FIELD(s, jit.cross.second));
    encode_jmp_mem(s->e, STUB_FIELD(s, jit.cross.back));
    encode_patch(s->e, none, encode_here(s->e));
    stub_flags_back(s);
    encode_jmp_mem(s->e, STUB_FIELD(s, jit.cross.back));
}

void string_stubs(struct stub *s, struct translate_stubs *ret_stubs)
{
    for (unsigned i = 0; i < 2 * TRANSLATE_STRING_SIZES; i++) {
        ret_stubs->string[i / TRANSLATE_STRING_SIZES][i % TRANSLATE_STRING_SIZES] =
            (uint32_t)encode_here(s->e);
        put(s, i / TRANSLATE_STRING_SIZES, i % TRANSLATE_STRING_SIZES);
    }
}

bool emit_string(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    bool move = insn->op == BT_OP_MOVS;
    unsigned shift = (unsigned)__builtin_ctz(insn->operand[0].size);

    if (!t->in->stubs || !(insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE)) ||
        insn->addr_size != t->word || (move && insn->seg >= CPU_FS))
        return false;
    struct jit_site *site = emit_site(t, JIT_SITE_ACCESS);
    emit_drop(t);
    encode_store_imm32(t->e, EMIT_FIELD(t, jit.site), emit_site_address(t, site));
    encode_store_imm32(t->e, EMIT_FIELD(t, jit.cross.back), 0);
    uint8_t *back = t->e->at;
    encode_jmp(t->e, t->in->stubs->string[move][shift]);
    encode_patch_imm32(t->e, back, (uint32_t)encode_here(t->e));
    site->resume = (uint32_t)encode_here(t->e);
    for (unsigned reg = CPU_RSI; t->word == 4 && reg <= CPU_RDI; reg++)
        encode_lea(t->e, reg, encode_at(reg, 0), 4); /* they may have wrapped */
    t->known[CPU_RCX] = t->known[CPU_RSI] = t->known[CPU_RDI] = (struct emit_known){0, 0};
    return true;
}
