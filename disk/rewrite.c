/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse disks written anew: in the order of their content, without what reads zero, of another
 * size. The tables of a sparse file stand before its data, so that a larger one has no room for
 * more of them; what is done is a second file beside it, synced, that takes its place by one
 * rename. So there has to be room for both, and a crash leaves the old one, and perhaps the
 * temporary file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/range.h"
#include "disk/make.h"
#include "disk/sparse.h"

enum { GRAINS_MAX = 1 << 16 };

static int check(const struct disk *disk, struct err *err)
{
    if (disk->extent_count != 1 || disk->extents[0].ops != &extent_sparse_ops ||
        strcmp(disk->info.create_type, "monolithicSparse") != 0)
        return err_set(err, -ENOTSUP, "it is not a sparse disk of one file");
    if (disk->parent)
        return err_set(err, -ENOTSUP, "it has a parent: remove its snapshots first");
    return disk->host->replace ? 0 : -ENOTSUP;
}

static int read_old(struct disk *disk, struct vmdk_desc *desc, struct buf *text, struct err *err)
{
    struct disk_file *file = disk->files[0];
    uint8_t first[KDMV_HEADER_SIZE];
    struct kdmv_header header;
    int rc = file_read(disk, file, first, sizeof first, 0);

    rc = rc ? err_sys(err, rc, "cannot read it") : kdmv_load(&header, first, err);
    if (rc)
        return rc;
    size_t len = header.desc_size * DISK_SECTOR;
    char *to = len <= VMDK_DESC_MAX ? buf_grow(text, len) : NULL;
    rc = to ? file_read(disk, file, to, len, header.desc_offset * DISK_SECTOR) : -EFBIG;
    return rc ? err_sys(err, rc, "cannot read its descriptor")
              : vmdk_desc_parse(desc, to, len, err);
}

/* What the old descriptor says, with the new size: the same disk, with the same content. */
static int put_desc(struct out *out, struct disk *disk, uint64_t size, struct err *err)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    cleanup_buf struct buf old = {0}, text = {0};
    int rc = read_old(disk, &desc, &old, err);

    if (rc)
        return rc;
    desc.sectors = desc.extents[0].sectors = size / DISK_SECTOR;
    vmdk_desc_rewrite(&desc, (const char *)old.data, old.len, &text);
    while (!text.failed && text.len < MAKE_DESC_ROOM)
        buf_put_u8(&text, 0);
    if (text.failed || text.len > MAKE_DESC_ROOM)
        return err_set(err, -ENOSPC, "its descriptor has no room");
    out->fd = out->host->open(out->host, out->name, DISK_FILE_WRITE);
    if (out->fd < 0)
        return err_sys(err, out->fd, "\"%s\"", out->name);
    out_write(out, text.data, text.len, DISK_SECTOR);
    rc = out_close(out);
    return rc ? err_sys(err, rc, "cannot write \"%s\"", out->name) : 0;
}

static int fill(struct out *out, struct disk *disk, uint64_t size, disk_progress_fn *progress,
                void *ctx, struct err *err)
{
    struct disk_spec spec = {
        .format = DISK_VMDK_SPARSE, .size = size, .adapter = disk->info.adapter};

    if (!*spec.adapter)
        spec.adapter = NULL;
    make_sparse(out, &spec, disk->name);
    int rc = out_close(out);
    if (rc)
        return err_sys(err, rc, "cannot write \"%s\"", out->name);
    rc = make_content(out, disk, &spec, progress, ctx, err);
    return rc ? rc : put_desc(out, disk, size, err);
}

static int rewrite(struct disk *disk, uint64_t size, disk_progress_fn *progress, void *ctx,
                   struct err *err)
{
    const struct disk_host *host = disk->host;
    char left[VMDK_NAME_MAX + 16];
    struct out out;

    /* The disk is ours alone, so one of that name is what a crash has left. */
    (void)snprintf(left, sizeof left, "%s.part", disk->name);
    (void)host->unlink(host, left);
    int rc = out_open(&out, host, disk->aio, disk->name, err);
    if (rc)
        return rc;
    rc = fill(&out, disk, size, progress, ctx, err);
    if (!rc && (rc = host->replace(host, out.name, disk->name)))
        (void)err_sys(err, rc, "cannot replace \"%s\"", disk->name);
    if (rc) {
        out_abandon(&out);
        return rc;
    }
    rc = host->sync(host);
    return rc ? err_sys(err, rc, "cannot sync the folder") : 0;
}

int disk_rewrite(struct disk *disk, uint64_t size, disk_progress_fn *progress, void *ctx,
                 struct err *err)
{
    int rc = check(disk, err);

    if (!rc && (size < disk->size || size % DISK_SECTOR || size > MAKE_SPARSE_MAX))
        rc = err_set(err, -EFBIG, "a sparse disk has at most 2040 GiB");
    return rc ? rc : rewrite(disk, size, progress, ctx, err);
}

int disk_defragment(const struct disk_host *host, const char *name, struct aio *aio,
                    disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    cleanup_disk struct disk *disk = NULL;
    int rc = disk_open(host, name, &options, aio, &disk, err);

    if (!rc && disk->info.grain)
        rc = disk_rewrite(disk, disk->size, progress, ctx, err);
    return rc ? err_prefix(err, rc, "cannot defragment \"%s\"", name) : 0;
}

int disk_fragmentation(struct disk *disk, unsigned *ret_percent)
{
    uint64_t at = 0, expected = 0, grain = disk->info.grain;
    unsigned grains = 0, breaks = 0;
    int rc = 0;

    for (struct run run; !rc && grain && at < disk->size && grains < GRAINS_MAX; at += run.length) {
        rc = chain_map_own(disk, at, MIN(disk->size - at, grain - at % grain), MAP_PROBE, &run);
        if (rc || run.kind != RUN_FILE)
            continue;
        breaks += grains && run.offset != expected;
        expected = run.offset + run.length;
        grains++;
    }
    if (!rc)
        *ret_percent = grains > 1 ? breaks * 100 / (grains - 1) : 0;
    return rc;
}
