/* SPDX-License-Identifier: Apache-2.0 */
/* A disk image as a controller's back end: nothing but the hand-over to disk/. */
#include <errno.h>
#include <stdlib.h>

#include "vm/backend/blk.h"

struct blk_disk {
    struct blk blk;
    struct disk *disk; /* owned; NULL: no disc */
};

static void absent_done(struct aio_req *req, int64_t result)
{
    struct disk_io *io = req->ctx;

    io->done(io, (int)result);
}

static void submit_absent(struct blk *blk, struct disk_io *io)
{
    io->req.done = absent_done;
    io->req.ctx = io;
    aio_finish(blk->aio, &io->req, io->op == DISK_FLUSH ? 0 : -ENOMEDIUM);
}

static void blk_disk_submit(struct blk *blk, struct disk_io *io)
{
    struct blk_disk *bd = (struct blk_disk *)blk;

    if (bd->disk)
        disk_submit(bd->disk, io);
    else
        submit_absent(blk, io);
}

static void blk_disk_close(struct blk *blk)
{
    struct blk_disk *bd = (struct blk_disk *)blk;

    disk_close(bd->disk);
    aio_destroy(blk->aio);
    free(bd);
}

static const struct blk_ops blk_disk_ops = {.submit = blk_disk_submit, .close = blk_disk_close};

int blk_disk_open_empty(struct aio *aio, struct blk **ret_blk, struct err *err)
{
    struct blk_disk *bd = calloc(1, sizeof *bd);

    if (!bd)
        return err_set(err, -ENOMEM, "out of memory");
    bd->blk = (struct blk){.ops = &blk_disk_ops, .aio = aio, .readonly = true};
    *ret_blk = &bd->blk;
    return 0;
}

int blk_disk_open(struct disk *disk, struct blk **ret_blk, struct err *err)
{
    int rc = blk_disk_open_empty(disk_aio(disk), ret_blk, err);

    if (rc == 0)
        blk_disk_put(*ret_blk, disk);
    return rc;
}

int blk_disk_flush(struct blk *blk)
{
    struct blk_disk *bd = (struct blk_disk *)blk;

    return bd->disk ? disk_flush_now(bd->disk) : 0;
}

int blk_disk_take(struct blk *blk)
{
    struct blk_disk *bd = (struct blk_disk *)blk;
    int rc = blk_disk_flush(blk);

    if (rc < 0)
        return rc;
    disk_close(TAKE_PTR(bd->disk));
    blk->size = 0;
    blk->changes++;
    return 0;
}

void blk_disk_put(struct blk *blk, struct disk *disk)
{
    struct disk_info info;

    disk_get_info(disk, &info);
    ((struct blk_disk *)blk)->disk = disk;
    blk->size = disk_size(disk);
    blk->grain = info.grain;
    blk->readonly = disk_readonly(disk);
    blk->changes++;
}
