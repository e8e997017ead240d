/* SPDX-License-Identifier: Apache-2.0 */
/* The two kinds of extent without tables: bytes of a file as they are, and nothing at all. */
#include <errno.h>

#include "base/range.h"
#include "disk/format.h"

static int flat_map(struct disk *disk, struct extent *extent, uint64_t offset, uint64_t length,
                    enum map_mode mode, struct run *ret_run)
{
    ret_run->kind = RUN_FILE;
    ret_run->file = extent->file;
    ret_run->offset = extent->file_offset + offset;
    ret_run->length = length;
    return 0;
}

static int flat_check(struct disk *disk, struct extent *extent, struct disk_check *check,
                      struct err *err)
{
    if (!range_within(extent->file_offset, extent->length, extent->file->size))
        check_problem(check, "\"%s\" is shorter than its extent", extent->file->name);
    return 0;
}

static int zero_map(struct disk *disk, struct extent *extent, uint64_t offset, uint64_t length,
                    enum map_mode mode, struct run *ret_run)
{
    if (mode == MAP_WRITE)
        return -EROFS;
    ret_run->kind = RUN_ZERO;
    ret_run->length = length;
    return 0;
}

const struct extent_ops extent_flat_ops = {.map = flat_map, .check = flat_check};
const struct extent_ops extent_zero_ops = {.map = zero_map};
