/* SPDX-License-Identifier: Apache-2.0 */
/* Task state segments: the stacks of inner levels, the interrupt stack table, and the switch of
 * tasks with TSSs of 16 and 32 bits. SDM volume 3 chapter 7.
 *
 * A switch first reads the new TSS and makes sure that the old one can be written; what fails later
 * fails in the new task, as the processor has it. */
#include "base/range.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/segment.h"

enum { TYPE_BUSY = 2, TYPE_32 = 8, TSS16_MIN = 0x2b, TSS32_MIN = 0x67 };

static bool tss_is_32(const struct cpu_segment *tr)
{
    return tr->attributes & TYPE_32;
}

void segment_tss_stack(struct bt_vcpu *vcpu, unsigned cpl, struct segment_stack *ret_stack)
{
    const struct cpu_segment *tr = &vcpu->seg[CPU_TR];
    bool long_mode = vcpu->mode & BT_MODE_LONG, wide = tss_is_32(tr);
    unsigned at = wide ? 4 + cpl * 8 : 2 + cpl * 4;

    *ret_stack = (struct segment_stack){.cpl = cpl, .code64 = long_mode};
    if (at + (wide ? 7 : 3) > tr->limit || tr->attributes & CPU_SEG_UNUSABLE)
        bt_raise_error(vcpu, BT_TS, tr->selector & 0xfffc);
    if (long_mode) {
        ret_stack->rsp = mmu_load_system(vcpu, tr->base + at, 8);
        ret_stack->ss = (struct cpu_segment){.selector = (uint16_t)cpl,
                                             .attributes = (uint16_t)(CPU_SEG_UNUSABLE | cpl << 5)};
        return;
    }
    ret_stack->rsp = mmu_load_system(vcpu, tr->base + at, wide ? 4 : 2);
    uint16_t ss = (uint16_t)mmu_load_system(vcpu, tr->base + at + (wide ? 4 : 2), 2);
    if (!(ss & 0xfffc))
        bt_raise_error(vcpu, BT_TS, 0);
    ret_stack->ss = segment_check_stack(vcpu, ss, cpl, BT_TS);
}

uint64_t segment_tss_ist(struct bt_vcpu *vcpu, unsigned ist)
{
    const struct cpu_segment *tr = &vcpu->seg[CPU_TR];
    unsigned at = 36 + (ist - 1) * 8;

    if (at + 7 > tr->limit)
        bt_raise_error(vcpu, BT_TS, tr->selector & 0xfffc);
    return mmu_load_system(vcpu, tr->base + at, 8);
}

/* What a TSS holds of a task; selectors in the order ES, CS, SS, DS, FS, GS. */
struct task {
    uint32_t cr3, eip, eflags, gpr[8];
    uint16_t selector[6], ldt;
    bool trap;
};

static struct task read_task(struct bt_vcpu *vcpu, const struct cpu_segment *tss)
{
    uint64_t base = tss->base;
    struct task t = {0};

    if (tss_is_32(tss)) {
        t.cr3 = (uint32_t)mmu_load_system(vcpu, base + 0x1c, 4);
        t.eip = (uint32_t)mmu_load_system(vcpu, base + 0x20, 4);
        t.eflags = (uint32_t)mmu_load_system(vcpu, base + 0x24, 4);
        for (unsigned i = 0; i < 8; i++)
            t.gpr[i] = (uint32_t)mmu_load_system(vcpu, base + 0x28 + i * 4, 4);
        for (unsigned i = 0; i < 6; i++)
            t.selector[i] = (uint16_t)mmu_load_system(vcpu, base + 0x48 + i * 4, 2);
        t.ldt = (uint16_t)mmu_load_system(vcpu, base + 0x60, 2);
        t.trap = mmu_load_system(vcpu, base + 0x64, 2) & 1;
        return t;
    }
    t.eip = (uint32_t)mmu_load_system(vcpu, base + 0xe, 2);
    t.eflags = (uint32_t)mmu_load_system(vcpu, base + 0x10, 2);
    for (unsigned i = 0; i < 8; i++)
        t.gpr[i] = (uint32_t)mmu_load_system(vcpu, base + 0x12 + i * 2, 2) | 0xffff0000;
    for (unsigned i = 0; i < 4; i++)
        t.selector[i] = (uint16_t)mmu_load_system(vcpu, base + 0x22 + i * 2, 2);
    t.ldt = (uint16_t)mmu_load_system(vcpu, base + 0x2a, 2);
    return t;
}

