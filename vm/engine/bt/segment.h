/* SPDX-License-Identifier: Apache-2.0 */
/* Segmentation: from an instruction's segment and offset to a linear address, and everything that
 * loads segment registers: moves, far transfers, gates, task switches, table registers.
 * SDM volume 3 chapters 3, 5 and 7; AMD64 APM volume 2 chapter 4.
 *
 * Offsets come already truncated to the address size. All functions raise what the processor would
 * and then do not return; nothing has been changed then, but for task switches, where the SDM says
 * so. */
#pragma once

#include "vm/engine/bt/insn.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/mmu.h"

/* The checks that the inline part leaves out: real mode, V86, limits, types, #SS or #GP. */
uint64_t segment_linear_slow(struct bt_vcpu *vcpu, unsigned seg, uint64_t offset, unsigned size,
                             enum mmu_access access);

static inline bool segment_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* The linear address of [offset, offset + size) in `seg` for `access`. In 64-bit mode addresses
 * that are not canonical are left to the MMU (#GP), but for the stack segment's (#SS). */
static inline uint64_t segment_linear(struct bt_vcpu *vcpu, unsigned seg, uint64_t offset,
                                      unsigned size, enum mmu_access access)
{
    if (__builtin_expect((vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64, 1)) {
        if (seg < CPU_FS && (seg != CPU_SS || segment_canonical(offset)))
            return offset;
        if (seg >= CPU_FS)
            return offset + vcpu->seg[seg].base;
    } else if (vcpu->mode & BT_MODE_FLAT && seg < CPU_FS && seg != CPU_CS &&
               offset + size <= UINT64_C(0x100000000))
        return offset;
    return segment_linear_slow(vcpu, seg, offset, size, access);
}

/* A descriptor as it stands in its table; system ones of long mode have `high`. */
struct segment_descriptor {
    uint64_t low, high;
};

/* MOV and POP to ES, SS, DS, FS, GS; LDS and its like. By the mode: real, V86, protected, 64-bit.
 */
void segment_load(struct bt_vcpu *vcpu, enum cpu_seg seg, uint16_t selector);
/* The parts, for except.c and system.c. segment_load_cs_* take what has been checked already. */
bool segment_read_descriptor(struct bt_vcpu *vcpu, uint16_t selector,
                             struct segment_descriptor *ret_descriptor); /* false: beyond limits */
void segment_read_or_raise(struct bt_vcpu *vcpu, uint16_t selector, enum bt_vector vector,
                           struct segment_descriptor *ret_descriptor);
struct cpu_segment segment_unpack(uint16_t selector, const struct segment_descriptor *descriptor);
void segment_set_accessed(struct bt_vcpu *vcpu, uint16_t selector,
                          struct segment_descriptor *descriptor);
/* The descriptor of a stack for `cpl`, checked and marked accessed; `vector` unless it is absent.
 */
struct cpu_segment segment_check_stack(struct bt_vcpu *vcpu, uint16_t selector, unsigned cpl,
                                       enum bt_vector vector);
/* The same for data segments at the current level. */
struct cpu_segment segment_check_data(struct bt_vcpu *vcpu, uint16_t selector,
                                      enum bt_vector vector);
/* Sets or clears the busy bit of the TSS descriptor `selector` of the GDT. */
void segment_set_busy(struct bt_vcpu *vcpu, uint16_t selector, bool busy);
/* After a return to an outer level: data segments that it may not have become null. */
void segment_drop_inner(struct bt_vcpu *vcpu);
/* Operand of an instruction: register or memory. */
void segment_write_rm(struct bt_vcpu *vcpu, const struct bt_insn *insn, unsigned operand,
                      unsigned size, uint64_t value);

/* Offers all 4 GiB of offsets, for reading and writing. */
bool segment_is_whole(const struct cpu_segment *s);

/* Real mode and V86: base is selector * 16; limit and type as they are (real) or 64 KiB (V86). */
void segment_set_real(struct bt_vcpu *vcpu, enum cpu_seg seg, uint16_t selector);
/* A stack or code address that will be RIP: limit of CS or canonical, else #GP(0). */
void segment_check_rip(struct bt_vcpu *vcpu, const struct cpu_segment *cs, bool long_mode,
                       uint64_t rip);

/* Pushes and pops on the current stack by the stack's address size, as near and far transfers and
 * POP do. RSP changes behind the access. `size`: 2, 4, 8. */
void segment_push(struct bt_vcpu *vcpu, unsigned size, uint64_t value);
uint64_t segment_pop(struct bt_vcpu *vcpu, unsigned size);
/* The top of the stack after n more bytes have been popped; for reading without changing RSP. */
uint64_t segment_peek(struct bt_vcpu *vcpu, unsigned displacement, unsigned size);
void segment_add_rsp(struct bt_vcpu *vcpu, int64_t bytes); /* by the stack's address size */

/* A stack of another level, from the TSS (SDM 7.7 and 7.2.1). */
struct segment_stack {
    struct cpu_segment ss;
    uint64_t rsp;
    unsigned cpl; /* that it is for */
    bool code64;
};
/* Pushes there; vcpu is not changed. */
void segment_stack_push(struct bt_vcpu *vcpu, struct segment_stack *stack, unsigned size,
                        uint64_t value);
void segment_tss_stack(struct bt_vcpu *vcpu, unsigned cpl, struct segment_stack *ret_stack);
uint64_t segment_tss_ist(struct bt_vcpu *vcpu, unsigned ist);

enum segment_task_reason {
    SEGMENT_TASK_JUMP,
    SEGMENT_TASK_CALL,
    SEGMENT_TASK_RETURN,
    SEGMENT_TASK_GATE
};

/* Switches to the task of TSS `selector` (a task gate's, a link's, or named directly); the one that
 * is left goes on at `next`. An error code is pushed on the new stack. */
void segment_task_switch(struct bt_vcpu *vcpu, uint16_t selector, enum segment_task_reason reason,
                         uint64_t next, bool has_error, uint32_t error);

/* Parts of system_handlers. */
extern const struct interp_handler segment_handlers[], transfer_handlers[];
