/* SPDX-License-Identifier: Apache-2.0 */
/* Disks with a parent: one is opened with the other, and a look-up goes up until somebody knows.
 * What the child does not have yet is copied up before it is changed (sparse.c).
 *
 * A chain is hostile like everything in a descriptor: it may be long, or lead back to itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "disk/format.h"

enum { CHUNK = 65536 };

/* Files are compared, not names; the first of a disk is enough, as it says what the others are. */
static bool leads_back(const struct disk *child, const struct disk *parent)
{
    for (; parent; parent = parent->parent)
        if (parent->files[0]->dev == child->files[0]->dev &&
            parent->files[0]->ino == child->files[0]->ino)
            return true;
    return false;
}

int chain_open_parent(struct disk *disk, const char *name, uint32_t cid, struct err *err)
{
    bool locked = !(disk->flags & (DISK_NOLOCK | DISK_LOCKED_ELSEWHERE));
    struct disk_options options = {.flags = DISK_READONLY | (locked ? 0 : DISK_NOLOCK),
                                   .format = "vmdk"};
    int rc;

    if (disk->depth + 1 >= DISK_CHAIN_MAX)
        return err_set(err, -ELOOP, "more than %d disks in a chain, or a chain without end",
                       DISK_CHAIN_MAX);
    rc = disk_open_at_depth(disk->host, name, &options, disk->aio, disk->depth + 1, &disk->parent,
                            err);
    disk->blame_parent = rc;
    if (rc)
        return rc;
    if (leads_back(disk, disk->parent))
        return err_set(err, -ELOOP, "it is its own ancestor");
    if (disk->parent->info.cid != cid)
        return err_set(err, -ESTALE,
                       "its parent \"%s\" has been written to since (content id %08x, not %08x)",
                       name, disk->parent->info.cid, cid);
    disk->info.ancestors = disk->parent->info.ancestors + 1;
    (void)snprintf(disk->info.parent, sizeof disk->info.parent, "%s", name);
    return 0;
}

int chain_map_own(struct disk *disk, uint64_t offset, uint64_t length, enum map_mode mode,
                  struct run *ret_run)
{
    struct extent *extent = disk_extent_at(disk, offset);

    offset -= extent->start;
    return extent->ops->map(disk, extent, offset, MIN(length, extent->length - offset), mode,
                            ret_run);
}

int chain_map(struct disk *disk, uint64_t offset, uint64_t length, enum map_mode mode,
              struct run *ret_run)
{
    int rc = chain_map_own(disk, offset, length, mode, ret_run);

    while (!rc && ret_run->kind == RUN_PARENT) {
        disk = disk->parent;
        length = ret_run->length;
        if (offset >= disk->size) {
            ret_run->kind = RUN_ZERO; /* the child has grown */
            return 0;
        }
        rc = chain_map_own(disk, offset, MIN(length, disk->size - offset), mode, ret_run);
    }
    return rc;
}

static int copy_run(struct disk *disk, const struct run *run, struct disk_file *to,
                    uint64_t to_offset)
{
    cleanup_free uint8_t *bytes = malloc(CHUNK);
    int rc = bytes ? 0 : -ENOMEM;

    for (uint64_t at = 0, len; at < run->length && !rc; at += len) {
        len = MIN(run->length - at, (uint64_t)CHUNK);
        if (run->kind == RUN_MEMORY)
            memcpy(bytes, run->memory + at, len);
        else
            rc = file_read(disk, run->file, bytes, len, run->offset + at);
        rc = rc ? rc : file_write(disk, to, bytes, len, to_offset + at);
    }
    return rc;
}

int chain_copy_up(struct disk *disk, uint64_t offset, uint64_t length, struct disk_file *file,
                  uint64_t file_offset)
{
    struct run run;
    int rc = 0;

    length = offset < disk->parent->size ? MIN(length, disk->parent->size - offset) : 0;
    for (; length && !rc; offset += run.length, file_offset += run.length, length -= run.length) {
        rc = chain_map(disk->parent, offset, length, MAP_READ, &run);
        if (!rc && run.kind != RUN_ZERO)
            rc = copy_run(disk, &run, file, file_offset);
        if (rc)
            break;
    }
    return rc;
}
