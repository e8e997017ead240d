/* SPDX-License-Identifier: Apache-2.0 */
/* x87 control and environment, in C on the image: FLDCW, FNSTCW, FNSTSW, FLDENV, FNSTENV, FRSTOR,
 * FNSAVE, FNINIT, FNCLEX, WAIT, EMMS. Intel SDM volume 1 sections 8.1.8 to 8.1.11 (the 14 and 28
 * byte environments; their instruction and data pointers are always 0 here). */
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/vec_image.h"

enum { ENV_16 = 14, ENV_32 = 28, REGISTERS = 8, REGISTER_SIZE = 10 };
enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

/* --- The image --- */

static unsigned top_of(const struct bt_vcpu *vcpu)
{
    return image_fsw(vcpu) >> FSW_TOP_SHIFT & 7;
}

static void store_fsw(struct bt_vcpu *vcpu, unsigned value)
{
    le16_store(vcpu->xsave + IMAGE_FSW, (uint16_t)value);
}

void image_set_top(struct bt_vcpu *vcpu, unsigned top)
{
    uint8_t old[REGISTERS][16];
    unsigned before = top_of(vcpu);

    if (before == top)
        return;
    memcpy(old, vcpu->xsave + IMAGE_ST, sizeof old);
    for (unsigned i = 0; i < REGISTERS; i++)
        memcpy(vcpu->xsave + IMAGE_ST + 16 * i, old[(top + i - before) & 7], 16);
    store_fsw(vcpu, (image_fsw(vcpu) & ~(7u << FSW_TOP_SHIFT)) | top << FSW_TOP_SHIFT);
}

void image_enter_mmx(struct bt_vcpu *vcpu)
{
    image_set_top(vcpu, 0);
    vcpu->xsave[IMAGE_FTW] = 0xff;
}

void image_drop_pointers(struct bt_vcpu *vcpu)
{
    vcpu->xsave[IMAGE_FTW + 1] = 0;
    memset(vcpu->xsave + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
}

void image_settle(struct bt_vcpu *vcpu)
{
    uint32_t mxcsr = MXCSR_INIT;

    image_drop_pointers(vcpu);
    __asm__ volatile("fxrstor64 %0\n\tfxsave64 %0\n\tfninit\n\tldmxcsr %1"
                     : "+m"(vcpu->xsave)
                     : "m"(mxcsr)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");
    image_drop_pointers(vcpu);
}

static void initialize(struct bt_vcpu *vcpu)
{
    image_set_top(vcpu, 0);
    le16_store(vcpu->xsave + IMAGE_FCW, FCW_INIT);
    store_fsw(vcpu, 0);
    vcpu->xsave[IMAGE_FTW] = 0;
}

/* --- Tags --- */

static unsigned tag_of(const uint8_t *st)
{
    uint64_t mantissa = le64_load(st);
    unsigned exponent = le16_load(st + 8) & 0x7fff;

    if (!exponent && !mantissa)
        return TAG_ZERO;
    if (!exponent || exponent == 0x7fff || !(mantissa >> 63))
        return TAG_SPECIAL;
    return TAG_VALID;
}

static unsigned tag_word(const struct bt_vcpu *vcpu)
{
    unsigned top = top_of(vcpu), word = 0;

    for (unsigned physical = 0; physical < REGISTERS; physical++) {
        const uint8_t *st = vcpu->xsave + IMAGE_ST + 16 * ((physical - top) & 7);
        bool used = vcpu->xsave[IMAGE_FTW] >> physical & 1;
        word |= (used ? tag_of(st) : TAG_EMPTY) << 2 * physical;
    }
    return word;
}

static uint8_t used_tags(unsigned word)
{
    uint8_t used = 0;

    for (unsigned i = 0; i < REGISTERS; i++)
        used |= (uint8_t)(((word >> 2 * i & 3) != TAG_EMPTY) << i);
    return used;
}

/* --- Environments --- */

static unsigned environment_size(const struct bt_insn *insn)
{
    return insn->size == 2 ? ENV_16 : ENV_32;
}

static void make_environment(const struct bt_vcpu *vcpu, unsigned size, uint8_t *env)
{
    unsigned step = size == ENV_16 ? 2 : 4;

    memset(env, 0, size);
    if (size == ENV_32) /* the unused halves are ones */
        for (unsigned i = 0; i < 7; i++)
            if (i != 3 && i != 4 && i != 5)
                le16_store(env + 4 * i + 2, 0xffff);
    le16_store(env, image_fcw(vcpu));
    le16_store(env + step, image_fsw(vcpu));
    le16_store(env + 2 * step, (uint16_t)tag_word(vcpu));
}

static void take_environment(struct bt_vcpu *vcpu, unsigned size, const uint8_t *env)
{
    unsigned step = size == ENV_16 ? 2 : 4;
    unsigned fsw = le16_load(env + step);

    image_set_top(vcpu, fsw >> FSW_TOP_SHIFT & 7);
    le16_store(vcpu->xsave + IMAGE_FCW, le16_load(env));
    store_fsw(vcpu, fsw);
    vcpu->xsave[IMAGE_FTW] = used_tags(le16_load(env + 2 * step));
}

static void run_fldenv(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t env[ENV_32];
    unsigned size = environment_size(insn);

    vec_check_x87(vcpu);
    vec_check_pending(vcpu);
    mmu_read(vcpu, interp_ea(vcpu, insn, size, MMU_READ), env, size);
    take_environment(vcpu, size, env);
    image_settle(vcpu);
}

static void run_fnstenv(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t env[ENV_32];
    unsigned size = environment_size(insn);

    vec_check_x87(vcpu);
    uint64_t linear = interp_ea(vcpu, insn, size, MMU_WRITE);
    make_environment(vcpu, size, env);
    mmu_write(vcpu, linear, env, size);
    le16_store(vcpu->xsave + IMAGE_FCW, image_fcw(vcpu) | FSW_EXCEPTIONS); /* all masked */
    store_fsw(vcpu, image_fsw(vcpu) & ~(unsigned)(FSW_ES | FSW_BUSY));
}

static void run_frstor(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t data[ENV_32 + REGISTERS * REGISTER_SIZE];
    unsigned env = environment_size(insn), size = env + REGISTERS * REGISTER_SIZE;

    vec_check_x87(vcpu);
    vec_check_pending(vcpu);
    mmu_read(vcpu, interp_ea(vcpu, insn, size, MMU_READ), data, size);
    take_environment(vcpu, env, data);
    for (unsigned i = 0; i < REGISTERS; i++)
        memcpy(vcpu->xsave + IMAGE_ST + 16 * i, data + env + i * REGISTER_SIZE, REGISTER_SIZE);
    image_settle(vcpu);
}

static void run_fnsave(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t data[ENV_32 + REGISTERS * REGISTER_SIZE];
    unsigned env = environment_size(insn), size = env + REGISTERS * REGISTER_SIZE;

    vec_check_x87(vcpu);
    uint64_t linear = interp_ea(vcpu, insn, size, MMU_WRITE);
    make_environment(vcpu, env, data);
    for (unsigned i = 0; i < REGISTERS; i++)
        memcpy(data + env + i * REGISTER_SIZE, vcpu->xsave + IMAGE_ST + 16 * i, REGISTER_SIZE);
    mmu_write(vcpu, linear, data, size);
    initialize(vcpu);
}

/* --- Words --- */

static void run_fldcw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vec_check_x87(vcpu);
    vec_check_pending(vcpu);
    uint64_t value = mmu_load(vcpu, interp_ea(vcpu, insn, 2, MMU_READ), 2);
    if (value == image_fcw(vcpu))
        return;
    le16_store(vcpu->xsave + IMAGE_FCW, (uint16_t)value);
    image_settle(vcpu);
}

static void run_fnstcw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vec_check_x87(vcpu);
    mmu_store(vcpu, interp_ea(vcpu, insn, 2, MMU_WRITE), 2, image_fcw(vcpu));
}

