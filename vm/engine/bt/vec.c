/* SPDX-License-Identifier: Apache-2.0 */
/* Vector instructions (vec.h): binding them to stubs, and running a stub: conditions, the memory
 * operand in, the host instruction, the memory operand out. */
#include "vm/engine/bt/vec.h"

#include <signal.h>
#include <stddef.h>

#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/uninitialized.h"
#include "vm/engine/bt/vec_image.h"
#include "vm/engine/bt/vec_stub.h"

#define always_inline inline __attribute__((always_inline))

enum { FSW_NO_STORE = 1 | 8 | 16 }; /* IE, OE, UE: unmasked, they leave the destination alone */

/* --- One instruction --- */

static uint64_t operand_address(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool write)
{
    const struct vec_stub *stub = insn->vec;
    uint64_t linear = interp_ea(vcpu, insn, stub->mem_size, write ? MMU_WRITE : MMU_READ);
    bool aligned = stub->flags & VEC_STUB_ALIGNED ||
                   (stub->flags & VEC_STUB_LEGACY && !(image_mxcsr(vcpu) & MXCSR_MISALIGNED));

    if (aligned && linear & (stub->mem_size - 1u))
        bt_raise_error(vcpu, BT_GP, 0);
    return linear;
}

static inline void *operand_at(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned i)
{
    return (uint8_t *)vcpu + insn->vec_reg[i];
}

static inline int call_stub(struct bt_vcpu *vcpu, const struct bt_insn *insn, void *scratch,
                            struct vec_frame *frame)
{
    return insn->vec->code(scratch, frame, operand_at(vcpu, insn, 0), operand_at(vcpu, insn, 1),
                           operand_at(vcpu, insn, 2), operand_at(vcpu, insn, 3));
}

static void load_frame(struct bt_vcpu *vcpu, struct vec_frame *frame)
{
    frame->flags = (vcpu->rflags & BT_FLAGS_STATUS) | 2;
    frame->mxcsr = image_mxcsr(vcpu);
    frame->host_mxcsr = MXCSR_INIT;
    frame->xmm0 = image_xmm(vcpu, 0);
    frame->gpr = vcpu->gpr;
}

static void store_flags(struct bt_vcpu *vcpu, const struct vec_frame *frame)
{
    vcpu->rflags = (vcpu->rflags & ~(uint64_t)BT_FLAGS_STATUS) | (frame->flags & BT_FLAGS_STATUS);
}

/* The instruction trapped on the host. */
static _Noreturn void __attribute__((noinline, cold))
raise_trap(struct bt_vcpu *vcpu, const struct vec_frame *frame, int signal)
{
    if (signal != SIGFPE)
        bt_raise(vcpu, BT_UD);
    le32_store(vcpu->xsave + IMAGE_MXCSR, frame->mxcsr);
    bt_raise(vcpu, vcpu->cr4 & BT_CR4_OSXMMEXCPT ? BT_XM : BT_UD);
}

/* MMX results have all ones in the bits of sign and exponent. */
static void finish_mmx(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (insn->vec->flags & VEC_STUB_MMX_RESULT)
        le16_store((uint8_t *)operand_at(vcpu, insn, 0) + 8, 0xffff);
}

/* The memory operand: guest memory itself where the TLB has it, else a copy. */
struct memory {
    uint64_t linear;
    void *at;
    bool copied;
};

static always_inline struct memory memory_of(struct bt_vcpu *vcpu, const struct bt_insn *insn,
                                             uint8_t *scratch, bool write)
{
    unsigned size = insn->vec->mem_size;
    struct memory m = {.linear = operand_address(vcpu, insn, write)};

    m.at = mmu_hit(vcpu, m.linear, size, write ? MMU_WRITE : MMU_READ);
    /* The host has no MXCSR.MM while most stubs run. */
    bool skewed = insn->vec->flags & VEC_STUB_LEGACY && m.linear & (size - 1u);
    if (__builtin_expect(m.at && !skewed, 1))
        return m;
    m.at = scratch;
    m.copied = true;
    if (write)
        mmu_check_write(vcpu, m.linear, size);
    else
        mmu_read(vcpu, m.linear, scratch, size);
    return m;
}

