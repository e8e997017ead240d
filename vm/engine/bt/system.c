/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of system.h but for ports (port.c) and the registers' own rules (control.c,
 * msr_access.c). Intel SDM volume 2 at each instruction; privilege is checked before operands. */
#include "vm/engine/bt/system.h"

#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/lapic.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/vec.h"

static bool code64(const struct bt_vcpu *vcpu)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
}

static void check_privilege(struct bt_vcpu *vcpu)
{
    if (vcpu->cpl)
        bt_raise_error(vcpu, BT_GP, 0);
}

static uint64_t gpr(const struct bt_vcpu *vcpu, unsigned reg)
{
    return code64(vcpu) ? vcpu->gpr[reg & 15] : (uint32_t)vcpu->gpr[reg & 15];
}

static void set_edx_eax(struct bt_vcpu *vcpu, uint64_t value)
{
    vcpu->gpr[CPU_RAX] = (uint32_t)value;
    vcpu->gpr[CPU_RDX] = value >> 32;
}

static uint64_t edx_eax(const struct bt_vcpu *vcpu)
{
    return (uint32_t)vcpu->gpr[CPU_RAX] | vcpu->gpr[CPU_RDX] << 32;
}

static void hlt(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu);
    vcpu->run_state = CPU_HALTED;
    vcpu->shadow = 0; /* STI's covered this instruction, not the sleep */
}

/* Control and debug registers */

static void mov_cr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bool write = insn->operand[0].kind == BT_OPERAND_CR;
    unsigned cr = insn->operand[write ? 0 : 1].reg, reg = insn->operand[write ? 1 : 0].reg;
    uint64_t value = 0;

    if (cr > 8 || cr == 1 || (cr > 4 && cr < 8))
        bt_raise(vcpu, BT_UD);
    check_privilege(vcpu);
    if (write) {
        system_set_cr(vcpu, cr, gpr(vcpu, reg));
        return;
    }
    switch (cr) {
    case 0:
        value = vcpu->cr0;
        break;
    case 2:
        value = vcpu->cr2;
        break;
    case 3:
        value = vcpu->cr3;
        break;
    case 4:
        value = vcpu->cr4;
        break;
    case 8:
        value = bt_lapic_cr8(vcpu);
        break;
    }
    vcpu->gpr[reg & 15] = code64(vcpu) ? value : (uint32_t)value;
}

static void mov_dr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    enum { GD = 1 << 13, BD = 1 << 13 };
    bool write = insn->operand[0].kind == BT_OPERAND_DR;
    unsigned dr = insn->operand[write ? 0 : 1].reg, reg = insn->operand[write ? 1 : 0].reg & 15;

    if (dr > 7 || ((dr == 4 || dr == 5) && vcpu->cr4 & BT_CR4_DE))
        bt_raise(vcpu, BT_UD);
    check_privilege(vcpu);
    if (vcpu->dr7 & GD) {
        vcpu->dr6 |= BD;
        bt_raise(vcpu, BT_DB);
    }
    uint64_t *at = dr < 4 ? &vcpu->dr[dr] : dr & 1 ? &vcpu->dr7 : &vcpu->dr6;
    if (!write) {
        vcpu->gpr[reg] = code64(vcpu) ? *at : (uint32_t)*at;
        return;
    }
    uint64_t value = gpr(vcpu, reg);
    if (dr >= 4 && value >> 32)
        bt_raise_error(vcpu, BT_GP, 0);
    if (dr < 4)
        *at = value;
    else if (dr & 1)
        *at = (value & 0xffff2fff) | 0x400;
    else
        *at = (value & 0x1e00f) | 0xffff0ff0;
    mmu_update_context(vcpu);
    bt_attend(vcpu);
}

static void clts(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu);
    vcpu->cr0 &= ~(uint64_t)BT_CR0_TS;
}

static void lmsw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu);
    const struct bt_operand *o = &insn->operand[0];
    uint64_t value = o->kind == BT_OPERAND_MEM
                         ? mmu_load(vcpu, interp_ea(vcpu, insn, 2, MMU_READ), 2)
                         : vcpu->gpr[o->reg & 15];
    uint64_t keep = ~UINT64_C(15) | (vcpu->cr0 & BT_CR0_PE); /* PE is never cleared so */
    system_set_cr(vcpu, 0, (vcpu->cr0 & keep) | (value & 15));
}

