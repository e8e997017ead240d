/* SPDX-License-Identifier: Apache-2.0 */
/* New disks: empty (disk_create) or with the content of another (disk_convert). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/make.h"
#include "disk/vmdk.h"

enum { CHUNK = 1 << 20, BLOCK = 65536 };

static const char *const format_names[] = {"raw", "vmdk-flat", "vmdk-sparse", "vmdk-stream"};
static const char *const provision_names[] = {"thin", "lazy", "eager"};

const char *disk_format_name(enum disk_format_id id)
{
    return id < DISK_FORMAT_MAX ? format_names[id] : "?";
}

bool disk_format_parse(const char *name, enum disk_format_id *ret_id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(format_names); i++)
        if (!strcmp(name, format_names[i])) {
            *ret_id = (enum disk_format_id)i;
            return true;
        }
    return false;
}

bool disk_provision_parse(const char *name, enum disk_provision *ret_provision)
{
    for (unsigned i = 0; i < ARRAY_SIZE(provision_names); i++)
        if (!strcmp(name, provision_names[i])) {
            *ret_provision = (enum disk_provision)i;
            return true;
        }
    return false;
}

/* -- Descriptors and empty files -----------------------------------------------------------------
 */

/* VMware's disks carry a NAA identifier of VMware's; the rest is random. */
static bool random_uuid(char *text, size_t room)
{
    uint8_t b[12];

    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
        return false;
    (void)snprintf(
        text, room, "60 00 C2 9%x %02x %02x %02x %02x-%02x %02x %02x %02x %02x %02x %02x %02x",
        b[0] & 15, b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[0]);
    return true;
}

int make_desc(struct vmdk_desc *desc, const struct disk_spec *spec, const char *file,
              const char *create_type)
{
    const char *adapter = spec->adapter ? spec->adapter : "lsilogic";

    *desc = (struct vmdk_desc){.version = 1,
                               .cid = vmdk_random_cid(),
                               .parent_cid = spec->parent ? spec->parent_cid : VMDK_NO_PARENT,
                               .thin = spec->provision == DISK_THIN,
                               .sectors = spec->size / DISK_SECTOR};
    if (strlen(file) >= VMDK_NAME_MAX || strlen(adapter) >= sizeof desc->adapter ||
        (spec->parent && strlen(spec->parent) >= sizeof desc->parent))
        return -ENAMETOOLONG;
    if (spec->parent)
        (void)snprintf(desc->parent, sizeof desc->parent, "%s", spec->parent);
    desc->extents = calloc(1, sizeof *desc->extents);
    if (!desc->extents)
        return -ENOMEM;
    desc->extent_count = 1;
    desc->extents->type = spec->format == DISK_VMDK_FLAT ? VMDK_FLAT : VMDK_SPARSE;
    desc->extents->sectors = desc->sectors;
    (void)snprintf(desc->extents->file, sizeof desc->extents->file, "%s", file);
    (void)snprintf(desc->create_type, sizeof desc->create_type, "%s", create_type);
    (void)snprintf(desc->adapter, sizeof desc->adapter, "%s", adapter);
    return random_uuid(desc->uuid, sizeof desc->uuid) &&
                   getrandom(desc->long_cid, sizeof desc->long_cid, 0) > 0
               ? 0
               : -EIO;
}

static int eager_zero(struct out *out, uint64_t size, disk_progress_fn *progress, void *ctx)
{
    cleanup_free uint8_t *zeroes = calloc(1, CHUNK);

    if (!zeroes)
        return -ENOMEM;
    for (uint64_t at = 0; at < size && !out->rc; at += CHUNK) {
        int rc = progress ? progress(ctx, at, size) : 0;
        if (rc)
            return rc;
        out_write(out, zeroes, MIN((uint64_t)CHUNK, size - at), at);
    }
    return out->rc;
}

static int make_flat(struct out *out, const struct disk_spec *spec, disk_progress_fn *progress,
                     void *ctx)
{
    if (spec->provision == DISK_THIN)
        out_op(out, AIO_TRUNCATE, spec->size, 0);
    else
        out_op(out, AIO_EXTEND, 0, spec->size);
    return spec->provision == DISK_EAGER ? eager_zero(out, spec->size, progress, ctx) : out->rc;
}

