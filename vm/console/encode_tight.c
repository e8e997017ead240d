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

    CELL = 8, /* a console's character, pixels */
    CELL_LINES = 16,
    CELLS_MIN = 64,
    CELLS_MAX = 512,        /* that are looked at */
    COLUMN_LINES_MIN = 192, /* in shorter ones heads and palettes outweigh what is saved */
    COLUMN_COLOURS_MAX = 16,
    PHOTOGRAPH_WIDTH = 128, /* zlib sees what is above it: 5 % less */
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
    /* A photograph grows no smaller beyond it. */
    static const int level[] = {[STREAM_FULL] = 3, [STREAM_MONO] = 6, [STREAM_INDEX] = 6};

    if (len < UNCOMPRESSED) {
        buf_put(out, e->raw, len);
        return out->failed ? -ENOMEM : 0;
    }
    int rc = encode_deflate(e, 1 + stream, level[stream], e->raw, len, &packed);
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
static bool collect(const uint32_t *pixels, uint32_t stride, struct rect rect, unsigned max,
                    struct colours *colours)
{
    colours_init(colours, max);
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
    bool few = collect(pixels, stride, rect, PALETTE_MAX, &colours);
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

    if (!encoder->may_cut || rect.width <= PART ||
        pair_of(pixels, stride, rect.width, rect.height, &all)) {
        encode_head(out, rect, RFB_TIGHT);
        return encode_one(encoder, pixels, stride, rect, out);
    }
    for (uint32_t y = 0; y < rect.height && rc == 0; y += PART, band.y += PART) {
        band.height = MIN(rect.height - y, (uint32_t)PART);
        rc = cut(encoder, pixels + (size_t)y * stride, stride, band, out);
    }
    return rc;
}

/* --- columns ---
 *
 * A screen of text is full of the same characters, but from line to line they lie further apart
 * than zlib looks back. In columns as wide as a character each is one stretch of bytes, and one
 * that has been there before is one match: 20 % fewer bytes, in less time. */

/* Of a cell of CELL by CELL_LINES pixels; 0: it is of one colour. */
static uint64_t cell_hash(const uint32_t *pixels, uint32_t stride)
{
    uint64_t hash = 0, differs = 0, pair;
    uint64_t first = (uint64_t)pixels[0] << 32 | pixels[0];

    for (unsigned y = 0; y < CELL_LINES; y++)
        for (unsigned x = 0; x < CELL; x += 2) {
            memcpy(&pair, pixels + (size_t)y * stride + x, sizeof pair);
            differs |= pair ^ first;
            hash = (hash ^ pair) * UINT64_C(0x9e3779b97f4a7c15);
            hash ^= hash >> 29;
        }
    return differs ? hash | 1 : 0;
}

/* Whether what is not empty of it are cells that come again: so many of them are looked at. */
static bool of_cells(const uint32_t *pixels, uint32_t stride, struct rect rect)
{
    uint64_t seen[2 * CELLS_MAX] = {0};
    uint32_t columns = rect.width / CELL, all = columns * (rect.height / CELL_LINES);
    uint32_t step = all / CELLS_MAX + 1, cells = 0, distinct = 0;

    for (uint32_t i = 0; i < all; i += step) {
        uint64_t hash = cell_hash(
            pixels + (size_t)(i / columns * CELL_LINES) * stride + i % columns * CELL, stride);
        size_t at = (size_t)(hash >> 32) % ARRAY_SIZE(seen);
        if (!hash)
            continue;
        while (seen[at] && seen[at] != hash)
            at = (at + 1) % ARRAY_SIZE(seen);
        distinct += !seen[at];
        seen[at] = hash;
        cells++;
    }
    return cells >= CELLS_MIN && distinct <= cells - cells / 4;
}

/* In one line of 16, do more pixels differ from the one before than do not? */
static bool of_photographs(const uint32_t *pixels, uint32_t stride, struct rect rect)
{
    uint32_t differ = 0, all = 0;

    for (uint32_t y = 0; y < rect.height; y += CELL_LINES, all += rect.width - 1)
        for (uint32_t x = 1; x < rect.width; x++)
            differ += pixels[(size_t)y * stride + x] != pixels[(size_t)y * stride + x - 1];
    return differ > all / 2;
}

uint32_t encode_tight_column(const uint32_t *pixels, uint32_t stride, struct rect rect)
{
    struct colours colours;

    if (rect.height < COLUMN_LINES_MIN)
        return 0;
    if (collect(pixels, stride, rect, COLUMN_COLOURS_MAX, &colours))
        return !of_cells(pixels, stride, rect) ? 0 : colours.count == 2 ? 2 * CELL : CELL;
    return of_photographs(pixels, stride, rect) ? PHOTOGRAPH_WIDTH : 0;
}