static void run_fnstsw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vec_check_x87(vcpu);
    if (insn->has_mem)
        mmu_store(vcpu, interp_ea(vcpu, insn, 2, MMU_WRITE), 2, image_fsw(vcpu));
    else
        vcpu->gpr[CPU_RAX] = (vcpu->gpr[CPU_RAX] & ~UINT64_C(0xffff)) | image_fsw(vcpu);
}

static void run_fnclex(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    vec_check_x87(vcpu);
    store_fsw(vcpu, image_fsw(vcpu) & 0x7f00); /* C0 to C3 and TOP stay */
}

static void run_fninit(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    vec_check_x87(vcpu);
    initialize(vcpu);
}

/* FNENI, FNDISI, FNSETPM: of the 8087 and 80287, nothing since. */
static void run_nothing(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    vec_check_x87(vcpu);
}

static void run_wait(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    if ((vcpu->cr0 & (BT_CR0_MP | BT_CR0_TS)) == (BT_CR0_MP | BT_CR0_TS))
        bt_raise(vcpu, BT_NM);
    vec_check_pending(vcpu);
}

static void run_emms(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    vec_check_mmx(vcpu);
    image_set_top(vcpu, 0);
    vcpu->xsave[IMAGE_FTW] = 0;
}

vec_handler *vec_x87_handler(enum bt_op op)
{
    switch (op) {
    case BT_OP_FLDENV:
        return run_fldenv;
    case BT_OP_FNSTENV:
        return run_fnstenv;
    case BT_OP_FRSTOR:
        return run_frstor;
    case BT_OP_FNSAVE:
        return run_fnsave;
    case BT_OP_FLDCW:
        return run_fldcw;
    case BT_OP_FNSTCW:
        return run_fnstcw;
    case BT_OP_FNSTSW:
        return run_fnstsw;
    case BT_OP_FNCLEX:
        return run_fnclex;
    case BT_OP_FNINIT:
        return run_fninit;
    case BT_OP_FNENI:
    case BT_OP_FNDISI:
    case BT_OP_FNSETPM:
        return run_nothing;
    case BT_OP_WAIT:
        return run_wait;
    case BT_OP_EMMS:
        return run_emms;
    default:
        return NULL;
    }
}
