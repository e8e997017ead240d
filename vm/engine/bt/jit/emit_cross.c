/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses across two pages, without leaving: a copy stands for the operand.
 *
 * Three pieces of code, one for each vCPU, which units jump to when the check finds that an access
 * crosses (emit_memory.c), with T1 its linear address, T2 its size, jit.cross.back the place to go
 * on at, and jit.site where to leave when a page is not in the table:
 *
 *   load    looks both pages up and copies the operand to jit.cross.copy; T2 = the copy
 *   check   looks both pages up for writing; T2 = the copy, which the unit then stores to
 *   store   behind that: copies it to where it belongs
 *
 * All keep every register but T2, and the flags. Bytes outside the operand are neither read nor
 * written. Only the look-ups may trap; by then all that is borrowed has been saved, and trap.c goes
 * on at `fail`, which gives it back and leaves. */
#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/jit/stub.h"

enum { PAGE_BITS = 12, PAGE_MASK = -4096 };

#define FIELD(s, name) STUB_FIELD(s, jit.cross.name)

static uint32_t copy_address(const struct stub *s)
{
    return (uint32_t)(uintptr_t)s->vcpu + (uint32_t)offsetof(struct bt_vcpu, jit.cross.copy);
}

void stub_borrow(struct stub *s)
{
    encode_store(s->e, FIELD(s, rax), CPU_RAX);
    encode_save_flags(s->e, true);
    encode_store(s->e, FIELD(s, flags), CPU_RAX);
    encode_store(s->e, FIELD(s, rcx), CPU_RCX);
    encode_store(s->e, FIELD(s, rsi), CPU_RSI);
    encode_store(s->e, FIELD(s, rdi), CPU_RDI);
}

void stub_flags_back(struct stub *s)
{
    encode_restore_flags(s->e, true);
    encode_load(s->e, CPU_RAX, FIELD(s, rax));
}

void stub_give_back(struct stub *s)
{
    encode_load(s->e, CPU_RCX, FIELD(s, rcx));
    encode_load(s->e, CPU_RSI, FIELD(s, rsi));
    encode_load(s->e, CPU_RDI, FIELD(s, rdi));
    stub_flags_back(s);
}

void stub_fail_if(struct stub *s, unsigned cond)
{
    s->fail[s->fail_count++] = encode_jcc_later(s->e, cond);
}

static void go_on(struct stub *s)
{
    encode_mov_imm(s->e, T2, copy_address(s));
    stub_give_back(s);
    encode_jmp_mem(s->e, FIELD(s, back));
}

/* dst = the host's address of linear address `at`, or out by `fail`. T2 is the index, as in units.
 */
static void look_up(struct stub *s, unsigned dst, unsigned at, int32_t view)
{
    encode_rorx(s->e, T2, at, PAGE_BITS);
    encode_flat_entry(s->e, dst, T2, view);
    encode_add(s->e, dst, at);
    stub_fail_if(s, ENCODE_SIGN);
}

/* RSI = the first page's part on the host, RDI = the second's, RCX = bytes in the first; all three
 * are kept, too. */
static void find(struct stub *s, int32_t view)
{
    encode_store(s->e, FIELD(s, size), T2);
    encode_lea(s->e, CPU_RCX, encode_indexed(T1, T2, -1), 8);
    encode_and_imm(s->e, CPU_RCX, PAGE_MASK);
    look_up(s, CPU_RSI, T1, view);
    look_up(s, CPU_RDI, CPU_RCX, view);
    encode_sub(s->e, CPU_RCX, T1);
    encode_store(s->e, FIELD(s, first), CPU_RSI);
    encode_store(s->e, FIELD(s, second), CPU_RDI);
    encode_store(s->e, FIELD(s, bytes), CPU_RCX);
}

/* RCX = how many bytes belong to the second page. */
static void rest(struct stub *s)
{
    encode_load(s->e, CPU_RCX, FIELD(s, size));
    encode_load(s->e, T2, FIELD(s, bytes));
    encode_sub(s->e, CPU_RCX, T2);
}

