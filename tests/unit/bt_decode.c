/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder at the points where decoders go wrong, by hand: prefixes and their order, VEX and
 * what it shares its bytes with, addresses, sizes, LOCK, the end of the bytes. bt_zydis.c and
 * bt_cpu.c have the breadth. Expectations are from the SDM, volume 2, and are written as disasm.c's
 * text. */
#include "vm/engine/bt/disasm.h"
#include "vm/engine/bt/insn.h"

#include "tests/tap.h"

enum { C16 = BT_MODE_CODE16, C32 = BT_MODE_CODE32, C64 = BT_MODE_CODE64 };

#define BYTES(...)                                                      \
    (const uint8_t[32]){__VA_ARGS__}, (unsigned)sizeof(const uint8_t[]) \
    {                                                                   \
        __VA_ARGS__                                                     \
    }

/* All of the bytes are one instruction, in `code`, at address 0x1000, and it reads so. */
static void expect(int line, unsigned code, const uint8_t *bytes, unsigned len, const char *want)
{
    struct bt_insn insn;
    char text[BT_DISASM_MAX];
    unsigned length = bt_decode(bytes, 32, code, &insn);

    tap_str_(bt_disasm(&insn, 0x1000, text), want, __FILE__, line, "text");
    tap_eq_(length, len, __FILE__, line, "length");
}

#define EXPECT(code, want, ...) expect(__LINE__, code, BYTES(__VA_ARGS__), want)

static struct bt_insn decoded(unsigned code, const uint8_t *bytes, unsigned len)
{
    struct bt_insn insn;
    CHECK_EQ(bt_decode(bytes, 32, code, &insn), len);
    return insn;
}

static void operand_sizes(void)
{
    EXPECT(C16, "ADD ax, 0x1234", 0x05, 0x34, 0x12);
    EXPECT(C16, "ADD eax, 0x12345678", 0x66, 0x05, 0x78, 0x56, 0x34, 0x12);
    EXPECT(C32, "ADD eax, -0x1", 0x05, 0xff, 0xff, 0xff, 0xff);
    EXPECT(C64, "ADD rax, -0x1", 0x48, 0x05, 0xff, 0xff, 0xff, 0xff);
    EXPECT(C64, "ADD ax, 0x1234", 0x66, 0x05, 0x34, 0x12);
    /* REX.W wins over 66. */
    EXPECT(C64, "ADD rax, 0x12345678", 0x66, 0x48, 0x05, 0x78, 0x56, 0x34, 0x12);
    EXPECT(C64, "MOV rcx, 0x1122334455667788", 0x48, 0xb9, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22,
           0x11);
    EXPECT(C64, "MOV rcx, -0x1", 0x48, 0xc7, 0xc1, 0xff, 0xff, 0xff, 0xff);
    EXPECT(C64, "PUSH rbp", 0x55);
    EXPECT(C64, "PUSH bp", 0x66, 0x55);
    EXPECT(C64, "PUSH r13", 0x41, 0x55);
    EXPECT(C64, "PUSH -0x80", 0x6a, 0x80);
    EXPECT(C64, "MOV_CR cr0, rax", 0x0f, 0x22, 0xc0);
    /* ModRM.mod means nothing to MOV CR: no SIB, no displacement. */
    EXPECT(C64, "MOV_CR cr0, rsp", 0x0f, 0x22, 0x04);
    EXPECT(C64, "MOV_CR r8, cr8", 0x45, 0x0f, 0x20, 0xc0);
    EXPECT(C32, "MOV_DR dr7, ebx", 0x0f, 0x23, 0xfb);
    EXPECT(C64, "UD", 0x0f, 0x22, 0xc8);       /* CR1 */
    EXPECT(C64, "UD", 0x44, 0x0f, 0x21, 0xc0); /* DR8 */
    CHECK_EQ(decoded(C64, BYTES(0x9c)).size, 8);
    CHECK_EQ(decoded(C64, BYTES(0xcf)).size, 4);
    CHECK_EQ(decoded(C64, BYTES(0x48, 0xcf)).size, 8);
    CHECK_EQ(decoded(C64, BYTES(0xcb)).size, 4);
}