/* Children have small grains, as the first write to each copies it up; as small as keeps the
 * directory small. */
static uint64_t grain_of(const struct disk_spec *spec)
{
    enum { TABLES_WANTED = 1 << 17 };
    uint64_t grain = KDMV_GRAIN_MIN;

    while (grain < KDMV_GRAIN && spec->size / DISK_SECTOR / (grain * KDMV_GTES) >= TABLES_WANTED)
        grain *= 2;
    return spec->parent ? grain : KDMV_GRAIN;
}

/* Header, descriptor, second directory and tables, first directory and tables, then data; all
 * tables are there from the start, as VMware makes them. */
void make_sparse(struct out *out, const struct disk_spec *spec, const char *name)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    cleanup_buf struct buf text = {0};
    struct kdmv_header header = {.version = 1,
                                 .flags = KDMV_NEWLINE | KDMV_REDUNDANT,
                                 .capacity = spec->size / DISK_SECTOR,
                                 .grain = grain_of(spec),
                                 .gtes = KDMV_GTES,
                                 .desc_offset = 1,
                                 .desc_size = MAKE_DESC_ROOM / DISK_SECTOR};
    uint64_t tables = kdmv_tables(&header);
    uint64_t directory = (tables * 4 + DISK_SECTOR - 1) / DISK_SECTOR;
    uint8_t bytes[KDMV_HEADER_SIZE];

    header.rgd_offset = header.desc_offset + header.desc_size;
    header.gd_offset = header.rgd_offset + directory + tables * 4;
    header.overhead = align_up(header.gd_offset + directory + tables * 4, KDMV_GRAIN);
    out->rc = make_desc(&desc, spec, name, "monolithicSparse");
    vmdk_desc_print(&desc, &text);
    if (!out->rc && (text.failed || text.len > MAKE_DESC_ROOM))
        out->rc = -ENOMEM;
    kdmv_store(&header, bytes);
    out_put(out, bytes, sizeof bytes);
    out_put(out, text.data, text.len);
    for (unsigned copy = 0; copy < 2; copy++) {
        uint64_t start = copy ? header.gd_offset : header.rgd_offset;

        out_op(out, AIO_TRUNCATE, start * DISK_SECTOR, 0);
        out->at = start * DISK_SECTOR;
        for (uint64_t i = 0; i < tables; i++) {
            uint8_t entry[4];
            le32_store(entry, (uint32_t)(start + directory + i * 4));
            out_put(out, entry, sizeof entry);
        }
    }
    out_op(out, AIO_TRUNCATE, header.overhead * DISK_SECTOR, 0);
}

/* -- From temporary to final ---------------------------------------------------------------------
 */

/* "disk.vmdk" -> "disk-flat.vmdk" */
static int flat_name(const char *name, char *to, size_t room)
{
    const char *dot = strrchr(name, '.');
    int stem = dot && !strcmp(dot, ".vmdk") ? (int)(dot - name) : (int)strlen(name);

    return snprintf(to, room, "%.*s-flat.vmdk", stem, name) < (int)room ? 0 : -ENAMETOOLONG;
}

static int publish(struct out *out, const char *final, struct err *err)
{
    int rc = out->host->rename(out->host, out->name, final);

    if (rc)
        (void)out->host->unlink(out->host, out->name);
    return rc ? err_sys(err, rc, "cannot create \"%s\"", final) : 0;
}

/* The data is under its final name already; on failure it goes too. */
static int publish_desc(const struct disk_host *host, const char *name, const char *flat,
                        const struct disk_spec *spec, struct aio *aio, struct err *err)
{
    cleanup_vmdk_desc struct vmdk_desc desc = {0};
    cleanup_buf struct buf text = {0};
    struct out out;
    int rc = make_desc(&desc, spec, flat, "vmfs");

    vmdk_desc_print(&desc, &text);
    rc = rc ? rc : text.failed ? -ENOMEM : 0;
    if (rc)
        return err_sys(err, rc, "descriptor");
    rc = out_open(&out, host, aio, name, err);
    if (rc)
        return rc;
    out_put(&out, text.data, text.len);
    rc = out_close(&out);
    if (rc) {
        out_abandon(&out);
        return err_sys(err, rc, "cannot write \"%s\"", out.name);
    }
    return publish(&out, name, err);
}

