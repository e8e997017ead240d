/* SPDX-License-Identifier: Apache-2.0 */
/* Linear to guest physical to host: the walk of the page tables, the TLB, and accesses that do not
 * hit it. SDM volume 3 chapter 4, AMD64 APM volume 2 chapter 5.
 *
 * Emptying the TLB is renumbering: contexts are handed out one after the other, and when they run
 * out all entries go. Global pages keep a generation beside their tags; an entry of another context
 * whose generation is current is given the current context's tags instead of a walk.
 *
 * Deliberately missing: protection keys, LA57, shadow stacks, memory types (all is write-back). */
#include "vm/engine/bt/mmu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/lapic.h"
#include "vm/engine/bt/segment.h"

enum {
    PTE_P = 1,
    PTE_W = 2,
    PTE_U = 4,
    PTE_A = 32,
    PTE_D = 64,
    PTE_PS = 128,
    PTE_G = 256,
};
#define PTE_NX BIT64(63)

enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_RSVD = 8, ERROR_ID = 16 };

/* Who asks. A user access has user rights; `implicit`: the processor itself, for its tables. */
struct who {
    bool user, implicit;
};

struct page {
    uint64_t gpa;    /* of the address, not of its page */
    uint32_t rights; /* ENTRY_* */
};

/* Contexts */

static void drop_entry(struct bt_tlb_entry *e)
{
    e->tag[MMU_READ] = e->tag[MMU_WRITE] = e->tag[MMU_EXECUTE] = MMU_TAG_NONE;
    e->page = MMU_TAG_NONE;
    e->rights = 0;
}

static void drop_entries(struct bt_tlb *tlb)
{
    for (unsigned i = 0; i < MMU_TLB_SIZE; i++)
        drop_entry(&tlb->entry[i]);
}

static uint16_t new_context(struct bt_vcpu *vcpu)
{
    struct bt_tlb *tlb = vcpu->tlb;

    if (tlb->next_context >= MMU_CONTEXT_GLOBAL - 2) {
        drop_entries(tlb);
        for (unsigned i = 0; i < MMU_SPACES; i++)
            tlb->space[i].context = 0;
        tlb->next_context = 0;
        vcpu->map_epoch++;
    }
    return tlb->next_context += 2;
}

void mmu_update_context(struct bt_vcpu *vcpu)
{
    struct bt_tlb *tlb = vcpu->tlb;
    bool user = vcpu->cr0 & BT_CR0_PG && vcpu->cpl == 3;
    bool checks = vcpu->cpl == 3 && vcpu->cr0 & BT_CR0_AM && vcpu->rflags & BT_FLAG_AC;

    if (!tlb)
        return;
    if (!tlb->space[0].context)
        tlb->space[0].context = new_context(vcpu);
    tlb->real_context = tlb->space[0].context | (user ? MMU_CONTEXT_USER : 0);
    tlb->context = checks || except_breaks_armed(vcpu) ? MMU_CONTEXT_SLOW : tlb->real_context;
}

int mmu_create(struct bt_vcpu *vcpu)
{
    struct bt_tlb *tlb = calloc(1, sizeof *tlb);

    if (!tlb)
        return -ENOMEM;
    tlb->wrote = calloc(vcpu->vm->gmem->size / GMEM_PAGE_SIZE, sizeof *tlb->wrote);
    if (!tlb->wrote) {
        free(tlb);
        return -ENOMEM;
    }
    vcpu->tlb = tlb;
    for (unsigned i = 0; i < MMU_SPACES; i++)
        tlb->space[i].table = (uint8_t)i;
    drop_entries(tlb);
    mmu_update_context(vcpu);
    return 0;
}

void mmu_destroy(struct bt_vcpu *vcpu)
{
    if (vcpu->tlb)
        free((void *)vcpu->tlb->wrote);
    free(vcpu->tlb);
    vcpu->tlb = NULL;
}

void mmu_flush(struct bt_vcpu *vcpu)
{
    vcpu->tlb->space[0].context = 0;
    flat_flush(vcpu);
    mmu_update_context(vcpu);
}

void mmu_flush_all(struct bt_vcpu *vcpu)
{
    struct bt_tlb *tlb = vcpu->tlb;

    tlb->global++;
    vcpu->map_epoch++;
    for (unsigned i = 0; i < MMU_SPACES; i++)
        tlb->space[i].context = 0;
    memset(tlb->large, 0, sizeof tlb->large);
    memset(tlb->huge, 0, sizeof tlb->huge);
    flat_flush_all(vcpu);
    mmu_update_context(vcpu);
}

