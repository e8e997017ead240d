/* SPDX-License-Identifier: Apache-2.0 */
/* The translator's frame (translate.h): reads the instructions of a unit, finds out which status
 * flags are wanted where (liveness.c), has one part after the other emit its instruction, and puts
 * behind the unit what is rarely reached.
 *
 * How a guest instruction becomes host code
 * - Most are the same instruction again (emit_copy.c), with a memory operand that the flat table
 *   gave (emit_memory.c). T1 and T2 carry the address there. Guest R10 and R11 are in their slots.
 * - Jumps, calls and returns are rewritten (emit_flow.c, emit_stack.c).
 * - Everything else is a step: the unit leaves, the interpreter carries the instruction out, and
 * the unit goes on behind it. A part that cannot do a certain form says so, and it is a step too.
 * What is copied is what `parts` names: an instruction that is not in that table, or fails
 * encode_insn's check, cannot get into host code.
 *
 * A unit that jumps back to its beginning contains its loop twice: in the second copy the low bits
 * of its pointers are known, if every round leaves them so, and the vector registers have been
 * asked for; that copy is what goes round.
 *
 * A unit goes on behind a jump that may not be taken. It ends at one that is always taken, at what
 * changes the mode, at the end of the page, and when it is full.
 *
 * Flags. The host's are the guest's. Code that is in between (checks) may destroy those which are
 * dead; others it keeps in AH and AL, with RAX in T1 or in jit.save[0], and gives back before
 * anything that can trap.
 *
 * Traps. An instruction's guest state changes in its last host instruction that may trap, or behind
 * it. So at a trap everything is as in front of the instruction, and a mark says which it is.
 *
 * Not here: string instructions that compare, and most of what is privileged. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/uninitialized.h"

enum { PAGE_BYTES = 4096, UNIT_REACH = 24 /* instructions behind which a jump ends the unit */ };

/* --- sites --- */

uint32_t emit_site_address(const struct emit *t, const struct jit_site *site)
{
    return t->site_address + (uint32_t)(site - t->site) * (uint32_t)sizeof *site;
}

struct jit_site *emit_site(struct emit *t, enum jit_site_kind kind)
{
    struct jit_site *site = &t->site[t->site_count++];

    *site = (struct jit_site){
        .kind = (uint8_t)kind,
        .length = t->insn ? t->insn->length : 0,
        .sum = t->insn ? t->sums[t->at] : 0,
        .offset = t->offset,
        .unit = t->unit_address,
    };
    return site;
}

void emit_leave(struct emit *t, const struct jit_site *site)
{
    encode_store_imm32(t->e, EMIT_FIELD(t, jit.site), emit_site_address(t, site));
    encode_jmp(t->e, t->in->leave);
}

/* --- out of line --- */

struct emit_late *emit_late(struct emit *t, enum emit_late_kind kind, uint8_t *place)
{
    struct emit_late *late = &t->late[t->late_count++];

    *late = (struct emit_late){
        .place = place, .kind = (uint8_t)kind, .site = t->site_count ? t->site_count - 1 : 0};
    return late;
}

static void put_late(struct emit *t, const struct emit_late *late)
{
    encode_patch(t->e, late->place, encode_here(t->e));
    if (late->kind == LATE_JUMP) {
        emit_far(t, late->address.disp);
        return;
    }
    emit_restore_flags(t, late->saved);
    if (late->recompute)
        emit_linear(t, &late->address);
    if (late->kind == LATE_CROSS) {
        encode_store_imm32(t->e, EMIT_FIELD(t, jit.site),
                           emit_site_address(t, &t->site[late->site]));
        emit_cross(t, late);
    } else {
        emit_leave(t, &t->site[late->site]);
    }
}

/* --- what emits which instruction --- */

static bool nothing(struct emit *t)
{
    (void)t;
    return true;
}

typedef bool emit_part(struct emit *t);

