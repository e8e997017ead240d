/* SPDX-License-Identifier: Apache-2.0 */
/* A plain ("KDMV") sparse extent while it is open: the directories in memory, some of the grain
 * tables in a cache, and the allocations that are not in the file's tables yet.
 *
 * The cached tables are the truth for reading; an entry goes from 0 (or 1, zeros) to a sector once
 * and never changes again: discarding punches the grain's data and keeps the grain. So a table in
 * the file is at any time an older state of the cached one, and of two copies that differ after a
 * crash the one with the grain is right. */
#pragma once

#include "disk/vmdk.h"

enum {
    SPARSE_TABLE_SIZE = KDMV_GTES * 4,
    SPARSE_TABLE_SECTORS = SPARSE_TABLE_SIZE / DISK_SECTOR,
    SPARSE_CACHE_MAX = 8192, /* tables of one disk: 16 MiB, which maps 256 GiB */
    SPARSE_ALLOCS_MAX = 4096,
    SPARSE_TABLES_MAX = 1 << 20, /* of one disk */
};

/* A grain that only the cached table knows. */
struct sparse_alloc {
    uint32_t table, entry;
    uint32_t old; /* what the file has: 0 or 1 */
};

struct sparse_slot {
    uint32_t table;    /* UINT32_MAX: free */
    uint32_t pins;     /* allocations in it; pinned slots stay */
    bool recent;       /* second chance */
    uint64_t commit;   /* the last one that wrote it */
    uint32_t *entries; /* KDMV_GTES, host order; borrowed from the extent's one block */
};

struct sparse {
    struct kdmv_header header;
    uint64_t grain; /* bytes */
    uint32_t tables;
    uint32_t *gd, *rgd; /* sectors of tables; rgd NULL without redundancy */
    uint32_t *slot_of;  /* by table; UINT32_MAX: not cached */
    struct sparse_slot *slots;
    uint32_t *block; /* the slots' memory */
    unsigned slot_count, hand, pinned;
    uint64_t data_start, next_grain;     /* sectors; next_grain is the file's end */
    struct sparse_alloc *open, *closing; /* since the last commit began; being committed */
    unsigned allocs_max, open_count, closing_count;
    uint64_t commit;    /* counts them */
    unsigned commit_at; /* in closing */
    bool commit_primary;
    uint8_t commit_bytes[SPARSE_TABLE_SIZE];
    struct iovec commit_iov;
};

extern const struct extent_ops extent_sparse_ops;

static inline bool sparse_is_grain(const struct sparse *sparse, uint32_t entry)
{
    return entry > 1 || (entry == 1 && !(sparse->header.flags & KDMV_ZEROED));
}

/* Is the whole grain in the file, and behind header and tables? */
bool sparse_grain_valid(const struct sparse *sparse, uint32_t entry, uint64_t file_size);

/* Is the image one that a writer can work with: every table there, each for itself, before the
 * data? */
int sparse_check_layout(const struct sparse *sparse, struct err *err);

/* sparse_check.c */
int sparse_check(struct disk *disk, struct extent *extent, struct disk_check *check,
                 struct err *err);
/* Brings the two copies of the tables together after a crash; before anything is cached. */
int sparse_recover(struct disk *disk, struct extent *extent, struct err *err);
