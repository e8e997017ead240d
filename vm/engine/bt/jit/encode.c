/* SPDX-License-Identifier: Apache-2.0 */
/* Host instructions by name (encode.h): Intel SDM volume 2. encode_insn.c has the rest. */
#include "vm/engine/bt/jit/encode.h"

#include <string.h>

#include "vm/engine/bt/jit/encode_bytes.h"

/* --- pieces --- */

void encode_bytes_append(struct encode *e, const struct encode_bytes *b)
{
    if (e->full || (size_t)(e->end - e->at) < b->len) {
        e->full = true;
        return;
    }
    memcpy(e->at, b->byte, b->len);
    e->at += b->len;
}

/* SDM volume 2, section 2.1.5. A base always has a ModRM or SIB of its own; RBP and R13 need a
 * displacement, RSP and R12 a SIB. */
void encode_bytes_mem(struct encode_bytes *b, unsigned reg, struct encode_mem mem)
{
    unsigned field = (reg & 7) << 3;
    bool small = mem.disp == (int8_t)mem.disp;
    unsigned mod = mem.base == BT_REG_NONE                  ? 0
                   : !mem.disp && (mem.base & 7) != CPU_RBP ? 0
                   : small                                  ? 0x40
                                                            : 0x80;

    if (mem.base == BT_REG_NONE || mem.index != BT_REG_NONE || (mem.base & 7) == CPU_RSP) {
        unsigned index = mem.index == BT_REG_NONE ? 4 : mem.index & 7;
        unsigned base = mem.base == BT_REG_NONE ? 5 : mem.base & 7;
        encode_bytes_put(b, mod | field | 4);
        encode_bytes_put(b,
                         (index == 4 && mem.index == BT_REG_NONE ? 0 : (unsigned)mem.scale << 6) |
                             index << 3 | base);
    } else {
        encode_bytes_put(b, mod | field | (mem.base & 7));
    }
    if (mem.base == BT_REG_NONE || mod == 0x80)
        encode_bytes_number(b, (uint64_t)(int64_t)mem.disp, 4);
    else if (mod == 0x40)
        encode_bytes_put(b, (unsigned)mem.disp & 0xff);
}

unsigned encode_mem_rex(struct encode_mem mem)
{
    unsigned x = mem.index != BT_REG_NONE && mem.index & 8 ? 2 : 0;

    return x | (mem.base != BT_REG_NONE && mem.base & 8 ? 1 : 0);
}

/* One with a one-byte opcode, a register and a memory operand, and perhaps an immediate. */
static void with_mem(struct encode *e, unsigned opcode, unsigned size, unsigned reg,
                     struct encode_mem mem, uint64_t imm, unsigned imm_size)
{
    struct encode_bytes b = {.len = 0};
    unsigned rex = (size == 8 ? 8 : 0) | (reg & 8 ? 4 : 0) | encode_mem_rex(mem);

    if (rex)
        encode_bytes_put(&b, 0x40 | rex);
    encode_bytes_put(&b, opcode);
    encode_bytes_mem(&b, reg, mem);
    encode_bytes_number(&b, imm, imm_size);
    encode_bytes_append(e, &b);
}

static void with_reg(struct encode *e, unsigned opcode, unsigned size, unsigned reg, unsigned rm,
                     uint64_t imm, unsigned imm_size)
{
    struct encode_bytes b = {.len = 0};
    unsigned rex = (size == 8 ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0);

    if (rex || size == 1)
        encode_bytes_put(&b, 0x40 | rex);
    encode_bytes_put(&b, opcode);
    encode_bytes_put(&b, 0xc0 | (reg & 7) << 3 | (rm & 7));
    encode_bytes_number(&b, imm, imm_size);
    encode_bytes_append(e, &b);
}

static void raw(struct encode *e, const char *bytes, unsigned len)
{
    struct encode_bytes b = {.len = (uint8_t)len};

    memcpy(b.byte, bytes, len);
    encode_bytes_append(e, &b);
}

