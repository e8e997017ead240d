/* SPDX-License-Identifier: Apache-2.0 */
/* What the VGA shows: the registers read as a picture. IBM PS/2 Hardware Interface Technical
 * Reference, "Video Subsystem": CRT controller, attribute controller. */
#include <string.h>

#include "base/range.h"
#include "vm/dev/vga_core.h"

static uint32_t color(const struct vga *v, unsigned index)
{
    const uint8_t *c = &v->dac[(index & v->dac_mask) * 3];

    if (v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC)
        return (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
    /* Six bits a colour: all ones is full brightness. */
    return (uint32_t)(c[0] << 2 | c[0] >> 4) << 16 | (uint32_t)(c[1] << 2 | c[1] >> 4) << 8 |
           (uint32_t)(c[2] << 2 | c[2] >> 4);
}

/* Sixteen colours go through the attribute controller's palette and colour select registers. */
static void palette16(const struct vga *v, uint32_t palette[256])
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned index = v->attr[i], select = v->attr[ATTR_COLOR_SELECT];
        index = v->attr[ATTR_MODE] & 0x80 ? (index & 0x0f) | (select & 0x0f) << 4
                                          : (index & 0x3f) | (select & 0x0c) << 4;
        palette[i] = color(v, index);
    }
}

static void palette256(const struct vga *v, uint32_t palette[256])
{
    for (unsigned i = 0; i < 256; i++)
        palette[i] = color(v, i);
}

static uint32_t lines(const struct vga *v)
{
    const uint8_t *c = v->crtc;
    uint32_t scans =
        (c[CRTC_V_END] | (c[CRTC_OVERFLOW] & 0x02u) << 7 | (c[CRTC_OVERFLOW] & 0x40u) << 3) + 1;

    return c[CRTC_CELL] & 0x80 ? scans / 2 : scans;
}

static uint32_t start_address(const struct vga *v)
{
    return (uint32_t)v->crtc[CRTC_START_HIGH] << 8 | v->crtc[CRTC_START_LOW];
}

/* Cuts the height to what lies within `limit` bytes of memory. */
static void fit(struct display_surface *s, uint64_t limit, uint64_t line_bytes)
{
    if (!s->width || !s->height || !range_within(s->offset, line_bytes, limit)) {
        s->format = DISPLAY_BLANK;
        s->width = s->height = 0;
        return;
    }
    if (s->stride)
        s->height =
            (uint32_t)MIN((uint64_t)s->height, (limit - s->offset - line_bytes) / s->stride + 1);
}

static void dispi_surface(const struct vga *v, struct display_surface *s)
{
    static const struct {
        uint8_t bpp, format;
    } formats[] = {{4, DISPLAY_PLANAR16}, {8, DISPLAY_INDEX8},  {15, DISPLAY_RGB555},
                   {16, DISPLAY_RGB565},  {24, DISPLAY_RGB888}, {32, DISPLAY_XRGB8888}};
    uint32_t bpp = v->dispi[DISPI_BPP], bytes = (bpp + 7) / 8;

    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (formats[i].bpp == bpp)
            s->format = (enum display_format)formats[i].format;
    s->width = v->dispi[DISPI_XRES];
    s->height = v->dispi[DISPI_YRES];
    s->stride = vga_dispi_stride(v);
    s->offset = (uint64_t)v->dispi[DISPI_Y_OFFSET] * s->stride;
    if (s->format == DISPLAY_PLANAR16) {
        s->offset += v->dispi[DISPI_X_OFFSET] / 8 * 4u;
        palette16(v, s->palette);
        fit(s, VGA_MEMORY_SIZE, (s->width + 7) / 8 * 4);
        return;
    }
    s->offset += (uint64_t)v->dispi[DISPI_X_OFFSET] * bytes;
    if (s->format == DISPLAY_INDEX8)
        palette256(v, s->palette);
    fit(s, VGA_MEMORY_SIZE, (uint64_t)s->width * bytes);
}

static void text_surface(const struct vga *v, struct display_surface *s)
{
    const uint8_t *c = v->crtc;
    uint32_t at = (uint32_t)c[CRTC_CURSOR_HIGH] << 8 | c[CRTC_CURSOR_LOW];
    uint32_t pitch = c[CRTC_OFFSET] * 2u, start = start_address(v);
    unsigned font = v->seq[SEQ_FONT];

    s->format = DISPLAY_TEXT;
    s->width = c[CRTC_H_END] + 1u;
    s->cell_height = (c[CRTC_CELL] & 0x1f) + 1u;
    s->height = lines(v) / s->cell_height;
    s->cell_width = v->seq[SEQ_CLOCK] & SEQ_CLOCK_8 ? 8 : 9;
    s->line_graphics = v->attr[ATTR_MODE] & ATTR_MODE_LINE_GRAPHICS;
    s->blink = v->attr[ATTR_MODE] & ATTR_MODE_BLINK;
    s->cell_stride = 4; /* the four planes of one cell */
    s->stride = pitch * 4;
    s->offset = (uint64_t)start * 4;
    s->font_stride = 4; /* fonts are in plane 2; map A is chosen by bits 2, 3 and 5 */
    s->font_offset = ((font >> 2 & 3) * 0x4000 + (font >> 5 & 1) * 0x2000) * 4 + 2;
    s->cursor = !(c[CRTC_CURSOR_FIRST] & 0x20) && at >= start && pitch &&
                (at - start) / pitch < s->height && (at - start) % pitch < s->width;
    if (s->cursor) {
        s->cursor_x = (at - start) % pitch;
        s->cursor_y = (at - start) / pitch;
        s->cursor_first = c[CRTC_CURSOR_FIRST] & 0x1f;
        s->cursor_last = c[CRTC_CURSOR_LAST] & 0x1f;
    }
    palette16(v, s->palette);
    fit(s, VGA_PLANES_SIZE, (uint64_t)s->width * 4);
}

static void graphics_surface(const struct vga *v, struct display_surface *s)
{
    uint32_t repeat = (v->crtc[CRTC_CELL] & 0x1f) + 1u; /* double scan of 200-line modes */

    s->width = (v->crtc[CRTC_H_END] + 1u) * 8;
    s->height = lines(v) / repeat;
    s->stride = v->crtc[CRTC_OFFSET] * 8u;
    s->offset = (uint64_t)start_address(v) * 4;
    if (v->gfx[GFX_MODE] & GFX_MODE_SHIFT256) {
        s->format = DISPLAY_INDEX8;
        s->width /= 2;
        palette256(v, s->palette);
        fit(s, VGA_PLANES_SIZE, s->width);
    } else {
        s->format = DISPLAY_PLANAR16;
        palette16(v, s->palette);
        fit(s, VGA_PLANES_SIZE, s->width / 2);
    }
}

void vga_screen_surface(struct vga *v, struct display_surface *ret_surface)
{
    *ret_surface = (struct display_surface){
        .generation = v->generation, .memory = v->memory, .size = VGA_MEMORY_SIZE};
    if (vga_dispi_on(v))
        dispi_surface(v, ret_surface);
    else if (!(v->attr_index & ATTR_VIDEO) || (v->seq[SEQ_CLOCK] & SEQ_CLOCK_OFF))
        return; /* switched off */
    else if (v->gfx[GFX_MISC] & GFX_MISC_GRAPHICS)
        graphics_surface(v, ret_surface);
    else
        text_surface(v, ret_surface);
}