static void registers(void)
{
    EXPECT(C32, "MOV ah, bh", 0x88, 0xfc);
    EXPECT(C64, "MOV ah, bh", 0x88, 0xfc);
    EXPECT(C64, "MOV spl, dil", 0x40, 0x88, 0xfc);
    EXPECT(C64, "MOV r12b, dil", 0x41, 0x88, 0xfc);
    EXPECT(C64, "MOV_SEG es, ax", 0x8e, 0xc0);
    EXPECT(C64, "MOV_SEG es, r8w", 0x45, 0x8e, 0xc0); /* REX.R names no other segment */
    EXPECT(C64, "UD", 0x8e, 0xc8);                    /* CS */
    EXPECT(C64, "UD", 0x8c, 0xf0);                    /* segment 6 */
    EXPECT(C64, "NOP", 0x90);
    EXPECT(C64, "NOP", 0x48, 0x90);
    EXPECT(C64, "XCHG r8d, eax", 0x41, 0x90);
    EXPECT(C64, "PAUSE", 0xf3, 0x90);
    EXPECT(C32, "INC ecx", 0x41);
    struct bt_insn insn = decoded(C64, BYTES(0x88, 0xfc));
    CHECK(insn.operand[0].high_byte && insn.operand[0].reg == CPU_RAX);
    CHECK(insn.operand[1].high_byte && insn.operand[1].reg == CPU_RBX);
}

static void prefixes(void)
{
    /* REX counts only before the opcode. */
    EXPECT(C64, "MOV ax, cx", 0x48, 0x66, 0x89, 0xc8);
    EXPECT(C64, "MOV rax, rcx", 0x44, 0x48, 0x89, 0xc8);
    /* In 64-bit code ES, CS, SS, DS are no overrides, and take none away. */
    EXPECT(C64, "MOV eax, m32fs:[rax]", 0x64, 0x3e, 0x8b, 0x00);
    EXPECT(C64, "MOV eax, m32[rbp]", 0x36, 0x8b, 0x45, 0x00);
    EXPECT(C32, "MOV eax, m32ds:[eax]", 0x64, 0x3e, 0x8b, 0x00);
    CHECK_EQ(decoded(C64, BYTES(0x3e, 0x8b, 0x45, 0x00)).seg, CPU_SS);
    CHECK_EQ(decoded(C32, BYTES(0x3e, 0x8b, 0x45, 0x00)).seg, CPU_DS);
    CHECK_EQ(decoded(C64, BYTES(0x65, 0x8b, 0x45, 0x00)).seg, CPU_GS);
    /* Of F2 and F3 the last counts, and both win over 66. */
    EXPECT(C64, "ADDSD xmm0, xmm1", 0xf3, 0xf2, 0x0f, 0x58, 0xc1);
    EXPECT(C64, "ADDSS xmm0, xmm1", 0xf2, 0xf3, 0x0f, 0x58, 0xc1);
    EXPECT(C64, "ADDSS xmm0, xmm1", 0xf3, 0x66, 0x0f, 0x58, 0xc1);
    EXPECT(C64, "ADDPD xmm8, xmm1", 0x66, 0x44, 0x0f, 0x58, 0xc1);
    EXPECT(C64, "CRC32 eax, cx", 0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1);
    EXPECT(C64, "MOVBE ax, m16[rcx]", 0x66, 0x0f, 0x38, 0xf0, 0x01);
    EXPECT(C64, "POPCNT ax, cx", 0x66, 0xf3, 0x0f, 0xb8, 0xc1);
    EXPECT(C64, "TZCNT eax, ecx", 0xf3, 0x0f, 0xbc, 0xc1);
    EXPECT(C64, "BSF eax, ecx", 0xf2, 0x0f, 0xbc, 0xc1);
    EXPECT(C64, "REP MOVS m8es:[di], m8fs:[si]", 0x64, 0xf3, 0xa4);
    EXPECT(C64, "ENDBR", 0xf3, 0x0f, 0x1e, 0xfa);
    EXPECT(C64, "NOP m32[rax], eax", 0x0f, 0x1f, 0x00);
}

