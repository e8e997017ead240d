/* SPDX-License-Identifier: Apache-2.0 */
/* One processor of the software engine with 32 MiB of memory and nothing around it: no controllers,
 * no bus. It starts in 64-bit code at CPL 0 without paging, which no real processor could, so that
 * linear addresses are physical ones; it runs until HLT or an exception, which is left in
 * vcpu->event. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/mmu.h"

enum { RIG_MEMORY = 32 << 20, RIG_FLAT = BT_MODE_PROTECTED | BT_MODE_FLAT | BT_MODE_STACK32 };

struct rig {
    struct bt_vm vm;
    struct gmem *gmem;
    struct bt_vcpu *vcpu;
};

static inline bool rig_open(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    if (gmem_create(RIG_MEMORY, GMEM_PAGES_AUTO, &rig->gmem, NULL) < 0)
        return false;
    struct bt_vm *vm = &rig->vm;
    vm->gmem = rig->gmem;
    vm->phys_bits = 40;
    (void)pthread_mutex_init(&vm->lock, NULL);
    (void)pthread_mutex_init(&vm->split_lock, NULL);
    if (bt_memory_create(vm) < 0 || block_vm_create(vm) < 0)
        return false;
    struct bt_vcpu *vcpu = aligned_alloc(64, (sizeof *vcpu + 63) & ~(size_t)63);
    memset(vcpu, 0, sizeof *vcpu);
    vcpu->vm = vm;
    vm->vcpu[0] = vcpu;
    rig->vcpu = vcpu;
    return mmu_create(vcpu) == 0 && block_cache_create(vcpu) == 0;
}

static inline void rig_close(struct rig *rig)
{
    block_cache_destroy(rig->vcpu);
    mmu_destroy(rig->vcpu);
    free(rig->vcpu);
    block_vm_destroy(&rig->vm);
    bt_memory_destroy(&rig->vm);
    gmem_destroy(rig->gmem);
}

/* `code` is BT_MODE_CODE16, 32 or 64. */
static inline void rig_reset(struct rig *rig, unsigned code)
{
    struct bt_vcpu *vcpu = rig->vcpu;

    memset(vcpu->gpr, 0, sizeof vcpu->gpr);
    for (unsigned i = 0; i < CPU_SEGS; i++)
        vcpu->seg[i] =
            (struct cpu_segment){.limit = UINT32_MAX, .selector = 8, .attributes = 0xc093};
    vcpu->seg[CPU_CS].attributes = 0xc09b;
    vcpu->cr0 = BT_CR0_PE;
    vcpu->efer = code == BT_MODE_CODE64 ? BT_EFER_LMA | BT_EFER_LME : 0;
    vcpu->mode = code | RIG_FLAT | (code == BT_MODE_CODE64 ? BT_MODE_LONG : 0);
    vcpu->rflags = 2;
    vcpu->run_state = CPU_RUNNING;
    vcpu->heed = UINT32_MAX;
    vcpu->fault_vector = -1;
    atomic_store(&vcpu->request, 0);
}

static inline void *rig_memory(struct rig *rig, uint64_t gpa)
{
    return rig->gmem->host + gpa;
}

/* As DMA would. */
static inline void rig_write(struct rig *rig, uint64_t address, const void *data, size_t len)
{
    (void)gmem_write(rig->gmem, gpa(address), data, len);
}
