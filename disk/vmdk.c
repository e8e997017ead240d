/* SPDX-License-Identifier: Apache-2.0 */
/* VMDK disks: a descriptor file with its extents, or one sparse file with the descriptor inside.
 * Specification: VMware, "Virtual Disk Format 5.0". Deliberately missing: vmfsSparse and seSparse
 * (snapshots that other hosts made), raw device mappings. */
#include "disk/vmdk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/range.h"

static const char text_magic[] = "# Disk DescriptorFile";

static bool begins(const uint8_t *first, size_t len, const char *magic)
{
    return len >= strlen(magic) && !memcmp(first, magic, strlen(magic));
}

static int vmdk_probe(const uint8_t *first, size_t len, uint64_t size)
{
    if (begins(first, len, "KDMV") || begins(first, len, text_magic))
        return 100;
    return begins(first, len, "COWD") ? 90 : 0;
}

/* -- Extents -------------------------------------------------------------------------------------
 */

static int read_header(struct disk *disk, struct disk_file *file, struct kdmv_header *header,
                       struct err *err)
{
    uint8_t bytes[KDMV_HEADER_SIZE];
    int rc;

    if (file->size < sizeof bytes)
        return err_set(err, -EINVAL, "is not a sparse extent: it has only %llu bytes",
                       (unsigned long long)file->size);
    rc = file_read(disk, file, bytes, sizeof bytes, 0);
    if (rc)
        return err_sys(err, rc, "cannot read its header");
    rc = kdmv_load(header, bytes, err);
    if (rc || !(header->flags & KDMV_COMPRESSED) || header->gd_offset != KDMV_GD_AT_END)
        return rc;
    /* Written front to back: the copy at the end knows where the directory is. */
    if (file->size < 3 * sizeof bytes)
        return err_set(err, -EINVAL, "has no footer");
    rc = file_read(disk, file, bytes, sizeof bytes, file->size - 2 * sizeof bytes);
    return rc ? err_sys(err, rc, "cannot read its footer") : kdmv_load(header, bytes, err);
}

static int open_sparse(struct disk *disk, struct extent *extent, struct disk_file *file,
                       struct kdmv_header *header, struct err *err)
{
    int rc = kdmv_validate(header, file->size, err);

    if (rc)
        return rc;
    extent->file = file;
    extent->length = header->capacity * DISK_SECTOR;
    disk->info.grain = (uint32_t)(header->grain * DISK_SECTOR);
    disk->info.unclean |= header->unclean;
    if (disk->flags & DISK_ALONE) {
        extent->ops = &extent_zero_ops;
        return 0;
    }
    if (header->flags & KDMV_COMPRESSED && disk->parent)
        return err_set(err, -ENOTSUP, "a stream-optimized disk with a parent");
    if (!(header->flags & KDMV_COMPRESSED)) {
        disk->discards = disk->info.thin = true;
        return sparse_open(disk, extent, header, err);
    }
    if (!(disk->flags & DISK_READONLY))
        return err_set(err, -EROFS, "a stream-optimized disk can only be read; convert it");
    return stream_open(disk, extent, header, err);
}

static int open_flat(struct disk *disk, struct extent *extent, const struct vmdk_extent *from,
                     struct disk_file *file, struct err *err)
{
    extent->ops = &extent_flat_ops;
    extent->file = file;
    extent->file_offset = from->offset * DISK_SECTOR;
    if (file == disk->files[0])
        return err_set(err, -EINVAL, "is the descriptor itself");
    if (!range_within(extent->file_offset, extent->length, file->size))
        return err_set(err, -EINVAL, "has %llu bytes, fewer than the %llu that the descriptor says",
                       (unsigned long long)file->size,
                       (unsigned long long)(extent->file_offset + extent->length));
    return 0;
}

static int open_extent(struct disk *disk, struct extent *extent, const struct vmdk_extent *from,
                       struct err *err)
{
    struct kdmv_header header;
    struct disk_file *file;
    int rc;

