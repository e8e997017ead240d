/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions whose memory operand is a choice of elements, in C because each element may fault or
 * not be touched at all: gathers, VMASKMOV, VPMASKMOV, MASKMOVQ, MASKMOVDQU; and VZEROUPPER and
 * VZEROALL. Intel SDM volume 2.
 *
 * A gather that faults has gathered the elements before; their mask is cleared, so that it goes on
 * where it stopped. The masked stores check all chosen elements before they store one. */
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/vec_image.h"

/* Byte `at` of a YMM register, whose halves are apart in the image. */
static uint8_t *ymm_at(struct bt_vcpu *vcpu, unsigned reg, unsigned at)
{
    return at < 16 ? image_xmm(vcpu, reg) + at : image_ymm_high(vcpu, reg) + at - 16;
}

static bool selected(struct bt_vcpu *vcpu, unsigned reg, unsigned at, unsigned size)
{
    return *ymm_at(vcpu, reg, at + size - 1) >> 7;
}

static void zero_from(struct bt_vcpu *vcpu, unsigned reg, unsigned from)
{
    for (unsigned at = from; at < 32; at += 4)
        le32_store(ymm_at(vcpu, reg, at), 0);
}

/* --- Gathers --- */

static uint64_t element_address(struct bt_vcpu *vcpu, const struct bt_insn *insn, int64_t index,
                                unsigned size)
{
    uint64_t base = insn->base == BT_REG_NONE ? 0 : vcpu->gpr[insn->base];
    uint64_t offset = base + ((uint64_t)index << insn->scale) + (uint64_t)insn->disp;

    if (insn->addr_size == 4)
        offset = (uint32_t)offset;
    return segment_linear(vcpu, insn->seg, offset, size, MMU_READ);
}

static void gather(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned index_size)
{
    unsigned size = insn->operand[1].size, larger = size > index_size ? size : index_size;
    unsigned count = (insn->vex_l ? 32u : 16u) / larger;
    unsigned data = insn->operand[0].reg, mask = insn->operand[2].reg;

    vec_check_vex(vcpu);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *at = ymm_at(vcpu, insn->index, i * index_size);
        int64_t index = index_size == 8 ? (int64_t)le64_load(at) : (int32_t)le32_load(at);
        if (selected(vcpu, mask, i * size, size))
            le_store(ymm_at(vcpu, data, i * size), size,
                     mmu_load(vcpu, element_address(vcpu, insn, index, size), size));
        memset(ymm_at(vcpu, mask, i * size), 0, size);
    }
    zero_from(vcpu, data, count * size);
    zero_from(vcpu, mask, 0);
}

static void run_gather_d(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    gather(vcpu, insn, 4);
}

static void run_gather_q(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    gather(vcpu, insn, 8);
}

/* --- VMASKMOV --- */

static void load_masked(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size)
{
    unsigned len = insn->vex_l ? 32 : 16;
    unsigned data = insn->operand[0].reg, mask = insn->operand[1].reg;
    uint8_t result[32] = {0};
    uint64_t linear = interp_ea(vcpu, insn, size, MMU_READ);

    for (unsigned at = 0; at < len; at += size)
        if (selected(vcpu, mask, at, size))
            le_store(result + at, size, mmu_load(vcpu, linear + at, size));
    memcpy(image_xmm(vcpu, data), result, 16);
    memcpy(image_ymm_high(vcpu, data), result + 16, 16);
}

static void store_masked(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size)
{
    unsigned len = insn->vex_l ? 32 : 16;
    unsigned mask = insn->operand[1].reg, data = insn->operand[2].reg;
    uint64_t linear = interp_ea(vcpu, insn, size, MMU_WRITE);

    for (unsigned at = 0; at < len; at += size)
        if (selected(vcpu, mask, at, size))
            mmu_check_write(vcpu, linear + at, size);
    for (unsigned at = 0; at < len; at += size)
        if (selected(vcpu, mask, at, size))
            mmu_store(vcpu, linear + at, size, le_load(ymm_at(vcpu, data, at), size));
}

