/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/console/pixels.h"

enum {
    SAMPLE = 8,         /* one line in so many is looked at by picture_same */
    SCROLL_LINES = 48,  /* fewer lines are not worth the search */
    SCROLL_PROBES = 24, /* lines whose old place is searched for */
    SCROLL_PLACES = 16, /* old places of one */
    SPARE = 4,          /* one line more in the store for so many */
    TABLE_BITS = 13,    /* of the table from hash to line; SURFACE_SIDE_MAX lines at most */
};

int picture_create(struct picture **ret_picture)
{
    struct picture *p = calloc(1, sizeof *p);

    if (!p)
        return -ENOMEM;
    *ret_picture = p;
    return 0;
}

static void free_pixels(struct picture *p)
{
    free(p->store);
    free(p->hash);
    free(p->seen);
    free(p->next);
    free(p->room);
}

void picture_destroy(struct picture *picture)
{
    if (!picture)
        return;
    free_pixels(picture);
    damage_free(&picture->damage);
    free(picture);
}

/* Black. */
static int resize(struct picture *p, uint32_t width, uint32_t height)
{
    struct picture next = {.width = width, .height = height};

    next.spare = height / SPARE;
    next.store = calloc((size_t)width * (height + next.spare), sizeof *next.store);
    next.pixels = next.store;
    next.hash = calloc(height, sizeof *next.hash);
    next.seen = calloc(height, sizeof *next.seen);
    next.next = calloc(height, sizeof *next.next);
    next.room = calloc(width, sizeof *next.room);
    if (!next.store || !next.hash || !next.seen || !next.next || !next.room ||
        damage_resize(&p->damage, width, height) < 0) {
        free_pixels(&next);
        return -ENOMEM;
    }
    free_pixels(p);
    next.damage = p->damage;
    *p = next;
    return 0;
}

static uint32_t *line_of(const struct picture *p, uint32_t y)
{
    return p->pixels + (size_t)y * p->width;
}

/* As the surface has it now. It is read once, and the picture, which may be in no cache any more,
 * is not. */
static uint64_t hash_of(struct picture *p, const struct display_surface *surface, uint32_t y)
{
    return pixels_hash(surface_look(surface, y, p->room), p->width);
}

bool picture_same(struct picture *picture, const struct display_surface *surface)
{
    struct picture *p = picture;

    if (surface_width(surface) != p->width || surface_height(surface) != p->height)
        return false;
    p->phase = (p->phase + 3) % SAMPLE; /* neighbours are not looked at one after the other */
    for (uint32_t y = p->phase; y < p->height; y += SAMPLE)
        if (hash_of(p, surface, y) != p->hash[y])
            return false;
    return true;
}

/* How many lines have changed; `seen` has all hashes afterwards. */
static uint32_t see(struct picture *p, const struct display_surface *surface)
{
    uint32_t changed = 0;

    for (uint32_t y = 0; y < p->height; y++) {
        p->seen[y] = hash_of(p, surface, y);
        changed += p->seen[y] != p->hash[y];
    }
    return changed;
}

/* From a hash to the lines that had it: the first of a chain, line + 1; picture->next has the rest.
 */
struct table {
    uint16_t first[1 << TABLE_BITS];
};

static uint16_t *slot_of(struct table *t, uint64_t hash)
{
    return &t->first[hash >> (64 - TABLE_BITS)];
}

static void fill_table(struct table *t, struct picture *p)
{
    for (uint32_t y = p->height; y-- > 0;) {
        uint16_t *slot = slot_of(t, p->hash[y]);
        p->next[y] = *slot;
        *slot = (uint16_t)(y + 1);
    }
}

/* How often lines have moved up by so many (down: negative). */
struct votes {
    unsigned count;
    struct vote {
        int32_t by;
        unsigned votes;
    } of[SCROLL_PROBES * SCROLL_PLACES];
};

static void vote(struct votes *v, int32_t by)
{
    unsigned i = 0;

    while (i < v->count && v->of[i].by != by)
        i++;
    if (i == v->count)
        v->of[v->count++] = (struct vote){.by = by};
    v->of[i].votes++;
}

/* By what most of the probed lines may have moved; 0: they have not. Lines of text come more than
 * once: each votes for all the places that it may come from, and one has the votes of all. */
