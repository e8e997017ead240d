/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: linear addresses, the look-up in the flat table (flat.h), and the checks that keep
 * an access in its page.
 *
 * What is looked for. An entry holds for one page, so an access must not reach into the next. One
 * that is aligned does not. The check is therefore one test of the sum's low bits, which the
 * oddness of empty entries fails too; it is left out where the low bits are known (struct
 * emit_known), and then an empty entry traps. Sizes that are no power of 2, and
 * instructions that have been met unaligned, test whether the offset in the page leaves room
 * for it, and then the sum's sign. What crosses is made on a copy (emit_cross.c), which the same
 * load again may read: the copy is aligned, so nothing that must be, for which the host is to
 * raise.
 *
 * Where flags are wanted that the check would destroy, RAX keeps them meanwhile, and T1 keeps RAX;
 * the slow path then computes the address again. */
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/jit/emit.h"
#include "vm/engine/bt/jit/encode.h"

enum { PAGE_BITS = 12, PAGE_BYTES = 1 << PAGE_BITS };

/* --- addresses --- */

struct emit_address emit_operand_of(const struct bt_insn *insn, unsigned offset)
{
    struct emit_address a = {.base = insn->base,
                             .index = insn->index,
                             .scale = insn->scale,
                             .seg = insn->seg >= CPU_FS ? insn->seg : 0,
                             .page = insn->rip_relative,
                             .narrow = insn->addr_size == 4,
                             .disp = insn->disp};

    if (a.page)
        a.disp += offset + insn->length;
    return a;
}

struct emit_address emit_operand(const struct emit *t)
{
    return emit_operand_of(t->insn, t->offset);
}

bool emit_same_address(const struct emit_address *a, const struct emit_address *b)
{
    return a->base == b->base && a->index == b->index &&
           (a->index == BT_REG_NONE || a->scale == b->scale) && a->seg == b->seg &&
           a->page == b->page && a->narrow == b->narrow && a->disp == b->disp;
}

static struct encode_mem segment_base(const struct emit *t, unsigned seg)
{
    return encode_absolute((uint32_t)(uintptr_t)t->in->vcpu +
                           (uint32_t)offsetof(struct bt_vcpu, seg[0].base) +
                           seg * (uint32_t)sizeof(struct cpu_segment));
}

/* A guest register where the host can use it: its own, or `temporary`. */
static unsigned usable(struct emit *t, unsigned reg, unsigned temporary)
{
    if (!emit_in_slot(reg))
        return reg;
    encode_load(t->e, temporary, emit_slot(t, reg));
    return temporary;
}

/* Base and index, without the segment's base. */
static void effective(struct emit *t, const struct emit_address *a)
{
    struct encode_mem mem = {BT_REG_NONE, BT_REG_NONE, a->scale, (int32_t)a->disp};
    unsigned size = a->narrow ? 4 : 8;

    if (a->page) {
        encode_load(t->e, T1, EMIT_FIELD(t, jit.page));
        mem.base = T1;
    } else if (a->base != BT_REG_NONE) {
        mem.base = (uint8_t)usable(t, a->base, T1);
    }
    if (a->index != BT_REG_NONE)
        mem.index = (uint8_t)usable(t, a->index, T2);
    if (mem.base == BT_REG_NONE && mem.index == BT_REG_NONE)
        encode_mov_imm(t->e, T1, a->narrow ? (uint32_t)a->disp : (uint64_t)a->disp);
    else if (mem.index != BT_REG_NONE || mem.disp || a->narrow)
        encode_lea(t->e, T1, mem, size);
    else if (mem.base != T1)
        encode_mov(t->e, T1, mem.base);
}

/* In 32-bit code the sum wraps; and a segment that has limits, or none, has a bar: with that in it
 * no address is canonical (jit.h). */
static void add_base32(struct emit *t, unsigned seg)
{
    struct encode_mem bar = EMIT_FIELD(t, jit.bar[0]);

    bar.disp += (int32_t)(8 * (seg - CPU_FS));
    encode_load32(t->e, T2, segment_base(t, seg));
    encode_lea(t->e, T1, encode_indexed(T1, T2, 0), 4);
    encode_load(t->e, T2, bar);
    encode_lea(t->e, T1, encode_indexed(T1, T2, 0), 8);
}

