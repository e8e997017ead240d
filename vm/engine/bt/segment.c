/* SPDX-License-Identifier: Apache-2.0 */
/* Segment checks, descriptor tables, loads of segment registers, the stack: see segment.h. Far
 * transfers are in transfer.c, task switches in task.c. */
#include "vm/engine/bt/segment.h"

#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/system.h"

static uint64_t offset_mask(const struct cpu_segment *s)
{
    return s->attributes & CPU_SEG_DB ? 0xffffffff : 0xffff;
}

/* Protected mode: may this segment be used so? */
static bool type_allows(const struct cpu_segment *s, enum mmu_access access)
{
    enum { WRITABLE = 2, READABLE = 2, CODE = 8 };

    if (s->attributes & CPU_SEG_UNUSABLE || !(s->attributes & CPU_SEG_P))
        return false;
    if (access == MMU_WRITE)
        return (s->attributes & (CODE | WRITABLE)) == WRITABLE;
    return access == MMU_EXECUTE || !(s->attributes & CODE) || s->attributes & READABLE;
}

static bool limit_allows(const struct cpu_segment *s, uint64_t offset, unsigned size)
{
    enum { EXPAND_DOWN = 4, CODE = 8 };

    if ((s->attributes & (CPU_SEG_S | CODE | EXPAND_DOWN)) == (CPU_SEG_S | EXPAND_DOWN))
        return offset > s->limit && offset + size - 1 <= offset_mask(s);
    return offset <= s->limit && size - 1 <= s->limit - offset;
}

uint64_t segment_linear_slow(struct bt_vcpu *vcpu, unsigned seg, uint64_t offset, unsigned size,
                             enum mmu_access access)
{
    const struct cpu_segment *s = &vcpu->seg[seg];

    if ((vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64) /* a stack address that is not canonical */
        bt_raise_error(vcpu, BT_SS, 0);
    if ((vcpu->mode & BT_MODE_PROTECTED && !type_allows(s, access)) ||
        !limit_allows(s, offset, size))
        bt_raise_error(vcpu, seg == CPU_SS ? BT_SS : BT_GP, 0);
    return (uint32_t)(s->base + offset);
}

bool segment_is_whole(const struct cpu_segment *s)
{
    enum { EXPAND_DOWN = 4 };

    return s->limit == UINT32_MAX && type_allows(s, MMU_WRITE) && !(s->attributes & EXPAND_DOWN);
}

void bt_mode_update(struct bt_vcpu *vcpu)
{
    const struct cpu_segment *cs = &vcpu->seg[CPU_CS], *ss = &vcpu->seg[CPU_SS];
    bool v86 = vcpu->rflags & BT_FLAG_VM && vcpu->cr0 & BT_CR0_PE;
    bool long_mode = vcpu->efer & BT_EFER_LMA, code64 = long_mode && cs->attributes & CPU_SEG_L;
    uint32_t mode = code64                        ? BT_MODE_CODE64
                    : cs->attributes & CPU_SEG_DB ? BT_MODE_CODE32
                                                  : BT_MODE_CODE16;
    bool flat = !cs->base && cs->limit == UINT32_MAX &&
                (!(vcpu->cr0 & BT_CR0_PE) || type_allows(cs, MMU_READ));

    for (unsigned i = CPU_ES; i <= CPU_DS; i++)
        if (i != CPU_CS)
            flat = flat && !vcpu->seg[i].base && segment_is_whole(&vcpu->seg[i]);
    vcpu->cpl = !(vcpu->cr0 & BT_CR0_PE) ? 0 : v86 ? 3 : (ss->attributes >> CPU_SEG_DPL_SHIFT) & 3;
    if (vcpu->cr0 & BT_CR0_PE)
        mode |= v86 ? BT_MODE_V86 : BT_MODE_PROTECTED;
    if (long_mode)
        mode |= BT_MODE_LONG;
    if (vcpu->cpl == 3)
        mode |= BT_MODE_USER;
    if (!code64 && ss->attributes & CPU_SEG_DB)
        mode |= BT_MODE_STACK32;
    if (flat && !code64)
        mode |= BT_MODE_FLAT;
    if (jit_translates(mode) != jit_translates(vcpu->mode) && vcpu->vm->jit)
        bt_attend(vcpu); /* jit_run chooses by it */
    vcpu->mode = mode;
    mmu_update_context(vcpu);
}

/* Descriptor tables */

static bool table_address(const struct bt_vcpu *vcpu, uint16_t selector, unsigned size,
                          uint64_t *ret_linear)
{
    const struct cpu_segment *ldt = &vcpu->seg[CPU_LDTR];
    unsigned offset = selector & 0xfff8u;
    uint64_t base = selector & 4 ? ldt->base : vcpu->gdtr.base;
    uint32_t limit = selector & 4 ? ldt->limit : vcpu->gdtr.limit;

    if (selector & 4 && (ldt->attributes & CPU_SEG_UNUSABLE || !(ldt->attributes & CPU_SEG_P)))
        return false;
    if (offset + size - 1 > limit)
        return false;
    *ret_linear = vcpu->mode & BT_MODE_LONG ? base + offset : (uint32_t)(base + offset);
    return true;
}

bool segment_read_descriptor(struct bt_vcpu *vcpu, uint16_t selector,
                             struct segment_descriptor *ret_descriptor)
{
    uint64_t linear;

