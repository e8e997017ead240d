/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a picture have changed: one bit a tile of 16 by 16 pixels. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { DAMAGE_TILE = 16 };

struct rect {
    uint32_t x, y, width, height; /* pixels */
};

/* A zeroed one is of an empty picture. Owner frees. */
struct damage {
    uint32_t width, height;        /* of the picture, pixels */
    uint32_t columns, rows, words; /* tiles; 64-bit words a row */
    uint64_t *bits;
};

/* Nothing is damaged afterwards. -ENOMEM: it is what it was. */
int damage_resize(struct damage *damage, uint32_t width, uint32_t height);
void damage_free(struct damage *damage);

void damage_clear(struct damage *damage);
void damage_all(struct damage *damage);
void damage_tile(struct damage *damage, uint32_t column, uint32_t row);
void damage_rect(struct damage *damage, struct rect rect);          /* cut to the picture */
void damage_add(struct damage *damage, const struct damage *other); /* of the same size */
bool damage_any(const struct damage *damage);

/* Takes one rectangle of damaged tiles out, cut to the picture. False: nothing is left. */
bool damage_take(struct damage *damage, struct rect *ret_rect);
