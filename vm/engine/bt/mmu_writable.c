/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages may be written unseen (mmu.h): what is in the TLB goes, and what is in the flat
 * tables, for those that record dirty pages, and for pages that become code. */
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/mmu.h"

void mmu_drop_writable(struct bt_vcpu *vcpu)
{
    bool dirty = atomic_load(&vcpu->vm->dirty_on);

    for (unsigned i = 0; i < MMU_TLB_SIZE; i++) {
        struct bt_tlb_entry *e = &vcpu->tlb->entry[i];
        bool code = e->rights & MMU_ENTRY_WRITE && block_page_has_code(vcpu->vm, e->number);
        if (!(e->rights & MMU_ENTRY_WRITE) || !(dirty || code))
            continue;
        e->rights &= ~(uint32_t)MMU_ENTRY_WRITE;
        e->tag[MMU_WRITE] = MMU_TAG_NONE;
        if (code)
            block_written(vcpu, e->number);
    }
    flat_drop_writable(vcpu);
}

/* Whether this vCPU may have an entry that allows writing the page; any thread may ask, once the
 * page's code bit is set: who makes such an entry says so first, and then looks at the bit. */
static bool may_write(const struct bt_vcpu *vcpu, uint64_t page)
{
    return page >= vcpu->vm->gmem->size / GMEM_PAGE_SIZE || atomic_load(&vcpu->tlb->wrote[page]);
}

static void protect_own(struct bt_vcpu *vcpu, uint64_t page)
{
    bool ram = page < vcpu->vm->gmem->size / GMEM_PAGE_SIZE;
    uint16_t wrote = ram ? atomic_load(&vcpu->tlb->wrote[page]) : MMU_WROTE_MANY;
    unsigned first = wrote == MMU_WROTE_MANY ? 0 : wrote - 1u;
    unsigned end = wrote == MMU_WROTE_MANY ? MMU_TLB_SIZE : wrote == MMU_WROTE_FLAT ? 0 : wrote;

    if (!wrote)
        return;
    for (unsigned i = first; i < end; i++) {
        struct bt_tlb_entry *e = &vcpu->tlb->entry[i];
        if (e->rights & MMU_ENTRY_WRITE && e->number == page) {
            e->rights &= ~(uint32_t)MMU_ENTRY_WRITE;
            e->tag[MMU_WRITE] = MMU_TAG_NONE;
        }
    }
    flat_protect(vcpu, page);
    if (ram)
        atomic_store_explicit(&vcpu->tlb->wrote[page], 0, memory_order_relaxed);
}

/* The first one, from `i` on, that has been asked and not done it. */
static struct bt_vcpu *laggard(const struct bt_vcpu *vcpu, unsigned *i)
{
    const struct bt_vm *vm = vcpu->vm;

    for (; *i < vm->model.cpus; ++*i) {
        struct bt_vcpu *other = atomic_load(&vm->vcpu[*i]);
        if (other && other != vcpu && !bt_vcpu_settled(other, BT_REQUEST_PROTECT))
            return other;
    }
    return NULL;
}

bool mmu_protect_code(struct bt_vcpu *vcpu, uint64_t page)
{
    struct bt_vm *vm = vcpu->vm;
    bool asked = false;

    protect_own(vcpu, page);
    for (unsigned i = 0; i < vm->model.cpus; i++) {
        struct bt_vcpu *other = atomic_load(&vm->vcpu[i]);
        if (!other || other == vcpu || !may_write(other, page))
            continue;
        atomic_fetch_or(&other->request, BT_REQUEST_PROTECT); /* no need to wake it */
        jit_call(other);
        asked = true;
    }
    if (!asked)
        return false;
    bt_vcpu_quiet(vcpu); /* two may wait for each other */
    for (unsigned i = 0, tries = 0; laggard(vcpu, &i); tries++)
        bt_vm_pause(tries);
    bt_vcpu_busy(vcpu);
    return true;
}
