/* SPDX-License-Identifier: Apache-2.0 */
/* Guest physical memory as the software engine sees it: made from guest RAM and the list of mapped
 * device memory, for outside and inside system management mode. See bt_vm.h.
 *
 * Dirty pages: what vCPUs write; devices' writes are noted by the gmem. A page that may be written
 * unseen (a TLB entry of some vCPU) has its bit set already; before bits are taken such entries go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat.h"

static int add(struct bt_memory *m, unsigned space, struct bt_piece piece)
{
    if (m->count[space] == BT_PIECES_MAX)
        return -ENOSPC;
    m->piece[space][m->count[space]++] = piece;
    return 0;
}

/* A part of a piece. */
static struct bt_piece slice(const struct bt_piece *old, uint64_t base, uint64_t end)
{
    struct bt_piece piece = *old;

    piece.base = base;
    piece.size = end - base;
    piece.host += base - old->base;
    piece.page += (base - old->base) / GMEM_PAGE_SIZE;
    return piece;
}

/* Takes [base, end) out of the pieces that are there. */
static int cut(struct bt_memory *m, unsigned space, uint64_t base, uint64_t end)
{
    for (unsigned i = m->count[space]; i-- > 0;) {
        struct bt_piece old = m->piece[space][i];
        uint64_t old_end = old.base + old.size;
        int rc = 0;
        if (!range_overlaps(old.base, old.size, base, end - base))
            continue;
        m->piece[space][i] = m->piece[space][--m->count[space]];
        if (old.base < base)
            rc = add(m, space, slice(&old, old.base, base));
        if (!rc && old_end > end)
            rc = add(m, space, slice(&old, end, old_end));
        if (rc)
            return rc;
    }
    return 0;
}

uint8_t *bt_vm_ram(const struct bt_vm *vm)
{
    return vm->flat ? flat_ram(vm->flat) : vm->gmem->host;
}

/* Memory that is part of guest RAM keeps its page numbers, so that its code and its dirty bits are
 * the same wherever it is seen. */
static struct bt_piece piece_of(const struct bt_vm *vm, unsigned i)
{
    const struct engine_memory *memory = &vm->mapped[i];
    uint8_t *host = memory->host, *ram = vm->gmem->host;
    bool in_ram =
        (uintptr_t)host >= (uintptr_t)ram && (uintptr_t)host < (uintptr_t)ram + vm->gmem->size;

    return (struct bt_piece){
        .base = memory->base,
        .size = memory->size,
        .host = in_ram ? bt_vm_ram(vm) + (host - ram) : host,
        .page = in_ram ? (uint64_t)(host - ram) / GMEM_PAGE_SIZE : vm->mapped_page[i],
        .readonly = memory->readonly,
        .ram = in_ram,
    };
}

static int compare(const void *a, const void *b)
{
    const struct bt_piece *x = a, *y = b;

    return x->base < y->base ? -1 : x->base > y->base;
}

static int make_space(const struct bt_vm *vm, struct bt_memory *m, unsigned space)
{
    int rc = 0;

    for (unsigned i = 0; i < vm->gmem->range_count && !rc; i++) {
        const struct gmem_range *r = &vm->gmem->range[i];
        rc = add(m, space,
                 (struct bt_piece){.base = r->base.v,
                                   .size = r->size,
                                   .host = bt_vm_ram(vm) + (r->host - vm->gmem->host),
                                   .page = (uint64_t)(r->host - vm->gmem->host) / GMEM_PAGE_SIZE,
                                   .ram = true});
    }
    for (unsigned i = 0; i < BT_MEMORY_MAX && !rc; i++) {
        const struct engine_memory *memory = &vm->mapped[i];
        if (!memory->size)
            continue;
        rc = cut(m, space, memory->base, memory->base + memory->size);
        if (!rc && memory->host && (space == BT_SPACE_SMM || !memory->smm_only))
            rc = add(m, space, piece_of(vm, i));
    }
    qsort(m->piece[space], m->count[space], sizeof m->piece[space][0], compare);
    return rc;
}