static int publish_all(struct out *out, const char *name, const char *data_name,
                       const struct disk_spec *spec, struct err *err)
{
    int rc = publish(out, data_name, err);

    if (rc || spec->format != DISK_VMDK_FLAT)
        return rc;
    /* No descriptor without its data, whatever order the file system keeps. */
    rc = out->host->sync(out->host);
    rc = rc ? err_sys(err, rc, "cannot sync the folder")
            : publish_desc(out->host, name, data_name, spec, out->aio, err);
    if (rc)
        (void)out->host->unlink(out->host, data_name);
    return rc;
}

/* -- Content -------------------------------------------------------------------------------------
 */

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !len || (!bytes[0] && !memcmp(bytes, bytes + 1, len - 1));
}

/* Writes what is not zero, block by block, where neighbours go together. */
static int put_chunk(struct disk *target, const uint8_t *bytes, uint64_t len, uint64_t offset)
{
    uint64_t from = 0, at = 0;
    int rc = 0;

    while (at < len && !rc) {
        uint64_t block = MIN((uint64_t)BLOCK, len - at);

        if (all_zero(bytes + at, block)) {
            if (at > from)
                rc = disk_pwrite(target, bytes + from, at - from, offset + from);
            from = at + block;
        }
        at += block;
    }
    return rc || from == len ? rc : disk_pwrite(target, bytes + from, len - from, offset + from);
}

static int copy(struct disk *source, struct disk *target, disk_progress_fn *progress, void *ctx,
                struct err *err)
{
    cleanup_free uint8_t *bytes = malloc(CHUNK);
    uint64_t at = 0, length;
    int rc = bytes ? 0 : -ENOMEM;

    while (!rc && at < source->size) {
        enum disk_state state;

        rc = progress ? progress(ctx, at, source->size) : 0;
        if (rc)
            return err_set(err, rc, "cancelled");
        rc = disk_map(source, at, &state, &length);
        if (!rc && state == DISK_DATA) {
            length = MIN(length, CHUNK - at % CHUNK);
            rc = disk_pread(source, bytes, length, at);
            if (rc)
                return err_sys(err, rc, "cannot read \"%s\" at %llu", source->name,
                               (unsigned long long)at);
            rc = put_chunk(target, bytes, length, at);
        }
        at += length;
    }
    rc = rc ? rc : disk_flush(target);
    return rc ? err_sys(err, rc, "cannot copy, at %llu", (unsigned long long)at) : 0;
}

int make_content(struct out *out, struct disk *source, const struct disk_spec *spec,
                 disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_options options = {.format = spec->format == DISK_VMDK_SPARSE ? "vmdk" : "raw"};
    cleanup_disk struct disk *target = NULL;
    int rc = disk_open(out->host, out->name, &options, out->aio, &target, err);

    return rc ? rc : copy(source, target, progress, ctx, err);
}

/* -- The two verbs -------------------------------------------------------------------------------
 */

static int check_spec(const struct disk_spec *spec, struct err *err)
{
    if (!spec->size || spec->size % DISK_SECTOR)
        return err_set(err, -EINVAL, "the size must be a multiple of %d bytes", DISK_SECTOR);
    if (spec->size > DISK_SIZE_MAX)
        return err_set(err, -EFBIG, "the size is above 62 TiB");
    if (spec->format == DISK_VMDK_SPARSE && spec->size > MAKE_SPARSE_MAX)
        return err_set(err, -EFBIG, "a sparse disk has at most 2040 GiB");
    if (spec->parent && spec->format != DISK_VMDK_SPARSE)
        return err_set(err, -EINVAL, "only a sparse VMDK can have a parent");
    return 0;
}

static int make_data(struct out *out, struct disk *source, const char *name,
                     const struct disk_spec *spec, disk_progress_fn *progress, void *ctx,
                     struct err *err)
{
    int rc;