static emit_part *const parts[BT_OP_MAX] = {
    [BT_OP_ADD] = emit_copy,        [BT_OP_OR] = emit_copy,           [BT_OP_ADC] = emit_copy,
    [BT_OP_SBB] = emit_copy,        [BT_OP_AND] = emit_copy,          [BT_OP_SUB] = emit_copy,
    [BT_OP_XOR] = emit_copy,        [BT_OP_CMP] = emit_copy,          [BT_OP_INC] = emit_copy,
    [BT_OP_DEC] = emit_copy,        [BT_OP_NEG] = emit_copy,          [BT_OP_NOT] = emit_copy,
    [BT_OP_TEST] = emit_copy,       [BT_OP_MUL] = emit_copy,          [BT_OP_IMUL] = emit_copy,
    [BT_OP_IMUL_WIDE] = emit_copy,  [BT_OP_DIV] = emit_copy,          [BT_OP_IDIV] = emit_copy,
    [BT_OP_ROL] = emit_copy,        [BT_OP_ROR] = emit_copy,          [BT_OP_RCL] = emit_copy,
    [BT_OP_RCR] = emit_copy,        [BT_OP_SHL] = emit_copy,          [BT_OP_SHR] = emit_copy,
    [BT_OP_SAR] = emit_copy,        [BT_OP_SHLD] = emit_copy,         [BT_OP_SHRD] = emit_copy,
    [BT_OP_BT] = emit_copy,         [BT_OP_BTS] = emit_copy,          [BT_OP_BTR] = emit_copy,
    [BT_OP_BTC] = emit_copy,        [BT_OP_BSF] = emit_copy,          [BT_OP_BSR] = emit_copy,
    [BT_OP_TZCNT] = emit_copy,      [BT_OP_LZCNT] = emit_copy,        [BT_OP_POPCNT] = emit_copy,
    [BT_OP_BSWAP] = emit_copy,      [BT_OP_CRC32] = emit_copy,        [BT_OP_MOVBE] = emit_copy,
    [BT_OP_MOV] = emit_copy,        [BT_OP_MOVZX] = emit_copy,        [BT_OP_MOVSX] = emit_copy,
    [BT_OP_MOVSXD] = emit_copy,     [BT_OP_LEA] = emit_lea,           [BT_OP_XCHG] = emit_copy,
    [BT_OP_XADD] = emit_copy,       [BT_OP_CMPXCHG] = emit_copy,      [BT_OP_CMPXCHG8B] = emit_copy,
    [BT_OP_MOVNTI] = emit_copy,     [BT_OP_CMPXCHG16B] = emit_copy,   [BT_OP_CBW] = emit_copy,
    [BT_OP_CWD] = emit_copy,        [BT_OP_SETCC] = emit_copy,        [BT_OP_CMOVCC] = emit_copy,
    [BT_OP_LAHF] = emit_copy,       [BT_OP_SAHF] = emit_copy,         [BT_OP_CLC] = emit_copy,
    [BT_OP_STC] = emit_copy,        [BT_OP_CMC] = emit_copy,          [BT_OP_ANDN] = emit_copy,
    [BT_OP_BEXTR] = emit_copy,      [BT_OP_BLSI] = emit_copy,         [BT_OP_BLSMSK] = emit_copy,
    [BT_OP_BLSR] = emit_copy,       [BT_OP_BZHI] = emit_copy,         [BT_OP_MULX] = emit_copy,
    [BT_OP_PDEP] = emit_copy,       [BT_OP_PEXT] = emit_copy,         [BT_OP_RORX] = emit_copy,
    [BT_OP_SARX] = emit_copy,       [BT_OP_SHLX] = emit_copy,         [BT_OP_SHRX] = emit_copy,
    [BT_OP_ADCX] = emit_copy,       [BT_OP_ADOX] = emit_copy,         [BT_OP_LFENCE] = emit_copy,
    [BT_OP_MFENCE] = emit_copy,     [BT_OP_SFENCE] = emit_copy,       [BT_OP_NOP] = nothing,
    [BT_OP_ENDBR] = nothing,        [BT_OP_PREFETCH] = nothing,       [BT_OP_PREFETCHW] = nothing,
    [BT_OP_CLDEMOTE] = nothing,     [BT_OP_PUSH] = emit_push,         [BT_OP_POP] = emit_pop,
    [BT_OP_JCC] = emit_jcc,         [BT_OP_LEAVE] = emit_leave_frame, [BT_OP_JMP] = emit_jump,
    [BT_OP_CALL] = emit_call,       [BT_OP_RET] = emit_return,        [BT_OP_LOOP] = emit_loop,
    [BT_OP_LOOPE] = emit_loop,      [BT_OP_LOOPNE] = emit_loop,       [BT_OP_JRCXZ] = emit_loop,
    [BT_OP_CLI] = emit_cli,         [BT_OP_STI] = emit_sti,           [BT_OP_PUSHF] = emit_pushf,
    [BT_OP_MOV_SEG] = emit_mov_seg, [BT_OP_PUSH_SEG] = emit_push_seg, [BT_OP_STOS] = emit_string,
    [BT_OP_MOVS] = emit_string,     [BT_OP_LODS] = emit_string,
};

