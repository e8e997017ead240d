/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels as a viewer wants them: Raw, ZRLE and Tight (RFC 6143, 7.7; rfbproto, Tight), in its own
 * pixel format. Compressed encodings go on from rectangle to rectangle, so each viewer has its own
 * encoder. All are lossless. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

#include "base/buf.h"
#include "vm/console/damage.h"
#include "vm/console/rfb_wire.h"

struct pixel_format {
    uint8_t bits; /* 8, 16, 32 */
    uint8_t depth;
    bool big_endian;
    bool mapped; /* wants a colour map: gets one that is as blue 2, green 3, red 3 bits */
    uint16_t red_max, green_max, blue_max;
    uint8_t red_shift, green_shift, blue_shift;
};

extern const struct pixel_format pixel_format_usual; /* 32 bits, 0x00rrggbb, little-endian */

void pixel_format_put(const struct pixel_format *format, uint8_t bytes[RFB_PIXEL_FORMAT_LEN]);
/* -EINVAL: what cannot be. */
int pixel_format_get(const uint8_t bytes[RFB_PIXEL_FORMAT_LEN], struct pixel_format *ret_format);

enum {
    ENCODE_AREA_MAX = 128 << 10, /* pixels of one rectangle */
    ENCODE_WIDTH_MAX = 2048,     /* of Tight */
    ENCODE_TIGHT_STREAMS = 4,
    ENCODE_LEVEL_ANY = -1, /* of zlib: the viewer does not say */
};

struct encoder {
    struct pixel_format format;
    bool direct;  /* the format is the usual one */
    bool may_cut; /* one rectangle may become several, the viewer is told when it was the last */
    int level;    /* zlib's, or ENCODE_LEVEL_ANY */
    uint8_t *raw; /* room for one rectangle before compression */
    struct {
        z_stream z;
        bool ready;
        int level;
    } stream[1 + ENCODE_TIGHT_STREAMS]; /* ZRLE's, Tight's */
};

int encoder_create(struct encoder **ret_encoder);
void encoder_destroy(struct encoder *encoder); /* accepts NULL */
void encoder_set_format(struct encoder *encoder, const struct pixel_format *format);

/* One rectangle (or its parts: may_cut), head included: at most ENCODE_AREA_MAX in area and for
 * Tight ENCODE_WIDTH_MAX wide. `pixels`: its first; `stride` pixels from line to line. 0, -ENOMEM.
 */
int encode_rect(struct encoder *encoder, enum rfb_encoding encoding, const uint32_t *pixels,
                uint32_t stride, struct rect rect, struct buf *out);
/* How large the pieces are that a rectangle is best cut into; each can be encoded. */
void encode_pieces(enum rfb_encoding encoding, const uint32_t *pixels, uint32_t stride,
                   struct rect rect, uint32_t *ret_width, uint32_t *ret_height);
void encode_head(struct buf *out, struct rect rect, int32_t encoding);

/* For the encodings' own files. */

/* `count` pixels in the viewer's format; returns behind the last byte. */
uint8_t *encode_pixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                       uint8_t *to);
/* The same in the shorter form of ZRLE and Tight: three bytes where 24 bits of 32 count. Tight's
 * are red, green, blue in any case. */
uint8_t *encode_cpixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                        uint8_t *to);
uint8_t *encode_tpixels(const struct encoder *encoder, const uint32_t *pixels, uint32_t count,
                        uint8_t *to);
/* Through zlib, to the end of a block. `level`: what suits such data, if the viewer does not say.
 */
int encode_deflate(struct encoder *encoder, unsigned stream, int level, const uint8_t *data,
                   size_t len, struct buf *out);
int encode_zrle(struct encoder *encoder, const uint32_t *pixels, uint32_t stride, struct rect rect,
                struct buf *out);
int encode_tight(struct encoder *encoder, const uint32_t *pixels, uint32_t stride, struct rect rect,
                 struct buf *out);
/* The width of columns that it should be cut into; 0: it should not. */
uint32_t encode_tight_column(const uint32_t *pixels, uint32_t stride, struct rect rect);

/* Up to `max` (256 at most) colours in the order of their coming. */
struct colours {
    unsigned count, max;
    uint32_t colour[256];
    uint16_t slot[1024]; /* index + 1 by hash; 0: free */
};
void colours_init(struct colours *colours, unsigned max);
/* The colour's index, or -1: it is one too many. */
int colours_index(struct colours *colours, uint32_t colour);
