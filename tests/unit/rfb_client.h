/* SPDX-License-Identifier: Apache-2.0 */
/* A viewer's side of RFB for tests and benchmarks, written from the same documents and nothing
 * else: what the server sends becomes a picture again. Bytes come whole; one pixel format, the
 * usual one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"

enum { CLIENT_STREAMS = 5, CLIENT_WIDTH = 4096, CLIENT_ROOM = 4096 * 4096 * 4 };

struct client {
    uint32_t width, height;
    uint32_t *pixels;                /* CLIENT_WIDTH a line */
    z_stream z[CLIENT_STREAMS];      /* ZRLE's, Tight's */
    uint8_t *plain;                  /* what a stream gave */
    unsigned rects[8], copies, leds; /* by what came: index is the encoding where it is small */
    bool extended_keys, resized;
    const uint8_t *at, *end;
    bool short_of; /* not all has come */
    bool last;     /* that was the last rectangle */
    const char *wrong;
};

static inline void client_init(struct client *c, uint32_t width, uint32_t height)
{
    *c = (struct client){.width = width, .height = height};
    c->pixels = calloc((size_t)CLIENT_WIDTH * CLIENT_WIDTH, sizeof *c->pixels);
    c->plain = malloc(CLIENT_ROOM);
    for (unsigned i = 0; i < CLIENT_STREAMS; i++)
        (void)inflateInit(&c->z[i]);
}

static inline void client_free(struct client *c)
{
    for (unsigned i = 0; i < CLIENT_STREAMS; i++)
        (void)inflateEnd(&c->z[i]);
    free(c->pixels);
    free(c->plain);
}

static inline const uint8_t *client_take(struct client *c, size_t len)
{
    static const uint8_t nothing[64];
    const uint8_t *p = c->at;

    if ((size_t)(c->end - c->at) < len) {
        c->short_of = true;
        return nothing;
    }
    c->at += len;
    return p;
}

static inline void client_wrong(struct client *c, const char *what)
{
    if (!c->wrong)
        c->wrong = what;
}

static inline uint32_t *client_pixel(struct client *c, uint32_t x, uint32_t y)
{
    if (x >= c->width || y >= c->height) {
        client_wrong(c, "a pixel outside of the screen");
        return c->pixels;
    }
    return &c->pixels[(size_t)y * CLIENT_WIDTH + x];
}