    if (spec->format == DISK_VMDK_STREAM)
        rc = make_stream(out, source, name, spec, progress, ctx, err);
    else if (spec->format == DISK_VMDK_SPARSE)
        make_sparse(out, spec, name), rc = out->rc;
    else
        rc = make_flat(out, spec, progress, ctx);
    rc = rc ? rc : out_close(out);
    if (rc)
        return err && err->code ? rc : err_sys(err, rc, "cannot write \"%s\"", out->name);
    return source && spec->format != DISK_VMDK_STREAM
               ? make_content(out, source, spec, progress, ctx, err)
               : 0;
}

static int make(struct disk *source, const struct disk_host *host, const char *name,
                const struct disk_spec *spec, struct aio *aio, disk_progress_fn *progress,
                void *ctx, struct err *err)
{
    char data_name[VMDK_NAME_MAX];
    struct out out;
    int fd, rc = check_spec(spec, err);

    if (rc)
        return rc;
    rc = spec->format == DISK_VMDK_FLAT
             ? flat_name(name, data_name, sizeof data_name)
             : (snprintf(data_name, sizeof data_name, "%s", name) < (int)sizeof data_name
                    ? 0
                    : -ENAMETOOLONG);
    if (rc)
        return err_sys(err, rc, "name");
    fd = host->open(host, name, 0);
    if (fd >= 0 || fd != -ENOENT) {
        close_fd(fd);
        return err_sys(err, fd >= 0 ? -EEXIST : fd, "it cannot be made");
    }
    rc = out_open(&out, host, aio, data_name, err);
    if (rc)
        return rc;
    rc = make_data(&out, source, name, spec, progress, ctx, err);
    if (rc) {
        out_abandon(&out);
        return rc;
    }
    rc = publish_all(&out, name, data_name, spec, err);
    if (!rc && (rc = host->sync(host))) {
        (void)host->unlink(host, name);
        if (spec->format == DISK_VMDK_FLAT)
            (void)host->unlink(host, data_name);
        return err_sys(err, rc, "cannot sync the folder");
    }
    if (!rc && progress)
        (void)progress(ctx, spec->size, spec->size);
    return rc;
}

static int make_child(const struct disk_host *host, const char *name, const struct disk_spec *spec,
                      struct aio *aio, struct err *err)
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK, .format = "vmdk"};
    cleanup_disk struct disk *parent = NULL;
    struct disk_spec actual = *spec;
    int rc = disk_open(host, spec->parent, &options, aio, &parent, err);

    if (rc)
        return rc;
    if (parent->info.ancestors + 2 > DISK_CHAIN_MAX)
        return err_set(err, -ELOOP, "there are %u disks in the chain already", DISK_CHAIN_MAX);
    if (actual.size && actual.size < parent->size)
        return err_set(err, -EINVAL, "it would be smaller than its parent");
    actual.size = actual.size ? actual.size : parent->size;
    actual.adapter = actual.adapter ? actual.adapter : parent->info.adapter;
    actual.parent_cid = parent->info.cid;
    return make(NULL, host, name, &actual, aio, NULL, NULL, err);
}

int disk_create(const struct disk_host *host, const char *name, const struct disk_spec *spec,
                struct aio *aio, disk_progress_fn *progress, void *ctx, struct err *err)
{
    int rc;

    if (spec->format == DISK_VMDK_STREAM)
        rc = err_set(err, -EINVAL, "a stream-optimized disk can only be made by conversion");
    else if (spec->parent)
        rc = make_child(host, name, spec, aio, err);
    else
        rc = make(NULL, host, name, spec, aio, progress, ctx, err);

    return rc ? err_prefix(err, rc, "cannot create disk \"%s\"", name) : 0;
}

int disk_convert(struct disk *source, const struct disk_host *host, const char *name,
                 const struct disk_spec *spec, struct aio *aio, disk_progress_fn *progress,
                 void *ctx, struct err *err)
{
    struct disk_spec actual = *spec;
    int rc;

    actual.size = source->size;
    actual.parent = NULL;
    if (!actual.adapter && source->info.adapter[0])
        actual.adapter = source->info.adapter;
    rc = make(source, host, name, &actual, aio, progress, ctx, err);
    return rc ? err_prefix(err, rc, "cannot convert to \"%s\"", name) : 0;
}
