/* SPDX-License-Identifier: Apache-2.0 */
/* MOVS CMPS STOS LODS SCAS, alone and repeated. SDM volume 2, volume 1 section 7.3.9.
 *
 * A repeated one goes in chunks: as many elements as lie in the pages at hand by host loops, or one
 * element by the ordinary accesses where that does not do (page crossings, devices, segments with
 * limits, backwards). Registers are right after each chunk, so a fault or an interrupt finds the
 * instruction half done and it goes on from there. */
#include <string.h>

#include "vm/engine/bt/exec.h"

struct string {
    const struct bt_insn *insn;
    unsigned op, size, addr_size;
    uint64_t mask; /* of the address size */
    int64_t delta; /* an element, with the direction */
    bool flat;     /* no limits, forward: chunks */
};

static uint64_t reg(const struct bt_vcpu *vcpu, const struct string *s, enum cpu_gpr which)
{
    return vcpu->gpr[which] & s->mask;
}

static void set_reg(struct bt_vcpu *vcpu, const struct string *s, enum cpu_gpr which,
                    uint64_t value)
{
    exec_write_reg(vcpu, which * 8u, s->addr_size, value);
}

static uint64_t source(struct bt_vcpu *vcpu, const struct string *s)
{
    return segment_linear(vcpu, s->insn->seg, reg(vcpu, s, CPU_RSI), s->size, MMU_READ);
}

static uint64_t destination(struct bt_vcpu *vcpu, const struct string *s, enum mmu_access access)
{
    return segment_linear(vcpu, CPU_ES, reg(vcpu, s, CPU_RDI), s->size, access);
}

static bool uses_source(const struct string *s)
{
    return s->op == BT_OP_MOVS || s->op == BT_OP_CMPS || s->op == BT_OP_LODS;
}

static bool uses_destination(const struct string *s)
{
    return s->op != BT_OP_LODS;
}

static bool compares(const struct string *s)
{
    return s->op == BT_OP_CMPS || s->op == BT_OP_SCAS;
}

/* The status flags of a - b. */
static uint16_t compare(unsigned size, uint64_t a, uint64_t b)
{
    unsigned up = 64 - 8 * size;
    uint16_t status, low;

    /* In the register's upper part all flags are the same but AF and PF, which are of the low byte.
     */
    __asm__("cmp %[b], %[a]" FLAGS_KEEP : "=a"(status) : [a] "r"(a << up), [b] "r"(b << up) : "cc");
    __asm__("cmpb %b[b], %b[a]" FLAGS_KEEP : "=a"(low) : [a] "q"(a), [b] "q"(b) : "cc");
    uint16_t of_low = STATUS_AF | STATUS_PF;
    return (uint16_t)((status & ~of_low) | (low & of_low));
}

/* One element. The compared pair goes to pair[]. */
static void one(struct bt_vcpu *vcpu, const struct string *s, uint64_t pair[2])
{
    uint64_t value;

    switch (s->op) {
    case BT_OP_MOVS:
        value = mmu_load(vcpu, source(vcpu, s), s->size);
        mmu_store(vcpu, destination(vcpu, s, MMU_WRITE), s->size, value);
        break;
    case BT_OP_STOS:
        mmu_store(vcpu, destination(vcpu, s, MMU_WRITE), s->size,
                  exec_read_reg(vcpu, CPU_RAX * 8, s->size));
        break;
    case BT_OP_LODS:
        value = mmu_load(vcpu, source(vcpu, s), s->size);
        exec_write_reg(vcpu, CPU_RAX * 8, s->size, value);
        break;
    case BT_OP_CMPS:
        pair[0] = mmu_load(vcpu, source(vcpu, s), s->size);
        pair[1] = mmu_load(vcpu, destination(vcpu, s, MMU_READ), s->size);
        break;
    default:
        pair[0] = exec_read_reg(vcpu, CPU_RAX * 8, s->size);
        pair[1] = mmu_load(vcpu, destination(vcpu, s, MMU_READ), s->size);
    }
}

/* Elements up to the end of the page, and where they are; 0: none. */
static uint64_t run_of(struct bt_vcpu *vcpu, const struct string *s, uint64_t linear,
                       enum mmu_access access, uint8_t **ret_host)
{
    uint64_t len = 0;

    *ret_host = mmu_host_run(vcpu, linear, access, &len);
    return *ret_host ? len / s->size : 0;
}

static void copy(uint8_t *to, const uint8_t *from, uint64_t count, unsigned size)
{
    uint64_t bytes = count * size;

    if ((uint64_t)(to - from) >= bytes) {
        memmove(to, from, bytes);
        return;
    }
    /* What is written is read again: element by element. */
    for (uint64_t i = 0; i < bytes; i += size)
        mmu_host_store(to + i, size, mmu_host_load(from + i, size));
}

static void fill(uint8_t *to, uint64_t value, uint64_t count, unsigned size)
{
    uint64_t bytes = count * size;

    if (size == 1 || value == 0) {
        memset(to, (int)(value & 0xff), bytes);
        return;
    }
    for (uint64_t i = 0; i < bytes; i += size)
        mmu_host_store(to + i, size, value);
}