static void masked_move(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size)
{
    vec_check_vex(vcpu);
    if (insn->operand[0].kind == BT_OPERAND_MEM)
        store_masked(vcpu, insn, size);
    else
        load_masked(vcpu, insn, size);
}

static void run_maskmov_d(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    masked_move(vcpu, insn, 4);
}

static void run_maskmov_q(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    masked_move(vcpu, insn, 8);
}

/* --- MASKMOVQ, MASKMOVDQU --- */

static unsigned run_of(const uint8_t *mask, unsigned from, unsigned len)
{
    unsigned end = from;

    while (end < len && mask[end] >> 7)
        end++;
    return end - from;
}

/* Bytes of `data` where `mask` has its top bit, to [seg:rDI]. */
static void store_bytes(struct bt_vcpu *vcpu, const struct bt_insn *insn, const uint8_t *data,
                        const uint8_t *mask, unsigned len)
{
    uint64_t linear = interp_ea(vcpu, insn, len, MMU_WRITE);

    for (unsigned at = 0, n; at < len; at += n + 1)
        if ((n = run_of(mask, at, len)))
            mmu_check_write(vcpu, linear + at, n);
    for (unsigned at = 0, n; at < len; at += n + 1)
        if ((n = run_of(mask, at, len)))
            mmu_write(vcpu, linear + at, data + at, n);
}

static void run_maskmovdqu(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (insn->prefixes & BT_PREFIX_VEX)
        vec_check_vex(vcpu);
    else
        vec_check_sse(vcpu);
    store_bytes(vcpu, insn, image_xmm(vcpu, insn->operand[0].reg),
                image_xmm(vcpu, insn->operand[1].reg), 16);
}

static void run_maskmovq(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned top = image_fsw(vcpu) >> FSW_TOP_SHIFT & 7;
    const uint8_t *st = vcpu->xsave + IMAGE_ST;
    uint8_t data[8], mask[8];

    vec_check_mmx(vcpu);
    memcpy(data, st + 16 * ((insn->operand[0].reg - top) & 7), 8);
    memcpy(mask, st + 16 * ((insn->operand[1].reg - top) & 7), 8);
    store_bytes(vcpu, insn, data, mask, 8);
    image_enter_mmx(vcpu);
}

/* --- VZERO --- */

static void run_vzeroupper(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned registers = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? 16 : 8;

    (void)insn;
    vec_check_vex(vcpu);
    memset(image_ymm_high(vcpu, 0), 0, 16 * registers);
}

static void run_vzeroall(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned registers = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? 16 : 8;

    run_vzeroupper(vcpu, insn);
    memset(image_xmm(vcpu, 0), 0, 16 * registers);
}

vec_handler *vec_mask_handler(enum bt_op op)
{
    switch (op) {
    case BT_OP_VGATHERDPS:
    case BT_OP_VGATHERDPD:
    case BT_OP_VPGATHERDD:
    case BT_OP_VPGATHERDQ:
        return run_gather_d;
    case BT_OP_VGATHERQPS:
    case BT_OP_VGATHERQPD:
    case BT_OP_VPGATHERQD:
    case BT_OP_VPGATHERQQ:
        return run_gather_q;
    case BT_OP_VMASKMOVPS:
    case BT_OP_VPMASKMOVD:
        return run_maskmov_d;
    case BT_OP_VMASKMOVPD:
    case BT_OP_VPMASKMOVQ:
        return run_maskmov_q;
    case BT_OP_MASKMOVDQU:
    case BT_OP_VMASKMOVDQU:
        return run_maskmovdqu;
    case BT_OP_MASKMOVQ:
        return run_maskmovq;
    case BT_OP_VZEROUPPER:
        return run_vzeroupper;
    case BT_OP_VZEROALL:
        return run_vzeroall;
    default:
        return NULL;
    }
}
