/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and interrupts: through the IDT (or the real-mode vector table) to their handlers, and
 * back. SDM volume 3 chapter 6, AMD64 APM volume 2 chapter 8.
 *
 * A fault leaves the instruction by longjmp to the loop with vcpu->event; except_deliver carries it
 * out there. A fault during delivery comes back to the loop the same way and makes a double fault,
 * or a shutdown, by except_combine. */
#pragma once

#include "vm/engine/bt/interp.h"

/* Delivers `event` at the current RIP. Raises what goes wrong on the way. */
void except_deliver(struct bt_vcpu *vcpu, const struct bt_event *event);

/* The landing of bt_raise: combines vcpu->event with what was being delivered (vcpu->fault_vector;
 * double and triple faults) and delivers it. May raise, and so land again; that ends. */
void except_landed(struct bt_vcpu *vcpu);
/* From bt_vcpu_run, with no instruction running: delivers, and what comes of it. */
void except_inject(struct bt_vcpu *vcpu, const struct bt_event *event);

/* Debug registers. */
enum except_break {
    EXCEPT_BREAK_EXECUTE = 0,
    EXCEPT_BREAK_WRITE = 1,
    EXCEPT_BREAK_IO = 2,
    EXCEPT_BREAK_ACCESS = 3
};
/* The DR6 bits of armed breakpoints that [address, address + size) meets. */
uint32_t except_breakpoints(const struct bt_vcpu *vcpu, uint64_t address, unsigned size,
                            enum except_break access);
static inline bool except_breaks_armed(const struct bt_vcpu *vcpu)
{
    return vcpu->dr7 & 0xff;
}

/* RFLAGS by an instruction that may change those of `mask`: RF clear, reserved bits right, and the
 * loop asked to look when it has to. */
void except_set_flags(struct bt_vcpu *vcpu, uint64_t value, uint64_t mask);

extern const struct interp_handler except_handlers[]; /* part of system_handlers */