void mmu_flush_pcid(struct bt_vcpu *vcpu, uint16_t pcid)
{
    struct bt_tlb *tlb = vcpu->tlb;

    for (unsigned i = 0; i < MMU_SPACES; i++)
        if (tlb->space[i].pcid == pcid) {
            tlb->space[i].context = 0;
            flat_flush_space(vcpu, tlb->space[i].table);
        }
    if (tlb->space[0].pcid == pcid)
        flat_leave_space(vcpu);
    mmu_update_context(vcpu);
}

static unsigned large_shift(const struct bt_vcpu *vcpu)
{
    return vcpu->cr4 & BT_CR4_PAE ? 21 : 22;
}

static bool entry_covers(const struct bt_vcpu *vcpu, const struct bt_tlb_entry *e, uint64_t linear)
{
    unsigned shift = e->rights & MMU_ENTRY_HUGE    ? 30
                     : e->rights & MMU_ENTRY_LARGE ? large_shift(vcpu)
                                                   : 12;

    return e->page != MMU_TAG_NONE && e->page >> shift == linear >> shift;
}

void mmu_flush_page(struct bt_vcpu *vcpu, uint64_t linear)
{
    struct bt_tlb *tlb = vcpu->tlb;
    uint64_t first = linear >> 12, count = 1, bytes = 4096;

    if (tlb->large[linear >>
                   63]) { /* large pages leave entries of 4 KiB; a 4-MiB page has twice as many */
        first = first & ~UINT64_C(1023);
        count = 1024;
        bytes = BIT64(large_shift(vcpu));
    }
    if (tlb->huge[linear >> 63]) {
        count = MMU_TLB_SIZE;
        bytes = GIB(1);
    }
    for (uint64_t i = 0; i < count; i++) {
        struct bt_tlb_entry *e = &tlb->entry[(first + i) & (MMU_TLB_SIZE - 1)];
        if (entry_covers(vcpu, e, linear))
            drop_entry(e);
    }
    flat_flush_range(vcpu, linear, bytes);
    vcpu->map_epoch++;
}

/* The space of `pcid` becomes the current one, at the front; the least recently used makes room. */
static void use_space(struct bt_vcpu *vcpu, uint16_t pcid, bool keep)
{
    struct bt_tlb *tlb = vcpu->tlb;
    unsigned i = 0;

    while (i < MMU_SPACES - 1 && tlb->space[i].pcid != pcid)
        i++;
    struct mmu_space space = tlb->space[i];
    flat_leave_space(vcpu);
    if (space.pcid != pcid || !keep) {
        space = (struct mmu_space){.pcid = pcid, .table = space.table};
        flat_flush_space(vcpu, space.table);
    }
    memmove(&tlb->space[1], &tlb->space[0], i * sizeof space);
    tlb->space[0] = space;
}

void mmu_set_cr3(struct bt_vcpu *vcpu, uint64_t value)
{
    bool pcid = vcpu->cr4 & BT_CR4_PCIDE;

    vcpu->cr3 = value & ~BIT64(63);
    use_space(vcpu, pcid ? value & 0xfff : 0, pcid && value >> 63);
    mmu_update_context(vcpu);
}

/* Writability */

static uint64_t page_number(const struct bt_piece *piece, uint64_t gpa)
{
    return piece->page + ((gpa - piece->base) >> 12);
}

static void mark_written(struct bt_vcpu *vcpu, const struct bt_piece *piece, uint64_t gpa)
{
    if (__builtin_expect(atomic_load_explicit(&vcpu->vm->dirty_on, memory_order_relaxed), 0))
        bt_vm_mark_dirty(vcpu->vm, piece, gpa);
}

/* The walk */

/* bt_vm_find, which mostly finds the same: nearly all guests have their page tables, and what they
 * map, in one piece. */
