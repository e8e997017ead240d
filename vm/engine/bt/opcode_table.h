/* SPDX-License-Identifier: Apache-2.0 */
/* opcodes.def as a table, for the decoder, and for who looks behind it (disassembler, tests). */
#pragma once

#include <stdint.h>

#include "vm/engine/bt/insn.h"

enum bt_map { BT_MAP_1, BT_MAP_0F, BT_MAP_0F38, BT_MAP_0F3A, BT_MAP_VEX, BT_MAP_MAX = 7 };

/* Where an operand's number comes from. */
enum bt_spec_source {
    BT_FROM_NOTHING,
    BT_FROM_RM,      /* ModRM.rm: a general register or memory */
    BT_FROM_RM_REG,  /* ... a register only */
    BT_FROM_MEM,     /* ... memory only */
    BT_FROM_ADDRESS, /* ... memory whose address is all that counts */
    BT_FROM_REG,     /* ModRM.reg */
    BT_FROM_OPCODE,  /* the opcode's low three bits */
    BT_FROM_VVVV,
    BT_FROM_FIXED, /* the general register of the table */
    BT_FROM_MMX_REG,
    BT_FROM_MMX_RM,
    BT_FROM_MMX_RM_REG,
    BT_FROM_VEC_REG,
    BT_FROM_VEC_RM,
    BT_FROM_VEC_RM_REG,
    BT_FROM_VEC_VVVV,
    BT_FROM_VEC_IMM, /* an immediate's high four bits */
    BT_FROM_VEC_0,
    BT_FROM_ST0,
    BT_FROM_ST_RM,
    BT_FROM_SEG_REG,
    BT_FROM_SEG_LOAD, /* the same but never CS */
    BT_FROM_SEG,
    BT_FROM_CR,
    BT_FROM_DR,
    BT_FROM_IMM,
    BT_FROM_IMM_SIGNED,
    BT_FROM_IMM2,
    BT_FROM_ONE,
    BT_FROM_REL,
    BT_FROM_MOFFS,
    BT_FROM_STRING_SRC,
    BT_FROM_STRING_DST,
    BT_FROM_RDI, /* [seg:rDI], MASKMOV's */
};

/* Sizes in bytes, and those that depend on prefixes. */
enum bt_spec_size {
    BT_SIZE_FIXED_MAX = 32,
    BT_SIZE_V,   /* 2, 4, 8: the operand size */
    BT_SIZE_Y,   /* 4, 8 */
    BT_SIZE_Z,   /* 2, 4 */
    BT_SIZE_M,   /* 4, in 64-bit code 8 */
    BT_SIZE_P,   /* far pointer */
    BT_SIZE_S,   /* descriptor table register */
    BT_SIZE_A,   /* BOUND's pair */
    BT_SIZE_X,   /* vector length */
    BT_SIZE_X_2, /* a half, a quarter, an eighth of it */
    BT_SIZE_X_4,
    BT_SIZE_X_8,
};