static void smsw(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bool memory = insn->operand[0].kind == BT_OPERAND_MEM;

    if (vcpu->cr4 & BT_CR4_UMIP && vcpu->cpl == 3)
        bt_raise_error(vcpu, BT_GP, 0);
    segment_write_rm(vcpu, insn, 0, memory ? 2 : insn->size, vcpu->cr0);
}

/* Caches and TLB */

static void invlpg(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu);
    uint64_t linear = interp_ea_offset(vcpu, insn);
    if (!code64(vcpu) || insn->seg >= CPU_FS)
        linear += vcpu->seg[insn->seg].base;
    if (!code64(vcpu))
        linear = (uint32_t)linear;
    mmu_flush_page(vcpu, linear);
}

static void invpcid(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    enum { ADDRESS, CONTEXT, ALL, ALL_BUT_GLOBAL };

    if (!vcpu->vm->invpcid)
        bt_raise(vcpu, BT_UD);
    check_privilege(vcpu);
    uint64_t type = gpr(vcpu, insn->operand[0].reg);
    uint64_t linear = interp_ea(vcpu, insn, 16, MMU_READ);
    uint64_t pcid = mmu_load(vcpu, linear, 8), address = mmu_load(vcpu, linear + 8, 8);
    if (type > ALL_BUT_GLOBAL || (type <= CONTEXT && pcid >> 12) ||
        (type <= CONTEXT && pcid && !(vcpu->cr4 & BT_CR4_PCIDE)) ||
        (type == ADDRESS && !segment_canonical(address)))
        bt_raise_error(vcpu, BT_GP, 0);
    if (type == ADDRESS && pcid == vcpu->tlb->space[0].pcid)
        mmu_flush_page(vcpu, address);
    else if (type <= CONTEXT)
        mmu_flush_pcid(vcpu, (uint16_t)pcid);
    else
        mmu_flush_all(vcpu);
}

static void wbinvd(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu); /* caches are coherent and keep nothing back */
}

/* Model-specific registers, time, identity */

static void rdmsr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t value;

    check_privilege(vcpu);
    if (!system_rdmsr(vcpu, (uint32_t)vcpu->gpr[CPU_RCX], &value))
        bt_raise_error(vcpu, BT_GP, 0);
    set_edx_eax(vcpu, value);
}

static void wrmsr(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_privilege(vcpu);
    if (!system_wrmsr(vcpu, (uint32_t)vcpu->gpr[CPU_RCX], edx_eax(vcpu)))
        bt_raise_error(vcpu, BT_GP, 0);
}

static void check_tsc(struct bt_vcpu *vcpu)
{
    if (vcpu->cr4 & BT_CR4_TSD && vcpu->cpl)
        bt_raise_error(vcpu, BT_GP, 0);
}

static void rdtsc(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    check_tsc(vcpu);
    set_edx_eax(vcpu, system_tsc(vcpu));
}

static void rdtscp(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    rdtsc(vcpu, insn);
    vcpu->gpr[CPU_RCX] = (uint32_t)vcpu->msr[MSR_SLOT_tsc_aux];
}

static void rdpid(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vcpu->gpr[insn->operand[0].reg & 15] = (uint32_t)vcpu->msr[MSR_SLOT_tsc_aux];
}

static void rdpmc(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bt_raise_error(vcpu, BT_GP, 0); /* there is no counter */
}

static void cpuid(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint32_t reg[4];

    system_cpuid(vcpu, (uint32_t)vcpu->gpr[CPU_RAX], (uint32_t)vcpu->gpr[CPU_RCX], reg);
    vcpu->gpr[CPU_RAX] = reg[CPUID_EAX];
    vcpu->gpr[CPU_RBX] = reg[CPUID_EBX];
    vcpu->gpr[CPU_RCX] = reg[CPUID_ECX];
    vcpu->gpr[CPU_RDX] = reg[CPUID_EDX];
}

static void check_osxsave(struct bt_vcpu *vcpu)
{
    if (!(vcpu->cr4 & BT_CR4_OSXSAVE))
        bt_raise(vcpu, BT_UD);
}

static void xgetbv(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint32_t index = (uint32_t)vcpu->gpr[CPU_RCX];

    check_osxsave(vcpu);
    if (index > 1)
        bt_raise_error(vcpu, BT_GP, 0);
    set_edx_eax(vcpu, vcpu->xcr0); /* 1: what is in use; all of it may be */
}