static emit_part *part_of(const struct emit *t, const struct bt_insn *insn)
{
    if (t->word == 4 && emit_is_strange(insn))
        return NULL;
    return insn->properties & BT_INSN_VECTOR ? emit_vector : parts[insn->op];
}

/* IRET too: to the next instruction is how Linux waits until changed code is seen. */
static bool may_fall_through(const struct bt_insn *insn)
{
    return !(insn->properties & BT_INSN_ENDS_BLOCK) || insn->op == BT_OP_JCC ||
           insn->op == BT_OP_LOOP || insn->op == BT_OP_LOOPE || insn->op == BT_OP_LOOPNE ||
           insn->op == BT_OP_JRCXZ || insn->op == BT_OP_STI || insn->op == BT_OP_MOV_SEG ||
           insn->op == BT_OP_POP_SEG || insn->op == BT_OP_IRET;
}

/* --- one instruction --- */

/* Nobody knows what the interpreter leaves in the registers. */
static void forget(struct emit *t)
{
    memset(t->known, 0, sizeof t->known);
    memset(t->pair, 0, sizeof t->pair);
    t->known[CPU_RSP] = emit_known_stack(t);
}

static void step(struct emit *t)
{
    struct jit_site *site = emit_site(t, JIT_SITE_STEP);

    emit_flush(t);
    emit_drop(t);
    emit_leave(t, site);
    if (may_fall_through(t->insn))
        site->resume = (uint32_t)encode_here(t->e);
    forget(t);
}

/* What a part that gives up has left behind. */
static bool attempt(struct emit *t, emit_part *part)
{
    struct emit_known known[CPU_GPRS] BT_UNINITIALIZED;
    struct emit_pair pair[EMIT_PAIRS] BT_UNINITIALIZED;
    uint8_t *at = t->e->at, live_vec = t->live_vec;
    unsigned sites = t->site_count, lates = t->late_count;
    bool accessed = t->accessed;
    struct emit_held held = t->held;
    uint16_t cached = t->cached, dirty = t->dirty;

    memcpy(known, t->known, sizeof known);
    memcpy(pair, t->pair, sizeof pair);
    if (part && part(t))
        return true;
    t->e->at = at;
    t->site_count = sites;
    t->late_count = lates;
    t->live_vec = live_vec;
    t->accessed = accessed;
    t->held = held;
    t->cached = cached;
    t->dirty = dirty;
    memcpy(t->known, known, sizeof known);
    memcpy(t->pair, pair, sizeof pair);
    return false;
}

