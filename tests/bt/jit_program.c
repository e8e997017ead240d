/* SPDX-License-Identifier: Apache-2.0 */
/* Random programs (jit_program.h). */
#include "tests/bt/jit_program.h"

#include <string.h>

#include "base/bytes.h"
#include "vm/engine/bt/opcode_table.h"

uint64_t jit_seed = 1;
unsigned jit_code = BT_MODE_CODE64;

uint64_t jit_random(void)
{
    jit_seed ^= jit_seed >> 12;
    jit_seed ^= jit_seed << 25;
    jit_seed ^= jit_seed >> 27;
    return jit_seed * UINT64_C(2685821657736338717);
}

unsigned jit_below(unsigned n)
{
    return (unsigned)((jit_random() >> 33) % n);
}

static bool is_64(void)
{
    return jit_code == BT_MODE_CODE64;
}

static bool chance(unsigned percent)
{
    return jit_below(100) < percent;
}

static uint64_t value(void)
{
    static const uint64_t corner[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      1 << 5,
                                      0x80000000,
                                      0xffffffff,
                                      INT64_MAX,
                                      (uint64_t)INT64_MIN,
                                      63,
                                      64,
                                      UINT64_MAX,
                                      0x8000000000000001};
    switch (jit_below(4)) {
    case 0:
        return corner[jit_below(sizeof corner / sizeof *corner)];
    case 1:
        return jit_random() >> jit_below(64);
    default:
        return jit_random();
    }
}

/* Nothing there: neither for the guest nor, at the same place, in this program. */
static uint64_t nowhere(void)
{
    static const uint64_t some[] = {0,
                                    8,
                                    0x7ff,
                                    JIT_ABSENT,
                                    JIT_ABSENT - 3,
                                    JIT_ABSENT,
                                    0x10400000,
                                    UINT64_C(1) << 47,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX - 30,
                                    0xffff800000000000};
    return some[jit_below(sizeof some / sizeof *some)];
}

/* Mostly aligned, in the pages that random accesses reach; often near a page's end. */
static uint64_t address(void)
{
    unsigned page = jit_below(chance(90) ? 9 : 11), offset = jit_below(JIT_PAGE);

    if (chance(25))
        offset = JIT_PAGE - 1 - jit_below(40);
    if (chance(70))
        offset &= ~15u;
    else if (chance(50))
        offset &= ~7u;
    return JIT_DATA + page * JIT_PAGE + offset;
}

/* --- writing --- */

static struct jit_program *p;
static unsigned at;

static void byte(unsigned b)
{
    p->code[at++] = (uint8_t)b;
}

static void number(uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        byte((unsigned)(v >> 8 * i) & 0xff);
}

static void rex(unsigned b)
{
    if (is_64())
        byte(b);
}

static uint64_t slot_address(void)
{
    return address() & (is_64() ? ~UINT64_C(7) : ~UINT64_C(3));
}

static void set(unsigned reg, uint64_t v)
{
    if (!is_64()) {
        byte(0xb8 | (reg & 7));
        number(v, 4);
        return;
    }
    if (v == (uint32_t)v && chance(50)) {
        if (reg & 8)
            byte(0x41);
        byte(0xb8 | (reg & 7));
        number(v, 4);
        return;
    }
    byte(0x48 | reg >> 3);
    byte(0xb8 | (reg & 7));
    number(v, 8);
}

/* --- an instruction --- */

/* Nothing privileged, nothing that stores the host's addresses, reads its clocks, or may leave out
 * a part of its operand. */
