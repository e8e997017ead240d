/* SPDX-License-Identifier: Apache-2.0 */
/* System management mode: SMI entry and RSM with the state save area of AMD64 (APM volume 2 table
 * 10-2), which firmware for virtual machines expects of every processor with long mode.
 * Deliberately missing: I/O instruction restart, auto-halt's 32-bit layout. */
#include <string.h>

#include "base/bytes.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/system.h"

/* Offsets from SMBASE + 0xfe00. */
enum {
    SAVE_AREA = 0xfe00,
    SAVE_SIZE = 0x200,
    SAVE_SEGMENTS = 0x00, /* ES CS SS DS FS GS, 16 bytes each */
    SAVE_GDTR = 0x60,
    SAVE_LDTR = 0x70,
    SAVE_IDTR = 0x80,
    SAVE_TR = 0x90,
    SAVE_HALTED = 0xc9,
    SAVE_NMI_MASKED = 0xca,
    SAVE_EFER = 0xd0,
    SAVE_REVISION = 0xfc,
    SAVE_SMBASE = 0x100,
    SAVE_CR4 = 0x148,
    SAVE_CR3 = 0x150,
    SAVE_CR0 = 0x158,
    SAVE_DR7 = 0x160,
    SAVE_DR6 = 0x168,
    SAVE_RFLAGS = 0x170,
    SAVE_RIP = 0x178,
    SAVE_GPRS = 0x180,  /* R15 first, RAX last */
    REVISION = 0x20064, /* SMBASE can be moved */
};

static void save_segment(uint8_t *at, const struct cpu_segment *s)
{
    le16_store(at, s->selector);
    le16_store(at + 2, (uint16_t)((s->attributes & 0xff) | (s->attributes >> 4 & 0xf00) |
                                  (s->attributes & CPU_SEG_UNUSABLE ? 0x8000 : 0)));
    le32_store(at + 4, s->limit);
    le64_store(at + 8, s->base);
}

static void load_segment(const uint8_t *at, struct cpu_segment *s)
{
    uint16_t attributes = le16_load(at + 2);

    s->selector = le16_load(at);
    s->attributes = (uint16_t)((attributes & 0xff) | (attributes & 0xf00) << 4 |
                               (attributes & 0x8000 ? CPU_SEG_UNUSABLE : 0));
    s->limit = le32_load(at + 4);
    s->base = le64_load(at + 8);
}

static void save(const struct bt_vcpu *vcpu, uint8_t area[SAVE_SIZE])
{
    const struct cpu_segment gdtr = {.base = vcpu->gdtr.base, .limit = vcpu->gdtr.limit};
    const struct cpu_segment idtr = {.base = vcpu->idtr.base, .limit = vcpu->idtr.limit};

    memset(area, 0, SAVE_SIZE);
    for (unsigned i = CPU_ES; i <= CPU_GS; i++)
        save_segment(area + SAVE_SEGMENTS + i * 16, &vcpu->seg[i]);
    save_segment(area + SAVE_GDTR, &gdtr);
    save_segment(area + SAVE_LDTR, &vcpu->seg[CPU_LDTR]);
    save_segment(area + SAVE_IDTR, &idtr);
    save_segment(area + SAVE_TR, &vcpu->seg[CPU_TR]);
    area[SAVE_HALTED] = vcpu->run_state == CPU_HALTED;
    area[SAVE_NMI_MASKED] = vcpu->nmi_masked;
    le64_store(area + SAVE_EFER, vcpu->efer);
    le32_store(area + SAVE_REVISION, REVISION);
    le32_store(area + SAVE_SMBASE, (uint32_t)vcpu->msr[MSR_SLOT_smbase]);
    le64_store(area + SAVE_CR4, vcpu->cr4);
    le64_store(area + SAVE_CR3, vcpu->cr3);
    le64_store(area + SAVE_CR0, vcpu->cr0);
    le64_store(area + SAVE_DR7, vcpu->dr7);
    le64_store(area + SAVE_DR6, vcpu->dr6);
    le64_store(area + SAVE_RFLAGS, vcpu->rflags);
    le64_store(area + SAVE_RIP, vcpu->rip);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        le64_store(area + SAVE_GPRS + (15 - i) * 8, vcpu->gpr[i]);
}