/* `mask`: of the stub's flags, those that it can have at all; the rest is compiled away. */
static always_inline void run_stub(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned mask,
                                   bool mem)
{
    _Alignas(VEC_SCRATCH) uint8_t scratch[VEC_SCRATCH] BT_UNINITIALIZED;
    struct vec_frame frame BT_UNINITIALIZED;
    unsigned flags = insn->vec->flags & mask;
    bool write = mem && flags & VEC_STUB_WRITES, has_frame = mask & ~(unsigned)VEC_STUB_WRITES;
    struct memory memory = {.at = NULL};

    if (mem)
        memory = memory_of(vcpu, insn, scratch, write);
    if (flags & VEC_STUB_MMX)
        image_enter_mmx(vcpu);
    frame.host_mxcsr = MXCSR_INIT; /* the second exit's, for all */
    if (has_frame)
        load_frame(vcpu, &frame);
    int trap = call_stub(vcpu, insn, memory.at, &frame);
    if (__builtin_expect(trap != 0, 0)) {
        raise_trap(vcpu, &frame, trap);
    }
    if (write && memory.copied)
        mmu_write(vcpu, memory.linear, scratch, insn->vec->mem_size);
    if (flags & VEC_STUB_FP)
        le32_store(vcpu->xsave + IMAGE_MXCSR, frame.mxcsr);
    if (flags & VEC_STUB_FLAGS)
        store_flags(vcpu, &frame);
    if (flags & VEC_STUB_MMX)
        finish_mmx(vcpu, insn);
}

enum {
    FRAME_ANY = VEC_STUB_FP | VEC_STUB_FLAGS | VEC_STUB_XMM0 | VEC_STUB_EXPLICIT | VEC_STUB_INDEX
};

#define RUN(name, check, mask, mem)                                    \
    static void name(struct bt_vcpu *vcpu, const struct bt_insn *insn) \
    {                                                                  \
        check(vcpu);                                                   \
        run_stub(vcpu, insn, mask, mem);                               \
    }
RUN(run_sse, vec_check_sse, 0, false)
RUN(run_sse_mem, vec_check_sse, VEC_STUB_WRITES, true)
RUN(run_sse_any, vec_check_sse, FRAME_ANY, false)
RUN(run_sse_any_mem, vec_check_sse, FRAME_ANY | VEC_STUB_WRITES, true)
RUN(run_vex, vec_check_vex, 0, false)
RUN(run_vex_mem, vec_check_vex, VEC_STUB_WRITES, true)
RUN(run_vex_any, vec_check_vex, FRAME_ANY, false)
RUN(run_vex_any_mem, vec_check_vex, FRAME_ANY | VEC_STUB_WRITES, true)
RUN(run_mmx, vec_check_mmx, FRAME_ANY | VEC_STUB_MMX, false)
RUN(run_mmx_mem, vec_check_mmx, FRAME_ANY | VEC_STUB_MMX | VEC_STUB_WRITES, true)

/* Those on both kinds of registers are SSE's as to #UD. */
static void run_mixed(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vec_check_sse(vcpu);
    vec_check_pending(vcpu);
    run_stub(vcpu, insn, FRAME_ANY | VEC_STUB_MMX, false);
}

static void run_mixed_mem(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vec_check_sse(vcpu);
    vec_check_pending(vcpu);
    run_stub(vcpu, insn, FRAME_ANY | VEC_STUB_MMX | VEC_STUB_WRITES, true);
}

/* Empties the host's x87 unit behind a stub. FNINIT, which is slower, where control word or a
 * pending exception is the guest's. */