static const struct bt_piece *find_piece(struct bt_vcpu *vcpu, uint64_t gpa)
{
    struct bt_tlb *tlb = vcpu->tlb;
    const struct bt_memory *memory = atomic_load_explicit(&vcpu->vm->memory, memory_order_acquire);
    const struct bt_piece *piece = tlb->piece;

    if (tlb->piece_of == memory && tlb->piece_smm == vcpu->smm && gpa - piece->base < piece->size)
        return piece;
    piece = bt_vm_find(vcpu->vm, gpa, vcpu->smm);
    if (piece) {
        tlb->piece = piece;
        tlb->piece_of = memory;
        tlb->piece_smm = vcpu->smm;
    }
    return piece;
}

/* Page-table entries are guest memory, changed by anybody at any time. */
static uint64_t read_entry(struct bt_vcpu *vcpu, uint64_t gpa, unsigned size,
                           const struct bt_piece **ret_piece, void **ret_host)
{
    const struct bt_piece *piece = find_piece(vcpu, gpa);

    *ret_piece = piece;
    *ret_host = piece ? piece->host + (gpa - piece->base) : NULL;
    if (!piece)
        return bt_bus_read(vcpu, BUS_MMIO, gpa, size);
    return mmu_host_load(*ret_host, size);
}

/* Sets `bits` in an entry if it still is what was read; false: it is not, walk again. */
static bool set_entry_bits(struct bt_vcpu *vcpu, const struct bt_piece *piece, void *host,
                           uint64_t gpa, unsigned size, uint64_t old, uint64_t bits)
{
    uint32_t old32 = (uint32_t)old;

    if ((old & bits) == bits || !piece || piece->readonly)
        return true;
    if (size == 8 ? !__atomic_compare_exchange_n((uint64_t *)host, &old, old | bits, false,
                                                 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
                  : !__atomic_compare_exchange_n((uint32_t *)host, &old32, old32 | (uint32_t)bits,
                                                 false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return false;
    mark_written(vcpu, piece, gpa);
    if (__builtin_expect(block_page_has_code(vcpu->vm, page_number(piece, gpa)), 0))
        block_written(vcpu, page_number(piece, gpa));
    return true;
}

struct level {
    uint64_t gpa, value;
    const struct bt_piece *piece;
    void *host;
};

struct walk {
    struct level level[4];
    unsigned depth, size; /* entries seen; bytes of each */
    uint64_t gpa;
    uint32_t rights;
};

/* Bits that have to be 0 in an entry of 8 bytes. */
static uint64_t reserved_bits(const struct bt_vcpu *vcpu, unsigned shift, uint64_t value)
{
    bool pae = !(vcpu->efer & BT_EFER_LMA);
    unsigned bits = vcpu->vm->phys_bits;
    uint64_t reserved = (pae ? BIT64(63) - 1 : BIT64(52) - 1) & ~(BIT64(bits) - 1);

    if (!(vcpu->efer & BT_EFER_NXE))
        reserved |= PTE_NX;
    if (shift == 39)
        reserved |= PTE_PS;
    else if (shift > 12 && value & PTE_PS)
        reserved |= (BIT64(shift) - 1) & ~UINT64_C(0x1fff);
    return reserved;
}

/* A fault's error code, without what the access itself says. */
enum { WALK_OK = -1 };

/* 4-level and PAE paging. */
static int walk_long(struct bt_vcpu *vcpu, uint64_t linear, struct walk *w)
{
    bool pae = !(vcpu->efer & BT_EFER_LMA);
    uint64_t address_bits = (BIT64(52) - 1) & MMU_PAGE;
    uint64_t table = vcpu->cr3 & address_bits;
    unsigned shift = 39;
    uint32_t rights = MMU_ENTRY_WRITE | MMU_ENTRY_USER | MMU_ENTRY_EXECUTE;

    w->size = 8;
    if (pae) {
        uint64_t pdpte = vcpu->pdptr[(linear >> 30) & 3];
        if (!(pdpte & PTE_P))
            return 0;
        table = pdpte & address_bits;
        shift = 21;
    }
    for (;; shift -= 9) {
        struct level *l = &w->level[w->depth++];
        l->gpa = table + ((linear >> shift) & 511) * 8;
        l->value = read_entry(vcpu, l->gpa, 8, &l->piece, &l->host);
        if (!(l->value & PTE_P))
            return 0;
        if (l->value & reserved_bits(vcpu, shift, l->value))
            return ERROR_P | ERROR_RSVD;
        if (!(l->value & PTE_W))
            rights &= ~(uint32_t)MMU_ENTRY_WRITE;
        if (!(l->value & PTE_U))
            rights &= ~(uint32_t)MMU_ENTRY_USER;
        if (l->value & PTE_NX)
            rights &= ~(uint32_t)MMU_ENTRY_EXECUTE;
        if (shift == 12 || l->value & PTE_PS)
            break;
        table = l->value & address_bits;
    }
    rights |= shift == 30 ? MMU_ENTRY_HUGE : shift == 21 ? MMU_ENTRY_LARGE : 0;
    w->gpa = (w->level[w->depth - 1].value & address_bits & ~(BIT64(shift) - 1)) |
             (linear & (BIT64(shift) - 1));
    w->rights = rights;
    return WALK_OK;
}

/* 32-bit paging, with PSE-36. */
static int walk_32(struct bt_vcpu *vcpu, uint64_t linear, struct walk *w)
{
    struct level *l = &w->level[w->depth++];
    uint64_t both;

    w->size = 4;
    l->gpa = (vcpu->cr3 & 0xfffff000) + (linear >> 22) * 4;
    both = l->value = read_entry(vcpu, l->gpa, 4, &l->piece, &l->host);
    if (!(both & PTE_P))
        return 0;
    w->rights = MMU_ENTRY_EXECUTE;
    if (both & PTE_PS && vcpu->cr4 & BT_CR4_PSE) {
        uint64_t high = (both >> 13) & 0xff;
        if (both & BIT(21) || high >> (vcpu->vm->phys_bits < 40 ? vcpu->vm->phys_bits - 32 : 8))
            return ERROR_P | ERROR_RSVD;
        w->gpa = high << 32 | (both & 0xffc00000) | (linear & 0x3fffff);
        w->rights |= MMU_ENTRY_LARGE;
    } else {
        struct level *leaf = &w->level[w->depth++];
        leaf->gpa = (l->value & 0xfffff000) + ((linear >> 12) & 1023) * 4;
        leaf->value = read_entry(vcpu, leaf->gpa, 4, &leaf->piece, &leaf->host);
        if (!(leaf->value & PTE_P))
            return 0;
        w->gpa = (leaf->value & 0xfffff000) | (linear & 0xfff);
        both &= leaf->value;
    }
    w->rights |= (both & PTE_W ? MMU_ENTRY_WRITE : 0) | (both & PTE_U ? MMU_ENTRY_USER : 0);
    return WALK_OK;
}

static bool access_allowed(const struct bt_vcpu *vcpu, uint32_t rights, enum mmu_access access,
                           struct who who)
{
    bool user_page = rights & MMU_ENTRY_USER;

    if (who.user && !user_page)
        return false;
    if (access == MMU_EXECUTE)
        return rights & MMU_ENTRY_EXECUTE && (who.user || !user_page || !(vcpu->cr4 & BT_CR4_SMEP));
    if (!who.user && user_page && vcpu->cr4 & BT_CR4_SMAP &&
        (who.implicit || !(vcpu->rflags & BT_FLAG_AC)))
        return false;
    return access == MMU_READ || rights & MMU_ENTRY_WRITE ||
           (!who.user && !(vcpu->cr0 & BT_CR0_WP));
}

static uint32_t access_error(const struct bt_vcpu *vcpu, enum mmu_access access, struct who who)
{
    bool id = vcpu->cr4 & BT_CR4_SMEP || (vcpu->cr4 & BT_CR4_PAE && vcpu->efer & BT_EFER_NXE);

    return (access == MMU_WRITE ? ERROR_W : 0) | (who.user ? ERROR_U : 0) |
           (access == MMU_EXECUTE && id ? ERROR_ID : 0);
}

/* A and D bits, from the top. The D bit is set by writes alone. */
static bool set_accessed(struct bt_vcpu *vcpu, const struct walk *w, bool write)
{
    for (unsigned i = 0; i < w->depth; i++) {
        const struct level *l = &w->level[i];
        uint64_t bits = PTE_A | (write && i == w->depth - 1 ? PTE_D : 0);
        if (!set_entry_bits(vcpu, l->piece, l->host, l->gpa, w->size, l->value, bits))
            return false;
    }
    return true;
}

/* One try; -EAGAIN: a table changed meanwhile. */
static int walk_once(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access, struct who who,
                     struct page *ret_page)
{
    struct walk w = {0};
    int fault = vcpu->cr4 & BT_CR4_PAE ? walk_long(vcpu, linear, &w) : walk_32(vcpu, linear, &w);

    if (fault == WALK_OK && !access_allowed(vcpu, w.rights, access, who))
        fault = ERROR_P;
    if (fault != WALK_OK)
        bt_raise_page_fault(vcpu, linear, (uint32_t)fault | access_error(vcpu, access, who));
    if (!set_accessed(vcpu, &w, access == MMU_WRITE))
        return -EAGAIN;
    uint64_t leaf = w.level[w.depth - 1].value;
    if (!(leaf & PTE_D) && access != MMU_WRITE)
        w.rights &= ~(uint32_t)MMU_ENTRY_WRITE; /* the first write shall come by */
    if (leaf & PTE_G && vcpu->cr4 & BT_CR4_PGE)
        w.rights |= MMU_ENTRY_GLOBAL;
    *ret_page = (struct page){.gpa = w.gpa, .rights = w.rights};
    return 0;
}

static struct page walk(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access,
                        struct who who)
{
    struct page page = {.gpa = linear, .rights = MMU_ENTRY_WRITE | MMU_ENTRY_EXECUTE};

    vcpu->tlb->walks++;
    if (vcpu->efer & BT_EFER_LMA && !segment_canonical(linear))
        bt_raise_error(vcpu, interp_by_stack(vcpu) ? BT_SS : BT_GP, 0);
    if (vcpu->cr0 & BT_CR0_PG)
        while (walk_once(vcpu, linear, access, who, &page))
            ;
    return page;
}

/* Filling */

static void tag_entry(struct bt_tlb *tlb, struct bt_tlb_entry *e)
{
    uint64_t context = tlb->space[0].context | (e->rights & MMU_ENTRY_USER ? MMU_CONTEXT_USER : 0);
    uint64_t tag = e->page | context;

    e->tag[MMU_READ] = tag;
    e->tag[MMU_WRITE] = e->rights & MMU_ENTRY_WRITE ? tag : MMU_TAG_NONE;
    e->tag[MMU_EXECUTE] = e->rights & MMU_ENTRY_EXECUTE ? tag : MMU_TAG_NONE;
}

/* Before the entry is used. */
static void note_writable(struct bt_tlb *tlb, const struct bt_tlb_entry *e)
{
    uint16_t was = atomic_load_explicit(&tlb->wrote[e->number], memory_order_relaxed);
    uint16_t own = (uint16_t)(e - tlb->entry + 1);

    if (was == own || was == MMU_WROTE_MANY)
        return;
    if (was && was != MMU_WROTE_FLAT) {
        const struct bt_tlb_entry *other = &tlb->entry[was - 1];
        if (other->rights & MMU_ENTRY_WRITE && other->number == e->number)
            own = MMU_WROTE_MANY;
    }
    atomic_store_explicit(&tlb->wrote[e->number], own, memory_order_relaxed);
}

static void fill(struct bt_vcpu *vcpu, uint64_t linear, const struct page *page,
                 const struct bt_piece *piece)
{
    struct bt_tlb *tlb = vcpu->tlb;
    struct bt_tlb_entry *e = &tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];
    uint64_t gpa = page->gpa & MMU_PAGE;

    *e = (struct bt_tlb_entry){.gpa = gpa,
                               .number = page_number(piece, gpa),
                               .page = linear & MMU_PAGE,
                               .rights = page->rights,
                               .global = tlb->global,
                               .addend = (uintptr_t)piece->host + (gpa - piece->base) -
                                         (linear & MMU_PAGE)};
    if (piece->readonly)
        e->rights &= ~(uint32_t)MMU_ENTRY_WRITE;
    if (e->rights & MMU_ENTRY_WRITE)
        mark_written(vcpu, piece, gpa);
    if (piece->ram && !atomic_load_explicit(&vcpu->vm->populated[e->number / BT_BLOCK_PAGES],
                                            memory_order_relaxed))
        bt_memory_populate(vcpu->vm, e->number / BT_BLOCK_PAGES);
    tlb->large[linear >> 63] |= !!(e->rights & MMU_ENTRY_LARGE);
    tlb->huge[linear >> 63] |= !!(e->rights & MMU_ENTRY_HUGE);
    if (e->rights & MMU_ENTRY_WRITE && piece->ram)
        note_writable(tlb, e);
    tag_entry(tlb, e);
    if (!(e->rights & MMU_ENTRY_WRITE))
        return;
    /* Looked at once the entry is there: who sets the page's bit asks for it to go afterwards. */
    atomic_thread_fence(memory_order_seq_cst);
    if (block_page_has_code(vcpu->vm, e->number)) {
        e->rights &= ~(uint32_t)MMU_ENTRY_WRITE;
        e->tag[MMU_WRITE] = MMU_TAG_NONE;
    }
}

/* Where one access within a page goes: to host memory, or (host NULL) to the bus at gpa. */
struct place {
    uint8_t *host;
    uint64_t gpa;
    bool lapic, code; /* code: a write there must be told, block_written */
    uint64_t number;  /* of the page, then */
};

/* Supervisor accesses to user pages, and global pages of another context. */
static struct bt_tlb_entry *lookup(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access,
                                   struct who who)
{
    struct bt_tlb *tlb = vcpu->tlb;
    struct bt_tlb_entry *e = &tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];
    uint64_t space = tlb->space[0].context;

    if (e->page != (linear & MMU_PAGE))
        return NULL;
    if (e->rights & MMU_ENTRY_GLOBAL && e->global == tlb->global)
        tag_entry(tlb, e);
    if ((e->tag[MMU_READ] & (MMU_TAG_CONTEXT & ~MMU_CONTEXT_USER)) != space)
        return NULL;
    if (!access_allowed(vcpu, e->rights, access, who))
        return NULL;
    return access != MMU_WRITE || e->rights & MMU_ENTRY_WRITE ? e : NULL;
}

static struct place place_of(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access,
                             struct who who)
{
    struct bt_tlb_entry *e = lookup(vcpu, linear, access, who);
    struct place place = {0};

    if (e) {
        place.host = (uint8_t *)(uintptr_t)(linear + e->addend);
        place.gpa = e->gpa | (linear & 0xfff);
        return place;
    }
    struct page page = walk(vcpu, linear, access, who);
    place.gpa = page.gpa;
    if (bt_lapic_at(vcpu, page.gpa)) {
        place.lapic = true;
        return place;
    }
    const struct bt_piece *piece = find_piece(vcpu, page.gpa);
    if (!piece)
        return place;
    fill(vcpu, linear, &page, piece);
    if (access == MMU_WRITE && piece->readonly)
        return place;
    place.host = piece->host + (page.gpa - piece->base);
    if (access == MMU_WRITE) {
        mark_written(vcpu, piece, page.gpa);
        place.number = page_number(piece, page.gpa);
        place.code = block_page_has_code(vcpu->vm, place.number);
    }
    return place;
}

static struct who who_now(const struct bt_vcpu *vcpu)
{
    return (struct who){.user = vcpu->cpl == 3 && vcpu->cr0 & BT_CR0_PG};
}

/* Loads and stores within one page */

static uint64_t load_device(struct bt_vcpu *vcpu, const struct place *place, unsigned size)
{
    if (place->lapic)
        return bt_lapic_read(vcpu, (uint32_t)(place->gpa & 0xfff), size);
    if (is_power_of_two(size))
        return bt_bus_read(vcpu, BUS_MMIO, place->gpa, size);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= bt_bus_read(vcpu, BUS_MMIO, place->gpa + i, 1) << (i * 8);
    return value;
}

static void store_device(struct bt_vcpu *vcpu, const struct place *place, unsigned size,
                         uint64_t value)
{
    if (place->lapic)
        bt_lapic_write(vcpu, (uint32_t)(place->gpa & 0xfff), size, value);
    else if (is_power_of_two(size))
        bt_bus_write(vcpu, BUS_MMIO, place->gpa, size, value);
    else
        for (unsigned i = 0; i < size; i++)
            bt_bus_write(vcpu, BUS_MMIO, place->gpa + i, 1, value >> (i * 8) & 0xff);
}

static uint64_t load_place(struct bt_vcpu *vcpu, const struct place *place, unsigned size)
{
    uint64_t value = 0;

    if (!place->host)
        return load_device(vcpu, place, size);
    if (is_power_of_two(size))
        return mmu_host_load(place->host, size);
    for (unsigned i = 0; i < size; i++)
        value |= mmu_host_load(place->host + i, 1) << (i * 8);
    return value;
}

static void store_place(struct bt_vcpu *vcpu, const struct place *place, unsigned size,
                        uint64_t value)
{
    if (!place->host)
        store_device(vcpu, place, size, value);
    else if (is_power_of_two(size))
        mmu_host_store(place->host, size, value);
    else
        for (unsigned i = 0; i < size; i++)
            mmu_host_store(place->host + i, 1, value >> (i * 8));
    if (place->code)
        block_written(vcpu, place->number);
}

/* Bytes of [linear, linear + size) in its first page. */
static unsigned first_part(uint64_t linear, unsigned size)
{
    unsigned left = 4096 - (linear & 0xfff);

    return MIN(size, left);
}

/* Linear addresses wrap at 4 GiB outside long mode. */
static uint64_t next_page(const struct bt_vcpu *vcpu, uint64_t linear)
{
    uint64_t next = (linear & MMU_PAGE) + 4096;

    return vcpu->efer & BT_EFER_LMA ? next : (uint32_t)next;
}

static uint64_t load(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, struct who who)
{
    unsigned first = first_part(linear, size);
    struct place a = place_of(vcpu, linear, MMU_READ, who);

    if (first == size)
        return load_place(vcpu, &a, size);
    struct place b = place_of(vcpu, next_page(vcpu, linear), MMU_READ, who);
    uint64_t low = load_place(vcpu, &a, first);
    return low | load_place(vcpu, &b, size - first) << (first * 8);
}

static void store(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value,
                  struct who who)
{
    unsigned first = first_part(linear, size);
    struct place a = place_of(vcpu, linear, MMU_WRITE, who);

    if (first == size) {
        store_place(vcpu, &a, size, value);
        return;
    }
    struct place b = place_of(vcpu, next_page(vcpu, linear), MMU_WRITE, who);
    store_place(vcpu, &a, first, value);
    store_place(vcpu, &b, size - first, value >> (first * 8));
}

static void check_alignment(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    if (vcpu->tlb->context != MMU_CONTEXT_SLOW)
        return;
    if (vcpu->cpl == 3 && vcpu->cr0 & BT_CR0_AM && vcpu->rflags & BT_FLAG_AC &&
        is_power_of_two(size) && linear & (size - 1))
        bt_raise_error(vcpu, BT_AC, 0);
}

static void check_breaks(struct bt_vcpu *vcpu, uint64_t linear, unsigned size,
                         enum mmu_access access)
{
    if (!except_breaks_armed(vcpu))
        return;
    uint32_t hit = except_breakpoints(
        vcpu, linear, size, access == MMU_WRITE ? EXCEPT_BREAK_WRITE : EXCEPT_BREAK_ACCESS);
    if (hit) {
        vcpu->debug_hit |= hit;
        bt_attend(vcpu);
    }
}

uint64_t mmu_load_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    check_alignment(vcpu, linear, size);
    uint64_t value = load(vcpu, linear, size, who_now(vcpu));
    check_breaks(vcpu, linear, size, MMU_READ);
    return value;
}