static void lock(void)
{
    EXPECT(C64, "LOCK ADD m32[rax], ecx", 0xf0, 0x01, 0x08);
    EXPECT(C64, "LOCK XCHG m32[rax], ecx", 0xf0, 0x87, 0x08);
    EXPECT(C64, "LOCK CMPXCHG16B m128[rax]", 0xf0, 0x48, 0x0f, 0xc7, 0x08);
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x01, 0xc8)).op, BT_OP_UD);             /* a register */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x03, 0x08)).op, BT_OP_UD);             /* a source */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x39, 0x08)).op, BT_OP_UD);             /* CMP */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x89, 0x08)).op, BT_OP_UD);             /* MOV */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x0f, 0xa3, 0x08)).op, BT_OP_UD);       /* BT */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x0f, 0xba, 0x20, 0x01)).op, BT_OP_UD); /* BT, imm8 */
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0x90)).op, BT_OP_UD);
    CHECK_EQ(decoded(C64, BYTES(0xf0, 0xa4)).op, BT_OP_UD);
}

static void addresses16(void)
{
    EXPECT(C16, "MOV ax, m16[bx+si*1]", 0x8b, 0x00);
    EXPECT(C16, "MOV ax, m16[0x1234]", 0x8b, 0x06, 0x34, 0x12);
    EXPECT(C16, "MOV ax, m16[bp-0x1]", 0x8b, 0x46, 0xff);
    EXPECT(C16, "MOV ax, m16[bp+di*1+0x1234]", 0x8b, 0x83, 0x34, 0x12);
    EXPECT(C16, "MOV ax, m16[esp+eax*8]", 0x67, 0x8b, 0x04, 0xc4);
    EXPECT(C32, "MOV eax, m32[bx]", 0x67, 0x8b, 0x07);
    CHECK_EQ(decoded(C16, BYTES(0x8b, 0x46, 0x00)).seg, CPU_SS);
    CHECK_EQ(decoded(C16, BYTES(0x8b, 0x02)).seg, CPU_SS);
    CHECK_EQ(decoded(C16, BYTES(0x8b, 0x06, 0, 0)).seg, CPU_DS);
    CHECK_EQ(decoded(C16, BYTES(0x8b, 0x04)).seg, CPU_DS);
}

static void addresses(void)
{
    EXPECT(C32, "MOV eax, m32[0x78563412]", 0x8b, 0x05, 0x12, 0x34, 0x56, 0x78);
    EXPECT(C64, "MOV eax, m32[0x2006]", 0x8b, 0x05, 0x00, 0x10, 0x00, 0x00);
    EXPECT(C64, "MOV eax, m32[-0x1]", 0x8b, 0x04, 0x25, 0xff, 0xff, 0xff, 0xff);
    EXPECT(C64, "MOV eax, m32[r13]", 0x41, 0x8b, 0x45, 0x00);
    EXPECT(C64, "MOV eax, m32[r12]", 0x41, 0x8b, 0x04, 0x24);
    EXPECT(C64, "MOV eax, m32[rax+r12*2]", 0x42, 0x8b, 0x04, 0x60);
    EXPECT(C64, "MOV eax, m32[rax]", 0x8b, 0x04, 0x20); /* index 4: none */
    /* No base at mod 0, base 5, whatever REX.B. */
    EXPECT(C64, "MOV eax, m32[rcx*4+0x10]", 0x41, 0x8b, 0x04, 0x8d, 0x10, 0, 0, 0);
    EXPECT(C64, "MOV eax, m32[ecx*4+0x10]", 0x67, 0x41, 0x8b, 0x04, 0x8d, 0x10, 0, 0, 0);
    CHECK_EQ(decoded(C64, BYTES(0x8b, 0x04, 0x24)).seg, CPU_SS);
    CHECK_EQ(decoded(C64, BYTES(0x41, 0x8b, 0x04, 0x24)).seg, CPU_DS);
    /* RIP counts from behind the immediate. */
    EXPECT(C64, "MOV m32[0x101a], 0x1", 0xc7, 0x05, 0x10, 0, 0, 0, 0x01, 0, 0, 0);
    EXPECT(C64, "MOV al, m8ds:[0x8877665544332211]", 0xa0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
           0x88);
    EXPECT(C64, "MOV al, m8ds:[0x84332211]", 0x67, 0xa0, 0x11, 0x22, 0x33, 0x84);
    EXPECT(C16, "MOV m16gs:[0x8211], ax", 0x65, 0xa3, 0x11, 0x82);
}

