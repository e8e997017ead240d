/* SPDX-License-Identifier: Apache-2.0 */
/* A file that the guest is started from, while it is read into guest RAM: descriptor, size, and the
 * name for messages. Reading never goes past the size that was looked at first; a file that got
 * shorter since is an error like any other. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "vm/machine/gmem.h"

struct boot_file {
    int fd;           /* borrowed; -1: not given */
    const char *kind; /* "kernel", "initrd": for messages */
    const char *name; /* borrowed */
    uint64_t size;    /* filled in by boot_file_stat */
};

/* -EINVAL: empty, or not a regular file or block device. */
int boot_file_stat(struct boot_file *file, struct err *err);
/* Exactly `len` bytes at `offset`. -EINVAL: the file ends before. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *data, uint64_t len,
                   struct err *err);
/* The same, straight into the guest's pages. -EFAULT: not RAM. */
int boot_file_load(const struct boot_file *file, uint64_t offset, struct gmem *gmem, gpa_t addr,
                   uint64_t len, struct err *err);
/* Sets "kernel "x": reason" and returns -EINVAL. */
int boot_file_bad(const struct boot_file *file, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
