/* SPDX-License-Identifier: Apache-2.0 */
/* Saved states: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR, LDMXCSR, STMXCSR; and the image
 * that other engines hand over. Intel SDM volume 1 chapter 13, section 10.5; volume 2.
 *
 * A component is in its initial configuration (XINUSE) when its bits say so. The modified
 * optimization of XSAVEOPT is not made. XSAVES and XRSTORS are not offered: #UD. */
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/vec.h"
#include "vm/engine/bt/vec_image.h"

enum { FXSAVE_ALIGN = 16, XSAVE_ALIGN = 64, YMM_SIZE = 256 };
#define COMPACT (UINT64_C(1) << 63)

static bool is_code64(const struct bt_vcpu *vcpu)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
}

/* Registers that the mode can name: the others are neither saved nor restored. */
static unsigned registers_of(const struct bt_vcpu *vcpu)
{
    return is_code64(vcpu) ? 16 : 8;
}

uint32_t image_mxcsr_mask(void)
{
    static _Atomic(uint32_t) known;
    uint32_t mask = known;

    if (!mask) {
        _Alignas(16) uint8_t area[512] = {0};
        __asm__ volatile("fxsave64 %0" : "+m"(area));
        mask = le32_load(area + IMAGE_MXCSR_MASK);
        known = mask = mask ? mask : 0xffbf;
    }
    return mask;
}

/* --- MXCSR --- */

static void check_mxcsr(struct bt_vcpu *vcpu, uint32_t value)
{
    if (value & ~image_mxcsr_mask())
        bt_raise_error(vcpu, BT_GP, 0);
}

static void check_mxcsr_insn(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (insn->prefixes & BT_PREFIX_VEX)
        vec_check_vex(vcpu);
    else
        vec_check_sse(vcpu);
}

static void run_ldmxcsr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_mxcsr_insn(vcpu, insn);
    uint32_t value = (uint32_t)mmu_load(vcpu, interp_ea(vcpu, insn, 4, MMU_READ), 4);
    check_mxcsr(vcpu, value);
    le32_store(vcpu->xsave + IMAGE_MXCSR, value);
}

static void run_stmxcsr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_mxcsr_insn(vcpu, insn);
    mmu_store(vcpu, interp_ea(vcpu, insn, 4, MMU_WRITE), 4, image_mxcsr(vcpu));
}

/* --- FXSAVE --- */

static uint64_t area_of(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size,
                        unsigned align, enum mmu_access access)
{
    uint64_t linear = interp_ea(vcpu, insn, size, access);

    if (linear & (align - 1u))
        bt_raise_error(vcpu, BT_GP, 0);
    return linear;
}

static void run_fxsave(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned len = IMAGE_XMM + 16 * registers_of(vcpu);

    vec_check_x87(vcpu);
    uint64_t linear = area_of(vcpu, insn, 512, FXSAVE_ALIGN, MMU_WRITE);
    mmu_check_write(vcpu, linear, 512);
    le32_store(vcpu->xsave + IMAGE_MXCSR_MASK, image_mxcsr_mask());
    mmu_write(vcpu, linear, vcpu->xsave, len);
}

static void take_x87(struct bt_vcpu *vcpu, const uint8_t *area)
{
    memcpy(vcpu->xsave, area, IMAGE_MXCSR);
    for (unsigned i = 0; i < 8; i++) /* bytes 10 to 15 are reserved */
        memcpy(vcpu->xsave + IMAGE_ST + 16 * i, area + IMAGE_ST + 16 * i, 10);
    image_settle(vcpu);
}

static void run_fxrstor(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t area[512];

    vec_check_x87(vcpu);
    mmu_read(vcpu, area_of(vcpu, insn, 512, FXSAVE_ALIGN, MMU_READ), area, sizeof area);
    check_mxcsr(vcpu, le32_load(area + IMAGE_MXCSR));
    le32_store(vcpu->xsave + IMAGE_MXCSR, le32_load(area + IMAGE_MXCSR));
    memcpy(image_xmm(vcpu, 0), area + IMAGE_XMM, 16 * registers_of(vcpu));
    take_x87(vcpu, area);
}

/* --- XSAVE --- */

static void check_xsave(struct bt_vcpu *vcpu)
{
    if (!(vcpu->cr4 & BT_CR4_OSXSAVE))
        bt_raise(vcpu, BT_UD);
    vec_check_task(vcpu);
}

static uint64_t requested(const struct bt_vcpu *vcpu)
{
    return (vcpu->gpr[CPU_RDX] << 32 | (uint32_t)vcpu->gpr[CPU_RAX]) & vcpu->xcr0 & VEC_XCR0;
}

