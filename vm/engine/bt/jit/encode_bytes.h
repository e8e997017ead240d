/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction while it is put together: private to encode*.c. */
#pragma once

#include "vm/engine/bt/jit/encode.h"

struct encode_bytes {
    uint8_t byte[BT_DECODE_WHOLE]; /* zero behind `len` */
    uint8_t len;
};

static inline void encode_bytes_put(struct encode_bytes *b, unsigned byte)
{
    b->byte[b->len++] = (uint8_t)byte;
}

static inline void encode_bytes_number(struct encode_bytes *b, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        encode_bytes_put(b, (unsigned)(value >> 8 * i) & 0xff);
}

/* ModRM, SIB and displacement; the low bits of all registers. */
void encode_bytes_mem(struct encode_bytes *b, unsigned reg, struct encode_mem mem);
unsigned encode_mem_rex(struct encode_mem mem); /* REX.X and REX.B */
void encode_bytes_append(struct encode *e, const struct encode_bytes *b);