static void one(struct emit *t)
{
    unsigned first = t->site_count, lates = t->late_count;
    const uint8_t *at = t->skip && t->skip_at ? t->skip_at : t->e->at;

    t->mark[t->mark_count++] = (struct jit_mark){.code = (uint32_t)(at - t->begin),
                                                 .offset = t->offset,
                                                 .length = t->insn->length,
                                                 .site = (uint16_t)first};
    if (t->skip) {
        t->skip--;
        t->skip_at = NULL;
        t->translated++;
        emit_learn(t);
        return;
    }
    emit_part *part = part_of(t, t->insn);
    if ((part != emit_copy && part != emit_lea) || !emit_keeps(t))
        emit_flush(t);
    if (part == emit_copy && t->insn->op == BT_OP_ADD && attempt(t, emit_give_up_frame))
        part = nothing;
    if (!attempt(t, part)) {
        step(t);
        return;
    }
    t->translated++;
    emit_learn(t);
    for (unsigned i = first; i < t->site_count; i++)
        if (t->site[i].kind == JIT_SITE_ACCESS && may_fall_through(t->insn) && !t->skip)
            t->site[i].resume = (uint32_t)encode_here(t->e);
    for (unsigned i = lates; i < t->late_count; i++)
        if (t->late[i].kind == LATE_CROSS && t->late[i].write)
            t->late[i].back = (uint32_t)encode_here(t->e);
}

/* --- a unit --- */

/* A jump back to where the unit begins, the first one, and room for the loop a second time? */
static bool is_loop(const struct emit *t, const struct bt_insn *insn, unsigned next)
{
    return (insn->op == BT_OP_JCC || insn->op == BT_OP_JMP) && insn->size == t->word &&
           insn->operand[0].kind == BT_OPERAND_REL && !t->second &&
           (int64_t)next + insn->imm[0] == t->in->offset && 2 * t->count <= TRANSLATE_INSNS_MAX;
}

static void repeat(struct emit *t)
{
    t->turn = t->count - 1;
    t->second = t->count;
    memcpy(t->insns + t->count, t->insns, t->count * sizeof *t->insns);
    memcpy(t->offsets + t->count, t->offsets, t->count * sizeof *t->offsets);
    memcpy(t->sums + t->count, t->sums, t->count * sizeof *t->sums);
    t->count *= 2;
}

static unsigned decode(const struct emit *t, const uint8_t *bytes, unsigned room,
                       struct bt_insn *ret_insn)
{
    unsigned length = bt_decode(bytes, room, t->in->mode & BT_MODE_CODE, ret_insn);

    if (length && t->word == 4)
        emit_adapt(ret_insn);
    return length;
}

static void gather(struct emit *t)
{
    const struct translate_input *in = t->in;
    unsigned at = in->offset;

    if (in->beyond) {
        t->count = decode(t, in->beyond, BT_INSN_MAX, &t->insns[0]) != 0;
        t->sums[0] = block_sum(in->beyond, t->insns[0].length);
        t->offsets[0] = in->offset;
        t->offsets[t->count] = (uint16_t)(at + t->insns[0].length);
        return;
    }
    while (t->count < TRANSLATE_INSNS_MAX && at < PAGE_BYTES) {
        struct bt_insn *insn = &t->insns[t->count];
        uint8_t bytes[BT_DECODE_WHOLE] BT_UNINITIALIZED;
        unsigned room = block_bytes(in->bytes, at, bytes);
        unsigned length = decode(t, bytes, room, insn);
        if (!length) /* it goes on in the next page */
            break;
        t->sums[t->count] = block_sum(bytes, length);
        t->offsets[t->count++] = (uint16_t)at;
        at += length;
        if (is_loop(t, insn, at))
            repeat(t);
        if (!may_fall_through(insn) ||
            (insn->properties & BT_INSN_ENDS_BLOCK && t->count >= UNIT_REACH))
            break;
    }
    t->offsets[t->count] = (uint16_t)at;
}

/* Is the next page the one that the instruction's bytes are from? The trap of a look-up that is not
 * there is as that of an access of the instruction. Flags are kept. */