/* name, source, size as register (or of anything not memory), size as memory, fixed register. */
#define BT_SPECS(X)                        \
    X(None, NOTHING, 0, 0, 0)              \
    X(Eb, RM, 1, 1, 0)                     \
    X(Ew, RM, 2, 2, 0)                     \
    X(Ed, RM, 4, 4, 0)                     \
    X(Eq, RM, 8, 8, 0)                     \
    X(Ev, RM, BT_SIZE_V, BT_SIZE_V, 0)     \
    X(Ey, RM, BT_SIZE_Y, BT_SIZE_Y, 0)     \
    X(Ez, RM, BT_SIZE_Z, BT_SIZE_Z, 0)     \
    X(Evw, RM, BT_SIZE_V, 2, 0)            \
    X(Ezw, RM, BT_SIZE_Z, 2, 0)            \
    X(Edb, RM, 4, 1, 0)                    \
    X(Edw, RM, 4, 2, 0)                    \
    X(Rv, RM_REG, BT_SIZE_V, 0, 0)         \
    X(Ry, RM_REG, BT_SIZE_Y, 0, 0)         \
    X(Rm, RM_REG, BT_SIZE_M, 0, 0)         \
    X(M, MEM, 0, 0, 0)                     \
    X(Mb, MEM, 0, 1, 0)                    \
    X(Mw, MEM, 0, 2, 0)                    \
    X(Md, MEM, 0, 4, 0)                    \
    X(Mq, MEM, 0, 8, 0)                    \
    X(Mt, MEM, 0, 10, 0)                   \
    X(Mdq, MEM, 0, 16, 0)                  \
    X(Mx, MEM, 0, BT_SIZE_X, 0)            \
    X(Mv, MEM, 0, BT_SIZE_V, 0)            \
    X(My, MEM, 0, BT_SIZE_Y, 0)            \
    X(Mp, MEM, 0, BT_SIZE_P, 0)            \
    X(Ms, MEM, 0, BT_SIZE_S, 0)            \
    X(Ma, MEM, 0, BT_SIZE_A, 0)            \
    X(Mlea, ADDRESS, 0, 0, 0)              \
    X(VSIBd, MEM, 0, 4, 0)                 \
    X(VSIBq, MEM, 0, 8, 0)                 \
    X(Mrdi8, RDI, 0, 8, 0)                 \
    X(Mrdi16, RDI, 0, 16, 0)               \
    X(Gb, REG, 1, 0, 0)                    \
    X(Gw, REG, 2, 0, 0)                    \
    X(Gd, REG, 4, 0, 0)                    \
    X(Gv, REG, BT_SIZE_V, 0, 0)            \
    X(Gy, REG, BT_SIZE_Y, 0, 0)            \
    X(Gz, REG, BT_SIZE_Z, 0, 0)            \
    X(Gm, REG, BT_SIZE_M, 0, 0)            \
    X(Zb, OPCODE, 1, 0, 0)                 \
    X(Zv, OPCODE, BT_SIZE_V, 0, 0)         \
    X(By, VVVV, BT_SIZE_Y, 0, 0)           \
    X(AL, FIXED, 1, 0, CPU_RAX)            \
    X(CL, FIXED, 1, 0, CPU_RCX)            \
    X(DX, FIXED, 2, 0, CPU_RDX)            \
    X(RAX16, FIXED, 2, 0, CPU_RAX)         \
    X(rAX, FIXED, BT_SIZE_V, 0, CPU_RAX)   \
    X(eAX, FIXED, BT_SIZE_Z, 0, CPU_RAX)   \
    X(Pq, MMX_REG, 8, 0, 0)                \
    X(Qq, MMX_RM, 8, 8, 0)                 \
    X(Qd, MMX_RM, 8, 4, 0)                 \
    X(Nq, MMX_RM_REG, 8, 0, 0)             \
    X(Vx, VEC_REG, BT_SIZE_X, 0, 0)        \
    X(Vdq, VEC_REG, 16, 0, 0)              \
    X(HVx, VEC_VVVV, BT_SIZE_X, 0, 0)      \
    X(HVdq, VEC_VVVV, 16, 0, 0)            \
    X(Wx, VEC_RM, BT_SIZE_X, BT_SIZE_X, 0) \
    X(Wdq, VEC_RM, 16, 16, 0)              \
    X(Wq, VEC_RM, 16, 8, 0)                \
    X(Wd, VEC_RM, 16, 4, 0)                \
    X(Ww, VEC_RM, 16, 2, 0)                \
    X(Wb, VEC_RM, 16, 1, 0)                \
    X(Wh, VEC_RM, 16, BT_SIZE_X_2, 0)      \
    X(Wf, VEC_RM, 16, BT_SIZE_X_4, 0)      \
    X(We, VEC_RM, 16, BT_SIZE_X_8, 0)      \
    X(Ux, VEC_RM_REG, BT_SIZE_X, 0, 0)     \
    X(Udq, VEC_RM_REG, 16, 0, 0)           \
    X(Lx, VEC_IMM, BT_SIZE_X, 0, 0)        \
    X(XMM0, VEC_0, 16, 0, 0)               \
    X(ST0, ST0, 10, 0, 0)                  \
    X(STi, ST_RM, 10, 0, 0)                \
    X(Sw, SEG_REG, 2, 0, 0)                \
    X(Sload, SEG_LOAD, 2, 0, 0)            \
    X(ES, SEG, 2, 0, CPU_ES)               \
    X(CS, SEG, 2, 0, CPU_CS)               \
    X(SS, SEG, 2, 0, CPU_SS)               \
    X(DS, SEG, 2, 0, CPU_DS)               \
    X(FS, SEG, 2, 0, CPU_FS)               \
    X(GS, SEG, 2, 0, CPU_GS)               \
    X(Cm, CR, BT_SIZE_M, 0, 0)             \
    X(Dm, DR, BT_SIZE_M, 0, 0)             \
    X(Ib, IMM, 1, 0, 0)                    \
    X(sIb, IMM_SIGNED, 1, 0, 0)            \
    X(Iw, IMM, 2, 0, 0)                    \
    X(Iz, IMM_SIGNED, BT_SIZE_Z, 0, 0)     \
    X(Iv, IMM_SIGNED, BT_SIZE_V, 0, 0)     \
    X(Ifar, IMM, BT_SIZE_Z, 0, 0)          \
    X(Isel, IMM2, 2, 0, 0)                 \
    X(Ib2, IMM2, 1, 0, 0)                  \
    X(One, ONE, 1, 0, 0)                   \
    X(Jb, REL, 1, 0, 0)                    \
    X(Jz, REL, BT_SIZE_Z, 0, 0)            \
    X(Ob, MOFFS, 0, 1, 0)                  \
    X(Ov, MOFFS, 0, BT_SIZE_V, 0)          \
    X(Xb, STRING_SRC, 0, 1, 0)             \
    X(Xv, STRING_SRC, 0, BT_SIZE_V, 0)     \
    X(Xz, STRING_SRC, 0, BT_SIZE_Z, 0)     \
    X(Yb, STRING_DST, 0, 1, 0)             \
    X(Yv, STRING_DST, 0, BT_SIZE_V, 0)     \
    X(Yz, STRING_DST, 0, BT_SIZE_Z, 0)