/* --- moves --- */

void encode_load(struct encode *e, unsigned reg, struct encode_mem mem)
{
    with_mem(e, 0x8b, 8, reg, mem, 0, 0);
}

void encode_load32(struct encode *e, unsigned reg, struct encode_mem mem)
{
    with_mem(e, 0x8b, 4, reg, mem, 0, 0);
}

static void two_bytes(struct encode *e, unsigned opcode, unsigned rex, unsigned reg,
                      const struct encode_mem *mem, unsigned rm)
{
    struct encode_bytes b = {.len = 0};

    encode_bytes_put(&b, 0x40 | rex | (reg & 8 ? 4 : 0));
    encode_bytes_put(&b, 0x0f);
    encode_bytes_put(&b, opcode);
    if (mem)
        encode_bytes_mem(&b, reg, *mem);
    else
        encode_bytes_put(&b, 0xc0 | (reg & 7) << 3 | (rm & 7));
    encode_bytes_append(e, &b);
}

void encode_load8(struct encode *e, unsigned reg, struct encode_mem mem)
{
    two_bytes(e, 0xb6, encode_mem_rex(mem), reg, &mem, 0);
}

void encode_load16(struct encode *e, unsigned reg, struct encode_mem mem)
{
    two_bytes(e, 0xb7, encode_mem_rex(mem), reg, &mem, 0);
}

void encode_movzx8(struct encode *e, unsigned dst, unsigned src)
{
    two_bytes(e, 0xb6, src & 8 ? 1 : 0, dst, NULL, src);
}

void encode_movzx16(struct encode *e, unsigned dst, unsigned src)
{
    two_bytes(e, 0xb7, src & 8 ? 1 : 0, dst, NULL, src);
}

void encode_store(struct encode *e, struct encode_mem mem, unsigned reg)
{
    with_mem(e, 0x89, 8, reg, mem, 0, 0);
}

void encode_store32(struct encode *e, struct encode_mem mem, unsigned reg)
{
    with_mem(e, 0x89, 4, reg, mem, 0, 0);
}

/* Without a prefix for one byte: `reg` is RAX, or one that needs REX. */
static void part(struct encode *e, unsigned opcode, unsigned reg, struct encode_mem mem,
                 unsigned size)
{
    if (size == 2)
        raw(e, "\x66", 1);
    with_mem(e, opcode | (size > 1), size, reg, mem, 0, 0);
}

void encode_load_part(struct encode *e, unsigned reg, struct encode_mem mem, unsigned size)
{
    part(e, 0x8a, reg, mem, size);
}

void encode_store_part(struct encode *e, struct encode_mem mem, unsigned reg, unsigned size)
{
    part(e, 0x88, reg, mem, size);
}

void encode_store_imm32(struct encode *e, struct encode_mem mem, uint32_t value)
{
    with_mem(e, 0xc7, 4, 0, mem, value, 4);
}

void encode_store_signed(struct encode *e, struct encode_mem mem, int32_t value)
{
    with_mem(e, 0xc7, 8, 0, mem, (uint32_t)value, 4);
}

void encode_lea(struct encode *e, unsigned reg, struct encode_mem mem, unsigned size)
{
    with_mem(e, 0x8d, size, reg, mem, 0, 0);
}

void encode_mov(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x8b, 8, dst, src, 0, 0);
}

void encode_mov32(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x8b, 4, dst, src, 0, 0);
}

void encode_mov_imm(struct encode *e, unsigned dst, uint64_t value)
{
    struct encode_bytes b = {.len = 0};

    if (value == (uint64_t)(int32_t)value) {
        with_reg(e, 0xc7, 8, 0, dst, (uint32_t)value, 4);
        return;
    }
    encode_bytes_put(&b, 0x48 | (dst & 8 ? 1 : 0));
    encode_bytes_put(&b, 0xb8 | (dst & 7));
    encode_bytes_number(&b, value, 8);
    encode_bytes_append(e, &b);
}