static inline uint32_t client_bgr(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

static inline uint32_t client_rgb(const uint8_t *p)
{
    return p[2] | (uint32_t)p[1] << 8 | (uint32_t)p[0] << 16;
}

/* `len` compressed bytes; returns how many they were. */
static inline size_t client_inflate(struct client *c, unsigned stream, size_t len)
{
    z_stream *z = &c->z[stream];
    const uint8_t *data = client_take(c, len);

    if (c->short_of)
        return 0;
    z->next_in = (uint8_t *)data;
    z->avail_in = (unsigned)len;
    z->next_out = c->plain;
    z->avail_out = CLIENT_ROOM;
    if (inflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in)
        client_wrong(c, "bad compressed data");
    return CLIENT_ROOM - z->avail_out;
}

struct client_rect {
    uint32_t x, y, width, height;
};

static inline void client_raw(struct client *c, struct client_rect r)
{
    const uint8_t *p = client_take(c, (size_t)r.width * r.height * 4);

    for (uint32_t y = 0; y < r.height && !c->short_of; y++)
        for (uint32_t x = 0; x < r.width; x++, p += 4)
            *client_pixel(c, r.x + x, r.y + y) = le32_load(p) & 0xffffff;
}

static inline void client_copy(struct client *c, struct client_rect r)
{
    const uint8_t *p = client_take(c, 4);
    uint32_t sx = be16_load(p), sy = be16_load(p + 2);
    size_t row = r.width * sizeof *c->pixels;

    if (sx + r.width > c->width || sy + r.height > c->height || r.x + r.width > c->width ||
        r.y + r.height > c->height) {
        client_wrong(c, "copies from outside of the screen");
        return;
    }
    c->copies++;
    for (uint32_t i = 0; i < r.height && !c->short_of; i++) {
        uint32_t y = sy < r.y ? r.height - 1 - i : i;
        memmove(client_pixel(c, r.x, r.y + y), client_pixel(c, sx, sy + y), row);
    }
}

static inline uint32_t client_run(const uint8_t **p)
{
    uint32_t run = 1;

    while (**p == 255)
        run += *(*p)++;
    return run + *(*p)++;
}

static inline const uint8_t *client_zrle_tile(struct client *c, struct client_rect t,
                                              const uint8_t *p)
{
    unsigned type = *p++, colours = type & 127, bits, used = 0;
    uint32_t palette[128], n = t.width * t.height;

    for (unsigned i = 0; i < colours; i++, p += 3)
        palette[i] = client_bgr(p);
    bits = colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
    for (uint32_t i = 0, run = 1; i < n; i += run) {
        uint32_t pixel;
        run = 1;
        if (type == 0) {
            pixel = client_bgr(p);
            p += 3;
        } else if (type == 1) {
            pixel = palette[0];
        } else if (type <= 16) {
            if (i % t.width == 0 && used)
                p++, used = 0;
            pixel = palette[*p >> (8 - bits - used) & ((1u << bits) - 1)];
            if ((used += bits) == 8)
                p++, used = 0;
        } else if (type == 128) {
            pixel = client_bgr(p);
            p += 3;
            run = client_run(&p);
        } else {
            unsigned index = *p++;
            pixel = palette[index & 127];
            run = index & 128 ? client_run(&p) : 1;
        }
        if (run > n - i) {
            client_wrong(c, "a run leaves its tile");
            return p;
        }
        for (uint32_t k = i; k < i + run; k++)
            *client_pixel(c, t.x + k % t.width, t.y + k / t.width) = pixel;
    }
    return p + !!used;
}

static inline void client_zrle(struct client *c, struct client_rect r)
{
    size_t len = be32_load(client_take(c, 4)), plain = client_inflate(c, 0, len);
    const uint8_t *p = c->plain;

    for (uint32_t y = 0; y < r.height && !c->short_of && !c->wrong; y += 64)
        for (uint32_t x = 0; x < r.width && !c->wrong; x += 64) {
            struct client_rect t = {r.x + x, r.y + y, MIN(64u, r.width - x),
                                    MIN(64u, r.height - y)};
            p = client_zrle_tile(c, t, p);
        }
    if (!c->short_of && p != c->plain + plain)
        client_wrong(c, "ZRLE: another length");
}

static inline size_t client_tight_data(struct client *c, unsigned stream, size_t plain)
{
    if (plain < 12) {
        const uint8_t *p = client_take(c, plain);
        memcpy(c->plain, p, plain);
        return plain;
    }
    size_t len = 0;
    for (unsigned i = 0; i < 3; i++) {
        unsigned byte = *client_take(c, 1);
        len |= (size_t)(i == 2 ? byte : byte & 127) << (7 * i);
        if (!(byte & 128))
            break;
    }
    return client_inflate(c, 1 + stream, len);
}

static inline void client_tight(struct client *c, struct client_rect r)
{
    unsigned control = *client_take(c, 1), stream = control >> 4 & 3, colours = 0;
    uint32_t palette[256] = {0};
    size_t line = (size_t)r.width * 3;

    if (control & 15)
        client_wrong(c, "Tight: a stream begins anew");
    if (control >> 4 == 8) {
        uint32_t pixel = client_rgb(client_take(c, 3));
        for (uint32_t i = 0; i < r.width * r.height && !c->short_of; i++)
            *client_pixel(c, r.x + i % r.width, r.y + i / r.width) = pixel;
        return;
    }
    if (control & 0x40) {
        if (*client_take(c, 1) != 1)
            client_wrong(c, "Tight: another filter");
        colours = *client_take(c, 1) + 1u;
        const uint8_t *p = client_take(c, (size_t)colours * 3);
        for (unsigned i = 0; i < colours && !c->short_of; i++)
            palette[i] = client_rgb(p + (size_t)i * 3);
        line = colours == 2 ? (r.width + 7) / 8 : r.width;
    }
    if (c->short_of)
        return;
    if (client_tight_data(c, stream, line * r.height) != line * r.height && !c->short_of)
        client_wrong(c, "Tight: another length");
    for (uint32_t y = 0; y < r.height && !c->short_of; y++)
        for (uint32_t x = 0; x < r.width; x++) {
            const uint8_t *p = c->plain + y * line;
            *client_pixel(c, r.x + x, r.y + y) = !colours ? client_rgb(p + (size_t)x * 3)
                                                 : colours == 2
                                                     ? palette[p[x / 8] >> (7 - x % 8) & 1]
                                                     : palette[p[x]];
        }
}

static inline void client_resize(struct client *c, struct client_rect r)
{
    c->width = MIN(r.width, (uint32_t)CLIENT_WIDTH);
    c->height = MIN(r.height, (uint32_t)CLIENT_WIDTH);
    c->resized = true;
}

static inline void client_rect_(struct client *c)
{
    const uint8_t *p = client_take(c, 12);
    struct client_rect r = {be16_load(p), be16_load(p + 2), be16_load(p + 4), be16_load(p + 6)};
    int32_t encoding = (int32_t)be32_load(p + 8);

    if (c->short_of)
        return;
    c->rects[encoding == 0 ? 0 : encoding == 1 ? 1 : encoding == 7 ? 2 : encoding == 16 ? 3 : 4]++;
    switch (encoding) {
    case 0:
        client_raw(c, r);
        break;
    case 1:
        client_copy(c, r);
        break;
    case 7:
        client_tight(c, r);
        break;
    case 16:
        client_zrle(c, r);
        break;
    case -223:
        client_resize(c, r);
        break;
    case -308:
        (void)client_take(c, 4 + 16u * *client_take(c, 1) - 1);
        client_resize(c, r);
        break;
    case -224:
        c->last = true;
        break;
    case -258:
        c->extended_keys = true;
        break;
    case -261:
        c->leds = *client_take(c, 1);
        break;
    default:
        client_wrong(c, "an encoding that was not asked for");
        break;
    }
}

/* One FramebufferUpdate. Returns its length; 0: it is not whole (nothing is kept of it then but
 * what compressed streams took, so give whole ones where that matters) or wrong. */
static inline size_t client_update(struct client *c, const uint8_t *data, size_t len)
{
    c->at = data;
    c->end = data + len;
    c->short_of = c->last = false;
    const uint8_t *p = client_take(c, 4);
    unsigned count = be16_load(p + 2);
    if (!c->short_of && p[0] != 0)
        client_wrong(c, "not an update");
    for (unsigned i = 0; i < count && !c->short_of && !c->wrong && !c->last; i++)
        client_rect_(c);
    if (count == 0xffff && !c->last)
        c->short_of = true;
    return c->short_of || c->wrong ? 0 : (size_t)(c->at - data);
}
