/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory as instructions see it: linear addresses through the guest's page tables (SDM
 * volume 3, chapter 4: 32-bit, PAE, 4-level; large pages; A and D bits; NX, WP, SMEP, SMAP, U/S;
 * PCID), to RAM, device memory or the bus.
 *
 * The fast path is a TLB look-up, inline; everything else is in mmu.c. The TLB is private to a vCPU
 * and holds host addresses only of memory that the engine has mapped, with the rights that the
 * guest's tables gave when it was filled: dirty before writable, never writable while the page
 * holds blocks.
 *
 * Functions with a linear address apply the current privilege unless they say "system" (descriptor
 * tables, TSS: supervisor rights whatever the CPL). They raise #PF or #AC and do not return then.
 * Sizes are 1, 2, 4, 8 (16 for the pairs). Accesses may cross pages: both are checked before
 * anything is stored. */
#pragma once

#include "vm/engine/bt/bt.h"

enum mmu_access { MMU_READ, MMU_WRITE, MMU_EXECUTE };

/* The TLB: direct-mapped, one tag an access right. A tag is the page's linear address with the
 * context in the low bits: which address space (renumbered instead of emptied when it is flushed)
 * and whether user rights or supervisor rights. User pages are held with user rights only; a
 * supervisor's access to them is decided in mmu.c (SMAP, SMEP). `context` is one that no tag has
 * while every access must be looked at: alignment checks, data breakpoints. MMU_CONTEXT_GLOBAL is
 * one that no space has, either: of what holds in all of them. */
enum {
    MMU_TLB_SIZE = 2048,
    MMU_CONTEXT_SLOW = 0xffe,
    MMU_CONTEXT_GLOBAL = 0xffc,
    MMU_CONTEXT_USER = 1
};
enum { MMU_TAG_CONTEXT = 0xfff };
enum { MMU_WROTE_MANY = UINT16_MAX, MMU_WROTE_FLAT = UINT16_MAX - 1 };
enum {
    MMU_ENTRY_WRITE =
        1, /* the tables allow it, the D bit is set, and the page may be written unseen */
    MMU_ENTRY_EXECUTE = 2,
    MMU_ENTRY_USER = 4,
    MMU_ENTRY_GLOBAL = 8,
    MMU_ENTRY_LARGE = 16,
    MMU_ENTRY_HUGE = 32,
};
#define MMU_TAG_NONE (~UINT64_C(0))
#define MMU_PAGE     (~UINT64_C(0xfff))

struct bt_tlb_entry {
    uint64_t tag[3]; /* by enum mmu_access */
    uint64_t addend; /* host address - linear address */
    uint64_t gpa;    /* of the page */
    uint64_t page;   /* linear */
    uint64_t number; /* in the VM's numbering (bt_vm.h) */
    uint32_t rights; /* MMU_ENTRY_* */
    uint32_t global; /* its generation of global pages */
};

enum { MMU_SPACES = 8 };

struct mmu_space {
    uint16_t pcid;
    uint16_t context; /* even; 0: none */
    uint8_t table;    /* its flat table's number (flat.h); stays with it */
};

struct bt_tlb {
    uint64_t context;      /* compared with the tags' low bits; see above */
    uint64_t real_context; /* what it would be without MMU_CONTEXT_SLOW */
    struct bt_tlb_entry entry[MMU_TLB_SIZE];
    struct mmu_space space[MMU_SPACES]; /* [0] is the current one */
    uint16_t next_context;
    uint32_t global;        /* generation */
    bool large[2], huge[2]; /* by half of the address space: there may be entries of large pages, of
                               1-GiB pages, here or in the flat tables */
    const struct bt_piece *piece; /* found last, in that table */
    const struct bt_memory *piece_of;
    bool piece_smm;
    _Atomic(uint16_t) *wrote; /* for each page of RAM: may there be, or have been, an entry here or
                                 in the flat tables that allows writing it? 0: no; else the number
                                 of that entry here, plus 1, MMU_WROTE_MANY, or MMU_WROTE_FLAT:
                                 none here. Owned */
    uint64_t walks;           /* for statistics */
};

typedef uint16_t __attribute__((aligned(1), may_alias)) mmu_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) mmu_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) mmu_u64;

static inline uint64_t mmu_host_load(const void *host, unsigned size)
{
    switch (size) {
    case 1:
        return *(const volatile uint8_t *)host;
    case 2:
        return *(const volatile mmu_u16 *)host;
    case 4:
        return *(const volatile mmu_u32 *)host;
    default:
        return *(const volatile mmu_u64 *)host;
    }
}

static inline void mmu_host_store(void *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)host = (uint8_t)value;
        break;
    case 2:
        *(volatile mmu_u16 *)host = (uint16_t)value;
        break;
    case 4:
        *(volatile mmu_u32 *)host = (uint32_t)value;
        break;
    default:
        *(volatile mmu_u64 *)host = value;
    }
}

/* The host address of [linear, linear + size) when the TLB has it for `access`, else NULL. A
 * crossing access never matches, as the tag at that place is of its first page. */
