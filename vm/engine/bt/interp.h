/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter's loop: runs blocks (block.h), one function per kind of instruction.
 *
 * Handlers of integer instructions are the interpreter's own (exec_*.c). All others are functions
 * `void run(struct bt_vcpu *, const struct bt_insn *)` in the table `system_handlers`, or bound
 * by vec_bind (vec.h); what is in none is #UD. While such a function runs:
 * - vcpu->rip is the instruction's own and vcpu->rflags is complete;
 * - it leaves RIP alone, unless the table says `sets_rip`: then it has set RIP on every return
 *   (interp_advance for "behind this instruction"; left alone: the instruction runs again), and the
 *   block ends. The others end the block when the decoder says BT_INSN_ENDS_BLOCK, so that a new
 *   mode, a shadow or a request is seen;
 * - it may raise at any time.
 *
 * Between handlers the status flags live apart (vcpu->status) and RIP is not kept up to date:
 * bt_raise therefore begins with interp_sync. */
#pragma once

#include "vm/engine/bt/insn.h"
#include "vm/engine/bt/mmu.h"

struct interp_handler {
    uint16_t op; /* enum bt_op */
    bool sets_rip;
    void (*run)(struct bt_vcpu *vcpu, const struct bt_insn *insn);
};

/* Tables (the last is NULL) that each end with an entry whose run is NULL. */
extern const struct interp_handler *const system_handlers[]; /* system.c */
/* Vector instructions are bound one by one: vec_bind (vec.h) sets run. */

/* Runs blocks until vcpu->request & vcpu->heed, or vcpu->run_state is not CPU_RUNNING; looks at
 * them between blocks and runs one at least. vcpu->shadow is cleared first. Exceptions have been
 * delivered (except_landed, from the landing of bt_raise). */
void interp_run(struct bt_vcpu *vcpu);
/* One instruction, and of a repeated string instruction one repetition; for single-stepping, armed
 * breakpoints, and the instruction in a shadow. Clears vcpu->shadow unless the instruction set it.
 * False: it raised an exception, which has been delivered. */
bool interp_step(struct bt_vcpu *vcpu);

/* The parts of interp_run, for the translator: the block at RIP, and what is in front of and behind
 * all blocks; between blocks RIP is kept, and the status flags live apart (flags.h). */
struct bt_block *interp_block(struct bt_vcpu *vcpu);
/* Behind a block that has just run, by what interp_run_block returned (NULL: as interp_block). */
struct bt_block *interp_next(struct bt_vcpu *vcpu, struct bt_block **link);
struct bt_block *interp_single(struct bt_vcpu *vcpu); /* of one instruction */
struct bt_block **interp_run_block(struct bt_vcpu *vcpu, struct bt_block *block);
void interp_leave(struct bt_vcpu *vcpu);

/* Whether the running instruction of the interpreter's own addresses memory by SS: what is not
 * canonical is #SS then. */
bool interp_by_stack(const struct bt_vcpu *vcpu);

/* Makes vcpu->rip and vcpu->rflags complete in the middle of a block; harmless elsewhere. */
void interp_sync(struct bt_vcpu *vcpu);

static inline uint64_t interp_wrap(const struct bt_vcpu *vcpu, uint64_t rip)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? rip : (uint32_t)rip;
}

static inline void interp_advance(struct bt_vcpu *vcpu, const struct bt_insn *insn)
{
    vcpu->rip = interp_wrap(vcpu, vcpu->rip + insn->length);
}

/* The memory operand of such a handler's instruction: its offset in the segment, as LEA has it, and
 * its linear address, checked for an access of `size` bytes (raises #GP, #SS). RIP is the
 * instruction's own. */
uint64_t interp_ea_offset(struct bt_vcpu *vcpu, const struct bt_insn *insn);
uint64_t interp_ea(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned size,
                   enum mmu_access access);
