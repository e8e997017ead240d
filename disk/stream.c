/* SPDX-License-Identifier: Apache-2.0 */
/* The stream-optimized extent, read at random: every grain is a zlib stream behind a small marker.
 * Specification: "Virtual Disk Format 5.0", "Stream-optimized compressed sparse extents". Written
 * front to back by stream_write.c; never changed in place. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/sparse.h"

enum { TABLE_SLOTS = 64, GRAIN_SLOTS = 8, GRAIN_MARKER = 12 };

struct stream {
    struct kdmv_header header;
    uint64_t grain; /* bytes */
    uint32_t tables;
    uint32_t *gd;
    struct {
        uint32_t table; /* UINT32_MAX: nothing */
        uint32_t entries[KDMV_GTES];
    } cached[TABLE_SLOTS];
    struct {
        uint64_t grain; /* UINT64_MAX: nothing */
        uint8_t *bytes; /* in `block` */
    } decoded[GRAIN_SLOTS];
    uint8_t *block;      /* the decoded grains' memory, then that of a compressed one */
    uint8_t *compressed; /* in `block` */
    size_t compressed_max;
};

static int find_entry(struct disk *disk, struct extent *extent, uint64_t grain, uint32_t *ret_entry)
{
    struct stream *stream = extent->impl;
    uint32_t table = (uint32_t)(grain / KDMV_GTES);
    uint32_t *entries = stream->cached[table % TABLE_SLOTS].entries;

    *ret_entry = 0;
    if (!stream->gd[table])
        return 0;
    if (stream->cached[table % TABLE_SLOTS].table != table) {
        int rc;

        stream->cached[table % TABLE_SLOTS].table = UINT32_MAX;
        rc = file_read(disk, extent->file, entries, SPARSE_TABLE_SIZE,
                       (uint64_t)stream->gd[table] * DISK_SECTOR);
        if (rc)
            return rc;
        for (unsigned i = 0; i < KDMV_GTES; i++)
            entries[i] = le32_load(&entries[i]);
        stream->cached[table % TABLE_SLOTS].table = table;
    }
    *ret_entry = entries[grain % KDMV_GTES];
    return 0;
}

/* The disk ends within its last grain; that one may be shorter when unpacked. */
static int inflate_grain(const struct stream *stream, size_t len, uint64_t want, uint8_t *to)
{
    uLongf got = stream->grain;

    if (uncompress(to, &got, stream->compressed, len) != Z_OK || got < want)
        return -EUCLEAN;
    memset(to + got, 0, stream->grain - got);
    return 0;
}

static int read_grain(struct disk *disk, struct extent *extent, uint64_t grain, uint32_t sector,
                      uint8_t *to)
{
    struct stream *stream = extent->impl;
    uint64_t offset = (uint64_t)sector * DISK_SECTOR, file_size = extent->file->size;
    uint8_t marker[GRAIN_MARKER];
    uint32_t len;
    int rc;

    if (!range_within(offset, sizeof marker, file_size))
        return -EUCLEAN;
    rc = file_read(disk, extent->file, marker, sizeof marker, offset);
    if (rc)
        return rc;
    len = le32_load(marker + 8);
    if (le64_load(marker) != grain * stream->header.grain || !len || len > stream->compressed_max ||
        !range_within(offset + sizeof marker, len, file_size))
        return -EUCLEAN;
    rc = file_read(disk, extent->file, stream->compressed, len, offset + sizeof marker);
    return rc ? rc
              : inflate_grain(stream, len,
                              MIN(stream->grain, extent->length - grain * stream->grain), to);
}

static int decode(struct disk *disk, struct extent *extent, uint64_t grain, uint32_t sector,
                  const uint8_t **ret_bytes)
{
    struct stream *stream = extent->impl;
    unsigned slot = grain % GRAIN_SLOTS;

    if (stream->decoded[slot].grain != grain) {
        int rc;

        stream->decoded[slot].grain = UINT64_MAX;
        rc = read_grain(disk, extent, grain, sector, stream->decoded[slot].bytes);
        if (rc)
            return rc;
        stream->decoded[slot].grain = grain;
    }
    *ret_bytes = stream->decoded[slot].bytes;
    return 0;
}