static bool allowed_op(const struct bt_insn *insn)
{
    switch (insn->op) {
    case BT_OP_FXSAVE ... BT_OP_XRSTORS:
    case BT_OP_FLDENV ... BT_OP_FNSTENV:
    case BT_OP_FNSAVE ... BT_OP_FNSETPM:
    case BT_OP_MASKMOVQ:
    case BT_OP_MASKMOVDQU:
    case BT_OP_VMASKMOVDQU:
    case BT_OP_VMASKMOVPS ... BT_OP_VPMASKMOVQ:
    case BT_OP_PUSHF ... BT_OP_POPF:
        return false;
    case BT_OP_PUSH ... BT_OP_POP:
    case BT_OP_ENTER ... BT_OP_LEAVE:
    case BT_OP_LFENCE ... BT_OP_SFENCE:
        return true;
    case BT_OP_CLD ... BT_OP_STD:
        return chance(10);
    case BT_OP_NOP:
    case BT_OP_ENDBR ... BT_OP_PREFETCHW:
        return chance(20);
    default:
        return insn->op < BT_OP_PUSH || insn->properties & BT_INSN_VECTOR;
    }
}

/* Those that leave flags undefined may leave them as they were, and the translator may have
 * destroyed what nobody may read any more. */
static bool leaves_undefined(const struct bt_insn *insn)
{
    switch (insn->op) {
    case BT_OP_MUL ... BT_OP_IDIV:
    case BT_OP_AAA ... BT_OP_DAS:
    case BT_OP_ROL ... BT_OP_LZCNT:
    case BT_OP_ANDN ... BT_OP_BZHI:
        return true;
    default:
        return false;
    }
}

/* Something reads the flags that are defined; then all are. */
static void define_flags(const struct bt_insn *insn)
{
    bool carry = insn->op != BT_OP_DIV && insn->op != BT_OP_IDIV && insn->op != BT_OP_BSF &&
                 insn->op != BT_OP_BSR && insn->op != BT_OP_AAM && insn->op != BT_OP_AAD;

    if (carry && chance(50)) { /* setc dl */
        byte(0x0f);
        byte(0x92);
        byte(0xc2);
    }
    rex(0x48 | jit_below(8));
    byte(0x39);
    byte(0xc0 | jit_below(64));
}

static bool names_st(const struct bt_insn *insn)
{
    return !insn->map && insn->properties & BT_INSN_VECTOR;
}

static bool allowed(const struct bt_insn *insn)
{
    if (insn->op == BT_OP_UD || insn->op == BT_OP_TOO_LONG || !allowed_op(insn) ||
        insn->properties & (BT_INSN_ENDS_BLOCK | BT_INSN_PRIVILEGED | BT_INSN_VSIB))
        return false;
    if (insn->seg == CPU_FS) /* the C library's */
        return false;
    if (insn->addr_size == 2 && chance(90))
        return false;
    if (insn->op == BT_OP_MOVSXD && insn->size == 2) /* how much of memory it reads is a choice */
        return false;
    /* VPINSRD and VPEXTRD with VEX.W: #UD for some processors. */
    if (!is_64() && insn->prefixes & BT_PREFIX_VEX && insn->map == 3 && insn->rex & 8 &&
        (insn->opcode == 0x16 || insn->opcode == 0x22))
        return false;
    if (insn->map == 1 && insn->opcode == 0x0d && !insn->has_mem) /* #UD for some processors */
        return false;
    if (names_st(insn) && chance(60))
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind > BT_OPERAND_REL && insn->operand[i].kind < BT_OPERAND_ST)
            return false;
    return true;
}

static unsigned immediate_bytes(const struct bt_insn *insn)
{
    unsigned bytes = 0;

    for (unsigned i = 0; i < insn->operand_count; i++) {
        unsigned source = bt_specs[bt_opcodes[insn->row].specs >> 8 * i & 0xff].source;
        if (source >= BT_FROM_IMM && source <= BT_FROM_IMM2)
            bytes += insn->operand[i].size;
        bytes += source == BT_FROM_VEC_IMM;
    }
    return bytes;
}

static bool is_bit_op(const struct bt_insn *insn)
{
    return insn->op == BT_OP_BT || insn->op == BT_OP_BTS || insn->op == BT_OP_BTR ||
           insn->op == BT_OP_BTC;
}