    if (!table_address(vcpu, selector, 8, &linear))
        return false;
    ret_descriptor->low = mmu_load_system(vcpu, linear, 8);
    ret_descriptor->high = 0;
    if (!(vcpu->mode & BT_MODE_LONG) || ret_descriptor->low & BIT64(44))
        return true;
    /* In long mode those of the system have 16 bytes, with zeroes where a type would be. */
    if (!table_address(vcpu, selector, 16, &linear))
        return false;
    ret_descriptor->high = mmu_load_system(vcpu, linear + 8, 8);
    return true;
}

void segment_read_or_raise(struct bt_vcpu *vcpu, uint16_t selector, enum bt_vector vector,
                           struct segment_descriptor *ret_descriptor)
{
    if (!segment_read_descriptor(vcpu, selector, ret_descriptor))
        bt_raise_error(vcpu, vector, selector & 0xfffc);
}

struct cpu_segment segment_unpack(uint16_t selector, const struct segment_descriptor *descriptor)
{
    uint64_t d = descriptor->low;
    struct cpu_segment s = {
        .selector = selector,
        .base = ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000),
        .limit = (uint32_t)((d & 0xffff) | ((d >> 32) & 0xf0000)),
        .attributes = (uint16_t)(((d >> 40) & 0xff) | ((d >> 40) & 0xf000)),
    };

    if (!(s.attributes & CPU_SEG_S))
        s.base |= descriptor->high << 32;
    if (s.attributes & CPU_SEG_G)
        s.limit = s.limit << 12 | 0xfff;
    return s;
}

void segment_set_accessed(struct bt_vcpu *vcpu, uint16_t selector,
                          struct segment_descriptor *descriptor)
{
    uint64_t linear;

    if (descriptor->low & BIT64(40) || !table_address(vcpu, selector, 8, &linear))
        return;
    descriptor->low |= BIT64(40);
    uint8_t byte = (uint8_t)mmu_load_system(vcpu, linear + 5, 1);
    mmu_store_system(vcpu, linear + 5, 1, byte | 1);
}

void segment_set_busy(struct bt_vcpu *vcpu, uint16_t selector, bool busy)
{
    uint64_t linear;

    if (!table_address(vcpu, selector & 0xfff8, 8, &linear))
        return;
    uint8_t byte = (uint8_t)mmu_load_system(vcpu, linear + 5, 1);
    mmu_store_system(vcpu, linear + 5, 1, busy ? byte | 2 : byte & ~2u);
}

/* Loads */

void segment_set_real(struct bt_vcpu *vcpu, enum cpu_seg seg, uint16_t selector)
{
    struct cpu_segment *s = &vcpu->seg[seg];

    s->selector = selector;
    s->base = (uint64_t)selector << 4;
    if (vcpu->rflags & BT_FLAG_VM && vcpu->cr0 & BT_CR0_PE) {
        s->limit = 0xffff;
        s->attributes = 0xf3;
    } else if (s->attributes & CPU_SEG_UNUSABLE)
        s->attributes = 0x93;
}

static void load_null(struct bt_vcpu *vcpu, enum cpu_seg seg, uint16_t selector)
{
    bool code64 = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;

    if (seg == CPU_SS && (!code64 || vcpu->cpl == 3 || (selector & 3) != vcpu->cpl))
        bt_raise_error(vcpu, BT_GP, 0);
    vcpu->seg[seg] = (struct cpu_segment){
        .selector = selector,
        .attributes = (uint16_t)(CPU_SEG_UNUSABLE | (seg == CPU_SS ? vcpu->cpl << 5 : 0))};
}

