/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory as KVM sees it. The truth is guest RAM and the list of mapped device memory; the
 * slots of each address space are computed from it, and a change replaces only the slots that
 * differ. So guest RAM stays in one slot a range, aligned for large pages, until system management
 * memory is cut out of it.
 *
 * Cutting deletes the slot and adds its pieces, so for a moment other processors find no memory
 * there: firmware does it while they wait for INIT. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/range.h"
#include "vm/engine/kvm/kvm_internal.h"

struct layout {
    unsigned count;
    struct kvm_slot piece[KVM_SLOTS_MAX];
};

static int layout_add(struct layout *layout, struct kvm_slot piece)
{
    if (layout->count == KVM_SLOTS_MAX)
        return -ENOSPC;
    layout->piece[layout->count++] = piece;
    return 0;
}

static bool same_memory(const struct kvm_slot *piece, const struct engine_memory *memory)
{
    return range_within(memory->base - piece->base, memory->size, piece->size) &&
           memory->base >= piece->base && !memory->readonly &&
           piece->host + (memory->base - piece->base) == memory->host;
}

/* Takes [memory) out of the pieces that are there. */
static int layout_cut(struct layout *layout, const struct engine_memory *memory)
{
    uint64_t end = memory->base + memory->size;

    for (unsigned i = layout->count; i-- > 0;) {
        struct kvm_slot old = layout->piece[i];
        uint64_t old_end = old.base + old.size;
        if (!range_overlaps(old.base, old.size, memory->base, memory->size))
            continue;
        layout->piece[i] = layout->piece[--layout->count];
        if (old.base < memory->base &&
            layout_add(layout, (struct kvm_slot){.base = old.base,
                                                 .size = memory->base - old.base,
                                                 .host = old.host,
                                                 .readonly = old.readonly}))
            return -ENOSPC;
        if (old_end > end &&
            layout_add(layout, (struct kvm_slot){.base = end,
                                                 .size = old_end - end,
                                                 .host = old.host + (end - old.base),
                                                 .readonly = old.readonly}))
            return -ENOSPC;
    }
    return 0;
}

static int layout_place(struct layout *layout, const struct engine_memory *memory, unsigned space)
{
    bool visible = memory->host && (space == KVM_SPACE_SMM || !memory->smm_only);
    int rc;

    for (unsigned i = 0; visible && i < layout->count; i++)
        if (same_memory(&layout->piece[i], memory))
            return 0; /* RAM seen as what it is: no need to cut it up */
    rc = layout_cut(layout, memory);
    if (rc || !visible)
        return rc;
    return layout_add(layout, (struct kvm_slot){.base = memory->base,
                                                .size = memory->size,
                                                .host = memory->host,
                                                .readonly = memory->readonly});
}

static int layout_make(const struct engine_vm *vm, unsigned space, struct layout *layout)
{
    int rc = 0;

    layout->count = 0;
    for (unsigned i = 0; i < vm->gmem->range_count; i++) {
        const struct gmem_range *ram = &vm->gmem->range[i];
        rc = layout_add(
            layout, (struct kvm_slot){.base = ram->base.v, .size = ram->size, .host = ram->host});
    }
    for (unsigned i = 0; i < KVM_MEMORY_MAX && !rc; i++)
        if (vm->memory[i].size)
            rc = layout_place(layout, &vm->memory[i], space);
    return rc;
}

static bool slot_equal(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->base == b->base && a->size == b->size && a->host == b->host &&
           a->readonly == b->readonly;
}

static bool layout_take(struct layout *layout, const struct kvm_slot *slot)
{
    for (unsigned i = 0; i < layout->count; i++)
        if (slot_equal(&layout->piece[i], slot)) {
            layout->piece[i] = layout->piece[--layout->count];
            return true;
        }
    return false;
}

/* Brings the slots of one space to what they should be: first away with what is wrong, since slots
 * may not overlap. */
