/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "base/arena.h"
#include "tests/tap.h"

static void memory_is_zeroed_aligned_and_apart(void)
{
    struct arena cleanup_arena arena = {0};
    uint8_t *last = NULL;
    for (size_t size = 0; size < 3000; size += 7) {
        uint8_t *p = arena_alloc(&arena, size);
        CHECK((uintptr_t)p % 16 == 0);
        CHECK(p != last);
        bool zero = true;
        for (size_t i = 0; i < size; i++)
            zero &= p[i] == 0;
        CHECK(zero);
        memset(p, 0xff, size);
        last = p;
    }
    CHECK(!arena_exceeded(&arena));
}

static void what_is_larger_than_a_chunk_fits(void)
{
    struct arena cleanup_arena arena = {0};
    char *small = arena_strdup(&arena, "small");
    char *large = arena_alloc(&arena, 5 << 20);
    large[(5 << 20) - 1] = 1;
    CHECK_STR(small, "small");
    CHECK_STR(arena_printf(&arena, "%s-%d", small, 5), "small-5");
    CHECK(!arena_strdup(&arena, NULL));
}

static void a_limit_sticks_and_is_kept_by_free(void)
{
    struct arena cleanup_arena arena;
    arena_init(&arena, 100);
    CHECK_EQ(arena_left(&arena), 100);
    (void)arena_alloc(&arena, 60);
    CHECK(!arena_exceeded(&arena));
    CHECK_EQ(arena_left(&arena), 36);
    (void)arena_alloc(&arena, 60);
    CHECK(arena_exceeded(&arena));
    CHECK_EQ(arena_left(&arena), 0);
    arena_free(&arena);
    CHECK(!arena_exceeded(&arena));
    CHECK_EQ(arena_left(&arena), 100);
}

TAP_MAIN(TAP_CASE(memory_is_zeroed_aligned_and_apart), TAP_CASE(what_is_larger_than_a_chunk_fits),
         TAP_CASE(a_limit_sticks_and_is_kept_by_free))