static void check_stack_segment(struct bt_vcpu *vcpu, uint16_t selector,
                                const struct segment_descriptor *d, unsigned cpl,
                                enum bt_vector vector)
{
    unsigned type = (d->low >> 40) & 0x1f, dpl = (d->low >> 45) & 3;

    if ((selector & 3u) != cpl || (type & 0x1a) != 0x12 || dpl != cpl)
        bt_raise_error(vcpu, vector, selector & 0xfffc);
    if (!(d->low & BIT64(47)))
        bt_raise_error(vcpu, BT_SS, selector & 0xfffc);
}

static void check_data_segment(struct bt_vcpu *vcpu, uint16_t selector,
                               const struct segment_descriptor *d, enum bt_vector vector)
{
    unsigned type = (d->low >> 40) & 0x1f, dpl = (d->low >> 45) & 3;
    bool conforming = (type & 0x1c) == 0x1c;

    if (!(type & 0x10) || (type & 0xa) == 8 ||
        (!conforming && ((selector & 3u) > dpl || vcpu->cpl > dpl)))
        bt_raise_error(vcpu, vector, selector & 0xfffc);
    if (!(d->low & BIT64(47)))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
}

struct cpu_segment segment_check_stack(struct bt_vcpu *vcpu, uint16_t selector, unsigned cpl,
                                       enum bt_vector vector)
{
    struct segment_descriptor d;

    segment_read_or_raise(vcpu, selector, vector, &d);
    check_stack_segment(vcpu, selector, &d, cpl, vector);
    segment_set_accessed(vcpu, selector, &d);
    return segment_unpack(selector, &d);
}

struct cpu_segment segment_check_data(struct bt_vcpu *vcpu, uint16_t selector,
                                      enum bt_vector vector)
{
    struct segment_descriptor d;

    segment_read_or_raise(vcpu, selector, vector, &d);
    check_data_segment(vcpu, selector, &d, vector);
    segment_set_accessed(vcpu, selector, &d);
    return segment_unpack(selector, &d);
}

void segment_load(struct bt_vcpu *vcpu, enum cpu_seg seg, uint16_t selector)
{
    if (!(vcpu->mode & BT_MODE_PROTECTED))
        segment_set_real(vcpu, seg, selector);
    else if (!(selector & 0xfffc))
        load_null(vcpu, seg, selector);
    else if (seg == CPU_SS)
        vcpu->seg[seg] = segment_check_stack(vcpu, selector, vcpu->cpl, BT_GP);
    else
        vcpu->seg[seg] = segment_check_data(vcpu, selector, BT_GP);
    bt_mode_update(vcpu);
}

void segment_drop_inner(struct bt_vcpu *vcpu)
{
    static const enum cpu_seg data[] = {CPU_ES, CPU_DS, CPU_FS, CPU_GS};

    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct cpu_segment *s = &vcpu->seg[data[i]];
        bool conforming = (s->attributes & 0x1c) == 0x1c;
        if (!(s->selector & 0xfffc)) /* null ones lose their RPL, not their base */
            s->selector = 0;
        if (!(s->attributes & CPU_SEG_UNUSABLE) && !conforming &&
            ((s->attributes >> CPU_SEG_DPL_SHIFT) & 3) < vcpu->cpl)
            *s = (struct cpu_segment){.attributes = CPU_SEG_UNUSABLE};
    }
}

void segment_check_rip(struct bt_vcpu *vcpu, const struct cpu_segment *cs, bool long_mode,
                       uint64_t rip)
{
    if (long_mode && cs->attributes & CPU_SEG_L ? !segment_canonical(rip) : rip > cs->limit)
        bt_raise_error(vcpu, BT_GP, 0);
}

/* The stack */

