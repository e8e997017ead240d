/* SPDX-License-Identifier: Apache-2.0 */
/* A disk image as a controller's back end: nothing but the hand-over to disk/. */
#include <errno.h>
#include <stdlib.h>

#include "vm/backend/blk.h"

struct blk_disk {
    struct blk blk;
    struct disk *disk; /* owned */
};

static void blk_disk_submit(struct blk *blk, struct disk_io *io)
{
    disk_submit(((struct blk_disk *)blk)->disk, io);
}

static void blk_disk_close(struct blk *blk)
{
    struct blk_disk *bd = (struct blk_disk *)blk;

    disk_close(bd->disk);
    aio_destroy(blk->aio);
    free(bd);
}

static const struct blk_ops blk_disk_ops = {.submit = blk_disk_submit, .close = blk_disk_close};

int blk_disk_open(struct disk *disk, struct blk **ret_blk, struct err *err)
{
    struct blk_disk *bd = calloc(1, sizeof *bd);
    struct disk_info info;

    if (!bd)
        return err_set(err, -ENOMEM, "out of memory");
    disk_get_info(disk, &info);
    bd->disk = disk;
    bd->blk = (struct blk){
        .ops = &blk_disk_ops,
        .aio = disk_aio(disk),
        .size = disk_size(disk),
        .grain = info.grain,
        .readonly = disk_readonly(disk),
    };
    *ret_blk = &bd->blk;
    return 0;
}