static void guard(struct emit *t)
{
    t->mark[t->mark_count++] = (struct jit_mark){.code = (uint32_t)(t->e->at - t->begin),
                                                 .offset = t->in->offset,
                                                 .length = t->insns[0].length,
                                                 .site = (uint16_t)t->site_count};
    encode_load(t->e, T2, EMIT_FIELD(t, jit.page));
    encode_lea(t->e, T2, encode_at(T2, PAGE_BYTES), t->word);
    encode_rorx(t->e, T2, T2, 12);
    encode_flat_entry(t->e, T1, T2, flat_exec(t->in->mode));
    encode_load(t->e, T2, EMIT_FIELD(t, jit.page));
    encode_lea(t->e, T1, encode_indexed(T1, T2, PAGE_BYTES), 8);
    encode_mov_imm(t->e, T2, -t->in->beyond_sum);
    encode_lea(t->e, T1, encode_indexed(T1, T2, 0), 8);
    encode_mov(t->e, T2, CPU_RCX);
    encode_mov(t->e, CPU_RCX, T1);
    uint8_t *same = encode_loop_later(t->e, 0xe3, false);
    encode_mov(t->e, CPU_RCX, T2);
    t->refuse = (uint32_t)encode_here(t->e);
    t->insn = &t->insns[0];
    t->offset = t->in->offset;
    emit_leave(t, emit_site(t, JIT_SITE_END));
    if (same)
        encode_patch8(t->e, same);
    encode_mov(t->e, CPU_RCX, T2);
}

static void begin(struct emit *t)
{
    t->begin = t->e->at;
    encode_lea(t->e, T1, encode_at(T1, -(int32_t)t->in->offset), 8);
    encode_store(t->e, EMIT_FIELD(t, jit.page), T1);
    t->code = (uint32_t)encode_here(t->e);
    forget(t);
    if (t->in->beyond)
        guard(t);
}

/* What the first round has shown of the registers holds from here on. */
static void begin_second(struct emit *t)
{
    emit_drop(t);
    t->second_code = (uint32_t)encode_here(t->e);
    t->accessed = false; /* it goes round by itself, and must look at the table itself */
    t->second_live_vec = t->live_vec;
    memcpy(t->second_known, t->known, sizeof t->known);
    memcpy(t->second_pair, t->pair, sizeof t->pair);
}

/* Behind the last instruction, if that is reached. */
static void finish(struct emit *t)
{
    unsigned next = t->offsets[t->count];
    bool cut = !t->count || may_fall_through(&t->insns[t->count - 1]);

    emit_flush(t);
    t->insn = NULL;
    t->offset = (uint16_t)next;
    if (cut)
        emit_goto(t, next);
}

static void fill_in(const struct emit *t, struct jit_unit *unit)
{
    *unit = (struct jit_unit){
        .entry = (uint32_t)((int64_t)(uintptr_t)t->begin + t->e->run),
        .code = t->code,
        .end = (uint32_t)encode_here(t->e),
        .offset = t->in->offset,
        .bytes = (uint16_t)(t->offsets[t->count] - t->in->offset),
        .mark_count = (uint16_t)t->mark_count,
        .site_count = (uint16_t)t->site_count,
        .mark = t->mark,
        .site = t->site,
        .refuse = t->refuse,
    };
}

static void translate(struct emit *t)
{
    gather(t);
    emit_liveness(t);
    begin(t);
    for (unsigned i = 0; i < t->count; i++) {
        if (t->second && i == t->second)
            begin_second(t);
        t->at = i;
        t->offset = t->offsets[i];
        t->insn = &t->insns[i];
        t->live = t->lives[i];
        t->live_out = t->live_after[i];
        one(t);
    }
    finish(t);
    t->mark[t->mark_count] = (struct jit_mark){.code = (uint32_t)(t->e->at - t->begin)};
    for (unsigned i = 0; i < t->late_count; i++)
        put_late(t, &t->late[i]);
}

int translate_block(const struct translate_input *in, struct encode *e, uint32_t unit_address,
                    uint32_t site_address, struct jit_site *site, struct jit_mark *mark,
                    struct jit_unit *ret_unit)
{
    struct emit t BT_UNINITIALIZED;

    memset(&t, 0, offsetof(struct emit, late));
    t.in = in;
    t.e = e;
    t.site = site;
    t.mark = mark;
    t.site_address = site_address;
    t.unit_address = unit_address;
    t.word = (in->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? 8 : 4;
    if (!jit_translates(in->mode))
        return -ENOTSUP;
    translate(&t);
    if (e->full)
        return -ENOSPC;
    if (!t.count)
        return -ENOTSUP;
    fill_in(&t, ret_unit);
    return 0;
}
