/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

enum { MAPPED_RED = 7, MAPPED_GREEN = 7, MAPPED_BLUE = 3, DEFLATE_STEP = 16 << 10 };

const struct pixel_format pixel_format_usual = {.bits = 32,
                                                .depth = 24,
                                                .red_max = 255,
                                                .green_max = 255,
                                                .blue_max = 255,
                                                .red_shift = 16,
                                                .green_shift = 8,
                                                .blue_shift = 0};

void pixel_format_put(const struct pixel_format *format, uint8_t bytes[RFB_PIXEL_FORMAT_LEN])
{
    memset(bytes, 0, RFB_PIXEL_FORMAT_LEN);
    bytes[0] = format->bits;
    bytes[1] = format->depth;
    bytes[2] = format->big_endian;
    bytes[3] = !format->mapped;
    be16_store(bytes + 4, format->red_max);
    be16_store(bytes + 6, format->green_max);
    be16_store(bytes + 8, format->blue_max);
    bytes[10] = format->red_shift;
    bytes[11] = format->green_shift;
    bytes[12] = format->blue_shift;
}

static bool channel_fits(const struct pixel_format *f, unsigned max, unsigned shift)
{
    return is_power_of_two(max + 1u) && max <= 255 && shift < 32 &&
           (uint64_t)max << shift < UINT64_C(1) << f->bits;
}

int pixel_format_get(const uint8_t bytes[RFB_PIXEL_FORMAT_LEN], struct pixel_format *ret_format)
{
    struct pixel_format f = {.bits = bytes[0],
                             .depth = bytes[1],
                             .big_endian = bytes[2],
                             .mapped = !bytes[3],
                             .red_max = be16_load(bytes + 4),
                             .green_max = be16_load(bytes + 6),
                             .blue_max = be16_load(bytes + 8),
                             .red_shift = bytes[10],
                             .green_shift = bytes[11],
                             .blue_shift = bytes[12]};

    if (f.mapped && f.bits == 8) {
        f.red_max = MAPPED_RED;
        f.green_max = MAPPED_GREEN;
        f.blue_max = MAPPED_BLUE;
        f.red_shift = 0;
        f.green_shift = 3;
        f.blue_shift = 6;
    } else if (f.mapped) {
        return -EINVAL;
    }
    if ((f.bits != 8 && f.bits != 16 && f.bits != 32) ||
        !channel_fits(&f, f.red_max, f.red_shift) ||
        !channel_fits(&f, f.green_max, f.green_shift) ||
        !channel_fits(&f, f.blue_max, f.blue_shift))
        return -EINVAL;
    *ret_format = f;
    return 0;
}

int encoder_create(struct encoder **ret_encoder)
{
    struct encoder *e = calloc(1, sizeof *e);

    /* ZRLE needs two bytes a pixel more at worst: run lengths. Tight a little less. */
    if (!e || !(e->raw = malloc((size_t)ENCODE_AREA_MAX * 6))) {
        free(e);
        return -ENOMEM;
    }
    e->level = ENCODE_LEVEL_ANY;
    encoder_set_format(e, &pixel_format_usual);
    *ret_encoder = e;
    return 0;
}

void encoder_destroy(struct encoder *encoder)
{
    if (!encoder)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(encoder->stream); i++)
        if (encoder->stream[i].ready)
            (void)deflateEnd(&encoder->stream[i].z);
    free(encoder->raw);
    free(encoder);
}

void encoder_set_format(struct encoder *encoder, const struct pixel_format *format)
{
    const struct pixel_format *f = format, *u = &pixel_format_usual;

    encoder->format = *format;
    encoder->direct = f->bits == 32 && !f->big_endian && f->red_max == u->red_max &&
                      f->green_max == u->green_max && f->blue_max == u->blue_max &&
                      f->red_shift == u->red_shift && f->green_shift == u->green_shift &&
                      f->blue_shift == u->blue_shift;
}

static uint32_t pixel_of(const struct pixel_format *f, uint32_t p)
{
    /* The maxima are 2^n - 1: the upper n bits of each channel. */
    unsigned red = (p >> 16 & 0xff) * (f->red_max + 1u) >> 8;
    unsigned green = (p >> 8 & 0xff) * (f->green_max + 1u) >> 8;
    unsigned blue = (p & 0xff) * (f->blue_max + 1u) >> 8;

    return red << f->red_shift | green << f->green_shift | blue << f->blue_shift;
}

static uint8_t *put_pixel(const struct pixel_format *f, uint32_t v, uint8_t *to)
{
    unsigned bytes = f->bits / 8;

    if (f->big_endian)
        v = htobe32(v << (32 - f->bits));
    else
        v = htole32(v);
    memcpy(to, &v, bytes);
    return to + bytes;
}

uint8_t *encode_pixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                       uint8_t *to)
{
    if (encoder->direct) {
        memcpy(to, pixels, count * sizeof *pixels);
        return to + count * sizeof *pixels;
    }
    for (uint32_t i = 0; i < count; i++)
        to = put_pixel(&encoder->format, pixel_of(&encoder->format, pixels[i]), to);
    return to;
}

/* RFC 6143, 7.7.5: 32 bits a pixel of which a depth of 24 or less lies in three bytes. */
static bool in_low_bytes(const struct pixel_format *f)
{
    return ((uint32_t)f->red_max << f->red_shift | (uint32_t)f->green_max << f->green_shift |
            (uint32_t)f->blue_max << f->blue_shift) < 1u << 24;
}

