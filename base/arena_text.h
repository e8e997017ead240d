/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows in an arena, as a reader of foreign input collects one piece after the other.
 */
#pragma once

#include "base/arena.h"

struct arena_text {
    char *data; /* ends in NUL; NULL: nothing yet. Another place after each piece */
    size_t len, cap;
};

/* -E2BIG when the arena's limit does not allow for it: nothing has changed then. */
int arena_text_put(struct arena *arena, struct arena_text *text, const char *data, size_t len);
