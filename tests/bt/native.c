/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter against the processor: random straight-line programs of user-level integer
 * instructions run here natively and there interpreted, from the same registers, flags and memory;
 * then all of these must be the same, undefined flags included.
 *
 *     bt-native [PROGRAMS [SEED]]
 *
 * A failing program is shortened to the instruction that differs first, and printed. */
#include <inttypes.h>
#include <sys/mman.h>

#include "tests/bt/rig.h"

enum { CODE = 0x1000000, DATA = 0x1100000, DATA_SIZE = 0x10000, SLOTS = 200 };
enum { STACK_TOP = DATA + DATA_SIZE - 0x1000 };
/* Never a destination: addresses go by them. R13 is small, R14 points to the data's middle. */
enum { RSP = 4, SMALL = 13, BASE = 14, SAVED = 15 };

/* --- random numbers: xorshift64* --- */

static uint64_t seed = 1;

static uint64_t next(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

static unsigned below(unsigned n)
{
    return (unsigned)((next() >> 33) % n);
}

/* Values where arithmetic has its corners. */
static uint64_t value(void)
{
    static const uint64_t corner[] = {
        0,          1,      2,          0x7f,       0x80,       0xff,      0x7fff,
        0x8000,     0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, (uint64_t)INT64_MIN,
        UINT64_MAX, 0x99};
    switch (below(4)) {
    case 0:
        return corner[below(sizeof corner / sizeof *corner)];
    case 1:
        return next() >> below(64);
    default:
        return next();
    }
}

/* --- a program --- */

static struct {
    uint8_t code[SLOTS * 64];
    unsigned len;
    unsigned at[SLOTS + 1]; /* where each piece begins */
    unsigned count;
} program;

static void byte(unsigned b)
{
    program.code[program.len++] = (uint8_t)b;
}

static void number(uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        byte((unsigned)(v >> 8 * i) & 0xff);
}

/* A register that may be written. */
static unsigned reg(void)
{
    static const uint8_t may[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12};

    return may[below(sizeof may)];
}

struct form {
    unsigned size;   /* 1, 2, 4, 8 */
    unsigned prefix; /* F2, F3 or F0: before REX; 0: none */
    unsigned map;    /* 0, 1, 2 */
    unsigned opcode;
};

/* The memory operand of `reg_field`: ModRM, SIB, displacement. */
static void memory(unsigned reg_field)
{
    unsigned kind = below(3);

    if (kind == 0) { /* [r13 * scale + disp32] */
        byte(0x04 | (reg_field & 7) << 3);
        byte(0x2d | below(4) << 6);
        number(DATA + below(DATA_SIZE - 0x2000), 4);
    } else if (kind == 1) { /* [r14 + disp8] */
        byte(0x46 | (reg_field & 7) << 3);
        number(next(), 1);
    } else { /* [r14 + r13 * scale + disp32] */
        byte(0x84 | (reg_field & 7) << 3);
        byte(0x2e | below(4) << 6);
        number(below(0x4000), 4);
    }
}

static void opcode_bytes(const struct form *f)
{
    if (f->map)
        byte(0x0f);
    if (f->map == 2)
        byte(0x38);
    byte(f->opcode);
}

/* An instruction with a ModRM: register field, and a register or memory. */
static void modrm(const struct form *f, unsigned reg_field, bool mem, unsigned rm)
{
    bool rex_needed = f->size == 1 && (reg_field >= 4 || (!mem && rm >= 4)) && below(2);
    unsigned rex = (f->size == 8 ? 8 : 0) | (reg_field & 8 ? 4 : 0);

    rex |= mem ? 0x3 : rm & 8 ? 1 : 0; /* memory() uses r14 and r13; the plain form ignores them */
    if (f->size == 2)
        byte(0x66);
    if (f->prefix)
        byte(f->prefix);
    if (rex || rex_needed)
        byte(0x40 | rex);
    opcode_bytes(f);
    if (mem)
        memory(reg_field);
    else
        byte(0xc0 | (reg_field & 7) << 3 | (rm & 7));
}

/* Without REX the byte registers 4 to 7 are AH to BH: so one that may be written only. */
static unsigned reg_of(unsigned size)
{
    unsigned r = reg();

    (void)size;
    return r;
}

static unsigned any_size(void)
{
    return 1u << below(4);
}

static unsigned wide_size(void)
{
    return 2u << below(3);
}

/* --- instructions --- */

static bool lockable(bool mem)
{
    return mem && below(4) == 0;
}

static void gen_alu(void)
{
    unsigned op = below(8), size = any_size(), to_reg = below(2);
    bool mem = below(2);
    struct form f = {.size = size, .opcode = op * 8 + (to_reg ? 2 : 0) + (size > 1)};

    if (!to_reg && op != 7 && lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, reg_of(size), mem, reg_of(size));
}

static void gen_alu_imm(void)
{
    unsigned op = below(8), size = any_size();
    bool mem = below(2), small = below(2);
    struct form f = {.size = size, .opcode = size == 1 ? 0x80 : small ? 0x83 : 0x81};

    if (op != 7 && lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, op, mem, reg_of(size));
    number(value(), size == 1 || small ? 1 : size == 2 ? 2 : 4);
}

static void gen_test(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .opcode = 0x84 + (size > 1)};

    modrm(&f, reg_of(size), below(2), reg_of(size));
}

