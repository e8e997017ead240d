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

int mmu_create(struct bt_vcpu *vcpu); /* makes vcpu->tlb; -ENOMEM */
void mmu_destroy(struct bt_vcpu *vcpu);

uint64_t mmu_load(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);
void mmu_store(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
uint64_t mmu_load_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);
void mmu_store_system(struct bt_vcpu *vcpu, uint64_t linear, unsigned size, uint64_t value);
/* Any length up to 4096, for vector registers and FXSAVE areas. */
void mmu_read(struct bt_vcpu *vcpu, uint64_t linear, void *data, unsigned len);
void mmu_write(struct bt_vcpu *vcpu, uint64_t linear, const void *data, unsigned len);

/* For read-modify-write and atomics: a host address for all of [linear, linear + size), readable
 * and writable, or NULL when it is no RAM or crosses a page; then mmu_check_write, and load and
 * store by parts under the VM's split lock. Valid until the instruction ends. */
void *mmu_host_rmw(struct bt_vcpu *vcpu, uint64_t linear, unsigned size);
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

/* A page that holds blocks: stores to it by any vCPU, and DMA that says so, first drop the blocks
 * (block.h). */
void mmu_protect_code(struct bt_vm *vm, uint64_t page_gpa);
