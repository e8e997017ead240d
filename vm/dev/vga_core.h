/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the VGA: what its files share. The lock of struct vga covers all of it. */
#pragma once

#include <pthread.h>

#include "vm/dev/vga.h"

enum {
    SEQ_RESET = 0,
    SEQ_CLOCK = 1,
    SEQ_MAP_MASK = 2,
    SEQ_FONT = 3,
    SEQ_MEMORY = 4,
    SEQ_CLOCK_8 = 0x01, /* dots a character; else 9 */
    SEQ_CLOCK_OFF = 0x20,
    SEQ_MEMORY_SEQUENTIAL = 0x04, /* odd/even addressing off */
    SEQ_MEMORY_CHAIN4 = 0x08,

    GFX_SET_RESET = 0,
    GFX_SET_RESET_ENABLE = 1,
    GFX_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
    GFX_MODE_READ1 = 0x08,
    GFX_MODE_SHIFT256 = 0x40,
    GFX_MISC_GRAPHICS = 0x01,

    CRTC_H_END = 0x01,
    CRTC_OVERFLOW = 0x07,
    CRTC_CELL = 0x09,
    CRTC_CURSOR_FIRST = 0x0a,
    CRTC_CURSOR_LAST = 0x0b,
    CRTC_START_HIGH = 0x0c,
    CRTC_START_LOW = 0x0d,
    CRTC_CURSOR_HIGH = 0x0e,
    CRTC_CURSOR_LOW = 0x0f,
    CRTC_PROTECT = 0x11,
    CRTC_V_END = 0x12,
    CRTC_OFFSET = 0x13,

    ATTR_MODE = 0x10,
    ATTR_MODE_LINE_GRAPHICS = 0x04,
    ATTR_MODE_BLINK = 0x08,
    ATTR_COLOR_SELECT = 0x14,
    ATTR_VIDEO = 0x20, /* in the index: the palette is shown and locked */

    VGA_PLANES_SIZE = 0x40000, /* 4 planes of 64 KiB, interleaved by byte */
};

enum dispi_reg {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X_OFFSET,
    DISPI_Y_OFFSET,
    DISPI_MEMORY_64K,
    DISPI_REGS,
};

enum {
    DISPI_ENABLED = 0x01,
    DISPI_GETCAPS = 0x02,
    DISPI_8BIT_DAC = 0x20,
    DISPI_LFB = 0x40,
    DISPI_NOCLEAR = 0x80,
};

struct vga {
    struct dev_env env;
    uint8_t *memory; /* owned mapping of env.ram_fd */
    uint8_t edid[128];
    pthread_mutex_t lock; /* all below */
    uint32_t generation, published;
    struct display_sink sink;

    uint8_t misc, feature, status1;
    uint8_t seq_index, gfx_index, crtc_index, attr_index;
    bool attr_data; /* the next write to 0x3c0 is data */
    /* As wide as the index masks, so that no index leaves them. */
    uint8_t seq[8], gfx[16], crtc[32], attr[32];
    uint8_t dac_mask, dac_read, dac_write, dac_step;
    bool dac_reading;
    uint8_t dac[768], dac_latch[3];
    uint8_t latch[4]; /* of the planes, from the last read */
    uint16_t dispi_index, dispi[DISPI_REGS];
};

static inline bool vga_dispi_on(const struct vga *v)
{
    return v->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}

/* Bytes from line to line in a dispi mode. */
uint32_t vga_dispi_stride(const struct vga *v);

/* The window at 0xa0000: vga_window.c. */
uint8_t vga_window_read(struct vga *v, uint32_t offset);
void vga_window_write(struct vga *v, uint32_t offset, uint8_t value);

/* What is shown: vga_screen.c. */
void vga_screen_surface(struct vga *v, struct display_surface *ret_surface);

/* VESA E-EDID 1.4 of a monitor that prefers width by height at 60 Hz: vga_edid.c. */
void vga_edid_make(uint8_t ret_edid[128], uint16_t width, uint16_t height);