static void control_flow(void)
{
    EXPECT(C64, "JCC.e 0xff2", 0x74, 0xf0);
    EXPECT(C64, "JCC.a 0x1010", 0x0f, 0x87, 0x0a, 0, 0, 0);
    EXPECT(C16, "JMP 0x8ff3", 0xe9, 0xf0, 0x7f);
    EXPECT(C32, "JMP 0x8ff4", 0x66, 0xe9, 0xf0, 0x7f);
    EXPECT(C64, "CALL m64[rax]", 0xff, 0x10);
    EXPECT(C64, "CALL_FAR m48[rax]", 0xff, 0x18);
    EXPECT(C64, "CALL_FAR m80[rax]", 0x48, 0xff, 0x18);
    EXPECT(C32, "JMP_FAR 0x78563412, 0xbc9a", 0xea, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc);
    EXPECT(C16, "CALL_FAR 0xf412, 0xbc9a", 0x9a, 0x12, 0xf4, 0x9a, 0xbc);
    EXPECT(C64, "ENTER 0x1234, 0x5", 0xc8, 0x34, 0x12, 0x05);
    EXPECT(C64, "UD", 0xea, 0, 0, 0, 0, 0, 0); /* as long as where it exists */
    EXPECT(C64, "UD", 0xff, 0xd8);             /* CALL far, a register */
    /* Intel ignores 66 before near branches of 64-bit code, AMD does not. */
    EXPECT(C64, "JMP 0x8ff6", 0x66, 0xe9, 0xf0, 0x7f, 0, 0);
    EXPECT(C64 | BT_DECODE_AMD_BRANCHES, "JMP 0x8ff4", 0x66, 0xe9, 0xf0, 0x7f);
    CHECK_EQ(decoded(C64, BYTES(0x66, 0xc3)).size, 8);
    CHECK_EQ(decoded(C64 | BT_DECODE_AMD_BRANCHES, BYTES(0x66, 0xc3)).size, 2);
    CHECK_EQ(decoded(C64, BYTES(0x67, 0xe3, 0)).addr_size, 4);
}

