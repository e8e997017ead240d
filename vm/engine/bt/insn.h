/* SPDX-License-Identifier: Apache-2.0 */
/* A decoded instruction: everything that its bytes say, once. The decoder (decode.c) makes it from
 * opcodes.def; the interpreter runs it many times, the translator reads it once, the disassembler
 * and the tests look at the table behind it.
 *
 * Decoding is a function of at most 15 bytes and of BT_MODE_CODE; it reads no memory and no other
 * state. What the processor refuses whatever its operands (no such opcode, LOCK where it may not
 * be) decodes to BT_OP_UD with the length that the processor fetches before it says so; what
 * depends on state (privilege, CR4, CPUID; VEX in real mode) is the handler's. More than 15 bytes
 * decode to BT_OP_TOO_LONG, which raises #GP(0). What hardware without the extension treats as NOP
 * (CET's ENDBR and RDSSP, MPX) does so here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/bt/bt.h"

enum { BT_INSN_MAX = 15, BT_REG_NONE = 0xff };

/* One per mnemonic (and where one mnemonic means several things, one per meaning): BT_OP_ADD,
 * BT_OP_MOV ... from opcodes.def. */
enum bt_op {
#define OPCODE_NAME(name) BT_OP_##name,
#include "vm/engine/bt/opcode_names.def"
#undef OPCODE_NAME
    BT_OP_MAX
};

/* Which operand: register, memory or immediate, in the order of Intel's manual (destination first).
 */
enum bt_operand_kind {
    BT_OPERAND_NONE,
    BT_OPERAND_GPR,  /* number 0-15; with high_byte it is bits 8-15 of 0-3: AH, CH, DH, BH */
    BT_OPERAND_MEM,  /* the instruction's only memory operand */
    BT_OPERAND_IMM,  /* imm[0], already extended to 64 bits as the instruction does */
    BT_OPERAND_IMM2, /* imm[1]: ENTER's level, far pointers' selector, EXTRQ's index */
    BT_OPERAND_REL,  /* imm[0] is the displacement from the next instruction */
    BT_OPERAND_SEG,
    BT_OPERAND_CR,
    BT_OPERAND_DR,
    BT_OPERAND_ST, /* x87 stack register */
    BT_OPERAND_MMX,
    BT_OPERAND_VEC,        /* XMM or YMM, by size */
    BT_OPERAND_MOFFS,      /* memory at imm[0]: MOV AL, moffs */
    BT_OPERAND_STRING_SRC, /* [seg:rSI] */
    BT_OPERAND_STRING_DST, /* [ES:rDI] */
};

struct vec_stub;

struct bt_operand {
    uint8_t kind; /* enum bt_operand_kind */
    uint8_t reg;
    uint8_t size; /* bytes: 1, 2, 4, 8, 10, 16, 32; 0: no fixed size (FXSAVE) */
    bool high_byte;
};

enum {
    BT_PREFIX_LOCK = 1,
    BT_PREFIX_REP = 2,   /* F3 */
    BT_PREFIX_REPNE = 4, /* F2 */
    BT_PREFIX_OPSIZE = 8,
    BT_PREFIX_ADDRSIZE = 16,
    BT_PREFIX_SEG = 32, /* an explicit override */
    BT_PREFIX_REX = 64,
    BT_PREFIX_VEX = 128,
};

enum { BT_OPERANDS_MAX = 4 };

struct bt_insn {
    uint16_t op;      /* enum bt_op */
    uint16_t row;     /* of bt_opcodes (opcode_table.h) */
    uint8_t length;   /* bytes */
    uint8_t prefixes; /* BT_PREFIX_* */
    uint8_t rex;      /* 0100WRXB's low four bits, from VEX too */
    uint8_t map;      /* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
    uint8_t opcode, modrm;
    uint8_t vex_vvvv, vex_l, vex_pp; /* VEX only; vvvv already inverted to a register number */
    uint8_t size;                    /* effective operand size: 1, 2, 4, 8 */
    uint8_t addr_size;               /* effective address size: 2, 4, 8 */
    uint8_t cond;                    /* Jcc, SETcc, CMOVcc: the condition number */
    /* The memory operand: segment, base + index << scale + disp; RIP-relative: base is BT_REG_NONE
     * and rip_relative, disp counts from the next instruction. */
    uint8_t seg, base, index, scale;
    bool has_mem, rip_relative;
    uint8_t operand_count;
    struct bt_operand operand[BT_OPERANDS_MAX];
    int64_t disp;
    int64_t imm[2];
    /* What the table says of the opcode. */
    uint32_t properties;               /* BT_INSN_* */
    uint8_t flags_read, flags_written; /* of the status flags, as BT_FLAG_* >> 0 with OF as bit 1;
                                          undefined counts as written */
    /* Filled in by the interpreter when the instruction enters a block. */
    void (*run)(struct bt_vcpu *vcpu, const struct bt_insn *insn);
    /* By vec_bind (vec.h): the code that carries it out, and where in struct bt_vcpu its register
     * operands are. */
    const struct vec_stub *vec;
    uint16_t vec_reg[BT_OPERANDS_MAX];
};

enum {
    BT_INSN_ENDS_BLOCK = 1, /* jumps, or changes what decoding and addressing depend on */
    BT_INSN_VECTOR = 2,     /* x87, MMX, SSE, AVX: carried out by the host (vec.h) */
    BT_INSN_READS = 4,      /* its memory operand */
    BT_INSN_WRITES = 8,
    BT_INSN_LOCKABLE = 16,
    BT_INSN_STRING = 32,
    BT_INSN_STACK = 64, /* implicit stack access: 64-bit operand size by default in 64-bit mode */
    BT_INSN_PRIVILEGED = 128, /* CPL 0 */
    BT_INSN_VEX256 = 256,     /* uses YMM registers whole */
    BT_INSN_VSIB = 512, /* `index` is a vector register: gathers; the memory operand's size is an
                           element's */
};

/* A branch of AMD: in 64-bit code the operand size prefix makes a near branch 16 bits wide; Intel's
 * ignore it. May be added to `code`. */
enum { BT_DECODE_AMD_BRANCHES = 1 << 16 };

/* So many bytes are decoded where they are; fewer are copied first. */
enum { BT_DECODE_WHOLE = 32 };

/* Decodes the instruction at the head of bytes[0 .. len). `code` is BT_MODE_CODE16, 32 or 64.
 * Returns its length; 0 when it goes on behind `len` (len < 15: fetch more); the result is then
 * undefined. */
unsigned bt_decode(const uint8_t *bytes, unsigned len, unsigned code, struct bt_insn *ret_insn);

const char *bt_op_name(enum bt_op op);