void emit_linear(struct emit *t, const struct emit_address *a)
{
    bool simple = !a->narrow && !a->page && a->index == BT_REG_NONE &&
                  (a->base == BT_REG_NONE || !emit_in_slot(a->base)) && a->disp == (int32_t)a->disp;

    emit_drop(t);
    if (a->seg && simple) {
        encode_load(t->e, T1, segment_base(t, a->seg));
        if (a->base == BT_REG_NONE)
            encode_lea(t->e, T1, encode_at(T1, (int32_t)a->disp), 8);
        else
            encode_lea(t->e, T1, encode_indexed(a->base, T1, (int32_t)a->disp), 8);
        return;
    }
    effective(t, a);
    if (a->seg && t->word == 4) {
        add_base32(t, a->seg);
    } else if (a->seg) {
        encode_load(t->e, T2, segment_base(t, a->seg));
        encode_lea(t->e, T1, encode_indexed(T1, T2, 0), 8);
    }
}

/* --- what is known of the low bits --- */

static struct emit_known sum(struct emit_known a, struct emit_known b)
{
    struct emit_known s = {.bits = a.bits < b.bits ? a.bits : b.bits};

    s.residue = (uint8_t)((a.residue + b.residue) & ((1u << s.bits) - 1));
    return s;
}

bool emit_knows(struct emit_known have, struct emit_known want)
{
    return have.bits >= want.bits && (have.residue & ((1u << want.bits) - 1)) == want.residue;
}

struct emit_known emit_known_pair(const struct emit *t, unsigned base, unsigned index,
                                  unsigned scale)
{
    for (unsigned i = 0; i < EMIT_PAIRS; i++) {
        const struct emit_pair *p = &t->pair[i];
        if (p->known.bits && p->base == base && p->index == index && p->scale == scale)
            return p->known;
    }
    return (struct emit_known){0, 0};
}

struct emit_known emit_known_address(const struct emit *t, const struct emit_address *a)
{
    const struct emit_known disp = {EMIT_KNOWN_BITS, a->disp & ((1 << EMIT_KNOWN_BITS) - 1)};
    struct emit_known k = disp, pair;

    if (a->seg)
        return (struct emit_known){0, 0};
    if (a->base != BT_REG_NONE)
        k = sum(k, t->known[a->base]);
    if (a->index != BT_REG_NONE) {
        struct emit_known i = t->known[a->index];
        unsigned bits = i.bits + a->scale;
        i.bits = (uint8_t)(bits > EMIT_KNOWN_BITS ? EMIT_KNOWN_BITS : bits);
        i.residue = (uint8_t)(i.residue << a->scale & ((1 << i.bits) - 1));
        k = sum(k, i);
        pair = sum(disp, emit_known_pair(t, a->base, a->index, a->scale));
        k = pair.bits > k.bits ? pair : k;
    }
    return k;
}

static void learn_pair(struct emit *t, struct emit_pair pair)
{
    for (unsigned i = 0; i < EMIT_PAIRS; i++) {
        struct emit_pair *p = &t->pair[i];
        if (p->base != pair.base || p->index != pair.index || p->scale != pair.scale)
            continue;
        if (p->known.bits < pair.known.bits)
            *p = pair;
        return;
    }
    t->pair[t->pair_next++ % EMIT_PAIRS] = pair;
}

/* After a check: a base alone with a displacement now has known low bits, or a base with an index
 * together. */
static void learn(struct emit *t, const struct emit_address *a, unsigned size)
{
    struct emit_known known = {(uint8_t)__builtin_ctz(size),
                               (uint8_t)(-(unsigned)a->disp & (size - 1))};

    if (a->base == BT_REG_NONE || a->seg || a->narrow)
        return;
    if (a->index != BT_REG_NONE)
        learn_pair(t, (struct emit_pair){a->base, a->index, a->scale, known});
    else if (t->known[a->base].bits < known.bits)
        t->known[a->base] = known;
}

enum placement { PLACE_INSIDE /* surely in one page */, PLACE_GUESS, PLACE_SPREAD };

bool emit_is_careful(const struct emit *t)
{
    unsigned offset = t->offset;

    return t->in->careful && t->in->careful[offset / 64] >> offset % 64 & 1;
}

static enum placement placement(const struct emit *t, const struct emit_access *access)
{
    const struct emit_address *a = &access->address;
    unsigned size = access->size, block = size <= 1 ? 1 : 1u << (32 - __builtin_clz(size - 1));

    if (a->page && !a->seg && !a->narrow)
        return (a->disp & 0xfff) + size <= 0x1000 ? PLACE_INSIDE : PLACE_SPREAD;
    struct emit_known k = emit_known_address(t, a);
    if (1u << k.bits >= block && !(k.residue & (block - 1)))
        return PLACE_INSIDE;
    if (access->strict)
        return PLACE_GUESS;
    if (emit_is_careful(t) || size & (size - 1) || k.residue & (size - 1))
        return PLACE_SPREAD;
    return PLACE_GUESS;
}