static int sync_space(struct engine_vm *vm, unsigned space)
{
    struct layout layout;
    int rc = layout_make(vm, space, &layout);

    for (unsigned n = 0; n < KVM_SLOTS_MAX && !rc; n++) {
        struct kvm_slot *slot = &vm->slot[space][n];
        if (!slot->size || layout_take(&layout, slot))
            continue;
        rc = kvm_slot_set(vm, space, n, 0);
        slot->size = 0;
    }
    for (unsigned n = 0; n < KVM_SLOTS_MAX && layout.count && !rc; n++) {
        struct kvm_slot *slot = &vm->slot[space][n];
        if (slot->size)
            continue;
        *slot = layout.piece[--layout.count];
        rc = kvm_slot_set(vm, space, n, slot->size);
        if (rc)
            slot->size = 0;
    }
    return rc ? rc : layout.count ? -ENOSPC : 0;
}

static int sync_spaces(struct engine_vm *vm)
{
    int rc = sync_space(vm, KVM_SPACE_NORMAL);

    return rc || !vm->smm_used ? rc : sync_space(vm, KVM_SPACE_SMM);
}

int kvm_memory_init(struct engine_vm *vm, struct err *err)
{
    int rc = sync_spaces(vm);

    return rc ? err_sys(err, rc, "cannot give guest memory to KVM") : 0;
}

int kvm_memory_use_smm(struct engine_vm *vm)
{
    int rc = 0;

    (void)pthread_mutex_lock(&vm->lock);
    if (!vm->smm_used) {
        vm->smm_used = true;
        rc = sync_space(vm, KVM_SPACE_SMM);
    }
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

static int check(const struct engine_vm *vm, const struct engine_memory *memory, struct err *err)
{
    uint64_t bits = memory->base | memory->size | (uintptr_t)memory->host;

    if (!memory->size || bits & (GMEM_PAGE_SIZE - 1) || memory->base + memory->size < memory->base)
        return err_set(err, -EINVAL, "device memory at 0x%llx, size 0x%llx: not whole pages",
                       (unsigned long long)memory->base, (unsigned long long)memory->size);
    if (memory->smm_only && !vm->caps.smm)
        return err_set(err, -ENOSYS, "this host's KVM has no system management mode");
    for (unsigned i = 0; i < KVM_MEMORY_MAX; i++)
        if (range_overlaps(vm->memory[i].base, vm->memory[i].size, memory->base, memory->size))
            return err_set(err, -EEXIST, "device memory at 0x%llx overlaps that at 0x%llx",
                           (unsigned long long)memory->base,
                           (unsigned long long)vm->memory[i].base);
    return 0;
}

static int map_locked(struct engine_vm *vm, const struct engine_memory *memory, struct err *err)
{
    int rc = check(vm, memory, err);

    if (rc)
        return rc;
    for (unsigned i = 0; i < KVM_MEMORY_MAX; i++) {
        if (vm->memory[i].size)
            continue;
        vm->memory[i] = *memory;
        vm->smm_used |= memory->smm_only;
        rc = sync_spaces(vm);
        if (!rc)
            return 0;
        vm->memory[i].size = 0;
        (void)sync_spaces(vm);
        return err_sys(err, rc, "cannot map device memory at 0x%llx",
                       (unsigned long long)memory->base);
    }
    return err_set(err, -ENOSPC, "more than %d pieces of device memory", KVM_MEMORY_MAX);
}

int kvm_map(struct engine_vm *vm, const struct engine_memory *memory, struct err *err)
{
    (void)pthread_mutex_lock(&vm->lock);
    int rc = map_locked(vm, memory, err);
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_unmap(struct engine_vm *vm, uint64_t base)
{
    int rc = -ENOENT;

    (void)pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < KVM_MEMORY_MAX && rc == -ENOENT; i++)
        if (vm->memory[i].size && vm->memory[i].base == base) {
            vm->memory[i].size = 0;
            rc = sync_spaces(vm);
        }
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}
