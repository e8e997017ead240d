/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena_text.h"

#include <errno.h>
#include <string.h>

int arena_text_put(struct arena *arena, struct arena_text *text, const char *data, size_t len)
{
    size_t need = text->len + len + 1;

    if (need > text->cap) {
        size_t cap = text->cap * 2 > need ? text->cap * 2 : need;
        if (cap > arena_left(arena))
            return -E2BIG;
        char *grown = arena_alloc(arena, cap);
        if (text->len)
            memcpy(grown, text->data, text->len);
        text->data = grown;
        text->cap = cap;
    }
    memcpy(text->data + text->len, data, len);
    text->len += len;
    text->data[text->len] = '\0';
    return 0;
}