    if (from->type == VMDK_ZERO) {
        extent->ops = &extent_zero_ops;
        return 0;
    }
    if (from->readonly && !(disk->flags & DISK_READONLY))
        return err_set(err, -EROFS, "is read-only, so the disk can only be opened read-only");
    rc = disk_add_file(disk, from->file, &file, err);
    if (rc || from->type == VMDK_FLAT)
        return rc ? rc : open_flat(disk, extent, from, file, err);
    for (struct extent *other = disk->extents; other < extent; other++)
        if (other->file == file)
            return err_set(err, -EINVAL, "is used twice");
    rc = read_header(disk, file, &header, err);
    rc = rc ? rc : open_sparse(disk, extent, file, &header, err);
    if (!rc && extent->length != from->sectors * DISK_SECTOR)
        rc = err_set(err, -EINVAL, "has %llu sectors, the descriptor says %llu",
                     (unsigned long long)header.capacity, (unsigned long long)from->sectors);
    return rc;
}

/* Two names for one byte would make writes appear where nobody wrote. */
static int refuse_overlaps(const struct disk *disk, struct err *err)
{
    for (unsigned i = 0; i < disk->extent_count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct extent *a = &disk->extents[i], *b = &disk->extents[j];
            if (a->file && a->file == b->file &&
                range_overlaps(a->file_offset, a->length, b->file_offset, b->length))
                return err_set(err, -EINVAL, "extent \"%s\": two extents share its bytes",
                               a->file->name);
        }
    return 0;
}

static int open_extents(struct disk *disk, const struct vmdk_desc *desc, struct err *err)
{
    int rc = disk_add_extents(disk, desc->extent_count);

    if (rc)
        return err_sys(err, rc, "extents");
    for (unsigned i = 0; i < desc->extent_count && !rc; i++) {
        const struct vmdk_extent *from = &desc->extents[i];
        struct extent *extent = &disk->extents[i];

        extent->start = disk->size;
        extent->length = from->sectors * DISK_SECTOR;
        rc = open_extent(disk, extent, from, err);
        if (rc)
            return err_prefix(err, rc, "extent \"%s\"", from->file);
        disk->size += from->sectors * DISK_SECTOR;
    }
    return refuse_overlaps(disk, err);
}

/* -- Descriptors ---------------------------------------------------------------------------------
 */

static const char *create_type_name(const char *type)
{
    static const char *const known[] = {
        "monolithicFlat",       "vmfs",   "monolithicSparse",   "streamOptimized",
        "twoGbMaxExtentSparse", "custom", "twoGbMaxExtentFlat",
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (!strcmp(type, known[i]))
            return known[i];
    return NULL;
}

static int take_desc(struct disk *disk, const struct vmdk_desc *desc, uint64_t text_offset,
                     struct err *err)
{
    struct disk_info *info = &disk->info;

    info->create_type = create_type_name(desc->create_type);
    if (!info->create_type)
        return err_set(err, -ENOTSUP, "disks of type \"%s\" are not supported", desc->create_type);
    info->cid = desc->cid;
    disk->next_cid = vmdk_random_cid();
    info->thin |= desc->thin;
    disk->discards |= desc->thin;
    memcpy(info->adapter, desc->adapter, sizeof info->adapter);
    memcpy(info->uuid, desc->uuid, sizeof info->uuid);
    if (desc->parent_cid != VMDK_NO_PARENT && disk->flags & DISK_ALONE) {
        memcpy(info->parent, desc->parent, sizeof info->parent);
    } else if (desc->parent_cid != VMDK_NO_PARENT) {
        int rc = chain_open_parent(disk, desc->parent, desc->parent_cid, err);
        if (rc)
            return rc;
    }
    disk->cid_offset = desc->cid_at ? text_offset + desc->cid_at : 0;
    disk->long_cid_offset = desc->long_cid_at ? text_offset + desc->long_cid_at : 0;
    return 0;
}

static int read_desc(struct disk *disk, struct vmdk_desc *desc, uint64_t offset, size_t len,
                     struct err *err)
{
    cleanup_free char *text = malloc(len ? len : 1);
    int rc = text ? file_read(disk, disk->files[0], text, len, offset) : -ENOMEM;

    if (rc)
        return err_sys(err, rc, "cannot read its descriptor");
    rc = vmdk_desc_parse(desc, text, len, err);
    return rc ? rc : take_desc(disk, desc, offset, err);
}

static int open_text(struct disk *disk, struct err *err)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    uint64_t size = disk->files[0]->size;
    int rc;

    if (size > VMDK_DESC_MAX)
        return err_set(err, -EFBIG, "its descriptor has %llu bytes, at most %d are read",
                       (unsigned long long)size, VMDK_DESC_MAX);
    rc = read_desc(disk, &desc, 0, size, err);
    return rc ? rc : open_extents(disk, &desc, err);
}