static uint64_t stack_mask(const struct bt_vcpu *vcpu)
{
    if ((vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64)
        return UINT64_MAX;
    return vcpu->mode & BT_MODE_STACK32 ? 0xffffffff : 0xffff;
}

void segment_add_rsp(struct bt_vcpu *vcpu, int64_t bytes)
{
    uint64_t mask = stack_mask(vcpu), sp = (vcpu->gpr[CPU_RSP] + (uint64_t)bytes) & mask;

    vcpu->gpr[CPU_RSP] = mask == 0xffff ? (vcpu->gpr[CPU_RSP] & ~mask) | sp : sp;
}

void segment_push(struct bt_vcpu *vcpu, unsigned size, uint64_t value)
{
    uint64_t sp = (vcpu->gpr[CPU_RSP] - size) & stack_mask(vcpu);

    mmu_store(vcpu, segment_linear(vcpu, CPU_SS, sp, size, MMU_WRITE), size, value);
    segment_add_rsp(vcpu, -(int64_t)size);
}

uint64_t segment_peek(struct bt_vcpu *vcpu, unsigned displacement, unsigned size)
{
    uint64_t sp = (vcpu->gpr[CPU_RSP] + displacement) & stack_mask(vcpu);

    return mmu_load(vcpu, segment_linear(vcpu, CPU_SS, sp, size, MMU_READ), size);
}

uint64_t segment_pop(struct bt_vcpu *vcpu, unsigned size)
{
    uint64_t value = segment_peek(vcpu, 0, size);

    segment_add_rsp(vcpu, size);
    return value;
}

void segment_stack_push(struct bt_vcpu *vcpu, struct segment_stack *stack, unsigned size,
                        uint64_t value)
{
    uint64_t mask = stack->code64 ? UINT64_MAX : offset_mask(&stack->ss);
    uint64_t sp = (stack->rsp - size) & mask, linear = sp;

    if (stack->code64 ? !segment_canonical(sp) : !limit_allows(&stack->ss, sp, size))
        bt_raise_error(vcpu, BT_SS, stack->cpl == vcpu->cpl ? 0 : stack->ss.selector & 0xfffc);
    if (!stack->code64)
        linear = (uint32_t)(stack->ss.base + sp);
    if (stack->cpl == 3)
        mmu_store(vcpu, linear, size, value);
    else
        mmu_store_system(vcpu, linear, size, value);
    stack->rsp = mask == 0xffff ? (stack->rsp & ~mask) | sp : sp;
}

/* Instructions */

static uint64_t read_rm(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned operand,
                        unsigned size)
{
    const struct bt_operand *o = &insn->operand[operand];

    if (o->kind == BT_OPERAND_MEM)
        return mmu_load(vcpu, interp_ea(vcpu, insn, size, MMU_READ), size);
    return vcpu->gpr[o->reg & 15] & (size == 8 ? UINT64_MAX : BIT64(size * 8) - 1);
}

void segment_write_rm(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned operand,
                      unsigned size, uint64_t value)
{
    const struct bt_operand *o = &insn->operand[operand];
    uint64_t *gpr = &vcpu->gpr[o->reg & 15];

    if (o->kind == BT_OPERAND_MEM)
        mmu_store(vcpu, interp_ea(vcpu, insn, size, MMU_WRITE), size, value);
    else if (size == 2)
        *gpr = (*gpr & ~UINT64_C(0xffff)) | (value & 0xffff);
    else
        *gpr = size == 4 ? (uint32_t)value : value;
}

static void shadow_after_ss(struct bt_vcpu *vcpu, unsigned seg)
{
    if (seg == CPU_SS)
        vcpu->shadow = CPU_SHADOW_MOV_SS;
}

static void mov_seg(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    const struct bt_operand *to = &insn->operand[0], *from = &insn->operand[1];

    if (from->kind == BT_OPERAND_SEG) {
        uint16_t selector = vcpu->seg[from->reg & 7].selector;
        if (from->reg > CPU_GS)
            bt_raise(vcpu, BT_UD);
        segment_write_rm(vcpu, insn, 0, to->kind == BT_OPERAND_MEM ? 2 : insn->size, selector);
        return;
    }
    if (to->reg == CPU_CS || to->reg > CPU_GS)
        bt_raise(vcpu, BT_UD);
    segment_load(vcpu, to->reg, (uint16_t)read_rm(vcpu, insn, 1, 2));
    shadow_after_ss(vcpu, to->reg);
}

static void push_seg(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    segment_push(vcpu, insn->size, vcpu->seg[insn->operand[0].reg & 7].selector);
}

static void pop_seg(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    unsigned seg = insn->operand[0].reg & 7, size = insn->size;
    uint16_t selector = (uint16_t)segment_peek(vcpu, 0, size);
    uint64_t rsp = vcpu->gpr[CPU_RSP];

    segment_add_rsp(vcpu, size); /* by the old stack's address size */
    uint64_t after = vcpu->gpr[CPU_RSP];
    vcpu->gpr[CPU_RSP] = rsp;
    segment_load(vcpu, seg, selector);
    vcpu->gpr[CPU_RSP] = after;
    shadow_after_ss(vcpu, seg);
}

static void load_pointer(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum cpu_seg seg)
{
    unsigned size = insn->size;
    uint64_t linear = interp_ea(vcpu, insn, size + 2, MMU_READ);
    uint64_t offset = mmu_load(vcpu, linear, size);

    segment_load(vcpu, seg, (uint16_t)mmu_load(vcpu, linear + size, 2));
    segment_write_rm(vcpu, insn, 0, size, offset);
}

static void lds(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_pointer(vcpu, insn, CPU_DS);
}
static void les(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_pointer(vcpu, insn, CPU_ES);
}
static void lfs(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_pointer(vcpu, insn, CPU_FS);
}
static void lgs(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_pointer(vcpu, insn, CPU_GS);
}
static void lss(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_pointer(vcpu, insn, CPU_SS);
}

static void require_protected(struct bt_vcpu *vcpu)
{
    if (!(vcpu->mode & BT_MODE_PROTECTED))
        bt_raise(vcpu, BT_UD);
}

/* LAR, LSL, VERR, VERW: may the program see this descriptor at all? */
static bool visible(struct bt_vcpu *vcpu, uint16_t selector, uint32_t system_types,
                    struct segment_descriptor *ret_descriptor)
{
    if (!(selector & 0xfffc) || !segment_read_descriptor(vcpu, selector, ret_descriptor))
        return false;
    unsigned type = (ret_descriptor->low >> 40) & 0x1f, dpl = (ret_descriptor->low >> 45) & 3;
    if (!(type & 0x10) && !(system_types >> type & 1))
        return false;
    if ((type & 0x1c) == 0x1c)
        return true;
    return vcpu->cpl <= dpl && (selector & 3u) <= dpl;
}

static void set_zf(struct bt_vcpu *vcpu, bool zf)
{
    vcpu->rflags = (vcpu->rflags & ~(uint64_t)BT_FLAG_ZF) | (zf ? BT_FLAG_ZF : 0);
}

static void lar(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint32_t types = vcpu->mode & BT_MODE_LONG ? 0x1a04 : 0x1a3e;
    struct segment_descriptor d;

    require_protected(vcpu);
    bool ok = visible(vcpu, (uint16_t)read_rm(vcpu, insn, 1, 2), types, &d);
    if (ok)
        segment_write_rm(vcpu, insn, 0, insn->size, (d.low >> 32) & 0x00ffff00);
    set_zf(vcpu, ok);
}

static void lsl(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint32_t types = vcpu->mode & BT_MODE_LONG ? 0x0a04 : 0x0a0e;
    struct segment_descriptor d;

    require_protected(vcpu);
    bool ok = visible(vcpu, (uint16_t)read_rm(vcpu, insn, 1, 2), types, &d);
    if (ok)
        segment_write_rm(vcpu, insn, 0, insn->size, segment_unpack(0, &d).limit);
    set_zf(vcpu, ok);
}

static void verify(struct bt_vcpu *vcpu, const struct bt_insn *insn, bool write)
{
    struct segment_descriptor d;

    require_protected(vcpu);
    bool ok = visible(vcpu, (uint16_t)read_rm(vcpu, insn, 0, 2), 0, &d);
    if (ok) {
        unsigned type = (d.low >> 40) & 0xf;
        ok = write ? (type & 0xa) == 2 : !(type & 8) || type & 2;
    }
    set_zf(vcpu, ok);
}

static void verr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    verify(vcpu, insn, false);
}
static void verw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    verify(vcpu, insn, true);
}

