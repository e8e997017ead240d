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

enum { JIT_PAGE_HASH = 1 << 12 };

struct jit_page {
    uint64_t number; /* in the VM's numbering */
    uint32_t mode;
    uint32_t generation; /* of the page's code word, which its units' bytes had */
    _Atomic(uint32_t) *word;
    uint32_t *map;           /* 4096 run addresses */
    struct jit_unit *beyond; /* those of the page before whose instruction ends in this one */
    struct jit_unit *first;
    struct jit_page *chain;
    uint64_t *careful;      /* as in struct translate_input; NULL: none */
    uint32_t careful_count; /* bits in it */
    uint32_t drops; /* how often its bytes changed: such pages are left to the interpreter */
};

/* For tools/btstat, which reads them from outside. */
struct jit_stats {
    uint64_t left[JIT_SITE_KINDS];           /* by kind of site */
    uint64_t stepped[BT_OP_MAX];             /* by operation; accesses too */
    uint64_t interpreted;                    /* blocks */
    uint64_t made, remade, dropped, emptied; /* units; pages; all */
    uint64_t faults;                         /* exceptions delivered */
};

struct jit_cache {
    uint8_t *write, *run; /* the code's two mappings, owned */
    uint8_t *arena;       /* owned: pages, units, sites, marks, and what the loop wants there */
    uint32_t *maps;       /* borrowed: this vCPU's part of flat_maps */
    uint64_t code_size, code_used, arena_size, arena_used;
    uint64_t code_kept, arena_kept; /* of the stubs: stays when all is dropped */
    uint64_t code_ahead, arena_ahead, maps_ahead;
    unsigned maps_max, maps_used;
    uint32_t leave, miss; /* run addresses of the stubs */
    /* Owned: JIT_CANONICAL_BYTES, of which the first and the last page can be read: indexed by the
     * upper 16 bits of an address. */
    uint8_t *canonical;
    struct translate_stubs stubs;
    struct jit_site *trap; /* trap.c's, for instructions that have none */
    void *spare;           /* BLOCK_SINGLE_SIZE bytes, for when the arena is full */
    uint32_t epoch;        /* counts how often all was dropped */
    _Atomic(uint32_t) unit_count;
    uint32_t unit_max;
    uint32_t *unit; /* owned: addresses of units, in the order of their code */
    struct jit_page *page[JIT_PAGE_HASH];
    struct jit_stats stats;
};

/* What all vCPUs together may have below 2 GiB, and of it one; fewer bytes than JIT_CACHE_MIN for
 * each: they interpret. */
enum { JIT_CACHE_TOTAL = 768 << 20, JIT_CACHE_MAX = 96 << 20, JIT_CACHE_MIN = 8 << 20 };
/* Bytes of code maps that a VM of so many vCPUs needs; 0: too many. */
uint64_t jit_cache_map_bytes(unsigned cpus);

enum { JIT_CANONICAL_BYTES = 8 << 16 };

/* Memory below 2 GiB, not executable; NULL: none. */
void *jit_low_map(size_t size);

int jit_cache_create(struct bt_vcpu *vcpu, struct jit_cache **ret_cache);
void jit_cache_destroy(struct jit_cache *cache);

/* A block that ran less often has no unit, mostly: not worth a look. */
enum { JIT_CACHE_HEAT = 8 };
/* The unit for the block at vcpu->rip, made now if there is none and the block is warm; NULL:
 * interpret. A full cache is emptied: `epoch` says so. */
struct jit_unit *jit_cache_unit(struct bt_vcpu *vcpu, struct bt_block *block);
/* The instruction at `offset` of the unit's page is to be checked for crossing only, in every unit
 * that is made from here on. This one is made anew, and its beginning leads there. True: there is a
 * better one, and who is in the middle of this one (which may be a loop) should look it up. */
bool jit_cache_be_careful(struct bt_vcpu *vcpu, struct jit_unit *unit, unsigned offset);
/* The code map of the page on which an instruction on two pages ends; NULL: none yet. */
const uint32_t *jit_cache_second_map(const struct jit_cache *cache, const struct bt_block *block);
/* The jump of a site of kind JIT_SITE_LINK goes to `to` from now on. */
void jit_cache_link(struct jit_cache *cache, const struct jit_site *from,
                    const struct jit_unit *to);
/* Memory that goes when all is dropped, aligned to 64; NULL: full. */
void *jit_cache_take(struct jit_cache *cache, size_t size);

/* Async-signal-safe: whose code holds this run address; NULL: nobody's. */
struct jit_unit *jit_cache_find(const struct jit_cache *cache, uint64_t run);
const struct jit_mark *jit_unit_mark(const struct jit_unit *unit, uint64_t run);

static inline bool jit_cache_holds(const struct jit_cache *cache, uint64_t run)
{
    return run - (uintptr_t)cache->run < cache->code_size;
}

void jit_cache_page_written(struct jit_cache *cache, uint64_t page);
void jit_cache_page_check(struct jit_cache *cache, uint64_t page); /* by its word */
void jit_cache_validate(struct jit_cache *cache);                  /* all pages, by their words */
void jit_cache_drop_all(struct jit_cache *cache);