void mmu_store_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
    check_alignment(vcpu, linear, size);
    store(vcpu, linear, size, value, who_now(vcpu));
    check_breaks(vcpu, linear, size, MMU_WRITE);
}

uint64_t mmu_load_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    return load(vcpu, linear, size, (struct who){.implicit = true});
}

void mmu_store_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
    store(vcpu, linear, size, value, (struct who){.implicit = true});
}

/* Blocks of bytes: first all pages are looked up, then the bytes go in pieces of 8. */
static void transfer(struct bt_vcpu *vcpu, const struct place *place, uint8_t *data, unsigned len,
                     bool write)
{
    if (place->host && write)
        memcpy(place->host, data, len);
    else if (place->host)
        memcpy(data, place->host, len);
    struct place at = *place;
    for (unsigned done = 0; !place->host && done < len;) {
        unsigned left = len - done, size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        at.gpa = place->gpa + done;
        if (write)
            store_device(vcpu, &at, size, mmu_host_load(data + done, size));
        else
            mmu_host_store(data + done, size, load_device(vcpu, &at, size));
        done += size;
    }
    if (place->code)
        block_written(vcpu, place->number);
}

static void transfer_all(struct bt_vcpu *vcpu, uint64_t linear, void *data, unsigned len,
                         bool write)
{
    enum mmu_access access = write ? MMU_WRITE : MMU_READ;
    unsigned first = first_part(linear, len);
    struct who who = who_now(vcpu);
    struct place b = {0}, a = place_of(vcpu, linear, access, who);

    if (first < len)
        b = place_of(vcpu, next_page(vcpu, linear), access, who);
    transfer(vcpu, &a, data, first, write);
    if (first < len)
        transfer(vcpu, &b, (uint8_t *)data + first, len - first, write);
    check_breaks(vcpu, linear, len, access);
}