static void arpl(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    require_protected(vcpu);
    uint16_t to = (uint16_t)read_rm(vcpu, insn, 0, 2), from = (uint16_t)read_rm(vcpu, insn, 1, 2);
    bool raise = (to & 3) < (from & 3);
    if (raise)
        segment_write_rm(vcpu, insn, 0, 2, (to & 0xfffcu) | (from & 3));
    set_zf(vcpu, raise);
}

static void check_privilege(struct bt_vcpu *vcpu)
{
    if (vcpu->cpl)
        bt_raise_error(vcpu, BT_GP, 0);
}

static void lldt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    struct segment_descriptor d;

    require_protected(vcpu);
    check_privilege(vcpu);
    uint16_t selector = (uint16_t)read_rm(vcpu, insn, 0, 2);
    if (!(selector & 0xfffc)) {
        vcpu->seg[CPU_LDTR] =
            (struct cpu_segment){.selector = selector, .attributes = CPU_SEG_UNUSABLE};
        return;
    }
    if (selector & 4)
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    segment_read_or_raise(vcpu, selector, BT_GP, &d);
    if (((d.low >> 40) & 0x1f) != 2)
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!(d.low & BIT64(47)))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    vcpu->seg[CPU_LDTR] = segment_unpack(selector, &d);
}

