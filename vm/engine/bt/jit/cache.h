/* SPDX-License-Identifier: Apache-2.0 */
/* Units of one vCPU, and the memory they live in.
 *
 * Code is in a sealed memfd that is mapped twice, writable for the translator and executable for
 * the processor, both below 2 GiB (the executable one; links, sites and code maps hold 32-bit
 * addresses); units, sites and marks are in an arena beside it that is never executable. Both are
 * only appended to; a full cache is emptied as a whole.
 *
 * A page of guest code is a struct jit_page for each mode that it ran in: its code map (flat.h),
 * whose words are the run addresses of units' entries, or of the stub that leaves because there is
 * none; and the word and count that say whether its bytes are still those (block.h). Dropping a
 * page empties its map and marks its units dead; the map stays, for the next ones. */
#pragma once

#include "vm/engine/bt/block.h"
#include "vm/engine/bt/jit/translate.h"

struct jit_page {
    uint64_t number; /* in the VM's numbering */
    uint32_t mode;
    _Atomic(uint32_t) *word;
    uint32_t generation;
    uint32_t *map;          /* 4096 run addresses */
    struct jit_unit *first; /* the rest is the cache's */
    struct jit_page *chain;
    uint32_t drops; /* how often its bytes changed: such pages are left to the interpreter */
};

int jit_cache_create(struct bt_vcpu *vcpu, struct jit_cache **ret_cache);
void jit_cache_destroy(struct jit_cache *cache);

/* The unit for a block of the interpreter's, made now if there is none; NULL: interpret. Links
 * `from`, if that is a site of kind JIT_SITE_LINK. */
struct jit_unit *jit_cache_unit(struct bt_vcpu *vcpu, struct bt_block *block);
void jit_cache_link(struct jit_cache *cache, struct jit_site *from, const struct jit_unit *to);
/* Whose code holds this run address; NULL: nobody's. Async-signal-safe. */
struct jit_unit *jit_cache_find(const struct jit_cache *cache, uint64_t run);
const struct jit_mark *jit_unit_mark(const struct jit_unit *unit, uint64_t run);

void jit_cache_page_written(struct jit_cache *cache, uint64_t page);
void jit_cache_validate(struct jit_cache *cache); /* all pages, by their words */
void jit_cache_drop_all(struct jit_cache *cache);