static bool is_zero(const uint8_t *p, unsigned len)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < len; i += 8)
        any |= le64_load(p + i);
    return !any;
}

static bool x87_initial(const struct bt_vcpu *vcpu)
{
    if (image_fcw(vcpu) != FCW_INIT || image_fsw(vcpu) || vcpu->xsave[IMAGE_FTW])
        return false;
    return is_zero(vcpu->xsave + IMAGE_ST, 128);
}

static uint64_t in_use(struct bt_vcpu *vcpu)
{
    unsigned len = 16 * registers_of(vcpu);

    return (x87_initial(vcpu) ? 0 : IMAGE_X87) |
           (is_zero(image_xmm(vcpu, 0), len) ? 0 : IMAGE_SSE) |
           (is_zero(image_ymm_high(vcpu, 0), len) ? 0 : IMAGE_AVX);
}

/* The components of `which`, in the places that both forms give them: AVX is the only one behind
 * the header, so that it stands at 576 in either. */
static void write_components(struct bt_vcpu *vcpu, uint64_t linear, uint64_t which, bool mxcsr)
{
    unsigned len = 16 * registers_of(vcpu);

    le32_store(vcpu->xsave + IMAGE_MXCSR_MASK, image_mxcsr_mask());
    if (which & IMAGE_X87) {
        mmu_write(vcpu, linear, vcpu->xsave, IMAGE_MXCSR);
        mmu_write(vcpu, linear + IMAGE_ST, vcpu->xsave + IMAGE_ST, 128);
    }
    if (mxcsr)
        mmu_write(vcpu, linear + IMAGE_MXCSR, vcpu->xsave + IMAGE_MXCSR, 8);
    if (which & IMAGE_SSE)
        mmu_write(vcpu, linear + IMAGE_XMM, image_xmm(vcpu, 0), len);
    if (which & IMAGE_AVX)
        mmu_write(vcpu, linear + IMAGE_YMM, image_ymm_high(vcpu, 0), len);
}

static unsigned area_size(uint64_t mask)
{
    return mask & IMAGE_AVX ? IMAGE_YMM + YMM_SIZE : IMAGE_HEADER_END;
}

unsigned vec_image_size(uint64_t xcr0)
{
    return area_size(xcr0);
}

/* XSAVE and XSAVEOPT. */
static void save_standard(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool optimize)
{
    check_xsave(vcpu);
    uint64_t mask = requested(vcpu), used = in_use(vcpu) & mask;
    unsigned size = area_size(mask);
    uint64_t linear = area_of(vcpu, insn, size, XSAVE_ALIGN, MMU_WRITE);
    mmu_check_write(vcpu, linear, size);
    uint64_t header = mmu_load(vcpu, linear + IMAGE_XSTATE_BV, 8);
    write_components(vcpu, linear, optimize ? used : mask, mask & (IMAGE_SSE | IMAGE_AVX));
    mmu_store(vcpu, linear + IMAGE_XSTATE_BV, 8, (header & ~mask) | used);
}

static void run_xsave(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    save_standard(vcpu, insn, false);
}

static void run_xsaveopt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    save_standard(vcpu, insn, true);
}

/* MXCSR belongs to SSE here, which is in use when MXCSR is not in its initial state. */
static void run_xsavec(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_xsave(vcpu);
    uint64_t mask = requested(vcpu), used = in_use(vcpu) & mask;
    if (mask & IMAGE_SSE && image_mxcsr(vcpu) != MXCSR_INIT)
        used |= IMAGE_SSE;
    unsigned size = area_size(mask);
    uint64_t linear = area_of(vcpu, insn, size, XSAVE_ALIGN, MMU_WRITE);
    mmu_check_write(vcpu, linear, size);
    write_components(vcpu, linear, used, used & IMAGE_SSE);
    mmu_store(vcpu, linear + IMAGE_XSTATE_BV, 8, used);
    mmu_store(vcpu, linear + IMAGE_XCOMP_BV, 8, mask | COMPACT);
}

/* --- XRSTOR --- */

/* #GP for headers that the processor refuses (SDM 13.8.1, 13.8.2). */
static bool header_valid(const struct bt_vcpu *vcpu, const uint8_t *area)
{
    uint64_t present = le64_load(area + IMAGE_XSTATE_BV), form = le64_load(area + IMAGE_XCOMP_BV);
    uint64_t allowed = vcpu->xcr0 & VEC_XCR0;

    if (!(form & COMPACT))
        return !form && !(present & ~allowed) && is_zero(area + IMAGE_XCOMP_BV, 16);
    form &= ~COMPACT;
    return !(form & ~allowed) && !(present & ~form) && is_zero(area + IMAGE_XCOMP_BV + 8, 48);
}