/* Registers so that the operand is in the data; the displacement where there is no register. */
static void aim(const struct bt_insn *insn, uint8_t *bytes)
{
    uint64_t target = chance(96) ? address() : nowhere(), gs = insn->seg == CPU_GS ? JIT_GS : 0;
    uint64_t index = jit_below(64);

    if (!is_64() && gs && (uint32_t)(target - gs) > UINT32_MAX - 64)
        target += 64; /* not beyond the segment's end: jit.h */

    if (insn->addr_size == 2)
        return;
    if (insn->base == BT_REG_NONE && insn->index == BT_REG_NONE) {
        int64_t disp = (int64_t)(target - gs);
        if (insn->rip_relative)
            disp -= JIT_CODE + at + insn->length;
        le32_store(bytes + insn->length - immediate_bytes(insn) - 4, (uint32_t)disp);
        return;
    }
    if (is_bit_op(insn) && insn->operand[1].kind == BT_OPERAND_GPR)
        set(insn->operand[1].reg, value() & 0xff);
    if (insn->index != BT_REG_NONE) {
        if (insn->base == BT_REG_NONE)
            index = (target - gs - (uint64_t)insn->disp) >> insn->scale;
        if (!is_64())
            index = (uint32_t)index;
        set(insn->index, index);
    }
    if (insn->base == BT_REG_NONE)
        return;
    uint64_t base = target - gs - (uint64_t)insn->disp;
    if (insn->index == insn->base)
        base /= 1 + (UINT64_C(1) << insn->scale);
    else if (insn->index != BT_REG_NONE)
        base -= index << insn->scale;
    set(insn->base, insn->addr_size == 4 ? (uint32_t)base : base);
}

/* What else would mostly fault. */
static void prepare(const struct bt_insn *insn)
{
    switch (insn->op) {
    case BT_OP_DIV:
    case BT_OP_IDIV:
        set(CPU_RDX, 0);
        if (insn->size == 1)
            set(CPU_RAX, jit_below(100));
        if (insn->operand[0].kind == BT_OPERAND_GPR && insn->operand[0].reg != CPU_RDX)
            set(insn->operand[0].reg, value() | 3);
        break;
    case BT_OP_PUSH:
    case BT_OP_POP:
        set(CPU_RSP, chance(90) ? slot_address() : address());
        break;
    case BT_OP_LEAVE:
    case BT_OP_ENTER:
        set(CPU_RBP, chance(80) ? slot_address() : address());
        set(CPU_RSP, slot_address());
        break;
    case BT_OP_MOVS:
    case BT_OP_CMPS:
    case BT_OP_STOS:
    case BT_OP_LODS:
    case BT_OP_SCAS:
        set(CPU_RSI, address());
        set(CPU_RDI, address());
        set(CPU_RCX, jit_below(chance(80) ? 20 : 3000));
        break;
    case BT_OP_XLAT:
        set(CPU_RBX, address());
        break;
    default:
        break;
    }
}

/* Random bytes behind an opcode of the table. */
static void random_bytes(uint8_t bytes[32])
{
    const struct bt_opcode *row = &bt_opcodes[jit_random() % bt_opcodes_count];
    static const uint8_t mandatory[4] = {0x3e, 0x66, 0xf3, 0xf2};
    unsigned n = 0;

    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (uint8_t)jit_below(256);
    if (chance(3))
        bytes[n++] = 0x67;
    if (chance(3))
        bytes[n++] = 0x65;
    if (row->map >= BT_MAP_VEX) {
        bytes[n++] = 0xc4;
        bytes[n] = (uint8_t)((bytes[n] & 0xe0) | (row->map - BT_MAP_VEX + 1));
        bytes[n] |= is_64() ? 0 : 0xc0; /* else LES */
        n++;
        bytes[n] = (uint8_t)((bytes[n] & 0xfc) | (row->value & BT_KEY_PREFIX));
        if (chance(30))
            bytes[n] |= 0x78;
        if (chance(90))
            bytes[n] = (uint8_t)((bytes[n] & 0x7f) | (row->value & BT_KEY_W ? 0x80 : 0));
        n++;
    } else {
        if (chance(8) && row->properties & BT_INSN_LOCKABLE)
            bytes[n++] = 0xf0;
        if (chance(10))
            bytes[n++] = 0x66;
        if ((row->mask & BT_KEY_PREFIX) == BT_KEY_PREFIX && row->value & BT_KEY_PREFIX)
            bytes[n++] = mandatory[row->value & BT_KEY_PREFIX];
        if (is_64() && row->value & BT_KEY_Q)
            bytes[n++] = (uint8_t)(0x48 | jit_below(8));
        else if (is_64() && chance(60))
            bytes[n++] = (uint8_t)(0x40 | jit_below(16));
        if (row->map)
            bytes[n++] = 0x0f;
        if (row->map > 1)
            bytes[n++] = row->map == 2 ? 0x38 : 0x3a;
    }
    bytes[n++] = (uint8_t)(row->first + jit_below(row->last - row->first + 1u));
    if (row->mask & 7 << BT_KEY_REG_SHIFT)
        bytes[n] = (uint8_t)((bytes[n] & 0xc7) | (row->value >> BT_KEY_REG_SHIFT & 7) << 3);
    if (row->mask & 7 << BT_KEY_RM_SHIFT)
        bytes[n] = (uint8_t)((bytes[n] & 0xf8) | (row->value >> BT_KEY_RM_SHIFT & 7));
    if (chance(30)) /* what the translator treats apart */
        bytes[n] = (uint8_t)((bytes[n] & ~7) | (2 + jit_below(3)));
}

