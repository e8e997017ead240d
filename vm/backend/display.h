/* SPDX-License-Identifier: Apache-2.0 */
/* What a display shows, for whoever wants to look (a console, a screenshot, a test). Nothing is
 * pushed and nothing happens while nobody looks: the viewer asks for the surface, reads the video
 * memory itself and finds out what has changed since. `generation` changes with mode, palette or
 * layout: a viewer that sees the same number may keep what it derived from the rest.
 *
 * The guest writes the memory all the while: a viewer copies first and believes nothing. All
 * offsets in a surface have been checked against the memory's size. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum display_format {
    DISPLAY_BLANK,
    DISPLAY_TEXT,     /* cells of two bytes: character, attribute */
    DISPLAY_INDEX8,   /* one byte a pixel, through the palette */
    DISPLAY_PLANAR16, /* four planes, one byte of each per eight pixels, through the palette */
    DISPLAY_RGB555,   /* little-endian, as the rest */
    DISPLAY_RGB565,
    DISPLAY_RGB888,
    DISPLAY_XRGB8888,
    DISPLAY_FORMAT_MAX,
};

struct display_surface {
    enum display_format format;
    uint32_t generation;
    uint32_t width, height; /* pixels; TEXT: cells */
    uint32_t stride;        /* bytes from line to line; TEXT: from row to row */
    const uint8_t *memory;  /* borrowed, all of the device's video memory */
    uint64_t size;          /* of it */
    uint64_t offset;        /* of the first pixel or cell */
    uint32_t palette[256];  /* 0x00rrggbb; TEXT and PLANAR16: 16 of them */
    /* TEXT: characters and attributes lie `cell_stride` bytes apart, font bytes are at
     * font_offset + character * 32 * font_stride + line * font_stride. */
    uint32_t cell_stride, cell_height, font_stride;
    uint32_t cell_width; /* 8, or 9: the ninth column is empty, but line graphics' (0xc0-0xdf) */
    /* Not bool: a surface may come from another process with any value in them. */
    uint8_t line_graphics; /* who repeat their eighth */
    uint8_t blink;         /* attribute bit 7 is not the background's */
    uint8_t cursor;        /* there is one */
    uint64_t font_offset;
    uint32_t cursor_x, cursor_y, cursor_first, cursor_last; /* cell; lines within it */
};

/* A display, as its device gives it out. */
struct display {
    void (*surface)(void *dev, struct display_surface *ret_surface); /* thread-safe */
    void *dev;
};

/* Who wants to be told what is shown, as often as it changes: with the device's lock held, so that
 * the last call is how it is. `show` NULL: nobody. */
struct display_sink {
    void (*show)(void *ctx, const struct display_surface *surface);
    void *ctx;
};
