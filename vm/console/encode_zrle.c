/* SPDX-License-Identifier: Apache-2.0 */
/* ZRLE: RFC 6143, 7.7.6. Of the ways to send a tile of 64 by 64 the shortest is taken, before
 * zlib has seen any. */
#include <errno.h>
#include <string.h>

#include "base/range.h"
#include "vm/console/encode.h"

enum {
    TILE = 64,
    PACKED_MAX = 16,   /* colours of a packed palette */
    PALETTE_MAX = 127, /* of one with run lengths */
    TYPE_RAW = 0,
    TYPE_PLAIN_RLE = 128,
    LEVEL = 5, /* zlib's: more takes twice the time for a twentieth less, of text only */
};

struct tile {
    uint32_t pixels[TILE * TILE], count, width, height;
    uint8_t index[TILE * TILE]; /* into `colours`, unless `many` */
    uint32_t runs, singles;     /* runs of more than one pixel; of one */
    uint32_t run_bytes;         /* of the lengths of the longer runs */
    struct colours colours;
    bool many; /* more colours than a palette has */
};

static void gather(struct tile *t, const uint32_t *pixels, uint32_t stride)
{
    t->count = t->width * t->height;
    for (uint32_t y = 0; y < t->height; y++)
        memcpy(t->pixels + (size_t)y * t->width, pixels + (size_t)y * stride,
               t->width * sizeof *pixels);
}

static uint32_t run_at(const struct tile *t, uint32_t at)
{
    uint32_t end = at + 1;
    uint64_t pair = (uint64_t)t->pixels[at] << 32 | t->pixels[at], next;

    for (; end + 2 <= t->count; end += 2) {
        memcpy(&next, t->pixels + end, sizeof next);
        if (next != pair)
            break;
    }
    while (end < t->count && t->pixels[end] == t->pixels[at])
        end++;
    return end - at;
}

static void analyse(struct tile *t)
{
    colours_init(&t->colours, PALETTE_MAX);
    t->runs = t->singles = t->run_bytes = 0;
    t->many = false;
    for (uint32_t at = 0, run; at < t->count; at += run) {
        run = run_at(t, at);
        if (run == 1)
            t->singles++;
        else
            t->runs++, t->run_bytes += (run - 1) / 255 + 1;
        if (t->many)
            continue;
        int index = colours_index(&t->colours, t->pixels[at]);
        if (index < 0)
            t->many = true;
        else
            memset(t->index + at, index, run);
    }
}

static unsigned packed_bits(unsigned colours)
{
    return colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
}

static uint8_t *put_run(uint32_t run, uint8_t *to)
{
    for (run--; run >= 255; run -= 255)
        *to++ = 255;
    *to++ = (uint8_t)run;
    return to;
}

static uint8_t *put_packed(const struct tile *t, uint8_t *to)
{
    unsigned bits = packed_bits(t->colours.count), in_byte = 8 / bits;

    for (uint32_t y = 0; y < t->height; y++) {
        const uint8_t *line = t->index + (size_t)y * t->width;
        for (uint32_t x = 0; x < t->width; x += in_byte) {
            unsigned byte = 0;
            for (unsigned i = 0; i < in_byte; i++)
                byte = byte << bits | (x + i < t->width ? line[x + i] : 0);
            *to++ = (uint8_t)byte;
        }
    }
    return to;
}

static uint8_t *put_palette_rle(const struct tile *t, uint8_t *to)
{
    for (uint32_t at = 0, run; at < t->count; at += run) {
        run = run_at(t, at);
        *to++ = (uint8_t)(t->index[at] | (run > 1 ? 128 : 0));
        if (run > 1)
            to = put_run(run, to);
    }
    return to;
}

static uint8_t *put_plain_rle(const struct encoder *e, const struct tile *t, uint8_t *to)
{
    for (uint32_t at = 0, run; at < t->count; at += run) {
        run = run_at(t, at);
        to = put_run(run, encode_cpixels(e, t->pixels + at, 1, to));
    }
    return to;
}

static uint8_t *put_tile(const struct encoder *e, const struct tile *t, uint8_t *to)
{
    unsigned colours = t->colours.count;
    uint32_t pixel = (uint32_t)(encode_cpixels(e, t->pixels, 1, to) - to);
    uint32_t raw = t->count * pixel;
    uint32_t plain = (t->runs + t->singles) * pixel + t->run_bytes + t->singles;
    uint32_t palette = colours * pixel + t->runs + t->run_bytes + t->singles;
    uint32_t packed = colours * pixel + t->height * ((t->width * packed_bits(colours) + 7) / 8);

    if (colours == 1) {
        *to++ = 1;
        return encode_cpixels(e, t->pixels, 1, to);
    }
    if (t->many)
        palette = packed = UINT32_MAX;
    if (colours > PACKED_MAX)
        packed = UINT32_MAX;
    if (packed <= MIN(palette, MIN(plain, raw))) {
        *to++ = (uint8_t)colours;
        return put_packed(t, encode_cpixels(e, t->colours.colour, colours, to));
    }
    if (palette <= MIN(plain, raw)) {
        *to++ = (uint8_t)(128 + colours);
        return put_palette_rle(t, encode_cpixels(e, t->colours.colour, colours, to));
    }
    if (plain < raw) {
        *to++ = TYPE_PLAIN_RLE;
        return put_plain_rle(e, t, to);
    }
    *to++ = TYPE_RAW;
    return encode_cpixels(e, t->pixels, t->count, to);
}

int encode_zrle(struct encoder *encoder, const uint32_t *pixels, uint32_t stride, struct rect rect,
                struct buf *out)
{
    uint8_t *to = encoder->raw;
    struct tile tile;
    size_t start;

    for (uint32_t y = 0; y < rect.height; y += TILE)
        for (uint32_t x = 0; x < rect.width; x += TILE) {
            tile.width = MIN(rect.width - x, (uint32_t)TILE);
            tile.height = MIN(rect.height - y, (uint32_t)TILE);
            gather(&tile, pixels + (size_t)y * stride + x, stride);
            analyse(&tile);
            to = put_tile(encoder, &tile, to);
        }
    rfb_put_be32(out, 0);
    start = out->len;
    int rc = encode_deflate(encoder, 0, LEVEL, encoder->raw, (size_t)(to - encoder->raw), out);
    if (rc < 0 || out->failed)
        return -ENOMEM;
    be32_store(out->data + start - 4, (uint32_t)(out->len - start));
    return 0;
}