static unsigned one_insn(void)
{
    uint8_t bytes[32];
    struct bt_insn insn;

    do {
        random_bytes(bytes);
        (void)bt_decode(bytes, BT_INSN_MAX, jit_code, &insn);
    } while (!allowed(&insn));
    if (chance(95))
        prepare(&insn);
    if (insn.has_mem)
        aim(&insn, bytes);
    for (unsigned i = 0; i < insn.length; i++)
        byte(bytes[i]);
    if (leaves_undefined(&insn))
        define_flags(&insn);
    return insn.op;
}

/* --- jumps --- */

/* Each leads over some pieces: where its distance is, and how many are left. */
static struct open_jump {
    unsigned place, size, left;
} open_jumps[16];
static unsigned open_count;

static void open_later(unsigned size)
{
    unsigned left = 1 + jit_below(4);

    number(0, size);
    open_jumps[open_count++] = (struct open_jump){at - size, size, left};
}

static void close_jump(unsigned i)
{
    struct open_jump *j = &open_jumps[i];
    unsigned distance = at - j->place - j->size;

    if (j->size == 4)
        le32_store(p->code + j->place, distance);
    else if (distance < 128)
        p->code[j->place] = (uint8_t)distance;
    *j = open_jumps[--open_count];
}

static void land(bool all)
{
    for (unsigned i = open_count; i-- > 0;)
        if (all || !--open_jumps[i].left ||
            (open_jumps[i].size == 1 && at > open_jumps[i].place + 60))
            close_jump(i);
}

static void jump_forward(void)
{
    switch (jit_below(6)) {
    case 0:
        byte(0x70 | jit_below(16));
        open_later(1);
        break;
    case 1:
        byte(0xeb);
        open_later(1);
        break;
    case 2:
        if (chance(30))
            byte(0x67);
        byte(0xe0 | jit_below(4));
        open_later(1);
        break;
    case 3:
        byte(0xe9);
        open_later(4);
        break;
    default:
        byte(0x0f);
        byte(0x80 | jit_below(16));
        open_later(4);
    }
}

static void counter(unsigned opcode, unsigned field)
{
    byte(opcode);
    byte(0x04 | field << 3);
    byte(0x25);
    number(JIT_COUNTER, 4);
}

/* mov [counter], n; again: */
static unsigned loop_begin(void)
{
    counter(0xc7, 0);
    number(1 + jit_below(5), 4);
    return at;
}

/* dec [counter]; jnz again */
static void loop_end(unsigned again)
{
    counter(0xff, 1);
    byte(0x0f);
    byte(0x85);
    number((uint64_t)again - (at + 4), 4);
}

static void loop(void)
{
    unsigned body = 1 + jit_below(4), again = loop_begin();

    while (body--)
        (void)one_insn();
    loop_end(again);
}

