/* SPDX-License-Identifier: Apache-2.0 */
/* Tight, as rfbproto describes it, without its lossy part: a rectangle of one colour, of two (a bit
 * a pixel), of up to 256 (a byte a pixel), or of pixels as they are. Missing on purpose: JPEG and
 * the gradient filter, which pay for photographs only. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "vm/console/encode.h"

enum {
    STREAM_FULL = 0,
    STREAM_MONO = 1,
    STREAM_INDEX = 2,
    CONTROL_FILL = 0x80,
    CONTROL_FILTER = 0x40, /* with the stream's number in bits 4 and 5 */
    FILTER_PALETTE = 1,
    PALETTE_MAX = 256,
    UNCOMPRESSED = 12, /* fewer bytes go as they are */
};

/* The length in 7, 7 and 8 bits. */
static void put_length(struct buf *out, size_t len)
{
    buf_put_u8(out, (uint8_t)((len & 0x7f) | (len > 0x7f ? 0x80 : 0)));
    if (len > 0x7f)
        buf_put_u8(out, (uint8_t)((len >> 7 & 0x7f) | (len > 0x3fff ? 0x80 : 0)));
    if (len > 0x3fff)
        buf_put_u8(out, (uint8_t)(len >> 14));
}

static int put_data(struct encoder *e, unsigned stream, const uint8_t *end, struct buf *out)
{
    cleanup_buf struct buf packed = {0};
    size_t len = (size_t)(end - e->raw);

    if (len < UNCOMPRESSED) {
        buf_put(out, e->raw, len);
        return out->failed ? -ENOMEM : 0;
    }
    int rc = encode_deflate(e, 1 + stream, e->raw, len, &packed);
    if (rc < 0)
        return rc;
    put_length(out, packed.len);
    buf_put(out, packed.data, packed.len);
    return out->failed ? -ENOMEM : 0;
}

static void put_palette(const struct encoder *e, unsigned stream, const struct colours *colours,
                        struct buf *out)
{
    uint8_t bytes[PALETTE_MAX * 4];
    const uint8_t *end = encode_tpixels(e, colours->colour, colours->count, bytes);

    buf_put_u8(out, (uint8_t)(CONTROL_FILTER | stream << 4));
    buf_put_u8(out, FILTER_PALETTE);
    buf_put_u8(out, (uint8_t)(colours->count - 1));
    buf_put(out, bytes, (size_t)(end - bytes));
}

/* False: there are too many. */
static bool collect(const uint32_t *pixels, uint32_t stride, struct rect rect,
                    struct colours *colours)
{
    colours_init(colours, PALETTE_MAX);
    for (uint32_t y = 0; y < rect.height; y++) {
        const uint32_t *line = pixels + (size_t)y * stride;
        uint32_t last = ~line[0];
        for (uint32_t x = 0; x < rect.width; x++) {
            if (line[x] != last && colours_index(colours, line[x]) < 0)
                return false;
            last = line[x];
        }
    }
    return true;
}

static uint8_t *mono_line(const uint32_t *line, uint32_t width, uint32_t one, uint8_t *to)
{
    for (uint32_t x = 0; x < width; x += 8) {
        unsigned byte = 0, count = MIN(width - x, 8u);
        for (unsigned i = 0; i < count; i++)
            byte |= (unsigned)(line[x + i] == one) << (7 - i);
        *to++ = (uint8_t)byte;
    }
    return to;
}

static uint8_t *index_line(const uint32_t *line, uint32_t width, struct colours *colours,
                           uint8_t *to)
{
    uint32_t last = ~line[0];
    uint8_t index = 0;

    for (uint32_t x = 0; x < width; x++) {
        if (line[x] != last)
            index = (uint8_t)colours_index(colours, line[x]);
        last = line[x];
        *to++ = index;
    }
    return to;
}

int encode_tight(struct encoder *encoder, const uint32_t *pixels, uint32_t stride, struct rect rect,
                 struct buf *out)
{
    struct colours colours;
    uint8_t *to = encoder->raw;
    bool few = collect(pixels, stride, rect, &colours);
    unsigned stream = !few ? STREAM_FULL : colours.count == 2 ? STREAM_MONO : STREAM_INDEX;

    if (few && colours.count == 1) {
        uint8_t pixel[4];
        const uint8_t *end = encode_tpixels(encoder, pixels, 1, pixel);
        buf_put_u8(out, CONTROL_FILL);
        buf_put(out, pixel, (size_t)(end - pixel));
        return out->failed ? -ENOMEM : 0;
    }
    if (few)
        put_palette(encoder, stream, &colours, out);
    else
        buf_put_u8(out, STREAM_FULL << 4);
    for (uint32_t y = 0; y < rect.height; y++) {
        const uint32_t *line = pixels + (size_t)y * stride;
        if (!few)
            to = encode_tpixels(encoder, line, rect.width, to);
        else if (colours.count == 2)
            to = mono_line(line, rect.width, colours.colour[1], to);
        else
            to = index_line(line, rect.width, &colours, to);
    }
    return put_data(encoder, stream, to, out);
}