static int32_t most_moved(struct table *t, const struct picture *p)
{
    struct votes v = {0};
    struct vote best = {.votes = 1};
    uint32_t step = p->height / SCROLL_PROBES / 2 | 1; /* not always the same line of characters */

    for (uint32_t y = step / 2, probes = 0; y < p->height && probes < SCROLL_PROBES; y += step) {
        if (p->seen[y] == p->hash[y])
            continue;
        unsigned place = 0;
        for (uint16_t at = *slot_of(t, p->seen[y]); at && place < SCROLL_PLACES;
             at = p->next[at - 1], place++)
            if (p->hash[at - 1] == p->seen[y])
                vote(&v, (int32_t)at - 1 - (int32_t)y);
        probes += place > 0;
    }
    for (unsigned i = 0; i < v.count; i++)
        if (v.of[i].votes > best.votes)
            best = v.of[i];
    return best.by;
}

/* The longest stretch of lines that stood `by` lines further down. */
static struct picture_scroll longest(const struct picture *p, int32_t by)
{
    uint32_t first = by < 0 ? (uint32_t)-by : 0;
    uint32_t end = by > 0 ? p->height - (uint32_t)by : p->height;
    struct picture_scroll best = {0};
    uint32_t start = first;

    for (uint32_t y = first; y <= end; y++) {
        if (y < end && p->seen[y] == p->hash[(int64_t)y + by])
            continue;
        if (y - start > best.height)
            best = (struct picture_scroll){start, y - start, (uint32_t)((int64_t)start + by)};
        start = y + 1;
    }
    return best;
}

static void copy_lines(struct picture *p, uint32_t *to, const uint32_t *from, uint32_t lines)
{
    memmove(to, from, (size_t)lines * p->width * sizeof *to);
}

/* Upwards over most of the picture, as a console scrolls, it is the others that are moved: the
 * picture begins further down in the store. */
static void move_lines(struct picture *p, const struct picture_scroll *s)
{
    uint32_t by = s->from - s->y, below = s->y + s->height;

    if (s->from < s->y || s->height < p->height / 2 || by > p->spare) {
        copy_lines(p, line_of(p, s->y), line_of(p, s->from), s->height);
        return;
    }
    if (p->begin + by > p->spare) {
        copy_lines(p, p->store, p->pixels, p->height);
        p->begin = 0;
    }
    uint32_t *old = p->store + (size_t)p->begin * p->width;
    p->begin += by;
    p->pixels = old + (size_t)by * p->width;
    copy_lines(p, line_of(p, below), old + (size_t)below * p->width, p->height - below);
    copy_lines(p, line_of(p, 0), old, s->y);
}

/* Moves lines that only changed their place. */
static void scroll(struct picture *p)
{
    struct table table = {0};

    fill_table(&table, p);
    int32_t by = most_moved(&table, p);
    if (!by)
        return;
    struct picture_scroll s = longest(p, by);
    if (s.height < SCROLL_LINES)
        return;
    move_lines(p, &s);
    memmove(p->hash + s.y, p->hash + s.from, s.height * sizeof *p->hash);
    p->scroll = s;
}

/* Takes a line over and marks its tiles that are new. It is read anew, so that it is what it is;
 * what changes in others from now on is the next look's. */
static void take_line(struct picture *p, const struct display_surface *surface, uint32_t y)
{
    uint32_t *old = line_of(p, y), *next = p->room;

    surface_line(surface, y, next);
    for (uint32_t x = 0; x < p->width; x += DAMAGE_TILE) {
        size_t len = MIN(p->width - x, (uint32_t)DAMAGE_TILE) * sizeof *old;
        if (!memcmp(next + x, old + x, len))
            continue;
        damage_tile(&p->damage, x / DAMAGE_TILE, y / DAMAGE_TILE);
        memcpy(old + x, next + x, len);
    }
    p->hash[y] = pixels_hash(next, p->width);
}

/* Of another size: all black, but nobody has been shown that. */
static int begin_anew(struct picture *p, uint32_t width, uint32_t height)
{
    int rc = resize(p, width, height);

    for (uint32_t y = 0; y < height && rc == 0; y++)
        p->hash[y] = pixels_hash(line_of(p, y), width);
    return rc;
}

int picture_look(struct picture *picture, const struct display_surface *surface)
{
    struct picture *p = picture;
    uint32_t width = surface_width(surface), height = surface_height(surface);
    bool resized = width != p->width || height != p->height;
    int rc = resized ? begin_anew(p, width, height) : 0;

    if (rc < 0)
        return rc;
    p->resized = resized;
    p->scroll = (struct picture_scroll){0};
    damage_clear(&p->damage);
    uint32_t changed = see(p, surface);
    if (!resized && changed >= SCROLL_LINES)
        scroll(p);
    for (uint32_t y = 0; y < height && changed; y++)
        if (p->seen[y] != p->hash[y])
            take_line(p, surface, y);
    if (resized)
        damage_all(&p->damage);
    return changed || resized;
}
