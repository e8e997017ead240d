/* SPDX-License-Identifier: Apache-2.0 */
/* What a disk controller stores its sectors in. A controller does not know what is behind it: an
 * image (blk_disk_open) or memory (blk_mem_create, for tests).
 *
 * The request is the disk library's own, struct disk_io with its promises (disk/disk.h), so that
 * the data path has no layer in between. A blk has an aio; the thread that runs the aio makes every
 * call here but the creating ones, and gets every completion from aio_run_once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "disk/disk.h"

struct blk;

struct blk_ops {
    void (*submit)(struct blk *blk, struct disk_io *io);
    void (*close)(struct blk *blk); /* nothing is in flight */
};

struct blk {
    const struct blk_ops *ops;
    /* Requests that wait for room on the host (blk_hold), the oldest first. */
    struct disk_io *held, **held_end;
    unsigned held_count;
    void (*full)(void *ctx); /* the first has come; on the aio's thread. NULL: none ever waits */
    void *full_ctx;
    struct aio *aio; /* owned */
    uint64_t size;   /* bytes, a multiple of DISK_SECTOR */
    uint32_t grain;  /* bytes that discard works in; 0: any sector */
    bool readonly;
    unsigned changes; /* of what is behind it: it counts */
};

/* `done` comes from a later aio_run_once, whatever happens; never from here. Offset and length are
 * within the disk and multiples of a sector. */
static inline void blk_submit(struct blk *blk, struct disk_io *io)
{
    blk->ops->submit(blk, io);
}

/* What finds the host's file system full does not fail, for no guest knows what to do then: it
 * waits until somebody says that there may be room. The controller asks first thing in `done`:
 * true, the request stays under way and is kept. blk_release gives the oldest one back, to be
 * submitted again (blk_retry does that with all), or to be forgotten when the guest resets the
 * controller. NULL: none. */
bool blk_hold(struct blk *blk, struct disk_io *io, int result);
struct disk_io *blk_release(struct blk *blk);
void blk_retry(struct blk *blk);

/* With its aio; accepts NULL. */
static inline void blk_close(struct blk *blk)
{
    if (blk)
        blk->ops->close(blk);
}

/* Takes over the disk and its aio on success. */
int blk_disk_open(struct disk *disk, struct blk **ret_blk, struct err *err);
/* The same of a drive without a disc: size 0, every request fails with -ENOMEDIUM but a flush. */
int blk_disk_open_empty(struct aio *aio, struct blk **ret_blk, struct err *err);

/* Another disk for a blk that one of these made. While nothing is in flight and nobody else looks
 * at the blk, on any thread. Flush: what has been written is on stable storage. Take: the disk is
 * flushed, closed and unlocked; what fails changes nothing. Put: `disk`, opened with the blk's aio,
 * is taken over. */
int blk_disk_flush(struct blk *blk);
int blk_disk_take(struct blk *blk);
void blk_disk_put(struct blk *blk, struct disk *disk);
