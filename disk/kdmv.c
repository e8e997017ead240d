/* SPDX-License-Identifier: Apache-2.0 */
/* The header of the hosted sparse extent. Specification: "Virtual Disk Format 5.0", "Hosted sparse
 * extents". */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/vmdk.h"

enum { TABLES_MAX = 1 << 20 }; /* with 64 KiB grains 32 TiB; the directory stays below 4 MiB */

int kdmv_load(struct kdmv_header *header, const uint8_t bytes[KDMV_HEADER_SIZE], struct err *err)
{
    static const uint8_t newlines[] = {'\n', ' ', '\r', '\n'};

    if (le32_load(bytes) != KDMV_MAGIC)
        return err_set(err, -EINVAL, "is not a sparse extent");
    *header = (struct kdmv_header){
        .version = le32_load(bytes + 4),
        .flags = le32_load(bytes + 8),
        .capacity = le64_load(bytes + 12),
        .grain = le64_load(bytes + 20),
        .desc_offset = le64_load(bytes + 28),
        .desc_size = le64_load(bytes + 36),
        .gtes = le32_load(bytes + 44),
        .rgd_offset = le64_load(bytes + 48),
        .gd_offset = le64_load(bytes + 56),
        .overhead = le64_load(bytes + 64),
        .unclean = bytes[72],
        .compression = le16_load(bytes + 77),
    };
    if ((header->flags & KDMV_NEWLINE) && memcmp(bytes + 73, newlines, sizeof newlines))
        return err_set(err, -EINVAL, "was damaged by a transfer in text mode");
    return 0;
}

void kdmv_store(const struct kdmv_header *header, uint8_t bytes[KDMV_HEADER_SIZE])
{
    memset(bytes, 0, KDMV_HEADER_SIZE);
    le32_store(bytes, KDMV_MAGIC);
    le32_store(bytes + 4, header->version);
    le32_store(bytes + 8, header->flags);
    le64_store(bytes + 12, header->capacity);
    le64_store(bytes + 20, header->grain);
    le64_store(bytes + 28, header->desc_offset);
    le64_store(bytes + 36, header->desc_size);
    le32_store(bytes + 44, header->gtes);
    le64_store(bytes + 48, header->rgd_offset);
    le64_store(bytes + 56, header->gd_offset);
    le64_store(bytes + 64, header->overhead);
    bytes[72] = header->unclean;
    memcpy(bytes + 73, "\n \r\n", 4);
    le16_store(bytes + 77, header->compression);
}

uint64_t kdmv_tables(const struct kdmv_header *header)
{
    uint64_t covers = header->grain * header->gtes;

    return (header->capacity + covers - 1) / covers;
}

static int validate_sizes(const struct kdmv_header *header, struct err *err)
{
    if (header->version < 1 || header->version > 3)
        return err_set(err, -ENOTSUP, "sparse extent of version %u", header->version);
    if (!is_power_of_two(header->grain) || header->grain < KDMV_GRAIN_MIN ||
        header->grain > KDMV_GRAIN_MAX)
        return err_set(err, -EINVAL, "grain size of %llu sectors",
                       (unsigned long long)header->grain);
    if (header->gtes != KDMV_GTES)
        return err_set(err, -EINVAL, "grain tables of %u entries", header->gtes);
    if (!header->capacity || header->capacity > DISK_SIZE_MAX / DISK_SECTOR ||
        kdmv_tables(header) > TABLES_MAX)
        return err_set(err, -EFBIG, "capacity of %llu sectors",
                       (unsigned long long)header->capacity);
    return 0;
}

int kdmv_validate(const struct kdmv_header *header, uint64_t file_size, struct err *err)
{
    uint64_t file_sectors = file_size / DISK_SECTOR, directory;
    bool compressed = header->flags & KDMV_COMPRESSED;
    int rc = validate_sizes(header, err);

    if (rc)
        return rc;
    if (compressed != (header->compression == 1) || header->compression > 1)
        return err_set(err, -ENOTSUP, "compression %u", header->compression);
    if (header->desc_size > VMDK_DESC_MAX / DISK_SECTOR ||
        !range_within(header->desc_offset, header->desc_size, file_sectors))
        return err_set(err, -EINVAL, "its descriptor is past the end of the file");
    directory = (kdmv_tables(header) * 4 + DISK_SECTOR - 1) / DISK_SECTOR;
    if (!header->gd_offset || !range_within(header->gd_offset, directory, file_sectors))
        return err_set(err, -EINVAL, "its grain directory is past the end of the file");
    if ((header->flags & KDMV_REDUNDANT) &&
        (!header->rgd_offset || !range_within(header->rgd_offset, directory, file_sectors)))
        return err_set(err, -EINVAL, "its second grain directory is past the end of the file");
    if (!compressed && header->overhead > file_sectors)
        return err_set(err, -EINVAL, "its header area is past the end of the file");
    return 0;
}