static void save_task(struct bt_vcpu *vcpu, uint64_t next, uint64_t flags)
{
    const struct cpu_segment *tr = &vcpu->seg[CPU_TR];
    bool wide = tss_is_32(tr);
    unsigned size = wide ? 4 : 2, at = wide ? 0x20 : 0xe;

    (void)mmu_load_system(vcpu, tr->base + (wide ? TSS32_MIN : TSS16_MIN), 1);
    mmu_store_system(vcpu, tr->base + at, size, next);
    mmu_store_system(vcpu, tr->base + at + size, size, flags);
    for (unsigned i = 0; i < 8; i++)
        mmu_store_system(vcpu, tr->base + at + size * (2 + i), size, vcpu->gpr[i]);
    for (unsigned i = 0; i < (wide ? 6u : 4u); i++)
        mmu_store_system(vcpu, tr->base + at + size * (10 + i), 2, vcpu->seg[i].selector);
}

/* The descriptor of the TSS to switch to; faults are #GP, or #TS for a return. */
static struct cpu_segment new_tss(struct bt_vcpu *vcpu, uint16_t selector,
                                  enum segment_task_reason reason)
{
    bool back = reason == SEGMENT_TASK_RETURN;
    enum bt_vector vector = back ? BT_TS : BT_GP;
    struct segment_descriptor d;

    if (selector & 4 || !(selector & 0xfffc))
        bt_raise_error(vcpu, vector, selector & 0xfffc);
    segment_read_or_raise(vcpu, selector, vector, &d);
    unsigned type = d.low >> 40 & 0x1f;
    if ((type & ~(unsigned)(TYPE_32 | TYPE_BUSY)) != 1 || !!(type & TYPE_BUSY) != back)
        bt_raise_error(vcpu, vector, selector & 0xfffc);
    if (!(d.low >> 47 & 1))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    struct cpu_segment tss = segment_unpack(selector, &d);
    if (tss.limit < (type & TYPE_32 ? TSS32_MIN : TSS16_MIN))
        bt_raise_error(vcpu, BT_TS, selector & 0xfffc);
    tss.attributes |= TYPE_BUSY;
    return tss;
}

static void load_ldt(struct bt_vcpu *vcpu, uint16_t selector)
{
    struct segment_descriptor d;

    vcpu->seg[CPU_LDTR] =
        (struct cpu_segment){.selector = selector, .attributes = CPU_SEG_UNUSABLE};
    if (!(selector & 0xfffc))
        return;
    if (selector & 4 || !segment_read_descriptor(vcpu, selector, &d) || (d.low >> 40 & 0x1f) != 2 ||
        !(d.low >> 47 & 1))
        bt_raise_error(vcpu, BT_TS, selector & 0xfffc);
    vcpu->seg[CPU_LDTR] = segment_unpack(selector, &d);
}

static struct cpu_segment task_code(struct bt_vcpu *vcpu, uint16_t selector)
{
    struct segment_descriptor d;

    if (!(selector & 0xfffc))
        bt_raise_error(vcpu, BT_TS, 0);
    segment_read_or_raise(vcpu, selector, BT_TS, &d);
    unsigned type = d.low >> 40 & 0x1f, dpl = d.low >> 45 & 3, rpl = selector & 3;
    if ((type & 0x18) != 0x18 || (type & 4 ? dpl > rpl : dpl != rpl))
        bt_raise_error(vcpu, BT_TS, selector & 0xfffc);
    if (!(d.low >> 47 & 1))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    segment_set_accessed(vcpu, selector, &d);
    return segment_unpack(selector, &d);
}

