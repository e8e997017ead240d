/* SPDX-License-Identifier: Apache-2.0 */
/* The register image, and the conditions under which vector instructions run: private to vec*.c.
 *
 * x87 registers stand in the image by their distance from the top of the stack, so MMX register n,
 * which is physical register n, is at (n - TOP) & 7; the tags (one bit each) are by physical
 * number. Intel SDM volume 1 sections 8.1, 10.5.1, 13.4. */
#pragma once

#include "base/bytes.h"
#include "vm/engine/bt/insn.h"

enum {
    IMAGE_FCW = 0,
    IMAGE_FSW = 2,
    IMAGE_FTW = 4,
    IMAGE_FOP = 6,
    IMAGE_FIP = 8,
    IMAGE_MXCSR = 24,
    IMAGE_MXCSR_MASK = 28,
    IMAGE_ST = 32,
    IMAGE_XMM = 160,
    IMAGE_LEGACY_END = 416, /* of what FXSAVE stores */
    IMAGE_XSTATE_BV = 512,
    IMAGE_XCOMP_BV = 520,
    IMAGE_HEADER_END = 576,
    IMAGE_YMM = 576, /* upper halves */
    IMAGE_END = 832,
};
enum { IMAGE_X87 = 1, IMAGE_SSE = 2, IMAGE_AVX = 4 }; /* XCR0, XSTATE_BV */
enum { FSW_ES = 1 << 7, FSW_BUSY = 1 << 15, FSW_TOP_SHIFT = 11, FSW_EXCEPTIONS = 0x3f };
enum { FCW_INIT = 0x37f, MXCSR_INIT = 0x1f80, MXCSR_MISALIGNED = 1 << 17 };

static inline uint16_t image_fcw(const struct bt_vcpu *vcpu)
{
    return le16_load(vcpu->xsave + IMAGE_FCW);
}
static inline uint16_t image_fsw(const struct bt_vcpu *vcpu)
{
    return le16_load(vcpu->xsave + IMAGE_FSW);
}
static inline uint32_t image_mxcsr(const struct bt_vcpu *vcpu)
{
    return le32_load(vcpu->xsave + IMAGE_MXCSR);
}
static inline uint8_t *image_xmm(struct bt_vcpu *vcpu, unsigned i)
{
    return vcpu->xsave + IMAGE_XMM + 16 * i;
}
static inline uint8_t *image_ymm_high(struct bt_vcpu *vcpu, unsigned i)
{
    return vcpu->xsave + IMAGE_YMM + 16 * i;
}

/* Bits that LDMXCSR and its like may set; this host's. */
uint32_t image_mxcsr_mask(void);
/* Moves the registers for another top of the stack. */
void image_set_top(struct bt_vcpu *vcpu, unsigned top);
/* What an MMX instruction does before anything else: TOP is 0, all registers are valid. */
void image_enter_mmx(struct bt_vcpu *vcpu);
/* After x87 state has come from memory: the host loads and saves it once, so that reserved bits, ES
 * and B are what they would be; exception pointers are dropped. */
void image_settle(struct bt_vcpu *vcpu);
void image_drop_pointers(struct bt_vcpu *vcpu);

static inline void vec_check_task(struct bt_vcpu *vcpu)
{
    if (__builtin_expect((vcpu->cr0 & BT_CR0_TS) != 0, 0))
        bt_raise(vcpu, BT_NM);
}
static inline void vec_check_pending(struct bt_vcpu *vcpu)
{
    if (__builtin_expect((image_fsw(vcpu) & FSW_ES) != 0, 0))
        bt_raise(vcpu, BT_MF);
}
static inline void vec_check_x87(struct bt_vcpu *vcpu)
{
    if (__builtin_expect((vcpu->cr0 & (BT_CR0_EM | BT_CR0_TS)) != 0, 0))
        bt_raise(vcpu, BT_NM);
}
static inline void vec_check_mmx(struct bt_vcpu *vcpu)
{
    if (__builtin_expect((vcpu->cr0 & BT_CR0_EM) != 0, 0))
        bt_raise(vcpu, BT_UD);
    vec_check_task(vcpu);
    vec_check_pending(vcpu);
}
static inline void vec_check_sse(struct bt_vcpu *vcpu)
{
    if (__builtin_expect(vcpu->cr0 & BT_CR0_EM || !(vcpu->cr4 & BT_CR4_OSFXSR), 0))
        bt_raise(vcpu, BT_UD);
    vec_check_task(vcpu);
}
static inline void vec_check_vex(struct bt_vcpu *vcpu)
{
    if (__builtin_expect(!(vcpu->mode & BT_MODE_PROTECTED) || !(vcpu->cr4 & BT_CR4_OSXSAVE) ||
                             (vcpu->xcr0 & 6) != 6,
                         0))
        bt_raise(vcpu, BT_UD);
    vec_check_task(vcpu);
}

typedef void vec_handler(struct bt_vcpu *vcpu, const struct bt_insn *insn);

/* Those that are carried out in C; NULL: not one of them. */
vec_handler *vec_x87_handler(enum bt_op op);   /* vec_x87.c: control and environment, EMMS, WAIT */
vec_handler *vec_xsave_handler(enum bt_op op); /* vec_xsave.c: saved states, MXCSR */
vec_handler *vec_mask_handler(enum bt_op op);  /* vec_mask.c: gathers, masked moves, VZERO* */