/* --- flags --- */

enum emit_saved emit_save_flags(struct emit *t, unsigned live)
{
    if (!live)
        return SAVED_NOT;
    emit_drop(t);
    encode_mov(t->e, T1, CPU_RAX);
    encode_save_flags(t->e, live & EMIT_OF);
    return live & EMIT_OF ? SAVED_FLAGS_OF : SAVED_FLAGS;
}

void emit_restore_flags(struct emit *t, enum emit_saved saved)
{
    if (saved == SAVED_NOT)
        return;
    encode_restore_flags(t->e, (saved & 3) == SAVED_FLAGS_OF);
    if (saved & SAVED_IN_SLOT)
        encode_load(t->e, CPU_RAX, EMIT_FIELD(t, jit.save[0]));
    else
        encode_mov(t->e, CPU_RAX, T1);
}

/* As emit_save_flags, but T1 stays. */
static enum emit_saved save_flags_in_slot(struct emit *t, unsigned live)
{
    if (!live)
        return SAVED_NOT;
    encode_store(t->e, EMIT_FIELD(t, jit.save[0]), CPU_RAX);
    encode_save_flags(t->e, live & EMIT_OF);
    return (live & EMIT_OF ? SAVED_FLAGS_OF : SAVED_FLAGS) | SAVED_IN_SLOT;
}

/* --- the access --- */

/* Base and displacement in one host register, or one and a number: the access can be made at
 * [base + T2 + disp], and T1 is needed for the look-up only. */
static bool is_simple(const struct emit_address *a)
{
    return a->base != BT_REG_NONE && !emit_in_slot(a->base) && a->index == BT_REG_NONE && !a->seg &&
           !a->narrow && !a->page;
}

/* The register that holds the linear address: the base itself, or T1. RAX cannot where the flags
 * are in it. */
static unsigned linear_of(struct emit *t, const struct emit_access *access)
{
    struct emit_address a = access->address;

    a.narrow &= t->word == 8; /* registers are as wide as addresses */
    if (is_simple(&a) && !a.disp && !(a.base == CPU_RAX && access->live))
        return a.base;
    emit_linear(t, &access->address);
    return T1;
}

static void look_up(struct emit *t, unsigned linear, bool write)
{
    encode_rorx(t->e, T2, linear, 12);
    encode_flat_entry(t->e, T2, T2, write ? FLAT_STORE : FLAT_LOAD);
}

static struct emit_late *slow(struct emit *t, const struct emit_access *access, unsigned linear,
                              unsigned cond, enum emit_saved saved)
{
    struct emit_late *late = emit_late(t, LATE_ACCESS, encode_jcc_later(t->e, cond));

    late->site = t->site_count - 1;
    late->saved = (uint8_t)saved;
    late->recompute = linear != T1 || (saved != SAVED_NOT && !(saved & SAVED_IN_SLOT));
    late->address = access->address;
    return late;
}

/* Out of line if the access begins and ends in different pages. */
static struct emit_late *check_spread(struct emit *t, const struct emit_access *access,
                                      unsigned linear)
{
    enum emit_saved saved = save_flags_in_slot(t, access->live);

    /* The offset in the page comes to the top. */
    encode_rorx32(t->e, T2, linear, PAGE_BITS);
    encode_cmp_imm32(t->e, T2,
                     (PAGE_BYTES - access->size) << (32 - PAGE_BITS) | UINT32_MAX >> PAGE_BITS);
    struct emit_late *late = slow(t, access, linear, ENCODE_ABOVE, saved);
    emit_restore_flags(t, saved);
    return late;
}

/* T2 = the host's address; out of line if that is none, or unaligned (`mask`, 0: do not look). */
static void check_sum(struct emit *t, const struct emit_access *access, unsigned linear,
                      unsigned mask)
{
    enum emit_saved saved = SAVED_NOT;

    if (access->live) {
        encode_lea(t->e, T2, encode_indexed(linear, T2, 0), 8);
        saved = emit_save_flags(t, access->live);
        if (!mask)
            encode_test(t->e, T2, T2);
    } else {
        encode_add(t->e, T2, linear);
    }
    if (mask)
        encode_test_imm8(t->e, T2, mask);
    (void)slow(t, access, linear, mask ? ENCODE_NOT_ZERO : ENCODE_SIGN, saved);
    emit_restore_flags(t, saved);
}

