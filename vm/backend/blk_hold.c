/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for room on the host's file system. */
#include <errno.h>

#include "base/cleanup.h"
#include "vm/backend/blk.h"

bool blk_hold(struct blk *blk, struct disk_io *io, int result)
{
    bool full = result == -ENOSPC || result == -EDQUOT;

    /* A flush that failed can not be tried again: what it was about may be lost. */
    if (!full || !blk->full || (io->op != DISK_WRITE && io->op != DISK_WRITE_ZEROES))
        return false;
    io->next = NULL;
    *(blk->held ? blk->held_end : &blk->held) = io;
    blk->held_end = &io->next;
    if (!blk->held_count++)
        blk->full(blk->full_ctx);
    return true;
}

struct disk_io *blk_release(struct blk *blk)
{
    struct disk_io *io = blk->held;

    if (!io)
        return NULL;
    blk->held = io->next;
    blk->held_count--;
    return io;
}

void blk_retry(struct blk *blk)
{
    struct disk_io *io = TAKE_PTR(blk->held), *next;

    blk->held_count = 0;
    for (; io; io = next) {
        next = io->next;
        blk_submit(blk, io);
    }
}
