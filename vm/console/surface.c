/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/surface.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/console/pixels.h"

enum {
    CELLS_MAX = 512,
    CELL_HEIGHT_MAX = 32, /* lines of a font's character */
    STRIDE_MAX = 64,      /* from cell to cell, from font byte to font byte */
    CHARACTERS = 256,
    LINE_GRAPHICS_FIRST = 0xc0,
    LINE_GRAPHICS_LAST = 0xdf,
};

/* Bytes of one line, or of one row of text. */
static uint64_t line_bytes(const struct display_surface *s)
{
    static const uint8_t pixel[DISPLAY_FORMAT_MAX] = {[DISPLAY_INDEX8] = 1,
                                                      [DISPLAY_RGB555] = 2,
                                                      [DISPLAY_RGB565] = 2,
                                                      [DISPLAY_RGB888] = 3,
                                                      [DISPLAY_XRGB8888] = 4};

    if (s->format == DISPLAY_TEXT)
        return (uint64_t)(s->width - 1) * s->cell_stride + 2;
    if (s->format == DISPLAY_PLANAR16)
        return ((uint64_t)s->width + 7) / 8 * 4;
    return (uint64_t)s->width * pixel[s->format];
}

static bool text_fits(const struct display_surface *s)
{
    uint64_t font = (uint64_t)(CHARACTERS * CELL_HEIGHT_MAX - 1) * s->font_stride + 1;

    return s->width <= CELLS_MAX && s->height <= CELLS_MAX && s->cell_height &&
           s->cell_height <= CELL_HEIGHT_MAX && (s->cell_width == 8 || s->cell_width == 9) &&
           s->cell_stride >= 2 && s->cell_stride <= STRIDE_MAX && s->font_stride &&
           s->font_stride <= STRIDE_MAX && range_within(s->font_offset, font, s->size);
}

static bool fits(const struct display_surface *s)
{
    if (s->format == DISPLAY_BLANK || s->format >= DISPLAY_FORMAT_MAX || !s->width || !s->height)
        return false;
    if (s->format == DISPLAY_TEXT && !text_fits(s))
        return false;
    uint64_t width = surface_width(s), height = surface_height(s);
    if (width > SURFACE_SIDE_MAX || height > SURFACE_SIDE_MAX || width * height > SURFACE_AREA_MAX)
        return false;
    return range_within(s->offset, (uint64_t)(s->height - 1) * s->stride + line_bytes(s), s->size);
}

void surface_check(struct display_surface *surface)
{
    if (fits(surface))
        return;
    surface->format = DISPLAY_BLANK;
    surface->width = SURFACE_BLANK_WIDTH;
    surface->height = SURFACE_BLANK_HEIGHT;
}

uint32_t surface_width(const struct display_surface *surface)
{
    return surface->format == DISPLAY_TEXT ? surface->width * surface->cell_width : surface->width;
}

uint32_t surface_height(const struct display_surface *surface)
{
    return surface->format == DISPLAY_TEXT ? surface->height * surface->cell_height
                                           : surface->height;
}

static void text_line(const struct display_surface *s, uint32_t y, uint32_t *out)
{
    uint32_t row = y / s->cell_height, line = y % s->cell_height;
    const uint8_t *cell = s->memory + s->offset + (uint64_t)row * s->stride;
    const uint8_t *font = s->memory + s->font_offset + (uint64_t)line * s->font_stride;
    bool cursor_line =
        s->cursor && row == s->cursor_y && line >= s->cursor_first && line <= s->cursor_last;

    for (uint32_t x = 0; x < s->width; x++, cell += s->cell_stride) {
        uint8_t code = cell[0], attribute = cell[1];
        uint32_t dots = font[(uint32_t)code * CELL_HEIGHT_MAX * s->font_stride] * 2u;
        uint32_t ink = s->palette[attribute & 0xf];
        uint32_t paper = s->palette[s->blink ? attribute >> 4 & 7 : attribute >> 4];

        if (s->line_graphics && code >= LINE_GRAPHICS_FIRST && code <= LINE_GRAPHICS_LAST)
            dots |= dots >> 1 & 1;
        if (cursor_line && x == s->cursor_x)
            dots = 0x1ff;
        for (uint32_t dot = 0; dot < s->cell_width; dot++, dots <<= 1)
            *out++ = (dots & 0x100 ? ink : paper) & 0xffffff;
    }
}

static void planar_line(const struct display_surface *s, const uint8_t *from, uint32_t *out)
{
    for (uint32_t x = 0; x < s->width; from += 4) {
        uint8_t plane[4];
        memcpy(plane, from, 4);
        for (unsigned bit = 8; bit-- > 0 && x < s->width; x++) {
            unsigned index = 0;
            for (unsigned p = 0; p < 4; p++)
                index |= (unsigned)(plane[p] >> bit & 1) << p;
            *out++ = s->palette[index] & 0xffffff;
        }
    }
}

/* `bits` wide at `shift`, spread over eight. */
static uint32_t wide(uint32_t pixel, unsigned shift, unsigned bits)
{
    uint32_t v = pixel >> shift & ((1u << bits) - 1);

    return v << (8 - bits) | v >> (2 * bits - 8);
}

static uint32_t from_16(uint32_t pixel, bool rgb565)
{
    return rgb565 ? wide(pixel, 11, 5) << 16 | wide(pixel, 5, 6) << 8 | wide(pixel, 0, 5)
                  : wide(pixel, 10, 5) << 16 | wide(pixel, 5, 5) << 8 | wide(pixel, 0, 5);
}

void surface_line(const struct display_surface *surface, uint32_t y, uint32_t *out)
{
    const struct display_surface *s = surface;

    if (s->format == DISPLAY_BLANK) {
        memset(out, 0, s->width * sizeof *out);
        return;
    }
    if (s->format == DISPLAY_TEXT) {
        text_line(s, y, out);
        return;
    }
    const uint8_t *from = s->memory + s->offset + (uint64_t)y * s->stride;
    switch (s->format) {
    case DISPLAY_PLANAR16:
        planar_line(s, from, out);
        break;
    case DISPLAY_INDEX8:
        for (uint32_t x = 0; x < s->width; x++)
            out[x] = s->palette[from[x]] & 0xffffff;
        break;
    case DISPLAY_RGB555:
    case DISPLAY_RGB565:
        for (uint32_t x = 0; x < s->width; x++)
            out[x] = from_16(le16_load(from + 2 * x), s->format == DISPLAY_RGB565);
        break;
    case DISPLAY_RGB888:
        for (uint32_t x = 0; x < s->width; x++, from += 3)
            out[x] = (uint32_t)from[2] << 16 | (uint32_t)from[1] << 8 | from[0];
        break;
    default:
        pixels_copy(out, from, s->width);
        break;
    }
}

const void *surface_look(const struct display_surface *surface, uint32_t y, uint32_t *room)
{
    const struct display_surface *s = surface;

    if (s->format == DISPLAY_XRGB8888)
        return s->memory + s->offset + (uint64_t)y * s->stride;
    surface_line(s, y, room);
    return room;
}