void mmu_read(struct bt_vcpu *vcpu, uint64_t linear, void *data, unsigned len)
{
    const void *host = mmu_hit(vcpu, linear, len, MMU_READ);

    if (__builtin_expect(host != NULL, 1))
        memcpy(data, host, len);
    else
        transfer_all(vcpu, linear, data, len, false);
}

void mmu_write(struct bt_vcpu *vcpu, uint64_t linear, const void *data, unsigned len)
{
    void *host = mmu_hit(vcpu, linear, len, MMU_WRITE);

    if (__builtin_expect(host != NULL, 1))
        memcpy(host, data, len);
    else
        transfer_all(vcpu, linear, (void *)(uintptr_t)data, len, true);
}

void *mmu_rmw_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    check_alignment(vcpu, linear, size);
    if (first_part(linear, size) < size)
        return NULL;
    struct place place = place_of(vcpu, linear, MMU_WRITE, who_now(vcpu));
    if (!place.host)
        return NULL;
    check_breaks(vcpu, linear, size, MMU_WRITE);
    /* The blocks go before the write instead of behind it. Whoever makes new ones until then asks
     * this vCPU to drop its entry, which is why there must be one: mmu_drop_writable. */
    for (unsigned i = 0; place.code && i < 8; i++) {
        block_written(vcpu, place.number);
        place = place_of(vcpu, linear, MMU_WRITE, who_now(vcpu));
    }
    return place.code ? NULL : place.host;
}

