/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

int damage_resize(struct damage *damage, uint32_t width, uint32_t height)
{
    uint32_t columns = (width + DAMAGE_TILE - 1) / DAMAGE_TILE;
    uint32_t rows = (height + DAMAGE_TILE - 1) / DAMAGE_TILE, words = (columns + 63) / 64;
    uint64_t *bits = calloc((size_t)words * rows + 1, sizeof *bits);

    if (!bits)
        return -ENOMEM;
    free(damage->bits);
    *damage = (struct damage){width, height, columns, rows, words, bits};
    return 0;
}

void damage_free(struct damage *damage)
{
    free(damage->bits);
    *damage = (struct damage){0};
}

static uint64_t *row_of(const struct damage *d, uint32_t row)
{
    return d->bits + (size_t)row * d->words;
}

static bool is_set(const struct damage *d, uint32_t column, uint32_t row)
{
    return row_of(d, row)[column / 64] >> (column % 64) & 1;
}

void damage_tile(struct damage *damage, uint32_t column, uint32_t row)
{
    row_of(damage, row)[column / 64] |= BIT64(column % 64);
}

void damage_clear(struct damage *damage)
{
    if (damage->bits)
        memset(damage->bits, 0, (size_t)damage->words * damage->rows * sizeof *damage->bits);
}

void damage_rect(struct damage *damage, struct rect rect)
{
    if (rect.x >= damage->width || rect.y >= damage->height || !rect.width || !rect.height)
        return;
    uint32_t right = (uint32_t)MIN((uint64_t)rect.x + rect.width, (uint64_t)damage->width);
    uint32_t bottom = (uint32_t)MIN((uint64_t)rect.y + rect.height, (uint64_t)damage->height);

    for (uint32_t row = rect.y / DAMAGE_TILE; row * DAMAGE_TILE < bottom; row++)
        for (uint32_t column = rect.x / DAMAGE_TILE; column * DAMAGE_TILE < right; column++)
            damage_tile(damage, column, row);
}

void damage_all(struct damage *damage)
{
    damage_rect(damage, (struct rect){0, 0, damage->width, damage->height});
}

void damage_add(struct damage *damage, const struct damage *other)
{
    for (size_t i = 0; i < (size_t)damage->words * damage->rows; i++)
        damage->bits[i] |= other->bits[i];
}

bool damage_any(const struct damage *damage)
{
    for (size_t i = 0; i < (size_t)damage->words * damage->rows; i++)
        if (damage->bits[i])
            return true;
    return false;
}

/* The first damaged tile from row *row on. */
static bool first(const struct damage *d, uint32_t *ret_column, uint32_t *ret_row)
{
    for (uint32_t row = 0; row < d->rows; row++)
        for (uint32_t word = 0; word < d->words; word++) {
            uint64_t bits = row_of(d, row)[word];
            if (!bits)
                continue;
            *ret_column = word * 64 + (uint32_t)__builtin_ctzll(bits);
            *ret_row = row;
            return true;
        }
    return false;
}

static bool run_is_set(const struct damage *d, uint32_t column, uint32_t end, uint32_t row)
{
    while (column < end && is_set(d, column, row))
        column++;
    return column == end;
}

bool damage_take(struct damage *damage, struct rect *ret_rect)
{
    uint32_t column, row, right, bottom;

    if (!first(damage, &column, &row))
        return false;
    right = column + 1;
    while (right < damage->columns && is_set(damage, right, row))
        right++;
    bottom = row + 1;
    while (bottom < damage->rows && run_is_set(damage, column, right, bottom))
        bottom++;
    for (uint32_t r = row; r < bottom; r++)
        for (uint32_t c = column; c < right; c++)
            row_of(damage, r)[c / 64] &= ~BIT64(c % 64);
    *ret_rect = (struct rect){.x = column * DAMAGE_TILE, .y = row * DAMAGE_TILE};
    ret_rect->width = MIN(right * DAMAGE_TILE, damage->width) - ret_rect->x;
    ret_rect->height = MIN(bottom * DAMAGE_TILE, damage->height) - ret_rect->y;
    return true;
}
