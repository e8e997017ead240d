/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets of single devices do to them, by tests/device/harness.h. */
#pragma once

#include <string.h>

#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "fuzz/input.h"
#include "tests/device/harness.h"

/* address u16, length u8, bytes: into the first `ram` bytes of guest memory */
static inline void fuzz_poke(struct harness *h, struct input *in, unsigned ram)
{
    uint8_t bytes[256];
    uint64_t at = take(in, 2) % (ram - sizeof bytes);
    unsigned count = (unsigned)take(in, 1);

    take_bytes(in, bytes, count);
    harness_poke(h, at, bytes, count);
}

/* Its state comes out of it as it went in. Whatever it was at work at goes on afterwards. */
static inline void fuzz_save_and_restore(struct harness *h)
{
    struct buf cleanup_buf one = {0}, two = {0};

    if (h->class->quiesce)
        h->class->quiesce(h->dev);
    state_save(h->class->state, h->dev, &one);
    FUZZ_CHECK(state_load(h->class->state, h->dev, one.data, one.len, NULL, NULL) == 0);
    state_save(h->class->state, h->dev, &two);
    FUZZ_CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len));
    if (h->class->resume)
        h->class->resume(h->dev);
}