static void stack_insns(unsigned opcode, unsigned n)
{
    while (n--) {
        unsigned reg = jit_below(is_64() ? 16 : 8);
        if (reg == CPU_RSP && chance(90))
            reg = CPU_RBX;
        if (reg & 8)
            byte(0x41);
        byte(opcode | (reg & 7));
    }
}

/* A frame made and given up again: sub rsp, n; add rsp, n. */
static void frame(bool aligned)
{
    unsigned size = jit_below(16) * (aligned ? 8 : 1);

    rex(0x48);
    byte(0x83);
    byte(0xec);
    byte(size);
    rex(0x48);
    byte(0x83);
    byte(0xc4);
    byte(size);
}

/* Many pushes, many pops; flags dead or not. */
static void stack_run(void)
{
    set(CPU_RSP, slot_address());
    if (chance(50))
        define_flags(&(struct bt_insn){.op = BT_OP_DIV});
    stack_insns(0x50, jit_below(10));
    if (chance(50))
        (void)one_insn();
    if (chance(50))
        frame(chance(80));
    stack_insns(0x58, jit_below(10));
    if (chance(50))
        define_flags(&(struct bt_insn){.op = BT_OP_DIV});
}

/* mov reg, [rip + ...]'s LEA, or in 32-bit code MOV: the place of what point_here completes. */
static unsigned point_later(unsigned reg)
{
    if (is_64()) {
        byte(0x48 | (reg & 8) >> 1);
        byte(0x8d);
        byte(0x05 | (reg & 7) << 3);
    } else {
        byte(0xb8 | (reg & 7));
    }
    number(0, 4);
    return at - 4;
}

static void point_here(unsigned place)
{
    le32_store(p->code + place, is_64() ? at - (place + 4) : JIT_CODE + at);
}

/* A call over a jump to something that returns, which the jump leads over. */
static void call(void)
{
    static const uint8_t through[] = {0, 1, 5, 7, 9, 10, 11, 12, 13};
    unsigned how = jit_below(3), reg = through[jit_below(is_64() ? sizeof through : 4)];

    set(CPU_RSP, slot_address());
    unsigned place = 0;
    if (how == 0) { /* direct */
        byte(0xe8);
        number(2, 4);
    } else { /* lea reg, [rip + over]; call reg, or by memory */
        place = point_later(reg);
        if (how == 2) { /* mov [counter + 8], reg; call [counter + 8] */
            rex(0x48 | (reg & 8) >> 1);
            byte(0x89);
            byte(0x04 | (reg & 7) << 3);
            byte(0x25);
            number(JIT_COUNTER + 8, 4);
            byte(0xff);
            byte(0x14);
            byte(0x25);
            number(JIT_COUNTER + 8, 4);
        } else {
            if (reg & 8)
                byte(0x41);
            byte(0xff);
            byte(0xd0 | (reg & 7));
        }
    }
    byte(0xeb);
    unsigned over = at;
    byte(0);
    if (place)
        point_here(place);
    /* Nothing that moves RSP for good: else the return goes anywhere. */
    if (chance(40)) {
        unsigned n = jit_below(8), first = jit_below(4);
        for (unsigned i = 0; i < n; i++)
            byte(0x50 | first);
        frame(chance(80));
        for (unsigned i = 0; i < n; i++)
            byte(0x58 | ((first + i) & 3));
    }
    rex(0x48);
    byte(0x01);
    byte(0xc0 | jit_below(4) << 3 | jit_below(4));
    if (chance(30)) {
        byte(0xc2);
        number(jit_below(4) * (chance(80) ? 8 : 1), 2);
    } else {
        byte(0xc3);
    }
    p->code[over] = (uint8_t)(at - over - 1);
}

/* lea reg, [rip + n]; jmp reg */
static void jump_indirect(void)
{
    unsigned reg = jit_below(is_64() ? 16 : 8), gap = jit_below(20);

    reg = reg == CPU_RSP ? is_64() ? 11 : CPU_RDI : reg;
    unsigned place = point_later(reg);
    if (reg & 8)
        byte(0x41);
    byte(0xff);
    byte(0xe0 | (reg & 7));
    while (gap--)
        byte(0xcc);
    point_here(place);
}