static int open_monolithic(struct disk *disk, struct err *err)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    struct disk_file *file = disk->files[0];
    struct kdmv_header header;
    int rc = read_header(disk, file, &header, err);

    rc = rc ? rc : kdmv_validate(&header, file->size, err);
    if (rc)
        return rc;
    if (!header.desc_offset || !header.desc_size)
        return err_set(err, -EINVAL, "is one extent of a disk; open the disk's descriptor");
    rc = read_desc(disk, &desc, header.desc_offset * DISK_SECTOR, header.desc_size * DISK_SECTOR,
                   err);
    if (rc)
        return rc;
    if (desc.extent_count != 1 || desc.extents[0].type != VMDK_SPARSE)
        return err_set(err, -ENOTSUP, "its descriptor has other extents than the file itself");
    rc = disk_add_extents(disk, 1);
    rc = rc ? err_sys(err, rc, "extents") : open_sparse(disk, disk->extents, file, &header, err);
    disk->size = disk->extents ? disk->extents[0].length : 0;
    return rc;
}

static int vmdk_open(struct disk *disk, struct err *err)
{
    uint8_t first[sizeof text_magic - 1];
    int rc;

    if (disk->files[0]->size < sizeof first)
        return err_set(err, -EINVAL, "is not a VMDK: it has only %llu bytes",
                       (unsigned long long)disk->files[0]->size);
    rc = file_read(disk, disk->files[0], first, sizeof first, 0);
    if (rc)
        return err_sys(err, rc, "cannot read it");
    if (begins(first, sizeof first, "COWD"))
        return err_set(err, -ENOTSUP, "vmfsSparse extents are not supported");
    if (begins(first, sizeof first, "KDMV"))
        return open_monolithic(disk, err);
    if (!begins(first, sizeof first, text_magic))
        return err_set(err, -EINVAL, "is not a VMDK: neither descriptor nor sparse extent");
    return open_text(disk, err);
}

/* -- The content id ------------------------------------------------------------------------------
 */

uint32_t vmdk_random_cid(void)
{
    uint32_t cid = 0;

    while (cid == 0 || cid == VMDK_NO_PARENT || cid == UINT32_MAX - 1)
        if (getrandom(&cid, sizeof cid, 0) != (ssize_t)sizeof cid)
            cid = 0;
    return cid;
}

/* The digits are replaced where they are: eight bytes in one sector, or nothing (so this needs no
 * name, only the descriptor that is open, and works in a sandbox). A descriptor where they cross a
 * boundary keeps its id. */
static int put_cid(struct disk *disk, uint64_t offset, uint32_t cid)
{
    char digits[9];

    if (!offset || offset % DISK_SECTOR > DISK_SECTOR - 8)
        return 0;
    (void)snprintf(digits, sizeof digits, "%08x", cid);
    return file_write(disk, disk->files[0], digits, 8, offset);
}

/* On stable storage before the first change, so that no backup takes a changed disk for unchanged.
 */
static int vmdk_write_begin(struct disk *disk)
{
    uint32_t cid = disk->next_cid;
    int rc;

    if (disk->keeps_cid)
        return 0;
    rc = put_cid(disk, disk->long_cid_offset, cid);

    rc = rc ? rc : put_cid(disk, disk->cid_offset, cid);
    rc = rc ? rc : file_sync(disk, disk->files[0]);
    if (!rc && disk->cid_offset)
        disk->info.cid = cid;
    return rc;
}

const struct disk_format disk_vmdk_format = {
    .name = "vmdk", .probe = vmdk_probe, .open = vmdk_open, .write_begin = vmdk_write_begin};