static void ltr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    struct segment_descriptor d;

    require_protected(vcpu);
    check_privilege(vcpu);
    uint16_t selector = (uint16_t)read_rm(vcpu, insn, 0, 2);
    if (!(selector & 0xfffc))
        bt_raise_error(vcpu, BT_GP, 0);
    if (selector & 4)
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    segment_read_or_raise(vcpu, selector, BT_GP, &d);
    unsigned type = (d.low >> 40) & 0x1f;
    if (type != 9 && (type != 1 || vcpu->mode & BT_MODE_LONG))
        bt_raise_error(vcpu, BT_GP, selector & 0xfffc);
    if (!(d.low & BIT64(47)))
        bt_raise_error(vcpu, BT_NP, selector & 0xfffc);
    segment_set_busy(vcpu, selector, true);
    d.low |= BIT64(41);
    vcpu->seg[CPU_TR] = segment_unpack(selector, &d);
}

static void check_umip(struct bt_vcpu *vcpu)
{
    if (vcpu->cr4 & BT_CR4_UMIP && vcpu->cpl == 3)
        bt_raise_error(vcpu, BT_GP, 0);
}

static void store_selector(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum cpu_seg seg)
{
    bool memory = insn->operand[0].kind == BT_OPERAND_MEM;

    require_protected(vcpu);
    check_umip(vcpu);
    segment_write_rm(vcpu, insn, 0, memory ? 2 : insn->size, vcpu->seg[seg].selector);
}

static void sldt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    store_selector(vcpu, insn, CPU_LDTR);
}
static void str(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    store_selector(vcpu, insn, CPU_TR);
}

/* LGDT and its like: a limit of 2 bytes, a base of 4 or 8 (16-bit operands: 3). */
static void load_table(struct bt_vcpu *vcpu, const struct bt_insn *insn,
                       struct cpu_table_register *table)
{
    bool code64 = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
    unsigned size = code64 ? 8 : 4;

    check_privilege(vcpu);
    uint64_t linear = interp_ea(vcpu, insn, 2 + size, MMU_READ);
    uint16_t limit = (uint16_t)mmu_load(vcpu, linear, 2);
    uint64_t base = mmu_load(vcpu, linear + 2, size);
    if (!code64 && insn->size == 2)
        base &= 0xffffff;
    if (code64 && !segment_canonical(base))
        bt_raise_error(vcpu, BT_GP, 0);
    *table = (struct cpu_table_register){.base = base, .limit = limit};
}

static void store_table(struct bt_vcpu *vcpu, const struct bt_insn *insn,
                        const struct cpu_table_register *table)
{
    unsigned size = (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? 8 : 4;

    check_umip(vcpu);
    uint64_t linear = interp_ea(vcpu, insn, 2 + size, MMU_WRITE);
    mmu_check_write(vcpu, linear, 2 + size);
    mmu_store(vcpu, linear, 2, table->limit);
    mmu_store(vcpu, linear + 2, size, table->base);
}

static void lgdt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_table(vcpu, insn, &vcpu->gdtr);
}
static void lidt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    load_table(vcpu, insn, &vcpu->idtr);
}
static void sgdt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    store_table(vcpu, insn, &vcpu->gdtr);
}
static void sidt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    store_table(vcpu, insn, &vcpu->idtr);
}

const struct interp_handler segment_handlers[] = {
    {BT_OP_MOV_SEG, false, mov_seg}, {BT_OP_PUSH_SEG, false, push_seg},
    {BT_OP_POP_SEG, false, pop_seg}, {BT_OP_LDS, false, lds},
    {BT_OP_LES, false, les},         {BT_OP_LFS, false, lfs},
    {BT_OP_LGS, false, lgs},         {BT_OP_LSS, false, lss},
    {BT_OP_LAR, false, lar},         {BT_OP_LSL, false, lsl},
    {BT_OP_VERR, false, verr},       {BT_OP_VERW, false, verw},
    {BT_OP_ARPL, false, arpl},       {BT_OP_LLDT, false, lldt},
    {BT_OP_LTR, false, ltr},         {BT_OP_SLDT, false, sldt},
    {BT_OP_STR, false, str},         {BT_OP_LGDT, false, lgdt},
    {BT_OP_LIDT, false, lidt},       {BT_OP_SGDT, false, sgdt},
    {BT_OP_SIDT, false, sidt},       {0},
};
