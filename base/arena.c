/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks grow with the arena, so that a large value costs few of them; what does not fit a chunk
 * gets one of its own. */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

enum {
    ALIGN = 16,
    CHUNK_MIN = 4096,
    CHUNK_MAX = 1 << 20,
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(ALIGN) char data[];
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.limit = limit};
}

void arena_free(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena_init(arena, arena->limit);
}

static void arena_more(struct arena *arena, size_t need)
{
    size_t size = arena->chunks ? arena->chunks->size * 2 : CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size < need)
        size = need;
    size_t total;
    struct arena_chunk *chunk = NULL;
    if (!__builtin_add_overflow(size, sizeof *chunk, &total))
        chunk = malloc(total);
    if (!chunk)
        abort();
    chunk->next = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->next = chunk->data;
    arena->end = chunk->data + size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGN)
        abort();
    size = size ? (size + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    if ((size_t)(arena->end - arena->next) < size)
        arena_more(arena, size);
    void *p = arena->next;
    arena->next += size;
    arena->taken += size;
    return memset(p, 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        abort();
    return arena_alloc(arena, total);
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    if (len == SIZE_MAX)
        abort();
    char *copy = arena_alloc(arena, len + 1);
    memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        abort();
    char *text = arena_alloc(arena, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, fmt, ap);
    return text;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(arena, fmt, ap);
    va_end(ap);
    return text;
}
