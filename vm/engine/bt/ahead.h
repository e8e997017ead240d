/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is used from its beginning on and never given back: the host maps a piece of it at a
 * time, before it is used. A fault for each page is several times as dear. */
#pragma once

#include <stdint.h>
#include <sys/mman.h>

enum { AHEAD_BYTES = 256 << 10 };

/* [0, used) of `size` bytes at `at` is about to be used; *done: how much the host has been asked
 * for. A host that cannot (before Linux 5.14) takes the faults. */
static inline void ahead(void *at, uint64_t size, uint64_t used, uint64_t *done)
{
    while (__builtin_expect(used > *done, 0)) {
        uint64_t left = size - *done, bytes = left < AHEAD_BYTES ? left : AHEAD_BYTES;
        (void)madvise((uint8_t *)at + *done, bytes, MADV_POPULATE_WRITE);
        *done += bytes;
    }
}