static inline void leave_x87(const struct bt_vcpu *vcpu)
{
    if (__builtin_expect(image_fcw(vcpu) == FCW_INIT && !(image_fsw(vcpu) & FSW_ES), 1))
        __asm__ volatile("emms");
    else
        __asm__ volatile("fninit");
}

/* x87: an unmasked exception is only noted (ES); the next waiting instruction raises it. */
static void run_x87(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    _Alignas(VEC_SCRATCH) uint8_t scratch[VEC_SCRATCH] BT_UNINITIALIZED;
    struct vec_frame frame BT_UNINITIALIZED;
    const struct vec_stub *stub = insn->vec;
    bool write = stub->flags & VEC_STUB_WRITES;
    struct memory memory = {.at = NULL};

    vec_check_x87(vcpu);
    vec_check_pending(vcpu);
    if (stub->mem_size)
        memory = memory_of(vcpu, insn, scratch, write);
    load_frame(vcpu, &frame);
    int trap = stub->code(memory.at, &frame, vcpu->xsave, NULL, NULL, NULL);
    if (trap)
        raise_trap(vcpu, &frame, trap);
    leave_x87(vcpu);
    image_drop_pointers(vcpu);
    if (write && memory.copied && !(image_fsw(vcpu) & ~image_fcw(vcpu) & FSW_NO_STORE))
        mmu_write(vcpu, memory.linear, scratch, stub->mem_size);
    if (stub->flags & VEC_STUB_FLAGS)
        store_flags(vcpu, &frame);
}

static void run_refused(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    (void)insn;
    bt_raise(vcpu, BT_UD);
}

/* --- Binding --- */

static uint16_t place_of(const struct bt_operand *op)
{
    size_t image = offsetof(struct bt_vcpu, xsave);

    switch (op->kind) {
    case BT_OPERAND_GPR:
        return (uint16_t)(offsetof(struct bt_vcpu, gpr) + 8u * (op->reg & 15));
    case BT_OPERAND_MMX:
        return (uint16_t)(image + IMAGE_ST + 16u * (op->reg & 7));
    case BT_OPERAND_VEC:
        return (uint16_t)(image + IMAGE_XMM + 16u * (op->reg & 15));
    default:
        return (uint16_t)image;
    }
}

static bool names(const struct bt_insn *insn, enum bt_operand_kind kind)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == kind)
            return true;
    return false;
}

static vec_handler *runner_of(const struct bt_insn *insn)
{
    unsigned flags = insn->vec->flags;
    bool mem = insn->vec->mem_size;

    if (flags & VEC_STUB_X87)
        return run_x87;
    if (flags & VEC_STUB_MMX && names(insn, BT_OPERAND_VEC))
        return mem ? run_mixed_mem : run_mixed;
    if (flags & VEC_STUB_MMX)
        return mem ? run_mmx_mem : run_mmx;
    if (flags & VEC_STUB_VEX && flags & FRAME_ANY)
        return mem ? run_vex_any_mem : run_vex_any;
    if (flags & VEC_STUB_VEX)
        return mem ? run_vex_mem : run_vex;
    if (flags & FRAME_ANY)
        return mem ? run_sse_any_mem : run_sse_any;
    return mem ? run_sse_mem : run_sse;
}

static vec_handler *special_of(enum bt_op op)
{
    vec_handler *run = vec_x87_handler(op);

    if (!run)
        run = vec_xsave_handler(op);
    return run ? run : vec_mask_handler(op);
}

bool vec_bind(struct vec_cache *cache, struct bt_insn *insn)
{
    vec_handler *special = special_of(insn->op);

    if (!special && !(insn->properties & BT_INSN_VECTOR))
        return false;
    insn->vec = NULL;
    for (unsigned i = 0; i < BT_OPERANDS_MAX; i++)
        insn->vec_reg[i] = place_of(&insn->operand[i < insn->operand_count ? i : 0]);
    insn->run = special;
    if (special)
        return true;
    insn->vec = vec_stub_get(cache, insn);
    insn->run = insn->vec ? runner_of(insn) : run_refused;
    return true;
}
