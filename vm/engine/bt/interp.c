/* SPDX-License-Identifier: Apache-2.0 */
/* The loop (interp.h). From block to block by the links of the block that ended, which stay in its
 * page, so what was translated once holds; else by a small cache of where jumps went; else by the
 * fetch. */
#include "vm/engine/bt/interp.h"

#include "vm/engine/bt/except.h"
#include "vm/engine/bt/exec.h"

static inline bool attended(struct bt_vcpu *vcpu)
{
    uint32_t request = atomic_load_explicit(&vcpu->request, memory_order_relaxed);

    return __builtin_expect((request & vcpu->heed) != 0, 0) ||
           __builtin_expect(vcpu->run_state != CPU_RUNNING, 0);
}

/* By the fetch, which may raise: RIP and flags are complete. */
static struct bt_block *fetch(struct bt_vcpu *vcpu, bool single)
{
    vcpu->step = NULL;
    vcpu->interp->running = NULL;
    flags_merge(vcpu);
    return block_find(vcpu, single);
}

/* Code with a limit is always fetched, as the limit is no part of a block. */
static inline bool unlimited(const struct bt_vcpu *vcpu)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 || vcpu->mode & BT_MODE_FLAT;
}

/* What a jump's translation depends on besides its address; `space`: the address space's part. */
static inline uint64_t context_in(const struct bt_vcpu *vcpu, uint64_t space)
{
    return space | (uint64_t)vcpu->mode << 16 | vcpu->map_epoch << 32;
}

static inline uint64_t context_of(const struct bt_vcpu *vcpu)
{
    return context_in(vcpu, vcpu->tlb->real_context);
}

/* Global pages are the same in all spaces, as in the TLB: a kernel's jumps survive its switches. */
static inline uint64_t global_context_of(const struct bt_vcpu *vcpu)
{
    return context_in(vcpu, MMU_CONTEXT_GLOBAL | (vcpu->tlb->real_context & MMU_CONTEXT_USER));
}

/* Of a block that has just been fetched. */
static uint64_t context_for(const struct bt_vcpu *vcpu, const struct bt_block *block)
{
    const struct bt_tlb_entry *e = mmu_entry(vcpu, interp_wrap(vcpu, vcpu->rip));

    return e && e->rights & MMU_ENTRY_GLOBAL && !block->crosses ? global_context_of(vcpu)
                                                                : context_of(vcpu);
}

static inline struct bt_jump *jump_slot(struct bt_vcpu *vcpu)
{
    return &vcpu->interp->jump[(vcpu->rip ^ vcpu->rip >> 14) % BLOCK_JUMPS];
}

static __attribute__((noinline)) struct bt_block *jump_missed(struct bt_vcpu *vcpu)
{
    struct bt_block *block = fetch(vcpu, false);

    if (unlimited(vcpu) && block->word[0] && block->word[1])
        *jump_slot(vcpu) =
            (struct bt_jump){.rip = vcpu->rip, .context = context_for(vcpu, block), .block = block};
    return block;
}

static inline struct bt_block *jump_target(struct bt_vcpu *vcpu)
{
    struct bt_jump *jump = jump_slot(vcpu);
    bool here = jump->context == global_context_of(vcpu) || jump->context == context_of(vcpu);

    if (__builtin_expect(jump->rip == vcpu->rip && here && jump->block && block_valid(jump->block),
                         1))
        return jump->block;
    return jump_missed(vcpu);
}

/* Finds the successor that `link` lacks, and remembers it there when it may. */
static __attribute__((noinline)) struct bt_block *link_missed(struct bt_vcpu *vcpu,
                                                              struct bt_block **link)
{
    struct bt_interp *interp = vcpu->interp;
    uint64_t drops = interp->drops, from = vcpu->block_rip;
    struct bt_block *block = jump_target(vcpu);

    if (drops == interp->drops && (from ^ vcpu->rip) < GMEM_PAGE_SIZE && !block->crosses &&
        block->word[0] && unlimited(vcpu))
        *link = block;
    return block;
}

/* A link leads to a block of one page, so that one word decides. */
static inline struct bt_block *linked(struct bt_block **link)
{
    struct bt_block *block = *link;

    return __builtin_expect(block != NULL, 1) &&
                   __builtin_expect(atomic_load_explicit(block->word[0], memory_order_acquire) ==
                                        block->generation[0],
                                    1)
               ? block
               : NULL;
}

struct bt_block *interp_block(struct bt_vcpu *vcpu)
{
    return jump_target(vcpu);
}

struct bt_block *interp_next(struct bt_vcpu *vcpu, struct bt_block **link)
{
    if (!link)
        return jump_target(vcpu);
    struct bt_block *block = linked(link);
    return block ? block : link_missed(vcpu, link);
}

struct bt_block *interp_single(struct bt_vcpu *vcpu)
{
    return fetch(vcpu, true);
}

struct bt_block **interp_run_block(struct bt_vcpu *vcpu, struct bt_block *block)
{
    vcpu->block_rip = vcpu->rip;
    vcpu->interp->running = block;
    vcpu->instructions += block->count;
    return block->step[0].run(vcpu, block->step);
}

static void run_blocks(struct bt_vcpu *vcpu)
{
    struct bt_block *block = jump_target(vcpu), **link;

    for (;;) {
        link = interp_run_block(vcpu, block);
        if (attended(vcpu))
            return;
        block = interp_next(vcpu, link);
    }
}

void interp_leave(struct bt_vcpu *vcpu)
{
    vcpu->step = NULL;
    vcpu->interp->running = NULL;
    flags_merge(vcpu);
}

void interp_run(struct bt_vcpu *vcpu)
{
    vcpu->shadow = 0;
    if (setjmp(vcpu->unwind)) {
        vcpu->interp->running = NULL;
        except_landed(vcpu);
        if (attended(vcpu))
            return;
    }
    flags_split(vcpu);
    run_blocks(vcpu);
    interp_leave(vcpu);
}

bool interp_step(struct bt_vcpu *vcpu)
{
    vcpu->interp->single = true;
    if (setjmp(vcpu->unwind)) {
        vcpu->interp->running = NULL;
        vcpu->interp->single = false;
        except_landed(vcpu);
        return false;
    }
    flags_split(vcpu);
    vcpu->shadow = 0;
    struct bt_block *block = fetch(vcpu, true);
    vcpu->block_rip = vcpu->rip;
    vcpu->interp->running = block;
    vcpu->instructions++;
    (void)block->step[0].run(vcpu, block->step);
    vcpu->interp->single = false;
    interp_leave(vcpu);
    return true;
}