static void vex(void)
{
    EXPECT(C64, "VADDPS ymm0, ymm1, ymm2", 0xc5, 0xf4, 0x58, 0xc2);
    EXPECT(C64, "VADDPS xmm8, xmm15, xmm10", 0xc4, 0x41, 0x00, 0x58, 0xc2);
    EXPECT(C64, "VADDSS xmm0, xmm1, m32[rax]", 0xc5, 0xf2, 0x58, 0x00);
    EXPECT(C64, "ANDN r8, rbx, m64[rax]", 0xc4, 0x62, 0xe0, 0xf2, 0x00);
    EXPECT(C32, "ANDN eax, ebx, m32[eax]", 0xc4, 0xe2, 0xe0, 0xf2, 0x00); /* W means nothing */
    EXPECT(C64, "VZEROUPPER", 0xc5, 0xf8, 0x77);
    EXPECT(C64, "VBLENDVPS ymm0, ymm1, ymm2, ymm15", 0xc4, 0xe3, 0x75, 0x4a, 0xc2, 0xf0);
    EXPECT(C32, "VBLENDVPS ymm0, ymm1, ymm2, ymm7", 0xc4, 0xe3, 0x75, 0x4a, 0xc2, 0xf0);
    EXPECT(C64, "VPGATHERDD ymm1, m32[rax+xmm4*4], ymm2", 0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0xa0);
    CHECK_EQ(decoded(C64, BYTES(0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0x88)).op,
             BT_OP_UD);                                                       /* index = data */
    CHECK_EQ(decoded(C64, BYTES(0xc4, 0xe2, 0x6d, 0x90, 0x08)).op, BT_OP_UD); /* no SIB */
    EXPECT(C64, "UD", 0xc5, 0xf0, 0x28, 0xc1); /* vvvv is not: must be 1111 */
    EXPECT(C64, "UD", 0x66, 0xc5, 0xf4, 0x58, 0xc2);
    EXPECT(C64, "UD", 0x40, 0xc5, 0xf4); /* LDS */
    EXPECT(C64, "UD", 0x62, 0xf1);       /* EVEX */
    /* In other code VEX is what LES and LDS cannot be: a register operand. */
    EXPECT(C32, "LDS eax, m48[eax]", 0xc5, 0x00);
    EXPECT(C16, "LES si, m32[bp+di*1+0x12]", 0xc4, 0x73, 0x12);
    EXPECT(C32, "VADDPS ymm0, ymm1, ymm2", 0xc5, 0xf4, 0x58, 0xc2);
    EXPECT(C16, "BOUND ax, m32[bx+si*1]", 0x62, 0x00);
    CHECK(decoded(C64, BYTES(0xc5, 0xf4, 0x58, 0xc2)).properties & BT_INSN_VEX256);
    CHECK(!(decoded(C64, BYTES(0xc5, 0xf0, 0x58, 0xc2)).properties & BT_INSN_VEX256));
}

static void refused(void)
{
    EXPECT(C64, "UD", 0x0f, 0x0b);
    EXPECT(C64, "UD", 0x06);
    EXPECT(C64, "UD", 0xd6);
    EXPECT(C64, "UD", 0x0f, 0x01, 0xd9); /* VMMCALL */
    EXPECT(C64, "UD", 0x0f, 0x01, 0xc1); /* VMCALL */
    EXPECT(C64, "UD", 0x0f, 0x0f);       /* 3DNow! */
    EXPECT(C64, "UD", 0x8f, 0xe8);       /* XOP */
    CHECK_EQ(decoded(C32, BYTES(0x62, 0xc0)).op, BT_OP_UD);
    CHECK_EQ(decoded(C64, BYTES(0xf2, 0x0f, 0x01, 0xc8)).op, BT_OP_UD);
}

static void lengths(void)
{
    uint8_t bytes[32];
    struct bt_insn insn;

    /* Fourteen prefixes and one byte are the most. */
    memset(bytes, 0x66, sizeof bytes);
    bytes[14] = 0x90;
    CHECK_EQ(bt_decode(bytes, 32, C64, &insn), 15);
    CHECK_EQ(insn.op, BT_OP_NOP);
    bytes[14] = 0x66;
    CHECK_EQ(bt_decode(bytes, 32, C64, &insn), 15);
    CHECK_EQ(insn.op, BT_OP_TOO_LONG);
    CHECK_EQ(bt_decode(bytes, 15, C64, &insn), 15);
    CHECK_EQ(insn.op, BT_OP_TOO_LONG);
    CHECK_EQ(bt_decode(bytes, 14, C64, &insn), 0);
    bytes[12] = 0x05; /* ADD AX, imm16: ends with the fifteenth byte */
    CHECK_EQ(bt_decode(bytes, 32, C64, &insn), 15);
    CHECK_EQ(insn.op, BT_OP_ADD);
    bytes[12] = 0x66, bytes[13] = 0x05;
    CHECK_EQ(bt_decode(bytes, 32, C64, &insn), 15);
    CHECK_EQ(insn.op, BT_OP_TOO_LONG);
    CHECK_EQ(bt_decode(bytes, 0, C64, &insn), 0);
}

