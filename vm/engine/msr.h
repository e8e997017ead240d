/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: which are a processor's state (msr.def), and what a guest gets that
 * asks for one which no engine models (the policy table in msr.c).
 *
 * The rule for the unknown is the hardware's: #GP. The policy table lists the few that operating
 * systems read without looking first, with the value that says "not there". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum msr_presence { MSR_LISTED, MSR_ALWAYS };

/* MSR_SLOT_star and so on: places in cpu_state.msr. */
enum msr_slot {
#define MSR(name, index, presence, since) MSR_SLOT_##name,
#include "vm/engine/msr.def"
#undef MSR
    MSR_SLOT_MAX
};

struct msr_info {
    const char *name;
    uint32_t index;
    enum msr_presence presence;
};

extern const struct msr_info msr_info[MSR_SLOT_MAX];

enum { MSR_MC_BANKS = 10 }; /* machine-check banks that a processor has */

struct msr_policy {
    uint32_t index;
    uint64_t read; /* what a read gives */
    bool write_ignored;
    const char *why;
};

/* NULL: #GP, as for any register that is not there. */
const struct msr_policy *msr_policy_find(uint32_t index);