enum {
#define BT_SPEC_NUMBER(name, source, size, mem_size, reg) BT_SPEC_##name,
    BT_SPECS(BT_SPEC_NUMBER)
#undef BT_SPEC_NUMBER
};

struct bt_spec {
    uint8_t source, size, mem_size, reg;
};

/* What an encoding has besides its map and opcode, as bits; a row matches a key when (key & mask)
 * == value. */
enum {
    BT_KEY_PREFIX = 3, /* 0 none, 1 66, 2 F3, 3 F2 */
    BT_KEY_MOD3 = 1 << 2,
    BT_KEY_REG_SHIFT = 3,
    BT_KEY_RM_SHIFT = 6,
    BT_KEY_W = 1 << 9,
    BT_KEY_Q = 1 << 10, /* W in 64-bit code */
    BT_KEY_L = 1 << 11,
    BT_KEY_CODE64 = 1 << 12,
    BT_KEY_B = 1 << 13,
};

/* Properties that only the decoder needs, beside BT_INSN_*. */
enum {
    BT_ROW_NEAR = 1 << 16,    /* a near branch: 64-bit operand size in 64-bit code */
    BT_ROW_COND = 1 << 17,    /* the opcode's low four bits are a condition */
    BT_ROW_MOD3 = 1 << 18,    /* ModRM.mod is not looked at */
    BT_ROW_SHIFTS = 1 << 19,  /* no flags are written when the count is zero */
    BT_ROW_REPCOND = 1 << 20, /* likewise, with REP */
    BT_ROW_MASK = 0x1f << 16,
};

struct bt_opcode {
    uint8_t map, first, last;
    uint8_t flags_read, flags_written;
    uint16_t op;
    uint16_t mask, value;
    uint32_t specs; /* BT_SPEC_* of the operands, the first one in the low byte */
    uint32_t properties;
};

extern const struct bt_opcode bt_opcodes[];
extern const unsigned bt_opcodes_count;
extern const struct bt_spec bt_specs[];

/* Which rows an opcode has. */
struct bt_opcode_slot {
    uint16_t first; /* of bt_opcode_rows */
    uint8_t count;
    bool modrm;
};

/* Filled before main. A row stands in bt_opcode_order once per opcode that it covers. */
extern struct bt_opcode_slot bt_opcode_slots[BT_MAP_MAX][256];

struct bt_opcode_match {
    uint16_t mask, value;
    uint16_t row;   /* of bt_opcodes */
    bool uses_vvvv; /* else VEX.vvvv must be 1111 */
};
extern struct bt_opcode_match bt_opcode_matches[];