static inline void *mmu_hit(const struct bt_vcpu *vcpu, uint64_t linear, unsigned size,
                            enum mmu_access access)
{
    const struct bt_tlb *tlb = vcpu->tlb;
    const struct bt_tlb_entry *e = &tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];

    if (__builtin_expect(e->tag[access] == (((linear + size - 1) & MMU_PAGE) | tlb->context), 1))
        return (void *)(uintptr_t)(linear + e->addend);
    return NULL;
}

/* What the TLB has of the page of `linear` in the current address space, whatever its rights; NULL:
 * nothing. */
static inline const struct bt_tlb_entry *mmu_entry(const struct bt_vcpu *vcpu, uint64_t linear)
{
    const struct bt_tlb *tlb = vcpu->tlb;
    const struct bt_tlb_entry *e = &tlb->entry[(linear >> 12) & (MMU_TLB_SIZE - 1)];
    bool current =
        (e->tag[MMU_READ] & (MMU_TAG_CONTEXT & ~MMU_CONTEXT_USER)) == tlb->space[0].context;

    if (e->page != (linear & MMU_PAGE))
        return NULL;
    return current || (e->rights & MMU_ENTRY_GLOBAL && e->global == tlb->global) ? e : NULL;
}

uint64_t mmu_load_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);
void mmu_store_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
void *mmu_rmw_slow(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);

static inline uint64_t mmu_load(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    const void *host = mmu_hit(vcpu, linear, size, MMU_READ);

    return __builtin_expect(host != NULL, 1) ? mmu_host_load(host, size)
                                             : mmu_load_slow(vcpu, linear, size);
}

static inline void mmu_store(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value)
{
    void *host = mmu_hit(vcpu, linear, size, MMU_WRITE);

    if (__builtin_expect(host != NULL, 1))
        mmu_host_store(host, size, value);
    else
        mmu_store_slow(vcpu, linear, size, value);
}

int mmu_create(struct bt_vcpu *vcpu); /* makes vcpu->tlb; -ENOMEM */
void mmu_destroy(struct bt_vcpu *vcpu);

uint64_t mmu_load_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);
void mmu_store_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
/* Any length up to 4096, for vector registers and FXSAVE areas. */
void mmu_read(struct bt_vcpu *vcpu, uint64_t linear, void *data, unsigned len);
void mmu_write(struct bt_vcpu *vcpu, uint64_t linear, const void *data, unsigned len);

/* For read-modify-write and atomics: a host address for all of [linear, linear + size), readable
 * and writable, or NULL when it is no RAM or crosses a page; then mmu_check_write, and load and
 * store by parts under the VM's split lock. Valid until the instruction ends. */
static inline void *mmu_host_rmw(struct bt_vcpu *vcpu, uint64_t linear, unsigned size)
{
    void *host = mmu_hit(vcpu, linear, size, MMU_WRITE);

    return __builtin_expect(host != NULL, 1) ? host : mmu_rmw_slow(vcpu, linear, size);
}
/* Raises what a store of `size` would raise. */
void mmu_check_write(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);

/* For string instructions: the host address of `linear` and in *ret_len how many bytes follow in
 * its page, or NULL: no RAM. */
void *mmu_host_run(struct bt_vcpu *vcpu, uint64_t linear, enum mmu_access access,
                   uint64_t *ret_len);

/* For fetching code: the guest physical address of `linear`, and the host page that holds it (NULL:
 * not RAM: fetch by mmu_fetch_device). Raises #PF. */
uint64_t mmu_code_page(struct bt_vcpu *vcpu, uint64_t linear, const uint8_t **ret_host);

/* TLB maintenance: MOV CR3, CR4 and CR0 writes, INVLPG, INVPCID; and what other threads ask for
 * (BT_REQUEST_FLUSH). */
void mmu_flush(struct bt_vcpu *vcpu);     /* all but global pages */
void mmu_flush_all(struct bt_vcpu *vcpu); /* global ones too, all PCIDs */
void mmu_flush_page(struct bt_vcpu *vcpu, uint64_t linear);
void mmu_flush_pcid(struct bt_vcpu *vcpu, uint16_t pcid);
void mmu_set_cr3(struct bt_vcpu *vcpu, uint64_t value); /* bit 63: keep the PCID's translations */
/* CPL, CR0.PG, RFLAGS.AC with CR0.AM or DR7 have changed; part of bt_mode_update. */
void mmu_update_context(struct bt_vcpu *vcpu);
/* PAE: loads and checks the four entries that CR3 names; false: #GP. */
bool mmu_load_pdptrs(struct bt_vcpu *vcpu, uint64_t cr0, uint64_t cr4, uint64_t cr3);
/* Drops what may be written unseen while somebody records dirty pages, and in pages that have code
 * by now, whose blocks go too: BT_REQUEST_PROTECT. */
void mmu_drop_writable(struct bt_vcpu *vcpu);

/* Called before the bytes of a page (in the VM's numbering) become a block, with its code bit set:
 * when it returns no vCPU has an entry that allows writing there, or it is quiet and will not
 * (bt_vm_settle); what was written unseen meanwhile has been told (block_written). Others are only
 * asked if they may have one. True: they were waited for, in which time this vCPU was quiet: memory
 * may have been mapped anew, so look again. */
bool mmu_protect_code(struct bt_vcpu *vcpu, uint64_t page);
