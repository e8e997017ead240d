/* SPDX-License-Identifier: Apache-2.0 */
/* A display's surface as lines of pixels, 0x00rrggbb, whatever its mode: text is drawn with the
 * display's own font, as a monitor would show it but that nothing blinks.
 *
 * The surface and the video memory are foreign: surface_check is to go before all else, and each
 * byte of memory is read once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/backend/display.h"

enum {
    SURFACE_SIDE_MAX = 8192, /* pixels */
    SURFACE_AREA_MAX = 8 << 20,
    SURFACE_BLANK_WIDTH = 720, /* what is shown while nothing is: a PC's text screen */
    SURFACE_BLANK_HEIGHT = 400,
};

/* What does not lie within surface->size, or has a size out of these limits, becomes blank. */
void surface_check(struct display_surface *surface);
/* Of a checked one: pixels. */
uint32_t surface_width(const struct display_surface *surface);
uint32_t surface_height(const struct display_surface *surface);
/* surface_width pixels of line `y`. */
void surface_line(const struct display_surface *surface, uint32_t y, uint32_t *out);
/* The same, to be read at once: pixels (pixels.h) where they lie, when they need no conversion,
 * else in `room`, which is for a line. */
const void *surface_look(const struct display_surface *surface, uint32_t y, uint32_t *room);
