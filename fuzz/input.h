/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target's input as a sequence of little-endian operands; behind its end there are zeros. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *data;
    size_t left;
};

static inline uint64_t take(struct input *in, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && in->left; i++, in->data++, in->left--)
        value |= (uint64_t)*in->data << (i * 8);
    return value;
}

static inline void take_bytes(struct input *in, uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bytes[i] = (uint8_t)take(in, 1);
}