static void gen_test_imm(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .opcode = 0xf6 + (size > 1)};

    modrm(&f, below(2), below(2), reg_of(size));
    number(value(), size == 8 ? 4 : size);
}

static void gen_unary(void)
{
    static const uint8_t field[] = {2, 3, 4, 5}; /* NOT NEG MUL IMUL */
    unsigned size = any_size(), op = field[below(4)];
    bool mem = below(2);
    struct form f = {.size = size, .opcode = 0xf6 + (size > 1)};

    if (op < 4 && lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, op, mem, reg_of(size));
}

static void gen_incdec(void)
{
    unsigned size = any_size();
    bool mem = below(2);
    struct form f = {.size = size, .opcode = 0xfe + (size > 1)};

    if (lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, below(2), mem, reg_of(size));
}

/* A dividend that fits: the upper half is 0, or the sign for IDIV, and the divisor is not 0 or -1.
 */
static void gen_div(void)
{
    unsigned size = wide_size(), divisor = 8 + below(4);
    bool is_signed = below(2);
    struct form set = {.size = 4, .opcode = 0x83}; /* or r, 4; and r, 0x7f */
    struct form f = {.size = size, .opcode = 0xf7};

    modrm(&set, 1, false, divisor);
    number(4, 1);
    modrm(&set, 4, false, divisor);
    number(0x7f, 1);
    if (is_signed) {
        if (size != 4)
            byte(size == 2 ? 0x66 : 0x48);
        byte(0x99);
    } else { /* xor edx, edx */
        byte(0x31);
        byte(0xd2);
    }
    modrm(&f, is_signed ? 7 : 6, false, divisor);
}

static void gen_shift(void)
{
    unsigned size = any_size(), by = below(3);
    struct form f = {.size = size, .opcode = (by == 0 ? 0xc0 : by == 1 ? 0xd0 : 0xd2) + (size > 1)};

    modrm(&f, below(8), below(2), reg_of(size));
    if (by == 0)
        number(below(4) ? below(70) : next(), 1);
}

static void gen_double_shift(void)
{
    unsigned size = wide_size();
    bool cl = below(2);
    struct form f = {.size = size, .map = 1, .opcode = (below(2) ? 0xa4 : 0xac) + cl};

    modrm(&f, reg(), below(2), reg());
    if (!cl) /* counts over the size are undefined with 16 bits */
        number(below(size == 2 ? 17 : 64), 1);
}

