/* SPDX-License-Identifier: Apache-2.0 */
/* MOVS, STOS and LODS, upwards (translated code never runs with DF set: jit.c). Alone they are
 * loads and stores. REP STOS and REP MOVS within a page are the host's own, on host addresses, by a
 * stub of the vCPU's for each of them and each size. Everything else about strings is the
 * interpreter's.
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

/* --- alone --- */

static struct emit_access element(const struct emit *t, unsigned reg, unsigned size)
{
    return (struct emit_access){.address = {.base = (uint8_t)reg, .index = BT_REG_NONE},
                                .size = (uint8_t)size,
                                .live = t->live};
}

static void advance(struct emit *t, unsigned reg, unsigned size)
{
    struct emit_known *k = &t->known[reg];

    encode_lea(t->e, reg, encode_at(reg, (int32_t)size), t->word);
    k->residue = (uint8_t)((k->residue + size) & ((1u << k->bits) - 1));
}

static bool move_one(struct emit *t, unsigned size)
{
    struct emit_access from = element(t, CPU_RSI, size), to = element(t, CPU_RDI, size);

    to.write = to.free_t1 = true;
    struct encode_mem mem = emit_access(t, &from);
    encode_load_part(t->e, T1, mem, size);
    encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
    emit_drop(t);
    mem = emit_access(t, &to);
    encode_load(t->e, T1, EMIT_FIELD(t, jit.save[1]));
    encode_store_part(t->e, mem, T1, size);
    advance(t, CPU_RSI, size);
    advance(t, CPU_RDI, size);
    return true;
}

static bool one(struct emit *t, unsigned size)
{
    struct emit_access access = element(t, CPU_RDI, size);

    if (t->insn->op == BT_OP_STOS) {
        access.write = true;
        struct encode_mem mem = emit_access(t, &access);
        encode_store_part(t->e, mem, CPU_RAX, size);
        advance(t, CPU_RDI, size);
        return true;
    }
    if (t->insn->seg >= CPU_FS)
        return false;
    if (t->insn->op == BT_OP_MOVS)
        return move_one(t, size);
    access = element(t, CPU_RSI, size);
    struct encode_mem mem = emit_access(t, &access);
    encode_load_part(t->e, CPU_RAX, mem, size);
    advance(t, CPU_RSI, size);
    t->known[CPU_RAX] = (struct emit_known){0, 0};
    return true;
}

bool emit_string(struct emit *t)
{
    const struct bt_insn *insn = t->insn;
    bool move = insn->op == BT_OP_MOVS;
    unsigned shift = (unsigned)__builtin_ctz(insn->operand[0].size);

    if (insn->addr_size != t->word)
        return false;
    if (!(insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE))) {
        bool done = one(t, insn->operand[0].size);
        emit_drop(t); /* who follows the held address does not know what this one writes */
        return done;
    }
    if (!t->in->stubs || insn->op == BT_OP_LODS || (move && insn->seg >= CPU_FS))
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