/* Old tables stay until the VM ends: a few kilobytes for each change, which are few. */
int bt_memory_publish(struct bt_vm *vm)
{
    struct bt_memory *m = calloc(1, sizeof *m);
    int rc = m ? 0 : -ENOMEM;

    for (unsigned space = 0; space < BT_SPACES && !rc; space++)
        rc = make_space(vm, m, space);
    if (rc) {
        free(m);
        return rc;
    }
    m->older = atomic_load(&vm->memory);
    atomic_store(&vm->memory, m);
    return 0;
}

void bt_memory_populate(struct bt_vm *vm, uint64_t block)
{
    uint64_t at = block * BT_BLOCK_BYTES, size = vm->gmem->size;

    if (at >= size || atomic_exchange(&vm->populated[block], 1))
        return;
    (void)madvise(bt_vm_ram(vm) + at, MIN(size - at, (uint64_t)BT_BLOCK_BYTES),
                  MADV_POPULATE_WRITE);
}

const struct bt_piece *bt_vm_find(struct bt_vm *vm, uint64_t gpa, bool smm)
{
    const struct bt_memory *m = atomic_load_explicit(&vm->memory, memory_order_acquire);
    const struct bt_piece *piece = m->piece[smm];
    unsigned low = 0, high = m->count[smm];

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (gpa < piece[middle].base)
            high = middle;
        else if (gpa - piece[middle].base >= piece[middle].size)
            low = middle + 1;
        else
            return &piece[middle];
    }
    return NULL;
}

static bool copy(struct bt_vm *vm, uint64_t at, uint8_t *data, unsigned len, bool smm, bool write)
{
    while (len) {
        const struct bt_piece *piece = bt_vm_find(vm, at, smm);
        unsigned page = 4096 - (at & 4095), n = MIN(len, page);
        if (!piece || (write && piece->readonly))
            return false;
        uint8_t *host = piece->host + (at - piece->base);
        memcpy(write ? host : data, write ? data : host, n);
        if (write) /* nobody runs code of a save area: its words are left alone */
            bt_vm_mark_dirty(vm, piece, at);
        at += n;
        data += n;
        len -= n;
    }
    return true;
}

bool bt_vm_read(struct bt_vm *vm, uint64_t at, void *data, unsigned len, bool smm)
{
    return copy(vm, at, data, len, smm, false);
}

bool bt_vm_write(struct bt_vm *vm, uint64_t at, const void *data, unsigned len, bool smm)
{
    return copy(vm, at, (uint8_t *)(uintptr_t)data, len, smm, true);
}

/* Mapping */

int bt_memory_create(struct bt_vm *vm)
{
    vm->pages = vm->gmem->size / GMEM_PAGE_SIZE + BT_DEVICE_PAGES;
    vm->dirty = calloc(vm->pages / 64 + 1, sizeof *vm->dirty);
    vm->populated = calloc(vm->gmem->size / BT_BLOCK_BYTES + 1, sizeof *vm->populated);
    return vm->dirty && vm->populated ? bt_memory_publish(vm) : -ENOMEM;
}

void bt_memory_destroy(struct bt_vm *vm)
{
    struct bt_memory *m = atomic_load(&vm->memory);

    while (m) {
        struct bt_memory *older = m->older;
        free(m);
        m = older;
    }
    free((void *)vm->dirty);
    free((void *)vm->populated);
}

/* First fit among the page numbers of device memory; 0: there is no room. */
static uint64_t place(const struct bt_vm *vm, uint64_t pages)
{
    uint64_t first = vm->pages - BT_DEVICE_PAGES, at = first;

    for (unsigned i = 0; i < BT_MEMORY_MAX; i++) {
        uint64_t size = vm->mapped[i].size / GMEM_PAGE_SIZE;
        if (!range_overlaps(vm->mapped_page[i], size, at, pages))
            continue;
        at = vm->mapped_page[i] + size;
        i = UINT32_MAX; /* from the beginning */
    }
    return pages <= BT_DEVICE_PAGES && at + pages <= vm->pages ? at : 0;
}

static int check(const struct bt_vm *vm, const struct engine_memory *memory, struct err *err)
{
    uint64_t bits = memory->base | memory->size | (uintptr_t)memory->host;

    if (!memory->size || bits & (GMEM_PAGE_SIZE - 1) || memory->base + memory->size < memory->base)
        return err_set(err, -EINVAL, "device memory at 0x%llx, size 0x%llx: not whole pages",
                       (unsigned long long)memory->base, (unsigned long long)memory->size);
    for (unsigned i = 0; i < BT_MEMORY_MAX; i++)
        if (range_overlaps(vm->mapped[i].base, vm->mapped[i].size, memory->base, memory->size))
            return err_set(err, -EEXIST, "device memory at 0x%llx overlaps that at 0x%llx",
                           (unsigned long long)memory->base,
                           (unsigned long long)vm->mapped[i].base);
    return 0;
}