/* How many pairs until the one that ends a REPE (`equal`) or REPNE; it included. */
static uint64_t scan(const struct string *s, const uint8_t *a, const uint8_t *b, uint64_t fixed,
                     uint64_t count, bool equal, uint64_t pair[2])
{
    for (uint64_t i = 0; i < count; i++) {
        pair[0] = a ? mmu_host_load(a + i * s->size, s->size) : fixed;
        pair[1] = mmu_host_load(b + i * s->size, s->size);
        if ((pair[0] == pair[1]) != equal)
            return i + 1;
    }
    return count;
}

/* As many elements as the pages allow, at most `count`; 0: not this way. */
static uint64_t chunk(struct bt_vcpu *vcpu, const struct string *s, uint64_t count,
                      uint64_t pair[2])
{
    uint8_t *from = NULL, *to = NULL;
    enum mmu_access access = compares(s) ? MMU_READ : MMU_WRITE;
    uint64_t room;

    if (!s->flat)
        return 0;
    if (uses_source(s)) {
        room = run_of(vcpu, s, source(vcpu, s), MMU_READ, &from);
        count = count < room ? count : room;
    }
    if (count && uses_destination(s)) {
        room = run_of(vcpu, s, destination(vcpu, s, access), access, &to);
        count = count < room ? count : room;
    }
    if (!count)
        return 0;
    uint64_t rax = exec_read_reg(vcpu, CPU_RAX * 8, s->size);
    switch (s->op) {
    case BT_OP_MOVS:
        copy(to, from, count, s->size);
        return count;
    case BT_OP_STOS:
        fill(to, rax, count, s->size);
        return count;
    case BT_OP_LODS:
        exec_write_reg(vcpu, CPU_RAX * 8, s->size,
                       mmu_host_load(from + (count - 1) * s->size, s->size));
        return count;
    default:
        return scan(s, from, to, rax, count, !(s->insn->prefixes & BT_PREFIX_REPNE), pair);
    }
}

static void advance(struct bt_vcpu *vcpu, const struct string *s, uint64_t count)
{
    uint64_t by = (uint64_t)s->delta * count;

    if (uses_source(s))
        set_reg(vcpu, s, CPU_RSI, reg(vcpu, s, CPU_RSI) + by);
    if (uses_destination(s))
        set_reg(vcpu, s, CPU_RDI, reg(vcpu, s, CPU_RDI) + by);
}

/* Repeats until the count, the condition, or somebody else's wish ends it; true: it is done. */
static bool repeat(struct bt_vcpu *vcpu, const struct string *s)
{
    bool until_equal = s->insn->prefixes & BT_PREFIX_REPNE;
    uint64_t pair[2] = {0, 0};

    for (unsigned ones = 0;;) {
        uint64_t count = reg(vcpu, s, CPU_RCX);
        if (!count)
            return true;
        uint64_t n = vcpu->interp->single ? 0 : chunk(vcpu, s, count, pair);
        if (!n) {
            one(vcpu, s, pair);
            n = 1;
        }
        advance(vcpu, s, n);
        set_reg(vcpu, s, CPU_RCX, count - n);
        if (compares(s)) {
            vcpu->status = compare(s->size, pair[0], pair[1]);
            if ((pair[0] == pair[1]) == until_equal)
                return true;
        }
        if (count == n)
            return true;
        if (vcpu->interp->single ||
            ((n > 1 || ++ones % 64 == 0) &&
             (atomic_load_explicit(&vcpu->request, memory_order_relaxed) & vcpu->heed)))
            return false;
    }
}

static EXEC(string)
{
    const struct bt_insn *insn = step->insn;
    bool backwards = vcpu->rflags & BT_FLAG_DF;
    uint64_t pair[2];
    struct string s = {
        .insn = insn,
        .op = insn->op,
        .size = step->size,
        .addr_size = insn->addr_size,
        .mask = insn->addr_size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * insn->addr_size) - 1,
        .delta = backwards ? -(int64_t)step->size : step->size,
        .flat = !backwards && insn->addr_size != 2 &&
                ((vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 || vcpu->mode & BT_MODE_FLAT),
    };

    vcpu->step = step;
    if (insn->prefixes & (BT_PREFIX_REP | BT_PREFIX_REPNE)) {
        if (!repeat(vcpu, &s)) {
            vcpu->rip = exec_rip(vcpu, vcpu->block_rip + step->offset);
            return NULL;
        }
        EXEC_NEXT;
    }
    one(vcpu, &s, pair);
    advance(vcpu, &s, 1);
    if (compares(&s))
        vcpu->status = compare(s.size, pair[0], pair[1]);
    EXEC_NEXT;
}

bool exec_string_bind(const struct bt_insn *insn, struct bt_step *step)
{
    switch (insn->op) {
    case BT_OP_MOVS:
    case BT_OP_STOS:
    case BT_OP_LODS:
    case BT_OP_CMPS:
    case BT_OP_SCAS:
        step->insn = insn;
        step->seg = insn->seg;
        step->size = insn->operand[0].size;
        step->run = string;
        return true;
    default:
        return false;
    }
}