static int stream_map(struct disk *disk, struct extent *extent, uint64_t offset, uint64_t length,
                      enum map_mode mode, struct run *ret_run)
{
    struct stream *stream = extent->impl;
    uint64_t grain = offset / stream->grain, within = offset % stream->grain;
    uint32_t entry;
    int rc = find_entry(disk, extent, grain, &entry);

    if (rc)
        return rc;
    ret_run->length = MIN(length, stream->grain - within);
    ret_run->kind = RUN_ZERO;
    if (!entry || (entry == 1 && (stream->header.flags & KDMV_ZEROED)))
        return 0;
    ret_run->kind = RUN_MEMORY;
    if (mode == MAP_PROBE)
        return 0;
    rc = decode(disk, extent, grain, entry, &ret_run->memory);
    if (!rc)
        ret_run->memory += within;
    return rc;
}

/* Unpacks every grain: zlib's own checksum says whether it is whole. */
static int stream_check(struct disk *disk, struct extent *extent, struct disk_check *check,
                        struct err *err)
{
    struct stream *stream = extent->impl;
    uint64_t grains = (extent->length + stream->grain - 1) / stream->grain;
    const uint8_t *bytes;

    for (uint64_t grain = 0; grain < grains; grain++) {
        uint32_t entry;
        int rc;

        if (!stream->gd[grain / KDMV_GTES]) {
            grain |= KDMV_GTES - 1;
            continue;
        }
        rc = find_entry(disk, extent, grain, &entry);
        if (!rc && entry > 1)
            rc = decode(disk, extent, grain, entry, &bytes);
        if (rc && rc != -EUCLEAN)
            return err_sys(err, rc, "cannot read grain %llu", (unsigned long long)grain);
        if (rc)
            check_problem(check, "grain %llu is damaged (sector %u)", (unsigned long long)grain,
                          entry);
        check->used += entry > 1;
    }
    return 0;
}

static void stream_destroy(struct extent *extent)
{
    struct stream *stream = extent->impl;

    if (!stream)
        return;
    free(stream->gd);
    free(stream->block);
    free(stream);
    extent->impl = NULL;
}

static const struct extent_ops extent_stream_ops = {
    .map = stream_map, .check = stream_check, .destroy = stream_destroy};

static int load(struct disk *disk, struct extent *extent, struct err *err)
{
    struct stream *stream = extent->impl;
    uint64_t end = extent->file->size / DISK_SECTOR;
    int rc;

    stream->gd = malloc(stream->tables * sizeof *stream->gd);
    stream->block = malloc(GRAIN_SLOTS * stream->grain + stream->compressed_max);
    if (!stream->gd || !stream->block)
        return err_sys(err, -ENOMEM, "stream-optimized extent");
    stream->compressed = stream->block + GRAIN_SLOTS * stream->grain;
    for (unsigned i = 0; i < GRAIN_SLOTS; i++) {
        stream->decoded[i].grain = UINT64_MAX;
        stream->decoded[i].bytes = stream->block + i * stream->grain;
    }
    for (unsigned i = 0; i < TABLE_SLOTS; i++)
        stream->cached[i].table = UINT32_MAX;
    rc = file_read(disk, extent->file, stream->gd, stream->tables * sizeof *stream->gd,
                   stream->header.gd_offset * DISK_SECTOR);
    if (rc)
        return err_sys(err, rc, "cannot read its grain directory");
    for (uint32_t i = 0; i < stream->tables; i++) {
        stream->gd[i] = le32_load(&stream->gd[i]);
        if (stream->gd[i] && !range_within(stream->gd[i], SPARSE_TABLE_SECTORS, end))
            return err_set(err, -EUCLEAN, "grain table %u is past the end of the file", i);
    }
    return 0;
}

int stream_open(struct disk *disk, struct extent *extent, const struct kdmv_header *header,
                struct err *err)
{
    struct stream *stream;

    /* Its buffers are for one extent; no tool writes several. */
    if (disk->extent_count > 1)
        return err_set(err, -ENOTSUP, "compressed extents in a disk of several are not supported");
    stream = calloc(1, sizeof *stream);
    if (!stream)
        return err_sys(err, -ENOMEM, "stream-optimized extent");
    extent->ops = &extent_stream_ops;
    extent->impl = stream;
    stream->header = *header;
    stream->grain = header->grain * DISK_SECTOR;
    stream->tables = (uint32_t)kdmv_tables(header);
    stream->compressed_max = compressBound(stream->grain) + DISK_SECTOR;
    return load(disk, extent, err);
}