/* ModRM and what belongs to it: `field` and [base + index * 2^scale + disp]; index 4: none. */
static void field_operand(unsigned field, unsigned base, unsigned index, unsigned scale, int disp)
{
    bool indexed = index != 4 || base == 4;

    byte(0x80 | field << 3 | (indexed ? 4 : base));
    if (indexed)
        byte(scale << 6 | index << 3 | base);
    number((uint32_t)disp, 4);
}

static int last_field; /* the last access's displacement */

/* One access near the others: at any distance, mostly a small multiple of its size. */
static void field_access(unsigned base, unsigned index, unsigned scale, int from)
{
    static const struct {
        uint8_t size, prefix, length, opcode[2];
    } forms[] = {
        {8, 0x48, 1, {0x8b}},        {8, 0x48, 1, {0x89}},       {8, 0x48, 1, {0x01}},
        {4, 0, 1, {0x8b}},           {4, 0, 1, {0x89}},          {4, 0, 1, {0x39}},
        {2, 0x66, 1, {0x89}},        {1, 0, 1, {0x88}},          {1, 0, 1, {0x3a}},
        {2, 0, 2, {0x0f, 0xb7}},     {8, 0xf2, 2, {0x0f, 0x58}}, {8, 0xf2, 2, {0x0f, 0x11}},
        {16, 0, 2, {0x0f, 0x10}},    {16, 0, 2, {0x0f, 0x11}},   {16, 0x66, 2, {0x0f, 0x6f}},
        {16, 0x66, 2, {0x0f, 0xef}}, {4, 0xf0, 1, {0x01}},       {8, 0x4c, 1, {0x8b}}};
    unsigned form = jit_below(sizeof forms / sizeof *forms), size = forms[form].size;
    int disp = from + (int)(jit_below(12) * size) - (chance(30) ? (int)jit_below(64) : 0);

    if (chance(30)) /* the same again */
        disp = last_field;
    last_field = disp;
    if (forms[form].prefix && (is_64() || (forms[form].prefix & 0xf0) != 0x40))
        byte(forms[form].prefix);
    for (unsigned i = 0; i < forms[form].length; i++)
        byte(forms[form].opcode[i]);
    field_operand(forms[form].prefix == 0x4c ? 2 + jit_below(2) : jit_below(3), base, index, scale,
                  disp);
}

/* What stands between: the base moves, flags are read, a way out that is not taken or is. */
static void field_other(unsigned base)
{
    switch (jit_below(8)) {
    case 0:
        rex(0x48); /* lea base, [base + n] */
        byte(0x8d);
        field_operand(base, base, 4, 0, (int)(8 * jit_below(8)) - 24);
        break;
    case 1:
        rex(0x48); /* add base, n */
        byte(0x83);
        byte(0xc0 | base);
        byte(8 * jit_below(4));
        break;
    case 2: /* jcc over nothing */
        byte(0x70 | jit_below(16));
        byte(0);
        break;
    case 3: /* setc dl */
        byte(0x0f);
        byte(0x92);
        byte(0xc2);
        break;
    case 4: /* push rax, or pop */
        byte(chance(50) ? 0x50 : 0x58);
        break;
    case 5: /* xor eax, eax */
        byte(0x31);
        byte(0xc0);
        break;
    default:
        (void)one_insn();
    }
}

/* Round and round, the base or the index moving on by as much each time. */
static void field_loop(unsigned base, unsigned index, unsigned scale, int from)
{
    unsigned again = loop_begin(), n = 1 + jit_below(3);

    while (n--)
        field_access(base, index, scale, from);
    if (chance(90)) {
        rex(0x48); /* add, n */
        byte(0x83);
        byte(0xc0 | (index != 4 && chance(70) ? index : base));
        byte(chance(80) ? 1u << jit_below(6) : jit_below(64));
    }
    if (chance(20))
        field_other(base);
    loop_end(again);
}

