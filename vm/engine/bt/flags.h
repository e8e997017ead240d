/* SPDX-License-Identifier: Apache-2.0 */
/* The status flags while a block runs (bt_vcpu.status): what LAHF and SETO leave in AX, so the host
 * carries out an instruction and one store keeps its flags, the undefined ones included. SDM volume
 * 1, 3.4.3.1. */
#pragma once

#include "vm/engine/bt/bt.h"

enum {
    STATUS_OF = 1 << 0,
    STATUS_CF = 1 << 8,
    STATUS_PF = 1 << 10,
    STATUS_AF = 1 << 12,
    STATUS_ZF = 1 << 14,
    STATUS_SF = 1 << 15
};

/* In inline assembly, with the status in AX: the host's flags become the guest's (FLAGS_LOAD; only
 * CF: CARRY_LOAD), and are kept (FLAGS_KEEP). */
#define FLAGS_LOAD "addb $127, %%al\n\tsahf\n\t"
#define CARRY_LOAD "btw $8, %%ax\n\t"
#define FLAGS_KEEP "\n\tlahf\n\tseto %%al"

static inline uint64_t flags_of_status(uint16_t status)
{
    return (status >> 8 & 0xd5) | (uint64_t)(status & STATUS_OF) << 11;
}

static inline uint16_t flags_to_status(uint64_t rflags)
{
    return (uint16_t)((rflags & 0xd5) << 8 | (rflags >> 11 & 1));
}

/* RFLAGS from the status, and the reverse. */
static inline void flags_merge(struct bt_vcpu *vcpu)
{
    vcpu->rflags = (vcpu->rflags & ~(uint64_t)BT_FLAGS_STATUS) | flags_of_status(vcpu->status);
}

static inline void flags_split(struct bt_vcpu *vcpu)
{
    vcpu->status = flags_to_status(vcpu->rflags);
}

/* Condition `cond` of Jcc, SETcc and CMOVcc. */
static inline bool flags_cond(uint16_t s, unsigned cond)
{
    bool is;

    switch (cond >> 1) {
    case 0:
        is = s & STATUS_OF;
        break;
    case 1:
        is = s & STATUS_CF;
        break;
    case 2:
        is = s & STATUS_ZF;
        break;
    case 3:
        is = s & (STATUS_CF | STATUS_ZF);
        break;
    case 4:
        is = s & STATUS_SF;
        break;
    case 5:
        is = s & STATUS_PF;
        break;
    case 6:
        is = (s >> 15 ^ s) & 1;
        break;
    default:
        is = ((s >> 15 ^ s) & 1) || s & STATUS_ZF;
    }
    return is ^ (cond & 1);
}
