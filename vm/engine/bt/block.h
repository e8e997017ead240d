/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: straight-line code, decoded once and kept as an array of steps. A block ends at the end
 * of its page, at a jump, at whatever changes the mode, or when it is full; an instruction across
 * two pages is a block of its own.
 *
 * A block belongs to a guest physical address and a mode (BT_MODE_*), so the same code at several
 * linear addresses is decoded once. Each vCPU has its own cache: no locks, and nobody else writes
 * there. What makes blocks invalid is seen by all: each page of RAM has a word (gmem.h: the "code
 * word") with GMEM_CODE set while any vCPU holds blocks of it, and a count. A store to such a page,
 * by any vCPU or by DMA, first reaches memory and then changes the word; a block is valid while the
 * word is as it was before its bytes were read. mmu.c gives no write permission in a TLB while
 * GMEM_CODE is set, so such a store always comes by (block_written).
 *
 * Device memory (flash) has words of the VM's own; who changes its contents from outside maps it
 * anew, which empties all caches. Memory is bounded: a full cache is emptied. */
#pragma once

#include "vm/engine/bt/insn.h"

enum { BLOCK_STEPS_MAX = 48, BLOCK_CACHE_SIZE = 64 << 20 };
enum { BLOCK_HEAT_MAX = 4096, BLOCK_HEAT_NEVER = UINT16_MAX };
enum { BLOCK_HASH_SIZE = 1 << 16, BLOCK_JUMPS = 1 << 14 };

/* One instruction ready to run, 32 bytes: its handler goes on with the next one by a tail call. The
 * registers are byte offsets into struct bt_vcpu, which begins with them (exec.h). */
struct bt_step {
    struct bt_block **(*run)(struct bt_vcpu *vcpu, const struct bt_step *step); /* exec.h */
    union {
        int64_t imm;
        const struct bt_insn *insn; /* for handlers that look at all of it */
    };
    int32_t disp;
    uint16_t offset; /* of its first byte from the block's */
    uint8_t length;
    uint8_t ea; /* enum exec_ea */
    uint8_t dst, src;
    uint8_t base, index;
    uint8_t scale, seg, size, with; /* `with`: a third register, where there is one */
};

struct bt_block {
    uint64_t page[2]; /* in the VM's numbering (bt_vm.h): its own, and where it goes on */
    uint32_t mode;
    uint16_t start, bytes, count; /* offset in the page, length; instructions */
    bool crosses, single;         /* one instruction on two pages; for single-stepping */
    _Atomic(uint32_t) *word[2];   /* of the pages; NULL: no memory, not to be kept */
    uint32_t generation[2];
    struct bt_block *link[2]; /* successors in the same page: the next one, the jump's target */
    struct bt_block *chain;   /* hash */
    struct jit_unit *unit;    /* what the translator made of it, in that epoch of its cache */
    uint32_t unit_epoch;
    uint16_t heat;         /* how often it ran; NEVER: it cannot be translated */
    uint32_t sum;          /* block_single's, and those on two pages: of its bytes (block_sum) */
    uint16_t op;           /* single ones: enum bt_op */
    uint16_t memory_size;  /* single ones: of the memory operand, 1 if there is none */
    struct bt_step step[]; /* count, and one more that ends the block */
};

/* Where indirect jumps, and all that leave the page, went before. */
struct bt_jump {
    uint64_t rip, context;
    struct bt_block *block; /* NULL: empty */
};

/* vCPU: bt_vcpu.interp. */
struct bt_interp {
    uint8_t *arena;           /* owned: blocks, one after the other */
    uint64_t used, ahead;     /* ahead.h */
    uint64_t drops;           /* how often it was emptied */
    struct bt_block *running; /* NULL: none */
    bool single;              /* interp_step: one repetition only */
    bool split_locked;        /* holds the VM's split lock */
    unsigned pauses;
    struct bt_block *hash[BLOCK_HASH_SIZE];
    struct bt_jump jump[BLOCK_JUMPS];
};

/* Of an instruction's bytes: two that differ have nearly always another sum. FNV-1a. */
static inline uint32_t block_sum(const uint8_t *bytes, unsigned length)
{
    uint32_t sum = UINT32_C(2166136261);

    for (unsigned i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * UINT32_C(16777619);
    return sum;
}

/* Takes bytes of a page of guest memory, which may change meanwhile, from `at` on; returns how
 * many: all that an instruction can have (and zeros are not needed behind), or those up to the
 * page's end. */
unsigned block_bytes(const uint8_t *page, unsigned at, uint8_t bytes[BT_DECODE_WHOLE]);

/* Of one that has words. */
static inline bool block_valid(const struct bt_block *block)
{
    return atomic_load_explicit(block->word[0], memory_order_acquire) == block->generation[0] &&
           atomic_load_explicit(block->word[1], memory_order_acquire) == block->generation[1];
}

/* The block at vcpu->rip in the current mode, of one instruction if `single`. Raises what the fetch
 * raises. Never NULL. */
struct bt_block *block_find(struct bt_vcpu *vcpu, bool single);

/* The instruction at `offset` of a page of RAM, which it lies within, in the current mode: as a
 * block in memory of the caller's, for as long as the page does not change. */
enum {
    BLOCK_SINGLE_SIZE =
        sizeof(struct bt_block) + 2 * sizeof(struct bt_step) + sizeof(struct bt_insn)
};
struct bt_block *block_single(struct bt_vcpu *vcpu, uint64_t page, unsigned offset, void *memory);

/* Forgets all blocks of this vCPU: memory was mapped or unmapped (BT_REQUEST_FLUSH). On its own
 * thread, between instructions. */
void block_drop_all(struct bt_vcpu *vcpu);

int block_vm_create(struct bt_vm *vm); /* makes vm->device_words, and has DMA seen; -ENOMEM */
void block_vm_destroy(struct bt_vm *vm);
int block_cache_create(struct bt_vcpu *vcpu); /* makes vcpu->interp; -ENOMEM */
void block_cache_destroy(struct bt_vcpu *vcpu);

/* For mmu.c; pages in the VM's numbering. Whether a page holds blocks (then no TLB entry may allow
 * writing; look again once the entry is there), and what to call after a store of this vCPU to such
 * a page, or before one through a pointer that it hands out: the page's blocks are dropped
 * everywhere, and a running one of this vCPU ends behind the running instruction. */
bool block_page_has_code(struct bt_vm *vm, uint64_t page);
void block_written(struct bt_vcpu *vcpu, uint64_t page);