/* Several accesses by one base, close together; often near a page's end. */
static void fields(void)
{
    unsigned base = 3 + jit_below(5), n = 2 + jit_below(8), scale = jit_below(4);
    unsigned index = chance(60) ? 4 : 1;
    int from = (int)jit_below(200) - 100;

    last_field = base == 4 ? 0 : from;
    uint64_t target = base == 4 ? slot_address() : address();

    if (chance(30)) /* into the next page soon */
        target = (target | (JIT_PAGE - 1)) + 1 - 8 * jit_below(12);
    if (index != 4) {
        set(index, jit_below(20));
        target -= 10 << scale;
    }
    set(base, base == 4 ? target : target - (uint64_t)from);
    if (chance(40)) {
        field_loop(base, index, scale, base == 4 ? 0 : from);
        return;
    }
    while (n--) {
        field_access(base, index, scale, base == 4 ? 0 : from);
        if (chance(25))
            field_other(base);
    }
}

void jit_program_make(struct jit_program *program, unsigned pieces)
{
    p = program;
    memset(p->code, 0xcc, sizeof p->code);
    /* Often from one page to the next. */
    p->start = at = jit_below(chance(50) ? 200 : JIT_PAGE);
    open_count = 0;
    for (p->count = 0; p->count < pieces; p->count++) {
        unsigned kind = jit_below(20);
        p->at[p->count] = at;
        p->op[p->count] = BT_OP_UD;
        if (kind == 0 && open_count < 16)
            jump_forward();
        else if (kind == 1 && chance(50))
            loop();
        else if (kind == 2 && chance(50))
            call();
        else if (kind == 3 && chance(30))
            jump_indirect();
        else if (kind == 4 && chance(50))
            stack_run();
        else if (kind == 5)
            fields();
        else
            p->op[p->count] = (uint16_t)one_insn();
        land(false);
    }
    land(true);
    p->end = at;
    byte(0xf4);
}

/* --- state --- */

/* All, none, or one that is not zero: enter.S treats the second apart. */
static void random_upper_halves(uint8_t *image)
{
    unsigned which = jit_below(3), only = jit_below(32);

    for (unsigned i = 0; i < 32; i++)
        if (which == 0 || (which == 1 && i == only))
            le64_store(image + IMAGE_YMM + 8 * i, value());
}

static void random_image(uint8_t *image)
{
    memset(image, 0, JIT_IMAGE);
    le16_store(image + IMAGE_FCW, FCW_INIT);
    le32_store(image + IMAGE_MXCSR, chance(90) ? 0x1f80 : 0x1f80 & ~(0x80u << jit_below(6)));
    for (unsigned i = 0; i < 8; i++) {
        le64_store(image + IMAGE_ST + 16 * i, jit_random() | UINT64_C(1) << 63);
        le16_store(image + IMAGE_ST + 16 * i + 8, (uint16_t)(0x3fff - 20 + jit_below(40)));
    }
    image[IMAGE_FTW] = (uint8_t)(chance(50) ? 0xff : jit_random());
    for (unsigned i = 0; i < 256; i += 8)
        le64_store(image + IMAGE_XMM + i, value());
    random_upper_halves(image);
    le64_store(image + IMAGE_XSTATE_BV, 7);
}

void jit_program_state(const struct jit_program *program, struct jit_regs *regs)
{
    memset(regs, 0, sizeof *regs);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        regs->gpr[i] = chance(40) ? address() : value();
    regs->gpr[CPU_RSP] = chance(90) ? slot_address() : address();
    for (unsigned i = 0; !is_64() && i <= CPU_RDI; i++)
        regs->gpr[i] = (uint32_t)regs->gpr[i];
    regs->flags = jit_random() & BT_FLAGS_STATUS;
    regs->rip = JIT_CODE + program->start;
    random_image(regs->image);
}

void jit_program_data(uint8_t *data)
{
    for (unsigned i = 0; i < JIT_DATA_BYTES; i += 8)
        le64_store(data + i, chance(5) ? address() : value());
}