static void put_load(struct stub *s)
{
    stub_borrow(s);
    find(s, FLAT_LOAD);
    encode_mov_imm(s->e, CPU_RDI, copy_address(s));
    encode_rep_movsb(s->e);
    rest(s);
    encode_load(s->e, CPU_RSI, FIELD(s, second));
    encode_rep_movsb(s->e);
    go_on(s);
}

static void put_check(struct stub *s)
{
    stub_borrow(s);
    find(s, FLAT_STORE);
    go_on(s);
}

static void put_store(struct stub *s)
{
    stub_borrow(s);
    encode_mov_imm(s->e, CPU_RSI, copy_address(s));
    encode_load(s->e, CPU_RDI, FIELD(s, first));
    encode_load(s->e, CPU_RCX, FIELD(s, bytes));
    encode_rep_movsb(s->e);
    rest(s);
    encode_load(s->e, CPU_RDI, FIELD(s, second));
    encode_rep_movsb(s->e);
    go_on(s);
}

void translate_stubs(struct encode *e, const struct bt_vcpu *vcpu, uint32_t leave,
                     struct translate_stubs *ret_stubs)
{
    struct stub s = {.e = e, .vcpu = vcpu};

    ret_stubs->load = (uint32_t)encode_here(e);
    put_load(&s);
    ret_stubs->check = (uint32_t)encode_here(e);
    put_check(&s);
    ret_stubs->store = (uint32_t)encode_here(e);
    put_store(&s);
    string_stubs(&s, ret_stubs);
    ret_stubs->fail = (uint32_t)encode_here(e);
    for (unsigned i = 0; i < s.fail_count; i++)
        encode_patch(e, s.fail[i], encode_here(e));
    encode_load(e, CPU_RAX, FIELD(&s, flags));
    stub_give_back(&s);
    encode_jmp(e, leave);
    ret_stubs->end = (uint32_t)encode_here(e);
}

/* --- from a unit --- */

static void call(struct emit *t, uint32_t stub, uint64_t back, unsigned size)
{
    encode_store_imm32(t->e, EMIT_FIELD(t, jit.cross.back), (uint32_t)back);
    if (size)
        encode_mov_imm(t->e, T2, size);
    encode_jmp(t->e, stub);
}

bool emit_may_cross(const struct emit *t, const struct emit_access *access)
{
    const struct bt_insn *insn = t->insn;

    /* SSE's own 16 bytes must be aligned, and the copy is no place to find that out. */
    if (!t->in->stubs || t->word != 8 || access->strict || !insn->has_mem ||
        (access->size >= 16 && !access->loose))
        return false;
    if (!(insn->properties & BT_INSN_WRITES))
        return !access->write;
    /* Plain stores, which raise nothing of their own where no mark says whose it is. */
    return !(insn->properties & BT_INSN_READS) && !access->free_t1 &&
           (insn->op == BT_OP_MOV || insn->op == BT_OP_MOVUPS || insn->op == BT_OP_MOVUPD ||
            insn->op == BT_OP_MOVDQU || insn->op == BT_OP_VMOVUPS || insn->op == BT_OP_VMOVUPD ||
            insn->op == BT_OP_VMOVDQU || insn->op == BT_OP_MOVSD || insn->op == BT_OP_MOVSS ||
            insn->op == BT_OP_MOVQ || insn->op == BT_OP_VMOVQ || insn->op == BT_OP_MOVD);
}

/* Out of line: T1 is the linear address, everything else the guest's. */
void emit_cross(struct emit *t, const struct emit_late *late)
{
    static const uint8_t keep[BT_OPERANDS_MAX] = {BT_REG_NONE, BT_REG_NONE, BT_REG_NONE,
                                                  BT_REG_NONE};
    const struct translate_stubs *stubs = t->in->stubs;
    struct encode_mem copy = encode_at(T2, 0);

    if (!late->write) {
        call(t, stubs->load, late->back, late->size);
        return;
    }
    encode_store_imm32(t->e, EMIT_FIELD(t, jit.cross.back), 0);
    uint8_t *back = t->e->at;
    encode_mov_imm(t->e, T2, late->size);
    encode_jmp(t->e, stubs->check);
    encode_patch_imm32(t->e, back, (uint32_t)encode_here(t->e));
    (void)encode_insn(t->e, &t->insns[late->insn], keep, &copy); /* as it has been already */
    call(t, stubs->store, late->back, 0);
}
