/* SPDX-License-Identifier: Apache-2.0 */
/* What vec*.c needs of a processor (vec_fake.h). */
#include "tests/bt/vec_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/segment.h"

_Alignas(FAKE_PAGE) uint8_t fake_memory[FAKE_SIZE];

void bt_raise(struct bt_vcpu *vcpu, enum bt_vector vector)
{
    vcpu->event.vector = (uint8_t)vector;
    longjmp(vcpu->unwind, 1);
}

void bt_raise_error(struct bt_vcpu *vcpu, enum bt_vector vector, uint32_t error)
{
    vcpu->event.error = error;
    bt_raise(vcpu, vector);
}

static uint8_t *at(struct bt_vcpu *vcpu, uint64_t linear, unsigned len, bool write)
{
    uint64_t offset = linear - FAKE_BASE;

    if ((uint64_t)((int64_t)(linear << 16) >> 16) != linear)
        bt_raise_error(vcpu, BT_GP, 0);
    if (offset >= FAKE_SIZE || len > FAKE_SIZE - offset || (write && offset + len > FAKE_READONLY))
        bt_raise_error(vcpu, BT_PF, 0);
    return fake_memory + offset;
}

void mmu_read(struct bt_vcpu *vcpu, uint64_t linear, void *data, unsigned len)
{
    memcpy(data, at(vcpu, linear, len, false), len);
}

void mmu_write(struct bt_vcpu *vcpu, uint64_t linear, const void *data, unsigned len)
{
    memcpy(at(vcpu, linear, len, true), data, len);
}

void mmu_check_write(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    (void)at(vcpu, linear, size, true);
}

uint64_t mmu_load_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    return le_load(at(vcpu, linear, size, false), size);
}

void mmu_store_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
    le_store(at(vcpu, linear, size, true), size, value);
}

uint64_t segment_linear_slow(struct bt_vcpu *vcpu, unsigned seg, uint64_t offset, unsigned size,
                             enum mmu_access access)
{
    (void)vcpu, (void)seg, (void)size, (void)access;
    return offset;
}

uint64_t interp_ea(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size,
                   enum mmu_access access)
{
    uint64_t offset = (uint64_t)insn->disp;

    (void)size, (void)access;
    if (insn->base != BT_REG_NONE)
        offset += vcpu->gpr[insn->base];
    if (insn->index != BT_REG_NONE)
        offset += vcpu->gpr[insn->index] << insn->scale;
    return insn->addr_size == 8   ? offset
           : insn->addr_size == 4 ? (uint32_t)offset
                                  : (uint16_t)offset;
}

void fake_tlb(struct bt_vcpu *vcpu, bool hits)
{
    vcpu->tlb->context = hits ? 0 : MMU_CONTEXT_SLOW;
}

struct bt_vcpu *fake_create(void)
{
    struct bt_vcpu *vcpu = aligned_alloc(64, (sizeof *vcpu + 63) & ~(size_t)63);
    struct bt_tlb *tlb = malloc(sizeof *tlb);

    if (!vcpu || !tlb)
        abort();
    memset(vcpu, 0, sizeof *vcpu);
    memset(tlb, 0xff, sizeof *tlb);
    for (unsigned i = 0; i < FAKE_SIZE / FAKE_PAGE; i++) {
        uint64_t page = FAKE_BASE + i * FAKE_PAGE;
        struct bt_tlb_entry *e = &tlb->entry[(page >> 12) & (MMU_TLB_SIZE - 1)];
        e->tag[MMU_READ] = page;
        if (i * FAKE_PAGE < FAKE_READONLY)
            e->tag[MMU_WRITE] = page;
        e->addend = (uint64_t)(uintptr_t)fake_memory - FAKE_BASE;
    }
    vcpu->tlb = tlb;
    vcpu->mode = BT_MODE_CODE64 | BT_MODE_PROTECTED | BT_MODE_LONG;
    vcpu->cr0 = BT_CR0_PE | BT_CR0_MP | BT_CR0_NE;
    vcpu->cr4 = BT_CR4_OSFXSR | BT_CR4_OSXMMEXCPT | BT_CR4_OSXSAVE;
    vcpu->xcr0 = 7;
    vcpu->rflags = 2;
    fake_tlb(vcpu, true);
    vec_image_complete(vcpu);
    return vcpu;
}

void fake_destroy(struct bt_vcpu *vcpu)
{
    free(vcpu->tlb);
    free(vcpu);
}

int fake_run_insn(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    if (setjmp(vcpu->unwind))
        return vcpu->event.vector;
    insn->run(vcpu, insn);
    return -1;
}

int fake_run(struct bt_vcpu *vcpu, struct vec_cache *cache, const uint8_t *bytes, unsigned len,
             unsigned code)
{
    struct bt_insn insn;

    if (bt_decode(bytes, len, code, &insn) != len || !vec_bind(cache, &insn)) {
        (void)fprintf(stderr, "not a vector instruction: %s\n", bt_op_name(insn.op));
        abort();
    }
    return fake_run_insn(vcpu, &insn);
}