static void load_segments(struct bt_vcpu *vcpu, const struct task *t)
{
    static const enum cpu_seg data[] = {CPU_ES, CPU_DS, CPU_FS, CPU_GS};

    if (vcpu->rflags & BT_FLAG_VM) {
        for (unsigned i = 0; i < 6; i++)
            segment_set_real(vcpu, i, t->selector[i]);
        bt_mode_update(vcpu);
        load_ldt(vcpu, t->ldt);
        return;
    }
    /* Until each is checked it is null; the level is the new code segment's from the start. */
    for (unsigned i = 0; i < 6; i++)
        vcpu->seg[i] =
            (struct cpu_segment){.selector = t->selector[i], .attributes = CPU_SEG_UNUSABLE};
    vcpu->seg[CPU_SS].attributes |= (uint16_t)((t->selector[CPU_CS] & 3) << CPU_SEG_DPL_SHIFT);
    bt_mode_update(vcpu);
    load_ldt(vcpu, t->ldt);
    vcpu->seg[CPU_CS] = task_code(vcpu, t->selector[CPU_CS]);
    if (!(t->selector[CPU_SS] & 0xfffc))
        bt_raise_error(vcpu, BT_TS, 0);
    vcpu->seg[CPU_SS] = segment_check_stack(vcpu, t->selector[CPU_SS], vcpu->cpl, BT_TS);
    bt_mode_update(vcpu);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        if (t->selector[data[i]] & 0xfffc)
            vcpu->seg[data[i]] = segment_check_data(vcpu, t->selector[data[i]], BT_TS);
    bt_mode_update(vcpu);
}

static void load_task(struct bt_vcpu *vcpu, const struct task *t, bool wide, bool nested)
{
    if (wide && vcpu->cr0 & BT_CR0_PG && t->cr3 != vcpu->cr3) {
        mmu_set_cr3(vcpu, t->cr3);
        if (!mmu_load_pdptrs(vcpu, vcpu->cr0, vcpu->cr4, vcpu->cr3))
            bt_raise_error(vcpu, BT_TS, vcpu->seg[CPU_TR].selector & 0xfffc);
    }
    vcpu->rip = t->eip;
    vcpu->rflags = 0;
    except_set_flags(vcpu, t->eflags | (nested ? BT_FLAG_NT : 0), 0x277fd7);
    for (unsigned i = 0; i < 8; i++)
        vcpu->gpr[i] = t->gpr[i];
    vcpu->cr0 |= BT_CR0_TS;
    vcpu->dr7 &= ~UINT64_C(0x155); /* local breakpoints are the task's */
    load_segments(vcpu, t);
    segment_check_rip(vcpu, &vcpu->seg[CPU_CS], false, vcpu->rip);
}

void segment_task_switch(struct bt_vcpu *vcpu, uint16_t selector, enum segment_task_reason reason,
                         uint64_t next, bool has_error, uint32_t error)
{
    bool nested = reason == SEGMENT_TASK_CALL || reason == SEGMENT_TASK_GATE;
    bool back = reason == SEGMENT_TASK_RETURN;
    struct cpu_segment tss = new_tss(vcpu, selector, reason);
    struct task task = read_task(vcpu, &tss);
    uint16_t old = vcpu->seg[CPU_TR].selector;

    save_task(vcpu, next, back ? vcpu->rflags & ~(uint64_t)BT_FLAG_NT : vcpu->rflags);
    if (!nested)
        segment_set_busy(vcpu, old, false);
    else
        mmu_store_system(vcpu, tss.base, 2, old);
    if (!back)
        segment_set_busy(vcpu, selector, true);
    vcpu->seg[CPU_TR] = tss;
    load_task(vcpu, &task, tss_is_32(&tss), nested);
    if (has_error)
        segment_push(vcpu, tss_is_32(&tss) ? 4 : 2, error);
    if (task.trap) {
        vcpu->debug_hit |= BIT(15);
        bt_attend(vcpu);
    }
}