/* Status flags: OF is bit 1 here. */
enum { ALL = 0xd7 };

static void flags(void)
{
    CHECK_EQ(decoded(C64, BYTES(0x01, 0xc8)).flags_written, ALL);
    CHECK_EQ(decoded(C64, BYTES(0x01, 0xc8)).flags_read, 0);
    CHECK_EQ(decoded(C64, BYTES(0x11, 0xc8)).flags_read, BT_FLAG_CF);
    CHECK_EQ(decoded(C64, BYTES(0xff, 0xc0)).flags_written, ALL & ~BT_FLAG_CF);
    CHECK_EQ(decoded(C64, BYTES(0x77, 0)).flags_read, BT_FLAG_CF | BT_FLAG_ZF);
    CHECK_EQ(decoded(C64, BYTES(0x0f, 0x9c, 0xc0)).flags_read, BT_FLAG_SF | 2);
    CHECK_EQ(decoded(C64, BYTES(0xc1, 0xe0, 0x03)).flags_read, 0);
    CHECK_EQ(decoded(C64, BYTES(0xc1, 0xe0, 0x20)).flags_read, ALL); /* a shift by zero */
    CHECK_EQ(decoded(C64, BYTES(0x48, 0xc1, 0xe0, 0x20)).flags_read, 0);
    CHECK_EQ(decoded(C64, BYTES(0x48, 0xc1, 0xe0, 0x40)).flags_read, ALL);
    CHECK_EQ(decoded(C64, BYTES(0x48, 0xc0, 0xe0, 0x20)).flags_read,
             ALL); /* of a byte, for all W */
    CHECK_EQ(decoded(C64, BYTES(0xd3, 0xe0)).flags_read, ALL);
    CHECK_EQ(decoded(C64, BYTES(0xa6)).flags_read, 0);
    CHECK_EQ(decoded(C64, BYTES(0xf3, 0xa6)).flags_read, ALL);
}

static void memory_access(void)
{
    enum { RW = BT_INSN_READS | BT_INSN_WRITES };

    CHECK_EQ(decoded(C64, BYTES(0x01, 0x08)).properties & RW, RW);
    CHECK_EQ(decoded(C64, BYTES(0x89, 0x08)).properties & RW, BT_INSN_WRITES);
    CHECK_EQ(decoded(C64, BYTES(0x8b, 0x08)).properties & RW, BT_INSN_READS);
    CHECK_EQ(decoded(C64, BYTES(0x39, 0x08)).properties & RW, BT_INSN_READS);
    CHECK_EQ(decoded(C64, BYTES(0x01, 0xc8)).properties & RW, 0);
    CHECK_EQ(decoded(C64, BYTES(0x8d, 0x08)).properties & RW, 0);       /* LEA */
    CHECK_EQ(decoded(C64, BYTES(0x0f, 0x18, 0x08)).properties & RW, 0); /* PREFETCHT0 */
    CHECK_EQ(decoded(C64, BYTES(0xa4)).properties & RW, RW);
    CHECK_EQ(decoded(C64, BYTES(0xd9, 0x00)).properties & RW, BT_INSN_READS);
    struct bt_insn insn = decoded(C64, BYTES(0x65, 0x66, 0x0f, 0xf7, 0xc1)); /* MASKMOVDQU */
    CHECK(insn.has_mem && insn.base == CPU_RDI && insn.seg == CPU_GS);
    CHECK_EQ(insn.properties & RW, BT_INSN_WRITES);
}

TAP_MAIN(TAP_CASE(operand_sizes), TAP_CASE(registers), TAP_CASE(prefixes), TAP_CASE(lock),
         TAP_CASE(addresses16), TAP_CASE(addresses), TAP_CASE(control_flow), TAP_CASE(vex),
         TAP_CASE(refused), TAP_CASE(lengths), TAP_CASE(flags), TAP_CASE(memory_access))
