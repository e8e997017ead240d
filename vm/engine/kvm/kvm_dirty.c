/* SPDX-License-Identifier: Apache-2.0 */
/* Memory slots one by one, and which of their pages the guest has written: KVM's dirty log with
 * manual protection, so that a fetch of a part leaves the rest alone and a page is protected again
 * just before its contents are read. The dirty ring is deliberately not used: it needs a place to
 * put its entries for every vCPU, and the log costs nothing while it is off. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/engine/kvm/kvm_internal.h"

/* Tells KVM of vm->slot[space][number]; `size` 0 deletes it. */
int kvm_slot_set(struct engine_vm *vm, unsigned space, unsigned number, uint64_t size)
{
    const struct kvm_slot *slot = &vm->slot[space][number];
    struct kvm_userspace_memory_region region = {
        .slot = space << 16 | number,
        .flags = (slot->readonly ? KVM_MEM_READONLY : 0) |
                 (vm->dirty_on && !slot->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = slot->base,
        .memory_size = size,
        .userspace_addr = (uintptr_t)slot->host,
    };

    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

int kvm_dirty_enable(struct engine_vm *vm, bool on)
{
    int rc = 0;

    (void)pthread_mutex_lock(&vm->lock);
    vm->dirty_on = on;
    for (unsigned space = 0; space < KVM_SPACES; space++)
        for (unsigned n = 0; n < KVM_SLOTS_MAX && !rc; n++)
            if (vm->slot[space][n].size)
                rc = kvm_slot_set(vm, space, n, vm->slot[space][n].size);
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

/* ORs bits [first, first + count) of a slot's log into `to`, where page `first` is bit `to_first`;
 * clears the others in `log`, which is then what must be protected again. */
static void take_bits(uint64_t *log, uint64_t log_words, uint64_t first, uint64_t count,
                      uint64_t *to, uint64_t to_first)
{
    for (uint64_t w = 0; w < log_words; w++) {
        uint64_t kept = 0;
        for (uint64_t bits = log[w]; bits; bits &= bits - 1) {
            uint64_t page = w * 64 + (unsigned)__builtin_ctzll(bits);
            if (page < first || page - first >= count)
                continue;
            kept |= BIT64(page % 64);
            uint64_t target = to_first + (page - first);
            to[target / 64] |= BIT64(target % 64);
        }
        log[w] = kept;
    }
}

static int fetch_slot(struct engine_vm *vm, unsigned space, unsigned number, uint64_t base,
                      uint64_t size, uint64_t *bitmap)
{
    const struct kvm_slot *slot = &vm->slot[space][number];
    uint64_t start = MAX(base, slot->base), end = MIN(base + size, slot->base + slot->size);
    uint64_t first = (start - slot->base) / GMEM_PAGE_SIZE, count = (end - start) / GMEM_PAGE_SIZE;
    uint64_t pages = slot->size / GMEM_PAGE_SIZE, words = (pages + 63) / 64;
    cleanup_free uint64_t *log = calloc(words, sizeof *log);
    struct kvm_dirty_log get = {.slot = space << 16 | number, .dirty_bitmap = log};

    if (!log)
        return -ENOMEM;
    if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &get) < 0)
        return -errno;
    take_bits(log, words, first, count, bitmap, (start - base) / GMEM_PAGE_SIZE);

    /* The range to clear begins at a multiple of 64 and ends at one or with the slot. */
    uint64_t from = align_down(first, 64), to = MIN(align_up(first + count, 64), pages);
    struct kvm_clear_dirty_log clear = {
        .slot = space << 16 | number,
        .num_pages = (uint32_t)(to - from),
        .first_page = from,
        .dirty_bitmap = log + from / 64,
    };
    return ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0 ? -errno : 0;
}

int kvm_dirty_fetch(struct engine_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap)
{
    int rc = 0;

    if ((base | size) & (GMEM_PAGE_SIZE - 1) || base + size < base)
        return -EINVAL;
    (void)pthread_mutex_lock(&vm->lock);
    if (!vm->dirty_on)
        rc = -EINVAL;
    for (unsigned space = 0; space < KVM_SPACES; space++)
        for (unsigned n = 0; n < KVM_SLOTS_MAX && !rc; n++) {
            const struct kvm_slot *slot = &vm->slot[space][n];
            if (!slot->readonly && range_overlaps(slot->base, slot->size, base, size))
                rc = fetch_slot(vm, space, n, base, size, bitmap);
        }
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}