static void rorx(struct encode *e, unsigned dst, unsigned src, unsigned count, bool wide)
{
    struct encode_bytes b = {.len = 0};

    encode_bytes_put(&b, 0xc4);
    encode_bytes_put(&b, (dst & 8 ? 0 : 0x80) | 0x40 | (src & 8 ? 0 : 0x20) | 3);
    encode_bytes_put(&b, wide ? 0xfb : 0x7b); /* W, no vvvv, F2 */
    encode_bytes_put(&b, 0xf0);
    encode_bytes_put(&b, 0xc0 | (dst & 7) << 3 | (src & 7));
    encode_bytes_put(&b, count);
    encode_bytes_append(e, &b);
}

void encode_rorx(struct encode *e, unsigned dst, unsigned src, unsigned count)
{
    rorx(e, dst, src, count, true);
}

void encode_rorx32(struct encode *e, unsigned dst, unsigned src, unsigned count)
{
    rorx(e, dst, src, count, false);
}

void encode_flat_entry(struct encode *e, unsigned dst, unsigned index, int32_t disp)
{
    struct encode_bytes b = {.len = 0};
    struct encode_mem mem = {
        .base = BT_REG_NONE, .index = (uint8_t)index, .scale = 3, .disp = disp};

    encode_bytes_put(&b, 0x65);
    encode_bytes_put(&b, 0x67);
    encode_bytes_put(&b, 0x48 | (dst & 8 ? 4 : 0) | encode_mem_rex(mem));
    encode_bytes_put(&b, 0x8b);
    encode_bytes_mem(&b, dst, mem);
    encode_bytes_append(e, &b);
}

/* --- flags --- */

void encode_add(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x03, 8, dst, src, 0, 0);
}

void encode_sub(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x2b, 8, dst, src, 0, 0);
}

void encode_and_imm(struct encode *e, unsigned reg, int32_t mask)
{
    with_reg(e, 0x81, 8, 4, reg, (uint32_t)mask, 4);
}

void encode_movsxd(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x63, 8, dst, src, 0, 0);
}

void encode_sar(struct encode *e, unsigned reg, unsigned count)
{
    with_reg(e, 0xc1, 8, 7, reg, count, 1);
}

void encode_shl32(struct encode *e, unsigned reg, unsigned count)
{
    with_reg(e, 0xc1, 4, 4, reg, count, 1);
}

void encode_or32(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x0b, 4, dst, src, 0, 0);
}

void encode_or_mem32(struct encode *e, struct encode_mem mem, uint32_t mask)
{
    with_mem(e, 0x81, 4, 1, mem, mask, 4);
}

void encode_and_mem32(struct encode *e, struct encode_mem mem, uint32_t mask)
{
    with_mem(e, 0x81, 4, 4, mem, mask, 4);
}

void encode_test_mem32(struct encode *e, struct encode_mem mem, uint32_t mask)
{
    with_mem(e, 0xf7, 4, 0, mem, mask, 4);
}

void encode_rep_movsb(struct encode *e)
{
    raw(e, "\xf3\xa4", 2);
}

void encode_rep(struct encode *e, unsigned opcode, unsigned size)
{
    struct encode_bytes b = {.byte = {0xf3}, .len = 1};

    if (size == 2)
        encode_bytes_put(&b, 0x66);
    else if (size == 8)
        encode_bytes_put(&b, 0x48);
    encode_bytes_put(&b, opcode | (size > 1));
    encode_bytes_append(e, &b);
}

void encode_not(struct encode *e, unsigned reg)
{
    with_reg(e, 0xf7, 8, 2, reg, 0, 0);
}

void encode_rdtsc(struct encode *e, bool ordered)
{
    if (ordered)
        raw(e, "\x0f\xae\xe8", 3); /* lfence */
    raw(e, "\x0f\x31", 2);
}

