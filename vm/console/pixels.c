/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/pixels.h"

#include <string.h>

#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "pixels are handled as they lie");

#define COUNTS UINT64_C(0x00ffffff00ffffff) /* of two pixels */

enum { BLOCK = 16 }; /* pixels that are handled together */

/* Four pixels. */
typedef uint32_t quad __attribute__((vector_size(16)));
static const quad quad_counts = {0xffffff, 0xffffff, 0xffffff, 0xffffff};

static quad quad_load(const uint8_t *at)
{
    quad q;

    memcpy(&q, at, sizeof q);
    return q;
}

static uint32_t pixel_load(const uint8_t *at)
{
    return le32_load(at) & 0xffffff;
}

void pixels_copy(uint32_t *to, const void *from, uint32_t count)
{
    const uint8_t *at = from;
    uint32_t x = 0;

    for (; x + 4 <= count; x += 4, at += 16) {
        quad q = quad_load(at) & quad_counts;
        memcpy(to + x, &q, sizeof q);
    }
    for (; x < count; x++, at += 4)
        to[x] = pixel_load(at);
}

/* --- hash: four pixels a step by one multiplication, in four lanes, so that those overlap --- */

#define ODD UINT64_C(0x9e3779b97f4a7c15)

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t mix(uint64_t lane, const uint8_t *at)
{
    return fold((le64_load(at) & COUNTS) ^ lane, (le64_load(at + 8) & COUNTS) ^ ODD);
}

uint64_t pixels_hash(const void *at, uint32_t count)
{
    const uint8_t *from = at;
    uint64_t a = UINT64_C(0x2d358dccaa6c78a5), b = UINT64_C(0x8bb84b93962eacc9);
    uint64_t c = UINT64_C(0x4b33a62ed433d4a3), d = UINT64_C(0x4d5a2da51de1aa47), tail = count;

    for (; count >= BLOCK; count -= BLOCK, from += (size_t)4 * BLOCK) {
        a = mix(a, from);
        b = mix(b, from + 16);
        c = mix(c, from + 32);
        d = mix(d, from + 48);
    }
    for (; count; count--, from += 4)
        tail = fold(tail ^ pixel_load(from), ODD);
    tail = fold(tail ^ a, b ^ ODD);
    return fold(tail ^ c, d ^ ODD);
}