static int map_locked(struct bt_vm *vm, const struct engine_memory *memory, struct err *err)
{
    int rc = check(vm, memory, err);
    unsigned i = 0;

    if (rc)
        return rc;
    while (i < BT_MEMORY_MAX && vm->mapped[i].size)
        i++;
    uint64_t page = place(vm, memory->size / GMEM_PAGE_SIZE);
    if (i == BT_MEMORY_MAX || !page)
        return err_set(err, -ENOSPC, "too much device memory");
    vm->mapped[i] = *memory;
    vm->mapped_page[i] = page;
    rc = bt_memory_publish(vm);
    if (!rc)
        return 0;
    vm->mapped[i].size = 0;
    return err_sys(err, rc, "cannot map device memory at 0x%llx", (unsigned long long)memory->base);
}

int bt_memory_map(struct bt_vm *vm, const struct engine_memory *memory, struct err *err)
{
    (void)pthread_mutex_lock(&vm->lock);
    int rc = map_locked(vm, memory, err);
    (void)pthread_mutex_unlock(&vm->lock);
    if (!rc)
        bt_vm_settle(vm, BT_REQUEST_FLUSH);
    return rc;
}

static int unmap_locked(struct bt_vm *vm, uint64_t base)
{
    for (unsigned i = 0; i < BT_MEMORY_MAX; i++)
        if (vm->mapped[i].size && vm->mapped[i].base == base) {
            vm->mapped[i].size = 0;
            return bt_memory_publish(vm);
        }
    return -ENOENT;
}

int bt_memory_unmap(struct bt_vm *vm, uint64_t base)
{
    (void)pthread_mutex_lock(&vm->lock);
    int rc = unmap_locked(vm, base);
    (void)pthread_mutex_unlock(&vm->lock);
    if (!rc) /* the memory may go away once nobody looks at it */
        bt_vm_settle(vm, BT_REQUEST_FLUSH);
    return rc;
}

/* Dirty pages */

static uint64_t number(const struct bt_piece *piece, uint64_t at)
{
    return piece->page + (at - piece->base) / GMEM_PAGE_SIZE;
}

void bt_vm_mark_dirty(struct bt_vm *vm, const struct bt_piece *piece, uint64_t gpa_)
{
    uint64_t page = number(piece, gpa_);

    (void)atomic_fetch_or(&vm->dirty[page / 64], BIT64(page % 64));
}

int bt_memory_dirty_enable(struct bt_vm *vm, bool on)
{
    for (uint64_t i = 0; on && i < vm->pages / 64 + 1; i++)
        atomic_store(&vm->dirty[i], 0);
    atomic_store(&vm->dirty_on, on);
    bt_vm_settle(vm, BT_REQUEST_PROTECT);
    return 0;
}

/* Whether one page was written since the last fetch. */
static bool take(struct bt_vm *vm, uint64_t page)
{
    _Atomic(uint64_t) *word = &vm->dirty[page / 64];
    uint64_t bit = BIT64(page % 64);

    return atomic_load_explicit(word, memory_order_relaxed) & bit &&
           atomic_fetch_and(word, ~bit) & bit;
}

int bt_memory_dirty_fetch(struct bt_vm *vm, uint64_t base, uint64_t size, uint64_t *bitmap)
{
    if ((base | size) & (GMEM_PAGE_SIZE - 1) || base + size < base || !atomic_load(&vm->dirty_on))
        return -EINVAL;
    bt_vm_settle(vm, BT_REQUEST_PROTECT);
    for (uint64_t done = 0; done < size; done += GMEM_PAGE_SIZE) {
        const struct bt_piece *piece = bt_vm_find(vm, base + done, true);
        if (piece && take(vm, number(piece, base + done)))
            bitmap[done / GMEM_PAGE_SIZE / 64] |= BIT64(done / GMEM_PAGE_SIZE % 64);
    }
    return 0;
}
