/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor's EDID: VESA Enhanced EDID Standard, release A, revision 2 (EDID 1.4), section 3. */
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/dev/vga_core.h"

enum { DPI_MM_X10 = 254, DPI = 96, H_BLANK = 160, V_BLANK = 40, REFRESH = 60 };

/* 3.10.2: the preferred timing; blanking as CVT's reduced blanking has it, roughly. */
static void detailed_timing(uint8_t *d, unsigned w, unsigned h)
{
    unsigned clock_10khz = (w + H_BLANK) * (h + V_BLANK) * REFRESH / 10000;
    unsigned mm_w = w * DPI_MM_X10 / 10 / DPI, mm_h = h * DPI_MM_X10 / 10 / DPI;

    le16_store(d, (uint16_t)MIN(clock_10khz, 0xffffu));
    d[2] = (uint8_t)w, d[3] = H_BLANK, d[4] = (uint8_t)(w >> 8 << 4);
    d[5] = (uint8_t)h, d[6] = V_BLANK, d[7] = (uint8_t)(h >> 8 << 4);
    d[8] = 48, d[9] = 32; /* horizontal front porch and sync */
    d[10] = 3 << 4 | 6;   /* vertical */
    d[12] = (uint8_t)mm_w, d[13] = (uint8_t)mm_h, d[14] = (uint8_t)(mm_w >> 8 << 4 | mm_h >> 8);
    d[17] = 0x1e; /* digital separate sync, both positive */
}

static void text_descriptor(uint8_t *d, uint8_t tag, const char *text)
{
    size_t len = strlen(text);

    d[3] = tag;
    memset(d + 5, ' ', 13);
    memcpy(d + 5, text, len);
    if (len < 13)
        d[5 + len] = '\n';
}

void vga_edid_make(uint8_t ret_edid[128], uint16_t width, uint16_t height)
{
    static const uint8_t header[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    /* 3.7: sRGB's chromaticity. */
    static const uint8_t srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    uint8_t *e = ret_edid, sum = 0;

    memset(e, 0, 128);
    memcpy(e, header, sizeof header);
    be16_store(e + 8, ('S' - '@') << 10 | ('C' - '@') << 5 | ('L' - '@')); /* 3.4.1 */
    le16_store(e + 10, 1);
    e[16] = 255, e[17] = 2026 - 1990; /* week: the year is the model's */
    e[18] = 1, e[19] = 4;
    e[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    e[21] = (uint8_t)MIN(width * DPI_MM_X10 / 100 / DPI, 255);
    e[22] = (uint8_t)MIN(height * DPI_MM_X10 / 100 / DPI, 255);
    e[23] = 120;  /* gamma 2.2 */
    e[24] = 0x06; /* sRGB; the first timing is the native one */
    memcpy(e + 25, srgb, sizeof srgb);
    e[35] = 0x21, e[36] = 0x08; /* 640x480, 800x600, 1024x768 at 60 Hz */
    memset(e + 38, 1, 16);
    e[38] = 1280 / 8 - 31, e[39] = 0x80; /* 1280x1024 */
    e[40] = 1920 / 8 - 31, e[41] = 0xc0; /* 1920x1080 */
    detailed_timing(e + 54, width, height);
    text_descriptor(e + 72, 0xfc, "Socle");
    e[93] = 0x10; /* 3.10.3.8: a descriptor that says nothing */
    e[111] = 0x10;
    for (unsigned i = 0; i < 127; i++)
        sum += e[i];
    e[127] = (uint8_t)-sum;
}
