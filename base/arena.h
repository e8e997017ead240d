/* SPDX-License-Identifier: Apache-2.0 */
/* A bump allocator for everything that lives as long as one request or one value: parts are taken
 * one after another and freed at once with the arena. Not thread-safe; a value may be built on one
 * thread and handed to another together with its arena.
 *
 * Memory comes zeroed and is aligned for any type. No call returns NULL: a process whose allocator
 * fails ends here, by abort. What somebody else decides the size of is bounded by the limit: once
 * more than `limit` bytes were taken, arena_exceeded() says so, for good. Whoever reads foreign
 * input into an arena asks it at every element and gives up; whoever builds from our own state need
 * not ask. A single allocation therefore never comes from a foreign number that was not compared
 * with arena_left() first. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; owned */
    char *next, *end;           /* the free part of the newest */
    size_t taken;               /* bytes handed out, padding included */
    size_t limit;               /* 0: none */
};

/* A zeroed struct is an arena without limit; this sets one. */
void arena_init(struct arena *arena, size_t limit);
void arena_free(struct arena *arena); /* everything in it; usable again afterwards */
#define cleanup_arena CLEANUP(arena_free)

void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size); /* aborts if the product wraps */
char *arena_strdup(struct arena *arena, const char *text);         /* NULL stays NULL */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

#define arena_new(arena, type) ((type *)arena_alloc(arena, sizeof(type)))

static inline bool arena_exceeded(const struct arena *arena)
{
    return arena->limit && arena->taken > arena->limit;
}

static inline size_t arena_left(const struct arena *arena)
{
    return !arena->limit                  ? SIZE_MAX
           : arena->taken >= arena->limit ? 0
                                          : arena->limit - arena->taken;
}