static void gen_bit(void)
{
    static const uint8_t op[] = {0xa3, 0xab, 0xb3, 0xbb};
    unsigned size = wide_size(), which = below(4);
    bool mem = below(2), imm = below(2);
    struct form f = {.size = size, .map = 1, .opcode = imm ? 0xba : op[which]};

    if (which && lockable(mem))
        f.prefix = 0xf0;
    /* With memory and a register index: R13, which is small. */
    modrm(&f, imm ? 4 + which : mem ? SMALL : reg(), mem, reg());
    if (imm)
        number(next(), 1);
}

static void gen_count(void)
{
    static const struct {
        uint8_t prefix, opcode;
    } op[] = {{0, 0xbc}, {0, 0xbd}, {0xf3, 0xbc}, {0xf3, 0xbd}, {0xf3, 0xb8}};
    unsigned which = below(5);
    struct form f = {
        .size = wide_size(), .prefix = op[which].prefix, .map = 1, .opcode = op[which].opcode};

    modrm(&f, reg(), below(2), reg());
}

static void gen_imul(void)
{
    unsigned size = wide_size(), which = below(3);
    struct form f = {.size = size,
                     .map = which == 0,
                     .opcode = which == 0   ? 0xaf
                               : which == 1 ? 0x69
                                            : 0x6b};

    modrm(&f, reg(), below(2), reg());
    if (which)
        number(value(), which == 2 ? 1 : size == 2 ? 2 : 4);
}

static void gen_mov(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .opcode = 0x88 + (below(2) ? 2 : 0) + (size > 1)};

    modrm(&f, reg_of(size), below(4) != 0, reg_of(size));
}

static void gen_mov_imm(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .opcode = 0xc6 + (size > 1)};

    modrm(&f, 0, below(2), reg_of(size));
    number(value(), size == 8 ? 4 : size);
}

static void gen_mov_long(void)
{
    unsigned r = reg();

    byte(0x48 | r >> 3);
    byte(0xb8 | (r & 7));
    number(value(), 8);
}

static void gen_extend(void)
{
    static const uint8_t op[] = {0xb6, 0xb7, 0xbe, 0xbf};
    struct form f = {.size = wide_size(), .map = 1, .opcode = op[below(4)]};

    modrm(&f, reg(), below(2), below(4));
}

static void gen_movsxd(void)
{
    struct form f = {.size = below(2) ? 4 : 8, .opcode = 0x63};

    modrm(&f, reg(), below(2), reg());
}

static void gen_lea(void)
{
    struct form f = {.size = wide_size(), .opcode = 0x8d};

    if (!below(3))
        byte(0x67);
    modrm(&f, reg(), true, 0);
}

static void gen_xchg(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .opcode = 0x86 + (size > 1)};

    modrm(&f, reg_of(size), below(2), reg_of(size));
}

static void gen_xadd(void)
{
    unsigned size = any_size();
    bool mem = below(2);
    struct form f = {.size = size, .map = 1, .opcode = 0xc0 + (size > 1)};

    if (lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, reg_of(size), mem, reg_of(size));
}

static void gen_cmpxchg(void)
{
    unsigned size = any_size();
    bool mem = below(2);
    struct form f = {.size = size, .map = 1, .opcode = 0xb0 + (size > 1)};

    if (below(2)) { /* mov rax, rm: so that it succeeds sometimes */
        byte(0x4c);
        byte(0x89);
        byte(0xc0 | 1 << 3); /* mov rax, r9 */
    }
    if (lockable(mem))
        f.prefix = 0xf0;
    modrm(&f, reg_of(size), mem, below(2) ? 9 : reg_of(size));
}

static void gen_cmpxchg8b(void)
{
    if (below(2))
        byte(0xf0);
    byte(0x0f);
    byte(0xc7);
    byte(0x0c);
    byte(0x25);
    number(DATA + below(0x800) * 8, 4);
}

static void gen_cmpxchg16b(void)
{
    if (below(2))
        byte(0xf0);
    byte(0x48);
    byte(0x0f);
    byte(0xc7);
    byte(0x0c);
    byte(0x25);
    number(DATA + below(0x400) * 16, 4);
}

static void gen_setcc(void)
{
    struct form f = {.size = 1, .map = 1, .opcode = 0x90 + below(16)};

    modrm(&f, 0, below(2), reg_of(1));
}

