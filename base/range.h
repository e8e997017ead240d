/* SPDX-License-Identifier: Apache-2.0 */
/* The one range check, correct at the edges and free of overflow, and the small arithmetic that
 * goes with it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)        (1u << (n))
#define BIT64(n)      (UINT64_C(1) << (n))
#define KIB(n)        ((uint64_t)(n) << 10)
#define MIB(n)        ((uint64_t)(n) << 20)
#define GIB(n)        ((uint64_t)(n) << 30)

/* __COUNTER__ gives each use its own names, so that one may stand inside another. */
#define MIN(a, b)          PICK_(a, <, b, __COUNTER__)
#define MAX(a, b)          PICK_(a, >, b, __COUNTER__)
#define PICK_(a, op, b, n) PICK__(a, op, b, n)
#define PICK__(a, op, b, n)                                 \
    ({                                                      \
        __auto_type pick_a_##n = (a);                       \
        __auto_type pick_b_##n = (b);                       \
        pick_a_##n op pick_b_##n ? pick_a_##n : pick_b_##n; \
    })

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

/* Does [offset, offset + length) lie within [0, size)? */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t size)
{
    return length <= size && offset <= size - length;
}

static inline bool range_overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
    return a_len && b_len && (a < b ? b - a < a_len : a - b < b_len);
}

static inline bool is_power_of_two(uint64_t v)
{
    return v && !(v & (v - 1));
}

/* Alignments are powers of two. align_up may wrap to 0 at the very top: callers bound v first. */
static inline uint64_t align_down(uint64_t v, uint64_t alignment)
{
    return v & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t alignment)
{
    return align_down(v + alignment - 1, alignment);
}