/* T2 = the host's address, whether looked at or not. */
static void sum_up(struct emit *t, const struct emit_access *access, unsigned linear, bool checked)
{
    if (checked)
        check_sum(t, access, linear, 0);
    else {
        encode_lea(t->e, T2, encode_indexed(linear, T2, 0), 8);
        if (linear != T1) /* for translate_linear */
            encode_mov(t->e, T1, linear);
    }
}

/* What is out of line comes back in front of the access, or, if it stores, behind it. */
static void be_crossed(struct emit *t, const struct emit_access *access, struct emit_late *late)
{
    late->kind = LATE_CROSS;
    late->write = access->write;
    late->size = access->size;
    late->insn = (uint16_t)t->at;
    late->back = access->write ? 0 : (uint32_t)encode_here(t->e);
}

/* In the page that runs, or at a distance from it: where the look-up and the access find the
 * distance is known now, alignment and all. */
static bool is_near(const struct emit_access *access, enum placement place)
{
    const struct emit_address *a = &access->address;

    return a->page && !a->seg && !a->narrow && place == PLACE_INSIDE && !access->certain &&
           !access->free_t1 && a->disp == (int32_t)a->disp;
}

static struct encode_mem find_near(struct emit *t, const struct emit_access *access)
{
    int64_t disp = access->address.disp;
    uint32_t view = (uint32_t)(access->write || access->will_write ? FLAT_STORE : FLAT_LOAD);

    encode_load(t->e, T1, EMIT_FIELD(t, jit.page));
    encode_rorx(t->e, T2, T1, 12);
    encode_flat_entry(t->e, T2, T2, (int32_t)(view + 8 * (uint32_t)(disp >> 12)));
    return encode_indexed(T1, T2, (int32_t)disp);
}

static struct encode_mem find(struct emit *t, const struct emit_access *access)
{
    const struct emit_address *a = &access->address;
    enum placement place = placement(t, access);
    struct jit_site *site = emit_site(t, JIT_SITE_ACCESS);
    bool guess = place == PLACE_GUESS && access->size > 1;
    bool checked = guess || access->certain || (access->free_t1 && !is_simple(a)) ||
                   (!access->live && (place == PLACE_SPREAD || access->size == 1));

    t->accessed = true;
    if (is_near(access, place))
        return find_near(t, access);
    unsigned linear = linear_of(t, access);
    struct emit_late *crossing = NULL;
    if (place == PLACE_SPREAD)
        crossing = check_spread(t, access, linear);
    look_up(t, linear, access->write || access->will_write);
    if (crossing && emit_may_cross(t, access)) {
        sum_up(t, access, linear, checked);
        be_crossed(t, access, crossing);
        return encode_at(T2, 0);
    }
    if (!checked)
        return access->free_t1 ? encode_indexed(a->base, T2, (int32_t)a->disp)
                               : encode_indexed(linear, T2, 0);
    if (guess)
        site->align = (uint8_t)(access->size - 1);
    check_sum(t, access, linear, guess ? access->size - 1u : 0);
    if (guess)
        learn(t, a, access->size);
    return encode_at(T2, 0);
}

static bool is_held(const struct emit *t, const struct emit_access *access)
{
    const struct emit_held *held = &t->held;

    return held->valid && emit_same_address(&held->address, &access->address) &&
           access->size <= held->size && (held->write || !access->write) && !access->strict &&
           !(held->crossing && access->size >= 16 && !access->loose) &&
           !(access->free_t1 && held->mem.base == T1);
}

struct encode_mem emit_access(struct emit *t, const struct emit_access *access)
{
    if (is_held(t, access)) {
        t->site[t->held.site].resume = 0;
        return t->held.mem;
    }
    unsigned site = t->site_count, lates = t->late_count;
    struct encode_mem mem = find(t, access);
    bool write = access->write || access->will_write, crossed = false;
    for (unsigned i = lates; i < t->late_count; i++)
        crossed |= t->late[i].kind == LATE_CROSS;
    /* What has crossed is in the copy, which the next load may read, too. */
    t->held =
        (struct emit_held){.valid = !(crossed && write) && !(access->free_t1 && mem.base == T1),
                           .write = write,
                           .crossing = crossed,
                           .size = access->size,
                           .site = site,
                           .address = access->address,
                           .mem = mem};
    return mem;
}

uint64_t translate_linear(const uint8_t *code, const uint64_t gpr[CPU_GPRS])
{
    struct bt_insn insn;

    if (!bt_decode(code, BT_INSN_MAX, BT_MODE_CODE64, &insn) || !insn.has_mem || insn.index != T2 ||
        insn.base == BT_REG_NONE)
        return gpr[T1];
    return gpr[insn.base] + (uint64_t)insn.disp;
}
