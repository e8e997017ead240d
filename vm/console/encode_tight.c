/* SPDX-License-Identifier: Apache-2.0 */
/* Tight, as rfbproto describes it, without its lossy part: a rectangle of one colour, of two (a bit
 * a pixel), of up to 256 (a byte a pixel), or of pixels as they are. What has two colours only in
 * parts is cut into such parts and others, where the viewer lets us say later how many rectangles
 * there are. Missing on purpose: JPEG and the gradient filter, which pay for photographs only. */
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
    PART = 64,         /* pixels: what is cut is a multiple of that */
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

static int encode_one(struct encoder *encoder, const uint32_t *pixels, uint32_t stride,
                      struct rect rect, struct buf *out)
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

/* --- parts --- */

struct pair {
    unsigned count;
    uint32_t colour[2];
};

/* False: there is a third colour; `pair` is of no use then. */
static bool pair_add(struct pair *pair, uint32_t colour)
{
    for (unsigned i = 0; i < pair->count; i++)
        if (pair->colour[i] == colour)
            return true;
    if (pair->count == 2)
        return false;
    pair->colour[pair->count++] = colour;
    return true;
}

static bool pair_of(const uint32_t *pixels, uint32_t stride, uint32_t width, uint32_t height,
                    struct pair *ret_pair)
{
    uint32_t last = ~pixels[0];

    ret_pair->count = 0;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint32_t colour = pixels[(size_t)y * stride + x];
            if (colour != last && !pair_add(ret_pair, colour))
                return false;
            last = colour;
        }
    return true;
}

/* All colours of two pairs in one. */
static bool pair_join(struct pair *pair, const struct pair *other)
{
    struct pair joined = *pair;

    for (unsigned i = 0; i < other->count; i++)
        if (!pair_add(&joined, other->colour[i]))
            return false;
    *pair = joined;
    return true;
}

static int put_part(struct encoder *e, const uint32_t *line, uint32_t stride, struct rect band,
                    uint32_t from, uint32_t to, struct buf *out)
{
    struct rect part = {band.x + from, band.y, to - from, band.height};

    encode_head(out, part, RFB_TIGHT);
    return encode_one(e, line + from, stride, part, out);
}

/* A band of PART lines, from left to right. */
static int cut(struct encoder *e, const uint32_t *line, uint32_t stride, struct rect band,
               struct buf *out)
{
    struct pair run = {0}, here;
    bool run_few = true;
    uint32_t from = 0;
    int rc = 0;

    for (uint32_t x = 0; x < band.width && rc == 0; x += PART) {
        bool few =
            pair_of(line + x, stride, MIN(band.width - x, (uint32_t)PART), band.height, &here);
        if (x > from && (few != run_few || (few && !pair_join(&run, &here)))) {
            rc = put_part(e, line, stride, band, from, x, out);
            from = x;
        }
        if (x == from) {
            run = here;
            run_few = few;
        }
    }
    return rc < 0 ? rc : put_part(e, line, stride, band, from, band.width, out);
}

int encode_tight(struct encoder *encoder, const uint32_t *pixels, uint32_t stride, struct rect rect,
                 struct buf *out)
{
    struct rect band = {rect.x, rect.y, rect.width, PART};
    struct pair all;
    int rc = 0;

    if (!encoder->may_cut || pair_of(pixels, stride, rect.width, rect.height, &all)) {
        encode_head(out, rect, RFB_TIGHT);
        return encode_one(encoder, pixels, stride, rect, out);
    }
    for (uint32_t y = 0; y < rect.height && rc == 0; y += PART, band.y += PART) {
        band.height = MIN(rect.height - y, (uint32_t)PART);
        rc = cut(encoder, pixels + (size_t)y * stride, stride, band, out);
    }
    return rc;
}
