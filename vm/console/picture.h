/* SPDX-License-Identifier: Apache-2.0 */
/* The picture that viewers are shown: a copy of the display's pixels, brought up to date by
 * looking, and what each look has found to be different.
 *
 * What has moved up or down as a whole (a console that scrolls) is found by hashes of lines, so
 * that a viewer can be told to copy it rather than be sent it again. */
#pragma once

#include "vm/console/damage.h"
#include "vm/console/surface.h"

/* Lines [y, y + height) hold what stood at [from, from + height); `height` 0: nothing moved. */
struct picture_scroll {
    uint32_t y, height, from;
};

struct picture {
    uint32_t width, height;
    uint32_t *pixels; /* width * height, 0x00rrggbb; a look may move it */

    /* What the last look found. All is against the picture before it; damage goes on top of the
     * scroll. */
    bool resized;
    struct picture_scroll scroll;
    struct damage damage;

    /* private */
    uint64_t *hash, *seen; /* of each line: as it is in `pixels`, as the look sees it */
    uint16_t *next;        /* for the search of what moved */
    uint32_t *room;        /* for one line */
    uint32_t *store;       /* `pixels` begins at line `begin` of it, `spare` at most */
    uint32_t begin, spare;
    unsigned phase;
};

int picture_create(struct picture **ret_picture); /* empty: 0 by 0 */
void picture_destroy(struct picture *picture);    /* accepts NULL */

/* Is it probably as it was? Looks at every eighth line, each time at others. */
bool picture_same(struct picture *picture, const struct display_surface *surface);
/* Looks at all of it; `surface` is checked. 1: something has changed, 0: nothing, -ENOMEM: the
 * picture is what it was. */
int picture_look(struct picture *picture, const struct display_surface *surface);