void encode_swap_bytes(struct encode *e, unsigned reg)
{
    struct encode_bytes b = {.byte = {0x86, (uint8_t)(0xc0 | (reg + 4) << 3 | reg)}, .len = 2};

    encode_bytes_append(e, &b);
}

void encode_xor32(struct encode *e, unsigned dst, unsigned src)
{
    with_reg(e, 0x33, 4, dst, src, 0, 0);
}

void encode_test_imm8(struct encode *e, unsigned reg, unsigned mask)
{
    with_reg(e, 0xf6, 1, 0, reg, mask, 1);
}

void encode_test_imm32(struct encode *e, unsigned reg, uint32_t mask)
{
    with_reg(e, 0xf7, 4, 0, reg, mask, 4);
}

void encode_test_imm64(struct encode *e, unsigned reg, int32_t mask)
{
    with_reg(e, 0xf7, 8, 0, reg, (uint32_t)mask, 4);
}

void encode_cmp_imm32(struct encode *e, unsigned reg, uint32_t value)
{
    with_reg(e, 0x81, 4, 7, reg, value, 4);
}

void encode_test_mem8(struct encode *e, struct encode_mem mem, unsigned mask)
{
    with_mem(e, 0xf6, 1, 0, mem, mask, 1);
}

void encode_test(struct encode *e, unsigned a, unsigned b)
{
    with_reg(e, 0x85, 8, a, b, 0, 0);
}

void encode_save_flags(struct encode *e, bool overflow)
{
    raw(e, "\x9f", 1); /* lahf */
    if (overflow)
        raw(e, "\x0f\x90\xc0", 3); /* seto al */
}

void encode_restore_flags(struct encode *e, bool overflow)
{
    if (overflow)
        raw(e, "\x04\x7f", 2); /* add al, 0x7f: overflows if AL is 1 */
    raw(e, "\x9e", 1);         /* sahf */
}

/* --- jumps --- */

static uint8_t *distance_later(struct encode *e, struct encode_bytes *b)
{
    encode_bytes_number(b, 0, 4);
    encode_bytes_append(e, b);
    return e->full ? NULL : e->at - 4;
}

uint8_t *encode_jmp_later(struct encode *e)
{
    struct encode_bytes b = {.byte = {0xe9}, .len = 1};

    return distance_later(e, &b);
}

uint8_t *encode_jcc_later(struct encode *e, unsigned cond)
{
    struct encode_bytes b = {.byte = {0x0f, (uint8_t)(0x80 | cond)}, .len = 2};

    return distance_later(e, &b);
}

void encode_patch(struct encode *e, uint8_t *place, uint64_t target)
{
    if (!place)
        return;
    uint64_t next = (uint64_t)((int64_t)(uintptr_t)place + e->run) + 4;
    uint32_t distance = (uint32_t)(target - next);
    memcpy(place, &distance, sizeof distance);
}

void encode_jmp(struct encode *e, uint64_t target)
{
    encode_patch(e, encode_jmp_later(e), target);
}

void encode_patch_imm32(struct encode *e, uint8_t *end, uint32_t value)
{
    if (!e->full)
        memcpy(end - 4, &value, sizeof value);
}

void encode_jmp_mem(struct encode *e, struct encode_mem mem)
{
    with_mem(e, 0xff, 4, 4, mem, 0, 0);
}

void encode_jmp_reg(struct encode *e, unsigned reg)
{
    with_reg(e, 0xff, 4, 4, reg, 0, 0);
}

uint8_t *encode_loop_later(struct encode *e, unsigned opcode, bool ecx)
{
    struct encode_bytes b = {.len = 0};

    if (ecx)
        encode_bytes_put(&b, 0x67);
    encode_bytes_put(&b, opcode);
    encode_bytes_put(&b, 0);
    encode_bytes_append(e, &b);
    return e->full ? NULL : e->at - 1;
}

void encode_patch8(struct encode *e, uint8_t *place)
{
    if (place)
        *place = (uint8_t)(e->at - place - 1);
}
