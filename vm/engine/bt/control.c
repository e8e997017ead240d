/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers and model-specific registers: what may be written, and what follows from it.
 * SDM volume 3 section 2.5, volume 4; AMD64 APM volume 2 chapter 3. */
#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/lapic.h"
#include "vm/engine/bt/pvclock.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/system.h"
#include "vm/engine/bt/vec.h"

enum { CR0_ET = 16, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
#define CR0_DEFINED UINT64_C(0xe005003f)

/* MSRs that are no slots of msr.def. */
enum {
    MSR_APIC_BASE = 0x1b,
    MSR_UCODE_REV = 0x8b,
    MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_MCG_CAP = 0x179,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_END = 0x900,
};
enum { MSR_EFER = 0xc0000080, MSR_FS_BASE = 0xc0000100, MSR_GS_BASE = 0xc0000101 };

static _Noreturn void fault(struct bt_vcpu *vcpu)
{
    bt_raise_error(vcpu, BT_GP, 0);
}

/* Control registers */

static void set_paging(struct bt_vcpu *vcpu, uint64_t value)
{
    bool on = value & BT_CR0_PG;

    if (on && vcpu->efer & BT_EFER_LME) {
        if (!(vcpu->cr4 & BT_CR4_PAE) || vcpu->seg[CPU_CS].attributes & CPU_SEG_L)
            fault(vcpu);
        vcpu->efer |= BT_EFER_LMA;
    } else if (on) {
        if (!mmu_load_pdptrs(vcpu, value, vcpu->cr4, vcpu->cr3))
            fault(vcpu);
    } else {
        if (vcpu->cr4 & BT_CR4_PCIDE || (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64)
            fault(vcpu);
        vcpu->efer &= ~(uint64_t)BT_EFER_LMA;
    }
}

static void set_cr0(struct bt_vcpu *vcpu, uint64_t value)
{
    uint64_t old = vcpu->cr0;

    if (value >> 32 || (value & BT_CR0_PG && !(value & BT_CR0_PE)) ||
        (value & CR0_NW && !(value & CR0_CD)))
        fault(vcpu);
    value = (value & CR0_DEFINED) | CR0_ET;
    if ((old ^ value) & BT_CR0_PG)
        set_paging(vcpu, value);
    vcpu->cr0 = value;
    jit_vec_off(vcpu);
    if ((old ^ value) & (BT_CR0_PG | BT_CR0_PE | BT_CR0_WP))
        mmu_flush_all(vcpu);
    bt_mode_update(vcpu);
}

static void set_cr3(struct bt_vcpu *vcpu, uint64_t value)
{
    uint64_t keep = vcpu->cr4 & BT_CR4_PCIDE ? BIT64(63) : 0;

    if (vcpu->efer & BT_EFER_LMA && value & ~keep & ~(BIT64(vcpu->vm->phys_bits) - 1))
        fault(vcpu);
    if (!mmu_load_pdptrs(vcpu, vcpu->cr0, vcpu->cr4, value))
        fault(vcpu);
    mmu_set_cr3(vcpu, value);
}

uint64_t system_cr4_offered(const struct cpuid_table *cpuid)
{
    static const struct {
        const char *feature;
        uint64_t bits;
    } optional[] = {
        {"vme", BT_CR4_VME | BT_CR4_PVI},
        {"umip", BT_CR4_UMIP},
        {"fsgsbase", BT_CR4_FSGSBASE},
        {"pcid", BT_CR4_PCIDE},
        {"xsave", BT_CR4_OSXSAVE},
        {"smep", BT_CR4_SMEP},
        {"smap", BT_CR4_SMAP},
    };
    enum { MCE = 64, PCE = 256 };
    uint64_t allowed = BT_CR4_TSD | BT_CR4_DE | BT_CR4_PSE | BT_CR4_PAE | MCE | BT_CR4_PGE | PCE |
                       BT_CR4_OSFXSR | BT_CR4_OSXMMEXCPT;

    for (unsigned i = 0; i < ARRAY_SIZE(optional); i++)
        if (cpuid_has(cpuid, optional[i].feature))
            allowed |= optional[i].bits;
    return allowed;
}

static void set_cr4(struct bt_vcpu *vcpu, uint64_t value)
{
    const uint64_t translation =
        BT_CR4_PSE | BT_CR4_PAE | BT_CR4_PGE | BT_CR4_PCIDE | BT_CR4_SMEP | BT_CR4_SMAP;
    uint64_t changed = vcpu->cr4 ^ value;
    bool long_mode = vcpu->efer & BT_EFER_LMA;

    if (value & ~vcpu->vm->cr4 || (long_mode && !(value & BT_CR4_PAE)))
        fault(vcpu);
    if (changed & value & BT_CR4_PCIDE && (!long_mode || vcpu->cr3 & 0xfff))
        fault(vcpu);
    if (changed & (BT_CR4_PAE | BT_CR4_PSE | BT_CR4_PGE | BT_CR4_SMEP) &&
        !mmu_load_pdptrs(vcpu, vcpu->cr0, value, vcpu->cr3))
        fault(vcpu);
    vcpu->cr4 = value;
    jit_vec_off(vcpu);
    if (changed & translation)
        mmu_flush_all(vcpu);
}

void system_set_cr(struct bt_vcpu *vcpu, unsigned cr, uint64_t value)
{
    switch (cr) {
    case 0:
        set_cr0(vcpu, value);
        break;
    case 2:
        vcpu->cr2 = value;
        break;
    case 3:
        set_cr3(vcpu, value);
        break;
    case 4:
        set_cr4(vcpu, value);
        break;
    case 8:
        if (value > 15)
            fault(vcpu);
        bt_lapic_set_cr8(vcpu, (uint8_t)value);
        break;
    }
}

/* Model-specific registers */

uint64_t system_tsc(const struct bt_vcpu *vcpu)
{
    return __builtin_ia32_rdtsc() + vcpu->tsc_offset;
}

/* Registers of which the table in msr.def says that not every processor has them. */
static bool slot_offered(const struct bt_vcpu *vcpu, unsigned slot)
{
    switch (slot) {
    case MSR_SLOT_tsc_adjust:
        return cpuid_has(vcpu->cpuid, "tsc_adjust");
    case MSR_SLOT_tsc_aux:
        return cpuid_has(vcpu->cpuid, "rdtscp") || cpuid_has(vcpu->cpuid, "rdpid");
    case MSR_SLOT_hwcr:
        return vcpu->vm->amd;
    case MSR_SLOT_spec_ctrl:
        return !vcpu->vm->amd;
    case MSR_SLOT_smbase:
        return vcpu->smm;
    case MSR_SLOT_feature_control:
    case MSR_SLOT_misc_features_enables:
    case MSR_SLOT_virt_spec_ctrl:
    case MSR_SLOT_xss:
        return false;
    case MSR_SLOT_kvm_wall_clock:
    case MSR_SLOT_kvm_system_time:
        return cpuid_has(vcpu->cpuid, "kvm_clocksource2");
    }
    return slot < MSR_SLOT_kvm_wall_clock || slot > MSR_SLOT_kvm_async_pf_int;
}

static int find_slot(const struct bt_vcpu *vcpu, uint32_t index)
{
    for (unsigned i = 0; i < MSR_SLOT_MAX; i++)
        if (msr_info[i].index == index)
            return slot_offered(vcpu, i) ? (int)i : -1;
    return -1;
}

static uint64_t read_slot(struct bt_vcpu *vcpu, unsigned slot)
{
    if (slot == MSR_SLOT_tsc)
        return system_tsc(vcpu);
    if (slot == MSR_SLOT_tsc_deadline)
        return bt_lapic_deadline(vcpu);
    if (slot == MSR_SLOT_hwcr) /* TscFreqSel is a read-only one (PPR 17h) */
        return vcpu->msr[slot] | BIT(24);
    return vcpu->msr[slot];
}

bool system_rdmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t *ret_value)
{
    const struct msr_policy *policy;
    int slot;

    switch (index) {
    case MSR_APIC_BASE:
        *ret_value = vcpu->apic_base;
        return true;
    case MSR_UCODE_REV: /* as KVM has it: a revision, none in particular */
        *ret_value = vcpu->vm->amd ? 0x01000065 : UINT64_C(0x100000000);
        return true;
    case MSR_MTRR_CAP:
        *ret_value = 0x508; /* write-combining, fixed ranges, eight variable ones */
        return true;
    case MSR_MCG_CAP:
        *ret_value = BIT(8) | MSR_MC_BANKS;
        return true;
    case MSR_ARCH_CAPABILITIES:
        *ret_value = BT_ARCH_CAPABILITIES;
        return cpuid_has(vcpu->cpuid, "arch_capabilities");
    case MSR_EFER:
        *ret_value = vcpu->efer;
        return true;
    case MSR_FS_BASE:
        *ret_value = vcpu->seg[CPU_FS].base;
        return true;
    case MSR_GS_BASE:
        *ret_value = vcpu->seg[CPU_GS].base;
        return true;
    }
    if (index >= MSR_X2APIC && index < MSR_X2APIC_END)
        return bt_lapic_msr_read(vcpu, index, ret_value);
    slot = find_slot(vcpu, index);
    if (slot >= 0) {
        *ret_value = read_slot(vcpu, (unsigned)slot);
        return true;
    }
    policy = msr_policy_find(index);
    if (policy)
        *ret_value = policy->read;
    return policy;
}

static bool set_efer(struct bt_vcpu *vcpu, uint64_t value)
{
    uint64_t allowed = BT_EFER_SCE | BT_EFER_LME | BT_EFER_LMA | BT_EFER_NXE;

    if (cpuid_has(vcpu->cpuid, "autoibrs"))
        allowed |= BIT(21);
    if (value & ~allowed || ((value ^ vcpu->efer) & BT_EFER_LME && vcpu->cr0 & BT_CR0_PG))
        return false;
    bool translation = (value ^ vcpu->efer) & BT_EFER_NXE;
    vcpu->efer = (value & ~(uint64_t)BT_EFER_LMA) | (vcpu->efer & BT_EFER_LMA);
    if (translation)
        mmu_flush_all(vcpu);
    bt_mode_update(vcpu);
    return true;
}

/* What the page of the local APIC hides, or no longer does, may be in the TLB. */
static bool set_apic_base(struct bt_vcpu *vcpu, uint64_t value)
{
    uint64_t old = vcpu->apic_base;

    if (!bt_lapic_set_base(vcpu, value))
        return false;
    if (vcpu->apic_base != old)
        mmu_flush_all(vcpu);
    return true;
}

/* PAT and the fixed MTRRs: a memory type in each byte. */
static bool types_valid(uint64_t value, uint32_t types)
{
    for (unsigned i = 0; i < 64; i += 8)
        if ((value >> i & 0xff) > 7 || !(types >> (value >> i & 7) & 1))
            return false;
    return true;
}

/* A variable range's base with its type, or its mask: SDM figure 12-7. */
static bool range_valid(const struct bt_vcpu *vcpu, bool mask, uint64_t value, uint32_t types)
{
    enum { BASE_RESERVED = 0xf00, MASK_RESERVED = 0x7ff };

    if (value >> vcpu->vm->phys_bits || value & (mask ? MASK_RESERVED : BASE_RESERVED))
        return false;
    return mask || ((value & 0xff) <= 7 && types >> (value & 7) & 1);
}

static void set_tsc(struct bt_vcpu *vcpu, uint64_t value)
{
    uint64_t by = value - system_tsc(vcpu);

    vcpu->tsc_offset += by;
    vcpu->msr[MSR_SLOT_tsc_adjust] += by;
    bt_lapic_tsc_changed(vcpu);
    bt_pvclock_system_time(vcpu);
}

static bool write_slot(struct bt_vcpu *vcpu, unsigned slot, uint64_t value)
{
    enum { PAT_TYPES = 0xf3, MTRR_TYPES = 0x73 };

    switch (slot) {
    case MSR_SLOT_tsc:
        set_tsc(vcpu, value);
        return true;
    case MSR_SLOT_tsc_adjust:
        vcpu->tsc_offset += value - vcpu->msr[slot];
        vcpu->msr[slot] = value;
        bt_lapic_tsc_changed(vcpu);
        bt_pvclock_system_time(vcpu);
        return true;
    case MSR_SLOT_kvm_system_time:
        vcpu->msr[slot] = value;
        bt_pvclock_system_time(vcpu);
        return true;
    case MSR_SLOT_kvm_wall_clock:
        vcpu->msr[slot] = value;
        bt_pvclock_wall_clock(vcpu);
        return true;
    case MSR_SLOT_tsc_deadline:
        bt_lapic_set_deadline(vcpu, value);
        return true;
    case MSR_SLOT_lstar:
    case MSR_SLOT_cstar:
    case MSR_SLOT_sysenter_esp:
    case MSR_SLOT_sysenter_eip:
    case MSR_SLOT_kernel_gs_base:
        if (!segment_canonical(value))
            return false;
        break;
    case MSR_SLOT_sfmask:
    case MSR_SLOT_tsc_aux:
        if (value >> 32)
            return false;
        break;
    case MSR_SLOT_pat:
        if (!types_valid(value, PAT_TYPES))
            return false;
        break;
    case MSR_SLOT_mtrr_deftype:
        if (value & ~UINT64_C(0xcff) || !(MTRR_TYPES >> (value & 7) & 1) || (value & 0xff) > 7)
            return false;
        break;
    case MSR_SLOT_smbase:
        return false; /* set by RSM only */
    }
    if (slot >= MSR_SLOT_mtrr_fix64k_00000 && slot <= MSR_SLOT_mtrr_fix4k_f8000 &&
        !types_valid(value, MTRR_TYPES))
        return false;
    if (slot >= MSR_SLOT_mtrr_physbase0 && slot <= MSR_SLOT_mtrr_physmask7 &&
        !range_valid(vcpu, (slot - MSR_SLOT_mtrr_physbase0) & 1, value, MTRR_TYPES))
        return false;
    vcpu->msr[slot] = value;
    return true;
}

bool system_wrmsr(struct bt_vcpu *vcpu, uint32_t index, uint64_t value)
{
    const struct msr_policy *policy;
    int slot;

    switch (index) {
    case MSR_APIC_BASE:
        return set_apic_base(vcpu, value);
    case MSR_UCODE_REV:
        return true;
    case MSR_EFER:
        return set_efer(vcpu, value);
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        if (!segment_canonical(value))
            return false;
        vcpu->seg[index == MSR_FS_BASE ? CPU_FS : CPU_GS].base = value;
        return true;
    }
    if (index >= MSR_X2APIC && index < MSR_X2APIC_END)
        return bt_lapic_msr_write(vcpu, index, value);
    slot = find_slot(vcpu, index);
    if (slot >= 0)
        return write_slot(vcpu, (unsigned)slot, value);
    policy = msr_policy_find(index);
    return policy && policy->write_ignored;
}

/* CPUID: what depends on the state besides the table. */
void system_cpuid(struct bt_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t reg[4])
{
    const struct cpuid_entry *e = cpuid_find(vcpu->cpuid, leaf, subleaf);

    for (unsigned i = 0; i < CPUID_REGS; i++)
        reg[i] = e ? e->reg[i] : 0;
    if (e && leaf == 1) {
        if (vcpu->cr4 & BT_CR4_OSXSAVE)
            reg[CPUID_ECX] |= BIT(27);
        if (!(vcpu->apic_base & 0x800))
            reg[CPUID_EDX] &= ~BIT(9);
    }
    if (e && leaf == 0xd && subleaf <= 1)
        reg[CPUID_EBX] = vec_image_size(vcpu->xcr0);
    if (!e && (leaf == 0xb || leaf == 0x1f)) { /* levels that are not there keep ECX and EDX */
        const struct cpuid_entry *first = cpuid_find(vcpu->cpuid, leaf, 0);
        reg[CPUID_ECX] = first ? subleaf & 0xff : 0;
        reg[CPUID_EDX] = first ? first->reg[CPUID_EDX] : 0;
    }
}
