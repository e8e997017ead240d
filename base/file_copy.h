/* SPDX-License-Identifier: Apache-2.0 */
/* The data of one file into another, by the kernel where it can (copy_file_range). Holes are
 * skipped, so `out` has to be new. */
#pragma once

#include <stdint.h>

struct file_copy {
    /* Between steps of some MiB, may be NULL; not 0 ends the copying with that. */
    int (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    uint64_t done, total; /* `done` counts on */
};

/* -errno; -EIO: the file has become shorter meanwhile. Nothing is synced. */
int file_copy_data(struct file_copy *copy, int in, int out);
