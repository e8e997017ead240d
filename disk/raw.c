/* SPDX-License-Identifier: Apache-2.0 */
/* Raw images and block devices: the file is the disk. */
#include <errno.h>

#include "disk/format.h"

/* Everything can be a raw image, nothing says that it is. */
static int raw_probe(const uint8_t *first, size_t len, uint64_t size)
{
    return 1;
}

static int raw_open(struct disk *disk, struct err *err)
{
    struct disk_file *file = disk->files[0];
    int rc;

    if (!file->size)
        return err_set(err, -EINVAL, "the file is empty");
    if (file->size % DISK_SECTOR)
        return err_set(err, -EINVAL, "its size, %llu bytes, is not a multiple of %d",
                       (unsigned long long)file->size, DISK_SECTOR);
    rc = disk_add_extents(disk, 1);
    if (rc)
        return err_sys(err, rc, "extents");
    disk->extents[0].ops = &extent_flat_ops;
    disk->extents[0].length = file->size;
    disk->extents[0].file = file;
    disk->size = file->size;
    disk->discards = disk->info.thin = true;
    return 0;
}

const struct disk_format disk_raw_format = {.name = "raw", .probe = raw_probe, .open = raw_open};