void mmu_check_write(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    struct who who = who_now(vcpu);

    if (mmu_hit(vcpu, linear, size, MMU_WRITE))
        return;
    check_alignment(vcpu, linear, size);
    (void)place_of(vcpu, linear, MMU_WRITE, who);
    if (first_part(linear, size) < size)
        (void)place_of(vcpu, next_page(vcpu, linear), MMU_WRITE, who);
}

void *mmu_host_run(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access, uint64_t *ret_len)
{
    void *host = mmu_hit(vcpu, linear, 1, access);

    if (!host) {
        if (vcpu->tlb->context == MMU_CONTEXT_SLOW)
            return NULL;
        struct place place = place_of(vcpu, linear, access, who_now(vcpu));
        if (!place.host || place.code)
            return NULL;
        host = place.host;
    }
    *ret_len = 4096 - (linear & 0xfff);
    return host;
}

uint64_t mmu_code_page(struct bt_vcpu *vcpu, uint64_t linear, const uint8_t **ret_host)
{
    const struct bt_tlb_entry *e = &vcpu->tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];
    struct place place;

    if (e->tag[MMU_EXECUTE] == ((linear & MMU_PAGE) | vcpu->tlb->real_context)) {
        *ret_host = (const uint8_t *)(uintptr_t)((linear & MMU_PAGE) + e->addend);
        return e->gpa | (linear & 0xfff);
    }
    place = place_of(vcpu, linear, MMU_EXECUTE, who_now(vcpu));
    *ret_host = place.host ? place.host - (linear & 0xfff) : NULL;
    return place.gpa;
}

bool mmu_load_pdptrs(struct bt_vcpu *vcpu, uint64_t cr0, uint64_t cr4, uint64_t cr3)
{
    uint64_t entry[4], reserved = ~(BIT64(vcpu->vm->phys_bits) - 1) | 0x1e6;
    const struct bt_piece *piece;
    void *host;

    if (!(cr0 & BT_CR0_PG) || !(cr4 & BT_CR4_PAE) || vcpu->efer & BT_EFER_LMA)
        return true;
    for (unsigned i = 0; i < 4; i++) {
        entry[i] = read_entry(vcpu, (cr3 & 0xffffffe0) + i * 8, 8, &piece, &host);
        if (entry[i] & PTE_P && entry[i] & reserved)
            return false;
    }
    memcpy(vcpu->pdptr, entry, sizeof entry);
    return true;
}