static void xsetbv(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t value = edx_eax(vcpu);

    check_osxsave(vcpu);
    check_privilege(vcpu);
    if ((uint32_t)vcpu->gpr[CPU_RCX] || value & ~vcpu->vm->xcr0 || !(value & 1) || (value & 6) == 4)
        bt_raise_error(vcpu, BT_GP, 0);
    vcpu->xcr0 = value;
    jit_vec_off(vcpu);
}

/* Bases */

static void swapgs(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint64_t base = vcpu->seg[CPU_GS].base;

    if (!code64(vcpu))
        bt_raise(vcpu, BT_UD);
    check_privilege(vcpu);
    vcpu->seg[CPU_GS].base = vcpu->msr[MSR_SLOT_kernel_gs_base];
    vcpu->msr[MSR_SLOT_kernel_gs_base] = base;
}

static void read_base(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum cpu_seg seg)
{
    uint64_t base = vcpu->seg[seg].base;

    if (!code64(vcpu) || !(vcpu->cr4 & BT_CR4_FSGSBASE))
        bt_raise(vcpu, BT_UD);
    vcpu->gpr[insn->operand[0].reg & 15] = insn->size == 8 ? base : (uint32_t)base;
}

static void write_base(struct bt_vcpu *vcpu, const struct bt_insn *insn, enum cpu_seg seg)
{
    uint64_t base = vcpu->gpr[insn->operand[0].reg & 15];

    if (!code64(vcpu) || !(vcpu->cr4 & BT_CR4_FSGSBASE))
        bt_raise(vcpu, BT_UD);
    base = insn->size == 8 ? base : (uint32_t)base;
    if (!segment_canonical(base))
        bt_raise_error(vcpu, BT_GP, 0);
    vcpu->seg[seg].base = base;
}

static void rdfsbase(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    read_base(vcpu, insn, CPU_FS);
}
static void rdgsbase(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    read_base(vcpu, insn, CPU_GS);
}
static void wrfsbase(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    write_base(vcpu, insn, CPU_FS);
}
static void wrgsbase(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    write_base(vcpu, insn, CPU_GS);
}

static void set_ac(struct bt_vcpu *vcpu, bool on)
{
    if (vcpu->cpl)
        bt_raise(vcpu, BT_UD);
    vcpu->rflags = (vcpu->rflags & ~(uint64_t)BT_FLAG_AC) | (on ? BT_FLAG_AC : 0);
}

static void clac(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    set_ac(vcpu, false);
}
static void stac(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    set_ac(vcpu, true);
}

static void too_long(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bt_raise_error(vcpu, BT_GP, 0);
}

static void undefined(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    bt_raise(vcpu, BT_UD);
}

static const struct interp_handler own[] = {
    {BT_OP_HLT, false, hlt},           {BT_OP_MOV_CR, false, mov_cr},
    {BT_OP_MOV_DR, false, mov_dr},     {BT_OP_CLTS, false, clts},
    {BT_OP_LMSW, false, lmsw},         {BT_OP_SMSW, false, smsw},
    {BT_OP_INVLPG, false, invlpg},     {BT_OP_INVPCID, false, invpcid},
    {BT_OP_INVD, false, wbinvd},       {BT_OP_WBINVD, false, wbinvd},
    {BT_OP_WBNOINVD, false, wbinvd},   {BT_OP_RDMSR, false, rdmsr},
    {BT_OP_WRMSR, false, wrmsr},       {BT_OP_RDTSC, false, rdtsc},
    {BT_OP_RDTSCP, false, rdtscp},     {BT_OP_RDPID, false, rdpid},
    {BT_OP_RDPMC, false, rdpmc},       {BT_OP_CPUID, false, cpuid},
    {BT_OP_XGETBV, false, xgetbv},     {BT_OP_XSETBV, false, xsetbv},
    {BT_OP_SWAPGS, false, swapgs},     {BT_OP_RDFSBASE, false, rdfsbase},
    {BT_OP_RDGSBASE, false, rdgsbase}, {BT_OP_WRFSBASE, false, wrfsbase},
    {BT_OP_WRGSBASE, false, wrgsbase}, {BT_OP_CLAC, false, clac},
    {BT_OP_STAC, false, stac},         {BT_OP_MONITOR, false, undefined},
    {BT_OP_MWAIT, false, undefined},   {BT_OP_UD, false, undefined},
    {BT_OP_TOO_LONG, false, too_long}, {0},
};

const struct interp_handler *const system_handlers[] = {
    own, port_handlers, segment_handlers, transfer_handlers, except_handlers, smm_handlers, NULL,
};
