/* SPDX-License-Identifier: Apache-2.0 */
/* The host code that carries out one vector instruction: private to vec*.c.
 *
 * A stub is called with the scratch buffer that stands for the memory operand, a frame, and the
 * addresses of its register operands in the guest's image, in the order of bt_insn.operand. It
 * returns 0, or the number of the signal that its instruction met; nothing is stored then. */
#pragma once

#include "vm/engine/bt/vec.h"

enum { VEC_SCRATCH = 64 }; /* bytes, and its alignment; more than any stub's memory operand */

struct vec_frame {
    uint64_t flags;      /* in and out: status flags, of those stubs that touch them */
    uint32_t mxcsr;      /* in and out: VEC_STUB_FP */
    uint32_t host_mxcsr; /* to be loaded behind the instruction */
    void *xmm0;          /* in the image: VEC_STUB_XMM0 */
    uint64_t *gpr;       /* of the guest: PCMPESTRx, PCMPxSTRI */
};

typedef int vec_code(void *scratch, struct vec_frame *frame, void *r0, void *r1, void *r2,
                     void *r3);

enum {
    VEC_STUB_X87 = 1, /* r0 is the image, loaded and saved as a whole by FXRSTOR */
    VEC_STUB_MMX = 2, /* names an MMX register */
    VEC_STUB_VEX = 4,
    VEC_STUB_FP = 8,        /* depends on MXCSR */
    VEC_STUB_FLAGS = 16,    /* reads or writes status flags */
    VEC_STUB_XMM0 = 32,     /* implicit operand: read, or the result (VEC_STUB_RESULT0) */
    VEC_STUB_EXPLICIT = 64, /* RAX and RDX are implicit operands: PCMPESTRx */
    VEC_STUB_INDEX = 128,   /* RCX is the implicit result: PCMPxSTRI */
    VEC_STUB_WRITES = 256,  /* memory; else reads it */
    VEC_STUB_ALIGNED = 512, /* memory, always: MOVAPS; */
    VEC_STUB_LEGACY = 1024, /* memory, unless MXCSR.MM: legacy SSE of 16 bytes */
    VEC_STUB_MMX_RESULT = 2048,
    VEC_STUB_RESULT0 = 4096,
    VEC_STUB_READ_ONLY = 8192, /* stores to no explicit operand */
};

struct vec_stub {
    vec_code *code;
    uint16_t flags;   /* VEC_STUB_* */
    uint8_t mem_size; /* bytes of the memory operand, 0: none */
};

/* NULL: no room, or the decoder does not take back what was built from its own result. */
const struct vec_stub *vec_stub_get(struct vec_cache *cache, const struct bt_insn *insn);