/* Real mode with limits of 4 GiB, at SMBASE + 8000h. */
void smm_enter(struct bt_vcpu *vcpu)
{
    uint64_t smbase = vcpu->msr[MSR_SLOT_smbase];
    uint8_t area[SAVE_SIZE];

    save(vcpu, area);
    vcpu->smm = true;
    jit_vec_off(vcpu);
    mmu_flush_all(vcpu); /* what is seen there is other memory */
    (void)bt_vm_write(vcpu->vm, smbase + SAVE_AREA, area, sizeof area, true);
    vcpu->run_state = CPU_RUNNING;
    vcpu->nmi_masked = true;
    vcpu->cr0 &= ~(BT_CR0_PE | BT_CR0_EM | BT_CR0_TS | BT_CR0_PG);
    vcpu->cr4 = 0;
    vcpu->efer = 0;
    vcpu->dr7 = 0x400;
    vcpu->rflags = 2;
    vcpu->rip = 0x8000;
    vcpu->idtr = (struct cpu_table_register){0};
    for (unsigned i = CPU_ES; i <= CPU_GS; i++)
        vcpu->seg[i] = (struct cpu_segment){.limit = UINT32_MAX, .attributes = CPU_SEG_G | 0x93};
    vcpu->seg[CPU_CS].selector = (uint16_t)(smbase >> 4);
    vcpu->seg[CPU_CS].base = smbase;
    bt_mode_update(vcpu);
    bt_update_heed(vcpu);
}

/* The state that RSM loads has to be one that could be. */
static bool state_valid(const struct bt_vcpu *vcpu, const uint8_t *area)
{
    uint64_t cr0 = le64_load(area + SAVE_CR0), cr4 = le64_load(area + SAVE_CR4);
    uint64_t efer = le64_load(area + SAVE_EFER);
    bool paging = cr0 & BT_CR0_PG, lma = efer & BT_EFER_LMA;

    return !(cr0 >> 32) && (!paging || cr0 & BT_CR0_PE) && !(cr4 & ~vcpu->vm->cr4) &&
           lma == (paging && efer & BT_EFER_LME) && (!lma || cr4 & BT_CR4_PAE) &&
           !(le64_load(area + SAVE_CR3) >> vcpu->vm->phys_bits);
}

static void restore(struct bt_vcpu *vcpu, const uint8_t *area)
{
    struct cpu_segment gdtr, idtr;

    for (unsigned i = CPU_ES; i <= CPU_GS; i++)
        load_segment(area + SAVE_SEGMENTS + i * 16, &vcpu->seg[i]);
    load_segment(area + SAVE_GDTR, &gdtr);
    load_segment(area + SAVE_LDTR, &vcpu->seg[CPU_LDTR]);
    load_segment(area + SAVE_IDTR, &idtr);
    load_segment(area + SAVE_TR, &vcpu->seg[CPU_TR]);
    vcpu->gdtr = (struct cpu_table_register){.base = gdtr.base, .limit = (uint16_t)gdtr.limit};
    vcpu->idtr = (struct cpu_table_register){.base = idtr.base, .limit = (uint16_t)idtr.limit};
    vcpu->run_state = area[SAVE_HALTED] & 1 ? CPU_HALTED : CPU_RUNNING;
    vcpu->nmi_masked = area[SAVE_NMI_MASKED] & 1;
    vcpu->msr[MSR_SLOT_smbase] = le32_load(area + SAVE_SMBASE);
    vcpu->efer = le64_load(area + SAVE_EFER) & 0x200d01;
    vcpu->cr4 = le64_load(area + SAVE_CR4);
    vcpu->cr0 = le64_load(area + SAVE_CR0) | 16;
    vcpu->dr7 = (le64_load(area + SAVE_DR7) & 0xffff2fff) | 0x400;
    vcpu->dr6 = (le64_load(area + SAVE_DR6) & 0x1e00f) | 0xffff0ff0;
    vcpu->rflags = (le64_load(area + SAVE_RFLAGS) & 0x3f7fd7) | 2;
    vcpu->rip = le64_load(area + SAVE_RIP);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        vcpu->gpr[i] = le64_load(area + SAVE_GPRS + (15 - i) * 8);
}

static void rsm(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    uint8_t area[SAVE_SIZE];
    uint64_t smbase = vcpu->msr[MSR_SLOT_smbase];

    if (!vcpu->smm)
        bt_raise(vcpu, BT_UD);
    if (!bt_vm_read(vcpu->vm, smbase + SAVE_AREA, area, sizeof area, true) ||
        !state_valid(vcpu, area)) {
        vcpu->triple_fault = true;
        bt_attend(vcpu);
        return;
    }
    restore(vcpu, area);
    vcpu->smm = false;
    jit_vec_off(vcpu);
    mmu_set_cr3(vcpu, le64_load(area + SAVE_CR3));
    mmu_flush_all(vcpu);
    (void)mmu_load_pdptrs(vcpu, vcpu->cr0, vcpu->cr4, vcpu->cr3);
    bt_mode_update(vcpu);
    bt_update_heed(vcpu);
    if (vcpu->init_latched) {
        vcpu->init_latched = false;
        bt_vcpu_request(vcpu, BT_REQUEST_INIT);
    }
    bt_attend(vcpu);
}

const struct interp_handler smm_handlers[] = {
    {BT_OP_RSM, true, rsm},
    {0},
};
