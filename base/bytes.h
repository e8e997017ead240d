/* SPDX-License-Identifier: Apache-2.0 */
/* Integers in byte streams: unaligned, of stated byte order. All foreign structures are read and
 * written through these, never by casting a buffer to a struct. */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE_(bits, order, from, to)                          \
    static inline uint##bits##_t order##bits##_load(const void *p)    \
    {                                                                 \
        uint##bits##_t v;                                             \
        memcpy(&v, p, sizeof v);                                      \
        return from(v);                                               \
    }                                                                 \
    static inline void order##bits##_store(void *p, uint##bits##_t v) \
    {                                                                 \
        v = to(v);                                                    \
        memcpy(p, &v, sizeof v);                                      \
    }

BYTES_DEFINE_(16, le, le16toh, htole16)
BYTES_DEFINE_(32, le, le32toh, htole32)
BYTES_DEFINE_(64, le, le64toh, htole64)
BYTES_DEFINE_(16, be, be16toh, htobe16)
BYTES_DEFINE_(32, be, be32toh, htobe32)
BYTES_DEFINE_(64, be, be64toh, htobe64)
#undef BYTES_DEFINE_

/* Little-endian value of `size` (1, 2, 4, 8) bytes: what a bus access of that width carries. */
static inline uint64_t le_load(const void *p, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, p, size <= 8 ? size : 8);
    return le64toh(v);
}

static inline void le_store(void *p, unsigned size, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, size <= 8 ? size : 8);
}