static void initialize_x87(struct bt_vcpu *vcpu)
{
    memset(vcpu->xsave, 0, IMAGE_MXCSR);
    le16_store(vcpu->xsave + IMAGE_FCW, FCW_INIT);
    memset(vcpu->xsave + IMAGE_ST, 0, 128);
}

static void take_or_clear(uint8_t *to, const uint8_t *from, unsigned len, bool present)
{
    if (present)
        memcpy(to, from, len);
    else
        memset(to, 0, len);
}

static void run_xrstor(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t area[IMAGE_END] = {0};
    unsigned len = 16 * registers_of(vcpu);

    check_xsave(vcpu);
    uint64_t mask = requested(vcpu);
    unsigned size = area_size(mask);
    uint64_t linear = area_of(vcpu, insn, size, XSAVE_ALIGN, MMU_READ);
    mmu_read(vcpu, linear, area, size);
    if (!header_valid(vcpu, area))
        bt_raise_error(vcpu, BT_GP, 0);
    uint64_t present = le64_load(area + IMAGE_XSTATE_BV);
    bool compact = le64_load(area + IMAGE_XCOMP_BV) & COMPACT;
    uint32_t mxcsr = compact && !(present & IMAGE_SSE) ? MXCSR_INIT : le32_load(area + IMAGE_MXCSR);
    bool takes_mxcsr = mask & (compact ? IMAGE_SSE : IMAGE_SSE | IMAGE_AVX);
    if (takes_mxcsr) {
        check_mxcsr(vcpu, mxcsr);
        le32_store(vcpu->xsave + IMAGE_MXCSR, mxcsr);
    }
    if (mask & IMAGE_SSE)
        take_or_clear(image_xmm(vcpu, 0), area + IMAGE_XMM, len, present & IMAGE_SSE);
    if (mask & IMAGE_AVX)
        take_or_clear(image_ymm_high(vcpu, 0), area + IMAGE_YMM, len, present & IMAGE_AVX);
    if (mask & IMAGE_X87 && present & IMAGE_X87)
        take_x87(vcpu, area);
    else if (mask & IMAGE_X87)
        initialize_x87(vcpu);
}

/* --- From elsewhere --- */

void vec_image_complete(struct bt_vcpu *vcpu)
{
    uint8_t *image = vcpu->xsave;
    uint64_t present = le64_load(image + IMAGE_XSTATE_BV);

    if (!(present & IMAGE_X87))
        initialize_x87(vcpu);
    if (!(present & IMAGE_SSE))
        memset(image_xmm(vcpu, 0), 0, 256);
    if (!(present & IMAGE_AVX))
        memset(image_ymm_high(vcpu, 0), 0, YMM_SIZE);
    if (!(present & (IMAGE_SSE | IMAGE_AVX)) && !image_mxcsr(vcpu))
        le32_store(image + IMAGE_MXCSR, MXCSR_INIT);
    le32_store(image + IMAGE_MXCSR, image_mxcsr(vcpu) & image_mxcsr_mask());
    le32_store(image + IMAGE_MXCSR_MASK, image_mxcsr_mask());
    memset(image + IMAGE_LEGACY_END, 0, IMAGE_HEADER_END - IMAGE_LEGACY_END);
    le64_store(image + IMAGE_XSTATE_BV, VEC_XCR0);
    memset(image + IMAGE_END, 0, CPU_XSAVE_SIZE - IMAGE_END);
    image_settle(vcpu);
}

static void run_refused(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    bt_raise(vcpu, BT_UD);
}

vec_handler *vec_xsave_handler(enum bt_op op)
{
    switch (op) {
    case BT_OP_FXSAVE:
        return run_fxsave;
    case BT_OP_FXRSTOR:
        return run_fxrstor;
    case BT_OP_XSAVE:
        return run_xsave;
    case BT_OP_XSAVEOPT:
        return run_xsaveopt;
    case BT_OP_XSAVEC:
        return run_xsavec;
    case BT_OP_XRSTOR:
        return run_xrstor;
    case BT_OP_XSAVES:
    case BT_OP_XRSTORS:
        return run_refused;
    case BT_OP_LDMXCSR:
    case BT_OP_VLDMXCSR:
        return run_ldmxcsr;
    case BT_OP_STMXCSR:
    case BT_OP_VSTMXCSR:
        return run_stmxcsr;
    default:
        return NULL;
    }
}