static void gen_cmov(void)
{
    struct form f = {.size = wide_size(), .map = 1, .opcode = 0x40 + below(16)};

    modrm(&f, reg(), below(2), reg());
}

static void gen_bswap(void)
{
    unsigned r = reg();

    byte(0x40 | (below(2) ? 8 : 0) | r >> 3);
    byte(0x0f);
    byte(0xc8 | (r & 7));
}

/* One byte, with any operand size: CBW CWD LAHF SAHF CMC CLC STC NOP. */
static void gen_simple(void)
{
    static const uint8_t op[] = {0x98, 0x99, 0x9f, 0x9e, 0xf5, 0xf8, 0xf9, 0x90};
    unsigned prefix = below(3);

    if (prefix)
        byte(prefix == 1 ? 0x66 : 0x48);
    byte(op[below(sizeof op)]);
}

static void gen_stack(void)
{
    unsigned r = reg();
    bool half = !below(4);

    if (half)
        byte(0x66);
    byte(0x40 | r >> 3);
    byte(0x50 | (r & 7));
    r = reg();
    if (half)
        byte(0x66);
    byte(0x40 | r >> 3);
    byte(0x58 | (r & 7));
}

static void gen_stack_memory(void)
{
    struct form push = {.size = 4, .opcode = 0xff}, pop = {.size = 4, .opcode = 0x8f};

    if (below(2)) {
        modrm(&push, 6, true, 0);
    } else {
        byte(0x68);
        number(value(), 4);
    }
    modrm(&pop, 0, true, 0);
}

static void gen_enter(void)
{
    byte(0x48); /* mov rbp, rsp: outer frames are read */
    byte(0x89);
    byte(0xe5);
    byte(0xc8);
    number(below(64), 2);
    number(below(4), 1);
    byte(0xc9);
}

/* A jump over one instruction, taken or not. */
static void gen_jcc(void)
{
    bool near = below(2);

    if (near) {
        byte(0x0f);
        byte(0x80 | below(16));
        number(7, 4);
    } else {
        byte(0x70 | below(16));
        number(7, 1);
    }
    byte(0x48); /* mov rbx, imm32: 7 bytes */
    byte(0xc7);
    byte(0xc3);
    number(value(), 4);
}

/* mov ecx, n; loop: add; loop */
static void gen_loop(void)
{
    byte(0xb9);
    number(1 + below(5), 4);
    byte(0x48);
    byte(0x01);
    byte(0xd8 | 0); /* add rax, rbx */
    byte(0xe0 | below(3));
    number((uint64_t)-5, 1);
}

static void gen_call(void)
{
    byte(0xe8); /* call +2: over the jump, to ret; ret goes to the jump, which goes behind */
    number(2, 4);
    byte(0xeb);
    byte(0x01);
    byte(0xc3);
}

static void gen_call_indirect(void)
{
    byte(0x48); /* lea rax, [rip + 5]; jmp rax; 3 bytes of nothing */
    byte(0x8d);
    byte(0x05);
    number(5, 4);
    byte(0xff);
    byte(0xe0);
    byte(0x0f);
    byte(0x0b);
    byte(0xcc);
}

static void string_registers(unsigned count)
{
    unsigned overlap = below(3);
    unsigned from = DATA + 0x2000 + below(0x3000);

    byte(0xbe);
    number(from, 4);
    byte(0xbf);
    number(overlap ? from + below(64) - 32 : DATA + 0x6000 + below(0x3000), 4);
    byte(0xb9);
    number(count, 4);
}

