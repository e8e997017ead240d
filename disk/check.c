/* SPDX-License-Identifier: Apache-2.0 */
/* Check and map: what is there, without changing it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/range.h"
#include "disk/format.h"

void check_problem(struct disk_check *check, const char *fmt, ...)
{
    char text[256];
    va_list args;

    if (check->problems++ >= DISK_CHECK_LINES || !check->problem)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    check->problem(check->ctx, text);
}

int disk_check(struct disk *disk, struct disk_check *check, struct err *err)
{
    int rc = disk->flags & DISK_READONLY ? 0 : disk_flush(disk);

    if (rc)
        return err_sys(err, rc, "cannot flush it");
    for (; disk && !rc; disk = disk->parent)
        for (unsigned i = 0; i < disk->extent_count && !rc; i++)
            if (disk->extents[i].ops->check)
                rc = disk->extents[i].ops->check(disk, &disk->extents[i], check, err);
    return rc;
}

/* Cuts a run of a file where its own holes begin or end; a sector with any data is data. */
static void look_for_hole(struct run *run, enum disk_state *ret_state)
{
    off_t start = (off_t)run->offset;
    off_t data = lseek(run->file->fd, start, SEEK_DATA), end;

    *ret_state = DISK_DATA;
    if (data < 0) {
        if (errno == ENXIO) /* none up to the end of the file */
            *ret_state = DISK_HOLE;
        return;
    }
    if (data - start >= DISK_SECTOR) {
        *ret_state = DISK_HOLE;
        end = start + (data - start) / DISK_SECTOR * DISK_SECTOR;
    } else {
        end = lseek(run->file->fd, data, SEEK_HOLE);
        end = start + (end - start + DISK_SECTOR - 1) / DISK_SECTOR * DISK_SECTOR;
    }
    if (end > start && (uint64_t)(end - start) < run->length)
        run->length = (uint64_t)(end - start);
}

static void describe(struct run *run, enum disk_state *ret_state, uint64_t *ret_length)
{
    *ret_state = run->kind == RUN_FILE || run->kind == RUN_MEMORY ? DISK_DATA : DISK_HOLE;
    if (run->kind == RUN_FILE)
        look_for_hole(run, ret_state);
    *ret_length = run->length;
}

int disk_map(struct disk *disk, uint64_t offset, enum disk_state *ret_state, uint64_t *ret_length)
{
    struct run run;
    int rc = -EINVAL;

    if (offset < disk->size && offset % DISK_SECTOR == 0)
        rc = chain_map(disk, offset, disk->size - offset, MAP_PROBE, &run);
    if (!rc)
        describe(&run, ret_state, ret_length);
    return rc;
}

int disk_map_own(struct disk *disk, uint64_t offset, enum disk_state *ret_state,
                 uint64_t *ret_length, bool *ret_inherited)
{
    struct run run;
    int rc = -EINVAL;

    if (offset < disk->size && offset % DISK_SECTOR == 0)
        rc = chain_map_own(disk, offset, disk->size - offset, MAP_PROBE, &run);
    if (!rc) {
        *ret_inherited = run.kind == RUN_PARENT;
        describe(&run, ret_state, ret_length);
    }
    return rc;
}
