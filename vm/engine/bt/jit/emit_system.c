/* SPDX-License-Identifier: Apache-2.0 */
/* The few privileged instructions that kernels use all the time: CLI, STI, PUSHF, selectors read,
 * and the clock. What they need beyond the simple case (a level that IOPL decides about, an
 * interrupt that waits) is a step.
 *
 * STI's shadow. Nothing was asked for when it is done here; who asks then finds the vCPU at its
 * next access, and that instruction is carried out before anything else (jit.c): one at least
 * follows.
 */
#include "vm/engine/bt/jit/emit.h"

/* Out of line, as a step of this instruction; flags are those in `saved`. */
static void step_if(struct emit *t, unsigned cond, struct jit_site *site, enum emit_saved saved)
{
    struct emit_late *late = emit_late(t, LATE_LEAVE, encode_jcc_later(t->e, cond));

    late->site = (uint32_t)(site - t->site);
    late->saved = (uint8_t)saved;
}

static bool set_interrupt_flag(struct emit *t, bool value)
{
    struct jit_site *site = emit_site(t, JIT_SITE_STEP);

    emit_drop(t);
    enum emit_saved saved = emit_save_flags(t, t->live);
    encode_test_mem8(t->e, EMIT_FIELD(t, cpl), 3);
    step_if(t, ENCODE_NOT_ZERO, site, saved);
    if (value) {
        encode_test_mem32(t->e, EMIT_FIELD(t, request), UINT32_MAX);
        step_if(t, ENCODE_NOT_ZERO, site, saved);
        encode_or_mem32(t->e, EMIT_FIELD(t, rflags), BT_FLAG_IF);
    } else {
        encode_and_mem32(t->e, EMIT_FIELD(t, rflags), ~(uint32_t)BT_FLAG_IF);
    }
    emit_restore_flags(t, saved);
    /* As bt_update_heed. */
    encode_store_imm32(t->e, EMIT_FIELD(t, heed),
                       value ? UINT32_MAX : ~(uint32_t)BT_REQUEST_INTERRUPT);
    site->resume = (uint32_t)encode_here(t->e);
    return true;
}

bool emit_cli(struct emit *t)
{
    return set_interrupt_flag(t, false);
}

/* Its shadow is the next instruction's being in the unit; at the end the interpreter casts it. */
bool emit_sti(struct emit *t)
{
    return t->at + 1 < t->count && set_interrupt_flag(t, true);
}

/* The image: what vcpu->rflags has besides the status flags, and those of the host. */
bool emit_pushf(struct emit *t)
{
    const uint32_t kept = ~(uint32_t)(BT_FLAGS_STATUS | BT_FLAG_RF | BT_FLAG_VM);

    if (t->insn->size != t->word)
        return false;
    emit_drop(t);
    encode_store(t->e, EMIT_FIELD(t, jit.save[0]), CPU_RAX);
    encode_save_flags(t->e, true);
    encode_movzx8(t->e, T1, CPU_RAX); /* OF */
    encode_shl32(t->e, T1, 11);
    encode_rorx(t->e, T2, CPU_RAX, 8);
    encode_movzx8(t->e, T2, T2);
    encode_or32(t->e, T1, T2);
    encode_load32(t->e, T2, EMIT_FIELD(t, rflags));
    encode_and_imm(t->e, T2, (int32_t)kept);
    encode_or32(t->e, T1, T2);
    encode_store(t->e, EMIT_FIELD(t, jit.save[1]), T1);
    encode_restore_flags(t->e, true);
    encode_load(t->e, CPU_RAX, EMIT_FIELD(t, jit.save[0]));
    emit_push_from(t, EMIT_FIELD(t, jit.save[1]));
    return true;
}

/* The host's and the VM's offset (system_tsc). Where CR4.TSD is set the interpreter decides. */
bool emit_rdtsc(struct emit *t)
{
    bool ordered = t->insn->op == BT_OP_RDTSCP;

    if (t->in->watched)
        return false;
    emit_drop(t);
    struct jit_site *site = emit_site(t, JIT_SITE_STEP);
    enum emit_saved saved = emit_save_flags(t, t->live);
    encode_test_mem32(t->e, EMIT_FIELD(t, cr4), BT_CR4_TSD);
    step_if(t, ENCODE_NOT_ZERO, site, saved);
    emit_restore_flags(t, saved);
    encode_rdtsc(t->e, ordered);
    encode_store32(t->e, EMIT_FIELD(t, jit.save[0]), CPU_RAX);
    encode_store32(t->e, encode_absolute((uint32_t)EMIT_FIELD(t, jit.save[0]).disp + 4), CPU_RDX);
    encode_load(t->e, T1, EMIT_FIELD(t, jit.save[0]));
    encode_load(t->e, T2, EMIT_FIELD(t, tsc_offset));
    encode_lea(t->e, T1, encode_indexed(T1, T2, 0), 8);
    encode_rorx(t->e, CPU_RDX, T1, 32);
    encode_mov32(t->e, CPU_RDX, CPU_RDX);
    encode_mov32(t->e, CPU_RAX, T1);
    if (ordered)
        encode_load32(t->e, CPU_RCX, EMIT_FIELD(t, msr[MSR_SLOT_tsc_aux]));
    t->known[CPU_RAX] = t->known[CPU_RDX] = (struct emit_known){0, 0};
    if (ordered)
        t->known[CPU_RCX] = (struct emit_known){0, 0};
    site->resume = (uint32_t)encode_here(t->e);
    return true;
}

bool emit_mov_seg(struct emit *t)
{
    const struct bt_operand *to = &t->insn->operand[0], *from = &t->insn->operand[1];

    if (from->kind != BT_OPERAND_SEG || from->reg > CPU_GS || to->kind != BT_OPERAND_GPR ||
        t->insn->size < 4 || to->reg == CPU_RSP)
        return false;
    struct encode_mem selector = EMIT_FIELD(t, seg[0].selector);
    selector.disp += from->reg * (int32_t)sizeof(struct cpu_segment);
    emit_drop(t);
    encode_load16(t->e, emit_in_slot(to->reg) ? T1 : to->reg, selector);
    if (emit_in_slot(to->reg))
        encode_store(t->e, emit_slot(t, to->reg), T1);
    return true;
}
