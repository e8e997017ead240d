/* SPDX-License-Identifier: Apache-2.0 */
/* What some vCPU of the VM has translated: another that meets the same code need not warm up.
 *
 * A table of marks without collisions' care: one that is lost, or is of bytes that have changed
 * since, costs a translation too late or too early. Any thread, no order. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WARM_MARKS = 1 << 17 };

struct warm {
    _Atomic(uint32_t) mark[WARM_MARKS];
};

static inline uint64_t warm_key(uint64_t page, unsigned offset, uint32_t mode)
{
    return ((page << 12 | offset) ^ (uint64_t)mode << 48) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void warm_set(struct warm *warm, uint64_t key)
{
    atomic_store_explicit(&warm->mark[key >> 32 & (WARM_MARKS - 1)], (uint32_t)key | 1,
                          memory_order_relaxed);
}

static inline bool warm_has(struct warm *warm, uint64_t key)
{
    return atomic_load_explicit(&warm->mark[key >> 32 & (WARM_MARKS - 1)], memory_order_relaxed) ==
           ((uint32_t)key | 1);
}
