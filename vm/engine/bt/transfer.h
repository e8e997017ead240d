/* SPDX-License-Identifier: Apache-2.0 */
/* Far transfers of control in protected mode: what except.c needs of transfer.c. */
#pragma once

#include "vm/engine/bt/segment.h"

/* What RET and IRET have found on the stack. */
struct transfer_frame {
    unsigned size; /* of each item: 2, 4, 8 */
    uint64_t rip;
    uint16_t cs;
    unsigned stack_at; /* where the outer stack's pointer would be, from the top */
    unsigned release;  /* parameters to drop, on either stack */
    bool iret;         /* in 64-bit mode it takes SS:RSP at the same level too */
};

/* Returns there, to the same or an outer level, in protected and long mode; RFLAGS are the
 * caller's, whose new CPL may be another behind it. */
void transfer_return(struct bt_vcpu *vcpu, const struct transfer_frame *frame);

/* The code segment of a checked descriptor for level `cpl`, marked accessed. */
struct cpu_segment transfer_code(struct bt_vcpu *vcpu, uint16_t selector, unsigned cpl,
                                 struct segment_descriptor *descriptor);