static void gen_string(void)
{
    static const uint8_t op[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    unsigned size = any_size(), which = op[below(sizeof op)], rep = below(3);
    bool backwards = !below(4);

    string_registers(below(4) ? below(100) : below(600));
    if (backwards)
        byte(0xfd);
    if (rep)
        byte(rep == 1 ? 0xf3 : 0xf2);
    if (!below(4))
        byte(0x67);
    if (size == 2)
        byte(0x66);
    if (size == 8)
        byte(0x48);
    byte(which + (size > 1));
    if (backwards)
        byte(0xfc);
}

/* VEX: three bytes; X and, unless `mem` uses r14 and r13, B as the register says. */
static void vex(unsigned map, unsigned pp, bool wide, unsigned opcode, unsigned reg_field,
                unsigned vvvv, bool mem, unsigned rm)
{
    unsigned not_r = reg_field & 8 ? 0 : 0x80, not_x = mem ? 0 : 0x40;
    unsigned not_b = mem || rm & 8 ? 0 : 0x20;

    byte(0xc4);
    byte(not_r | not_x | not_b | map);
    byte((wide ? 0x80 : 0) | (~vvvv & 15) << 3 | pp);
    byte(opcode);
    if (mem)
        memory(reg_field);
    else
        byte(0xc0 | (reg_field & 7) << 3 | (rm & 7));
}

static void gen_bmi(void)
{
    static const struct {
        uint8_t map, pp, opcode,
            field; /* field: opcode extension, the destination in vvvv; 0 none */
    } op[] = {{2, 0, 0xf2, 0}, {2, 0, 0xf3, 1}, {2, 0, 0xf3, 2}, {2, 0, 0xf3, 3}, {2, 0, 0xf5, 0},
              {2, 2, 0xf5, 0}, {2, 3, 0xf5, 0}, {2, 3, 0xf6, 0}, {2, 0, 0xf7, 0}, {2, 1, 0xf7, 0},
              {2, 2, 0xf7, 0}, {2, 3, 0xf7, 0}, {3, 3, 0xf0, 9}};
    unsigned i = below(sizeof op / sizeof *op);
    bool immediate = op[i].field == 9;

    vex(op[i].map, op[i].pp, below(2), op[i].opcode,
        op[i].field && !immediate ? op[i].field : reg(), immediate ? 0 : reg(), below(2), reg());
    if (immediate)
        number(next(), 1);
}

static void gen_adx(void)
{
    bool wide = below(2), mem = below(2);
    unsigned r = reg(), rm = reg();

    byte(below(2) ? 0x66 : 0xf3);
    byte(0x40 | (wide ? 8 : 0) | (r & 8 ? 4 : 0) | (mem ? 3 : rm & 8 ? 1 : 0));
    byte(0x0f);
    byte(0x38);
    byte(0xf6);
    if (mem)
        memory(r);
    else
        byte(0xc0 | (r & 7) << 3 | (rm & 7));
}

static void gen_crc32(void)
{
    unsigned size = any_size();
    struct form f = {.size = size, .prefix = 0xf2, .map = 2, .opcode = 0xf0 + (size > 1)};

    modrm(&f, reg(), below(2), reg_of(size));
}

static void gen_movbe(void)
{
    struct form f = {.size = wide_size(), .map = 2, .opcode = 0xf0 + below(2)};

    modrm(&f, reg(), true, 0);
}

static void gen_movnti(void)
{
    struct form f = {.size = below(2) ? 4 : 8, .map = 1, .opcode = 0xc3};

    modrm(&f, reg(), true, 0);
}

static void gen_xlat(void)
{
    byte(0x4c); /* mov rbx, r14 */
    byte(0x89);
    byte(0xf3);
    byte(0xd7);
}

static void (*const generators[])(void) = {
    gen_alu,           gen_alu,    gen_alu,          gen_alu_imm,  gen_alu_imm,   gen_test,
    gen_test_imm,      gen_unary,  gen_unary,        gen_incdec,   gen_div,       gen_shift,
    gen_shift,         gen_shift,  gen_double_shift, gen_bit,      gen_bit,       gen_count,
    gen_imul,          gen_mov,    gen_mov_imm,      gen_mov_long, gen_extend,    gen_movsxd,
    gen_lea,           gen_xchg,   gen_xadd,         gen_cmpxchg,  gen_cmpxchg8b, gen_cmpxchg16b,
    gen_setcc,         gen_cmov,   gen_bswap,        gen_simple,   gen_simple,    gen_stack,
    gen_stack_memory,  gen_enter,  gen_jcc,          gen_jcc,      gen_loop,      gen_call,
    gen_call_indirect, gen_string, gen_string,       gen_bmi,      gen_bmi,       gen_adx,
    gen_crc32,         gen_movbe,  gen_movnti,       gen_xlat,
};

static void generate(void)
{
    program.len = 0;
    for (program.count = 0; program.count < SLOTS && program.len < 3800; program.count++) {
        program.at[program.count] = program.len;
        generators[below(sizeof generators / sizeof *generators)]();
    }
    program.at[program.count] = program.len;
}

/* --- running --- */

struct state {
    uint64_t gpr[16]; /* RSP last, in its place */
    uint64_t flags;
    uint8_t data[DATA_SIZE];
};

static struct state start, native, interpreted;
static uint64_t host_rsp __attribute__((used));
static uint64_t image[17] __attribute__((used)); /* registers in and out, flags */

/* Loads all registers from `image`, jumps to the code, and comes back by native_return. */
__asm__(".text\n"
        "native_enter:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "  mov %rsp, host_rsp(%rip)\n"
        "  mov image+128(%rip), %rax; push %rax; popfq\n"
        "  mov image+8(%rip), %rcx; mov image+16(%rip), %rdx; mov image+24(%rip), %rbx\n"
        "  mov image+32(%rip), %rsp; mov image+40(%rip), %rbp; mov image+48(%rip), %rsi\n"
        "  mov image+56(%rip), %rdi; mov image+64(%rip), %r8; mov image+72(%rip), %r9\n"
        "  mov image+80(%rip), %r10; mov image+88(%rip), %r11; mov image+96(%rip), %r12\n"
        "  mov image+104(%rip), %r13; mov image+112(%rip), %r14; mov image+120(%rip), %r15\n"
        "  mov image(%rip), %rax\n"
        "  jmp *code_entry(%rip)\n"
        "native_return:\n"
        "  mov %rax, image(%rip); mov %rcx, image+8(%rip); mov %rdx, image+16(%rip)\n"
        "  mov %rbx, image+24(%rip); mov %rsp, image+32(%rip); mov %rbp, image+40(%rip)\n"
        "  mov %rsi, image+48(%rip); mov %rdi, image+56(%rip); mov %r8, image+64(%rip)\n"
        "  mov %r9, image+72(%rip); mov %r10, image+80(%rip); mov %r11, image+88(%rip)\n"
        "  mov %r12, image+96(%rip); mov %r13, image+104(%rip); mov %r14, image+112(%rip)\n"
        "  mov %r15, image+120(%rip)\n"
        "  mov host_rsp(%rip), %rsp\n"
        "  pushfq; pop %rax; mov %rax, image+128(%rip); cld\n"
        "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");
void native_enter(void);
void native_return(void);
static const uint64_t code_entry __attribute__((used)) = CODE;

enum { FLAGS = 0x8d5 };

static void run_native(unsigned len)
{
    uint8_t *code = (uint8_t *)(uintptr_t)CODE;
    uint64_t back = (uintptr_t)native_return;

    memcpy((void *)(uintptr_t)DATA, start.data, DATA_SIZE);
    memcpy(code, program.code, len);
    memcpy(code + len, "\xff\x25\0\0\0\0", 6); /* jmp [rip] */
    memcpy(code + len + 6, &back, 8);
    memcpy(image, start.gpr, sizeof start.gpr);
    image[16] = start.flags;
    native_enter();
    memcpy(native.gpr, image, sizeof native.gpr);
    native.flags = image[16] & FLAGS;
    memcpy(native.data, (void *)(uintptr_t)DATA, DATA_SIZE);
}

static bool run_interpreted(struct rig *rig, unsigned len)
{
    struct bt_vcpu *vcpu = rig->vcpu;

    rig_reset(rig, BT_MODE_CODE64);
    rig_write(rig, DATA, start.data, DATA_SIZE);
    rig_write(rig, CODE, program.code, len);
    rig_write(rig, CODE + len, "\xf4", 1);
    memcpy(vcpu->gpr, start.gpr, sizeof start.gpr);
    vcpu->rflags = start.flags | 2;
    vcpu->rip = CODE;
    interp_run(vcpu);
    memcpy(interpreted.gpr, vcpu->gpr, sizeof interpreted.gpr);
    interpreted.flags = vcpu->rflags & FLAGS;
    memcpy(interpreted.data, rig_memory(rig, DATA), DATA_SIZE);
    return vcpu->rip == CODE + len + 1;
}

static bool same(struct rig *rig, unsigned len)
{
    run_native(len);
    return run_interpreted(rig, len) && !memcmp(native.gpr, interpreted.gpr, sizeof native.gpr) &&
           native.flags == interpreted.flags && !memcmp(native.data, interpreted.data, DATA_SIZE);
}

static void show(struct rig *rig, unsigned slot)
{
    printf("# piece %u of %u at 0x%x:", slot, program.count, CODE + program.at[slot]);
    for (unsigned i = program.at[slot]; i < program.at[slot + 1]; i++)
        printf(" %02x", program.code[i]);
    printf("\n");
    /* The state before it, from the processor. */
    run_native(program.at[slot]);
    struct state before = native;
    (void)same(rig, program.at[slot + 1]);
    for (unsigned i = 0; i < 16; i++)
        printf("# r%-2u %016" PRIx64 " -> native %016" PRIx64 " interpreted %016" PRIx64 "%s\n", i,
               before.gpr[i], native.gpr[i], interpreted.gpr[i],
               native.gpr[i] != interpreted.gpr[i] ? " <<<" : "");
    printf("# flags %03" PRIx64 " -> native %03" PRIx64 " interpreted %03" PRIx64 ", rip 0x%" PRIx64
           "\n",
           before.flags, native.flags, interpreted.flags, rig->vcpu->rip);
    for (unsigned i = 0, n = 0; i < DATA_SIZE && n < 8; i++)
        if (native.data[i] != interpreted.data[i] && ++n)
            printf("# memory 0x%x: %02x -> native %02x interpreted %02x\n", DATA + i,
                   before.data[i], native.data[i], interpreted.data[i]);
}

static void random_start(void)
{
    for (unsigned i = 0; i < 16; i++)
        start.gpr[i] = value();
    start.gpr[RSP] = STACK_TOP - 64 * 8;
    start.gpr[5] = STACK_TOP - 256; /* RBP: ENTER reads there */
    start.gpr[SMALL] = below(64);
    start.gpr[BASE] = DATA + 0x4000;
    start.flags = next() & FLAGS;
    for (unsigned i = 0; i < DATA_SIZE; i += 8) {
        uint64_t v = value();
        memcpy(start.data + i, &v, 8);
    }
}

static bool one_program(struct rig *rig)
{
    random_start();
    generate();
    if (same(rig, program.len))
        return true;
    for (unsigned i = 0; i < program.count; i++)
        if (!same(rig, program.at[i + 1])) {
            show(rig, i);
            break;
        }
    return false;
}

static bool map_native(void)
{
    return mmap((void *)(uintptr_t)CODE, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)CODE &&
           mmap((void *)(uintptr_t)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)DATA;
}

int main(int argc, char **argv)
{
    unsigned programs = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 3000, failed = 0;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    static struct rig rig;

    if (!rig_open(&rig) || !map_native()) {
        printf("1..0 # SKIP no memory at the addresses that this test needs\n");
        return 0;
    }
    printf("1..1\n");
    for (unsigned i = 0; i < programs && failed < 5; i++) {
        seed = (first + i) * UINT64_C(0x9e3779b97f4a7c15) | 1;
        if (!one_program(&rig)) {
            printf("# program of seed %" PRIu64 " differs\n", first + i);
            failed++;
        }
    }
    printf("%sok 1 - %u programs run as the processor runs them\n", failed ? "not " : "", programs);
    rig_close(&rig);
    return failed != 0;
}