static bool in_high_bytes(const struct pixel_format *f)
{
    return !(((uint32_t)f->red_max << f->red_shift | (uint32_t)f->green_max << f->green_shift |
              (uint32_t)f->blue_max << f->blue_shift) &
             0xff);
}

uint8_t *encode_cpixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                        uint8_t *to)
{
    const struct pixel_format *f = &encoder->format;
    bool low = in_low_bytes(f), high = in_high_bytes(f);

    if (f->bits != 32 || f->depth > 24 || (!low && !high))
        return encode_pixels(encoder, pixels, count, to);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t v = encoder->direct ? pixels[i] : pixel_of(f, pixels[i]);
        if (!low)
            v >>= 8;
        to[f->big_endian ? 2 : 0] = (uint8_t)v;
        to[1] = (uint8_t)(v >> 8);
        to[f->big_endian ? 0 : 2] = (uint8_t)(v >> 16);
        to += 3;
    }
    return to;
}

uint8_t *encode_tpixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                        uint8_t *to)
{
    const struct pixel_format *f = &encoder->format;

    if (f->bits != 32 || f->depth != 24 || f->red_max != 255 || f->green_max != 255 ||
        f->blue_max != 255)
        return encode_pixels(encoder, pixels, count, to);
    for (uint32_t i = 0; i < count; i++, to += 3) {
        to[0] = (uint8_t)(pixels[i] >> 16);
        to[1] = (uint8_t)(pixels[i] >> 8);
        to[2] = (uint8_t)pixels[i];
    }
    return to;
}

static uint8_t *deflate_room(z_stream *z, struct buf *out)
{
    z->next_out = buf_grow(out, DEFLATE_STEP);
    z->avail_out = z->next_out ? DEFLATE_STEP : 0;
    return z->next_out;
}

/* At `level` from here on. Input that zlib had by then would still be packed at the old one. */
static int stream_begin(struct encoder *e, unsigned stream, int level, struct buf *out)
{
    z_stream *z = &e->stream[stream].z;

    z->avail_in = 0;
    if (!e->stream[stream].ready && deflateInit(z, level) != Z_OK)
        return -ENOMEM;
    if (e->stream[stream].ready && e->stream[stream].level != level) {
        if (!deflate_room(z, out))
            return -ENOMEM;
        (void)deflateParams(z, level, Z_DEFAULT_STRATEGY);
        out->len -= z->avail_out;
    }
    e->stream[stream].ready = true;
    e->stream[stream].level = level;
    return 0;
}

int encode_deflate(struct encoder *encoder, unsigned stream, int level, const uint8_t *data,
                   size_t len, struct buf *out)
{
    z_stream *z = &encoder->stream[stream].z;
    int rc = stream_begin(encoder, stream,
                          encoder->level != ENCODE_LEVEL_ANY ? encoder->level : level, out);

    if (rc < 0)
        return rc;
    z->next_in = (uint8_t *)data;
    z->avail_in = (unsigned)len;
    do {
        if (!deflate_room(z, out))
            return -ENOMEM;
        (void)deflate(z, Z_SYNC_FLUSH);
        out->len -= z->avail_out;
    } while (!z->avail_out);
    return 0;
}

void colours_init(struct colours *colours, unsigned max)
{
    colours->count = 0;
    colours->max = max;
    memset(colours->slot, 0, sizeof colours->slot);
}

int colours_index(struct colours *colours, uint32_t colour)
{
    size_t at = (colour * UINT32_C(0x9e3779b1)) >> 22;

    for (; colours->slot[at]; at = (at + 1) % ARRAY_SIZE(colours->slot))
        if (colours->colour[colours->slot[at] - 1] == colour)
            return colours->slot[at] - 1;
    if (colours->count == colours->max)
        return -1;
    colours->colour[colours->count] = colour;
    colours->slot[at] = (uint16_t)++colours->count;
    return (int)colours->count - 1;
}

void encode_head(struct buf *out, struct rect rect, int32_t encoding)
{
    rfb_put_be16(out, (uint16_t)rect.x);
    rfb_put_be16(out, (uint16_t)rect.y);
    rfb_put_be16(out, (uint16_t)rect.width);
    rfb_put_be16(out, (uint16_t)rect.height);
    rfb_put_be32(out, (uint32_t)encoding);
}

void encode_pieces(enum rfb_encoding encoding, const uint32_t *pixels, uint32_t stride,
                   struct rect rect, uint32_t *ret_width, uint32_t *ret_height)
{
    uint32_t column = encoding == RFB_TIGHT ? encode_tight_column(pixels, stride, rect) : 0;

    *ret_width = MIN(rect.width, column ? column : (uint32_t)ENCODE_WIDTH_MAX);
    *ret_height = ENCODE_AREA_MAX / *ret_width;
    if (!column && *ret_height > 64)
        *ret_height &= ~63u; /* whole tiles of ZRLE */
}

int encode_rect(struct encoder *encoder, enum rfb_encoding encoding, const uint32_t *pixels,
                uint32_t stride, struct rect rect, struct buf *out)
{
    if (encoding == RFB_TIGHT)
        return encode_tight(encoder, pixels, stride, rect, out);
    encode_head(out, rect, encoding);
    if (encoding == RFB_ZRLE)
        return encode_zrle(encoder, pixels, stride, rect, out);
    for (uint32_t y = 0; y < rect.height; y++) {
        size_t len = (size_t)rect.width * encoder->format.bits / 8;
        uint8_t *to = buf_grow(out, len);
        if (!to)
            return -ENOMEM;
        (void)encode_pixels(encoder, pixels + (size_t)y * stride, rect.width, to);
    }
    return out->failed ? -ENOMEM : 0;
}
