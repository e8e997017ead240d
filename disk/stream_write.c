/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a stream-optimized disk front to back: header, descriptor, grains with their markers, each
 * table behind its last grain, directory, footer, end. Specification: "Virtual Disk Format 5.0",
 * "Stream-optimized compressed sparse extents". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/make.h"
#include "disk/vmdk.h"

enum { MARKER_END = 0, MARKER_TABLE = 1, MARKER_DIRECTORY = 2, MARKER_FOOTER = 3 };

struct writer {
    struct out *out;
    struct disk *source;
    struct kdmv_header header;
    uint32_t *gd;
    uint8_t table[KDMV_GTES * 4];
    bool table_used;
    uint8_t *grain, *packed;
    uLong packed_max;
};

static void put_marker(struct out *out, uint64_t sectors, uint32_t type)
{
    uint8_t bytes[DISK_SECTOR] = {0};

    le64_store(bytes, sectors);
    le32_store(bytes + 12, type);
    out_put(out, bytes, sizeof bytes);
}

static void put_header(struct out *out, const struct kdmv_header *header)
{
    uint8_t bytes[KDMV_HEADER_SIZE];

    kdmv_store(header, bytes);
    out_put(out, bytes, sizeof bytes);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

/* One grain; nothing when it holds zeros only. */
static int put_grain(struct writer *writer, uint64_t grain)
{
    uint64_t bytes = writer->header.grain * DISK_SECTOR, offset = grain * bytes;
    uint64_t length = MIN(bytes, writer->source->size - offset), sector;
    uLongf packed = writer->packed_max;
    uint8_t marker[12];
    int rc = disk_pread(writer->source, writer->grain, length, offset);

    if (rc)
        return rc;
    memset(writer->grain + length, 0, bytes - length);
    if (all_zero(writer->grain, bytes))
        return 0;
    if (compress2(writer->packed, &packed, writer->grain, bytes, Z_DEFAULT_COMPRESSION) != Z_OK)
        return -ENOMEM;
    sector = writer->out->at / DISK_SECTOR;
    if (sector > UINT32_MAX)
        return -EFBIG;
    le32_store(writer->table + grain % KDMV_GTES * 4, (uint32_t)sector);
    writer->table_used = true;
    le64_store(marker, grain * writer->header.grain);
    le32_store(marker + 8, (uint32_t)packed);
    out_put(writer->out, marker, sizeof marker);
    out_put(writer->out, writer->packed, packed);
    out_pad(writer->out, DISK_SECTOR);
    return writer->out->rc;
}

static void put_table(struct writer *writer, uint32_t table)
{
    if (!writer->table_used)
        return;
    put_marker(writer->out, sizeof writer->table / DISK_SECTOR, MARKER_TABLE);
    le32_store(&writer->gd[table], (uint32_t)(writer->out->at / DISK_SECTOR));
    out_put(writer->out, writer->table, sizeof writer->table);
    memset(writer->table, 0, sizeof writer->table);
    writer->table_used = false;
}

/* Holes of the source are passed over without reading them. */
static uint64_t next_grain(struct writer *writer, uint64_t grain)
{
    uint64_t bytes = writer->header.grain * DISK_SECTOR, length;
    enum disk_state state;

    if (disk_map(writer->source, grain * bytes, &state, &length) || state == DISK_DATA ||
        length < bytes)
        return grain;
    return grain + length / bytes;
}

static int put_grains(struct writer *writer, disk_progress_fn *progress, void *ctx, struct err *err)
{
    uint64_t grains = (writer->header.capacity + writer->header.grain - 1) / writer->header.grain;
    uint64_t bytes = writer->header.grain * DISK_SECTOR;

    for (uint64_t grain = 0; grain < grains;) {
        uint64_t next = next_grain(writer, grain), table = grain / KDMV_GTES;
        int rc = progress ? progress(ctx, grain * bytes, writer->source->size) : 0;

        if (rc)
            return err_set(err, rc, "cancelled");
        if (next == grain) {
            rc = put_grain(writer, grain);
            if (rc)
                return err_sys(err, rc, "cannot copy, at %llu",
                               (unsigned long long)(grain * bytes));
            next = grain + 1;
        }
        if (next / KDMV_GTES != table || next >= grains)
            put_table(writer, (uint32_t)table);
        grain = next;
    }
    return 0;
}

static void put_end(struct writer *writer)
{
    struct out *out = writer->out;
    uint64_t tables = kdmv_tables(&writer->header);

    put_marker(out, (tables * 4 + DISK_SECTOR - 1) / DISK_SECTOR, MARKER_DIRECTORY);
    writer->header.gd_offset = out->at / DISK_SECTOR;
    out_put(out, writer->gd, tables * sizeof *writer->gd);
    out_pad(out, DISK_SECTOR);
    put_marker(out, 1, MARKER_FOOTER);
    put_header(out, &writer->header);
    put_marker(out, 0, MARKER_END);
}

static int put_front(struct writer *writer, const struct disk_spec *spec, const char *name)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    cleanup_buf struct buf text = {0};
    int rc = make_desc(&desc, spec, name, "streamOptimized");

    vmdk_desc_print(&desc, &text);
    rc = rc ? rc : text.failed ? -ENOMEM : 0;
    if (rc)
        return rc;
    writer->header.desc_size = align_up(text.len, DISK_SECTOR) / DISK_SECTOR;
    writer->header.overhead = align_up(1 + writer->header.desc_size, KDMV_GRAIN);
    put_header(writer->out, &writer->header);
    out_put(writer->out, text.data, text.len);
    out_pad(writer->out, KDMV_GRAIN * DISK_SECTOR);
    return writer->out->rc;
}

int make_stream(struct out *out, struct disk *source, const char *name,
                const struct disk_spec *spec, disk_progress_fn *progress, void *ctx,
                struct err *err)
{
    struct writer writer = {
        .out = out,
        .source = source,
        .header = {.version = 3,
                   .flags = KDMV_NEWLINE | KDMV_COMPRESSED | KDMV_MARKERS,
                   .capacity = spec->size / DISK_SECTOR,
                   .grain = KDMV_GRAIN,
                   .desc_offset = 1,
                   .gtes = KDMV_GTES,
                   .gd_offset = KDMV_GD_AT_END,
                   .compression = 1},
        .packed_max = compressBound(KDMV_GRAIN * DISK_SECTOR),
    };
    cleanup_free uint32_t *gd = calloc(kdmv_tables(&writer.header), sizeof *gd);
    cleanup_free uint8_t *grain = malloc(KDMV_GRAIN * DISK_SECTOR);
    cleanup_free uint8_t *packed = malloc(writer.packed_max);
    int rc = gd && grain && packed ? 0 : -ENOMEM;

    writer.gd = gd;
    writer.grain = grain;
    writer.packed = packed;
    rc = rc ? rc : put_front(&writer, spec, name);
    if (rc)
        return err_sys(err, rc, "cannot begin");
    rc = put_grains(&writer, progress, ctx, err);
    if (rc)
        return rc;
    put_end(&writer);
    return out->rc;
}

int disk_export(struct disk *source, const char *name, struct aio *aio, disk_sink_fn *sink,
                disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct out out = {.aio = aio, .fd = -1, .sink = sink, .sink_ctx = ctx};
    struct disk_spec spec = {.format = DISK_VMDK_STREAM,
                             .size = source->size,
                             .adapter = *source->info.adapter ? source->info.adapter : NULL};
    int rc = make_stream(&out, source, name, &spec, progress, ctx, err);

    return rc && !(err && err->code) ? err_sys(err, rc, "cannot export \"%s\"", source->name) : rc;
}
