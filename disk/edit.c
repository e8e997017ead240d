/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that change what they are: size, provisioning, identity, name. Each verb opens the disk
 * for writing first, so that nobody else has it; a descriptor is never half-way between two. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "disk/make.h"
#include "disk/vmdk.h"

enum { CHUNK = 1 << 20, BLOCK = 65536 };

/* A disk in our hands, and its descriptor. */
struct editing {
    struct disk *disk;
    struct vmdk_desc desc;
    char *text;
    size_t len;
    uint64_t offset; /* of the text in files[0] */
    bool embedded;
};

static void editing_end(struct editing *e)
{
    disk_close(e->disk);
    vmdk_desc_free(&e->desc);
    free(e->text);
}
#define cleanup_editing CLEANUP(editing_end)

static int read_text(struct editing *e, struct err *err)
{
    struct disk_file *file = e->disk->files[0];
    uint8_t first[KDMV_HEADER_SIZE] = {0};
    struct kdmv_header header;
    int rc = file_read(e->disk, file, first, MIN(file->size, sizeof first), 0);

    if (rc)
        return err_sys(err, rc, "cannot read it");
    e->embedded = !memcmp(first, "KDMV", 4);
    e->len = file->size;
    if (e->embedded) {
        rc = kdmv_load(&header, first, err);
        if (rc)
            return rc;
        e->offset = header.desc_offset * DISK_SECTOR;
        e->len = header.desc_size * DISK_SECTOR;
    }
    if (!e->len || e->len > VMDK_DESC_MAX)
        return err_set(err, -EFBIG, "its descriptor has %zu bytes", e->len);
    e->text = malloc(e->len);
    rc = e->text ? file_read(e->disk, file, e->text, e->len, e->offset) : -ENOMEM;
    return rc ? err_sys(err, rc, "cannot read its descriptor")
              : vmdk_desc_parse(&e->desc, e->text, e->len, err);
}

static int editing_begin(struct editing *e, const struct disk_host *host, const char *name,
                         struct aio *aio, struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    int rc = disk_open(host, name, &options, aio, &e->disk, err);

    return rc ? rc : read_text(e, err);
}

/* Inside a sparse file it has a fixed place; only what differs is written there. */
static int save_embedded(struct editing *e, const struct buf *text, struct err *err)
{
    cleanup_free char *padded = calloc(1, e->len);
    size_t from = 0, to = e->len;
    int rc = padded ? 0 : -ENOMEM;

    if (text->len > e->len)
        return err_set(err, -ENOSPC, "its descriptor has no room for that");
    if (padded)
        memcpy(padded, text->data, text->len);
    while (padded && from < to && padded[from] == e->text[from])
        from++;
    while (padded && to > from && padded[to - 1] == e->text[to - 1])
        to--;
    if (padded && to > from)
        rc = file_write(e->disk, e->disk->files[0], padded + from, to - from, e->offset + from);
    rc = rc ? rc : file_sync(e->disk, e->disk->files[0]);
    return rc ? err_sys(err, rc, "cannot write its descriptor") : 0;
}

static int save_file(const struct disk_host *host, const char *name, struct aio *aio,
                     const struct buf *text, bool replace, struct err *err)
{
    char left[VMDK_NAME_MAX + 16];
    struct out out;

    /* The disk is ours alone, so one of that name is what a crash has left. */
    (void)snprintf(left, sizeof left, "%s.part", name);
    if (replace)
        (void)host->unlink(host, left);
    int rc = out_open(&out, host, aio, name, err);
    if (rc)
        return rc;
    out_put(&out, text->data, text->len);
    rc = out_close(&out);
    rc = rc ? rc : (replace ? host->replace : host->rename)(host, out.name, name);
    if (rc) {
        out_abandon(&out);
        return err_sys(err, rc, "cannot write \"%s\"", name);
    }
    rc = host->sync(host);
    return rc ? err_sys(err, rc, "cannot sync the folder") : 0;
}

static int save(struct editing *e, struct err *err)
{
    cleanup_buf struct buf text = {0};

    vmdk_desc_rewrite(&e->desc, e->text, e->len, &text);
    if (text.failed)
        return err_sys(err, -ENOMEM, "descriptor");
    return e->embedded ? save_embedded(e, &text, err)
                       : save_file(e->disk->host, e->disk->name, e->disk->aio, &text, true, err);
}

/* -- Size ----------------------------------------------------------------------------------------
 */

static int check_growth(const struct editing *e, uint64_t size, struct err *err)
{
    const struct extent *last = &e->disk->extents[e->disk->extent_count - 1];

    if (!size || size % DISK_SECTOR || size > DISK_SIZE_MAX)
        return err_set(err, -EINVAL, "a size of %llu bytes", (unsigned long long)size);
    if (size < e->disk->size)
        return err_set(err, -EINVAL, "it would become smaller");
    if (e->disk->parent)
        return err_set(err, -ENOTSUP, "it has a parent: remove its snapshots first");
    if (!e->embedded && (last->ops != &extent_flat_ops || last->file_offset))
        return err_set(err, -ENOTSUP, "disks of this kind can not grow; convert it");
    return 0;
}

static int fill_new(struct editing *e, struct disk_file *file, uint64_t from, uint64_t to,
                    disk_progress_fn *progress, void *ctx)
{
    cleanup_free uint8_t *zeroes = calloc(1, CHUNK);
    int rc = zeroes ? 0 : -ENOMEM;

    for (uint64_t at = from; at < to && !rc; at += CHUNK) {
        rc = progress ? progress(ctx, at - from, to - from) : 0;
        rc = rc ? rc : file_write(e->disk, file, zeroes, MIN(to - at, (uint64_t)CHUNK), at);
    }
    return rc;
}

static int grow_file(struct editing *e, uint64_t to, bool eager, disk_progress_fn *progress,
                     void *ctx)
{
    struct disk_file *file = e->disk->extents[e->disk->extent_count - 1].file;
    uint64_t from = file->size;
    struct aio_req req = {.op = e->desc.thin ? AIO_TRUNCATE : AIO_EXTEND,
                          .file = file->kind,
                          .fd = file->fd,
                          .offset = e->desc.thin ? to : from,
                          .length = e->desc.thin ? 0 : to - from};
    int rc = to > from ? (int)aio_do(e->disk->aio, &req) : 0;

    if (!rc && eager)
        rc = fill_new(e, file, from, to, progress, ctx);
    rc = rc ? rc : file_sync(e->disk, file);
    if (rc) {
        req = (struct aio_req){
            .op = AIO_TRUNCATE, .file = file->kind, .fd = file->fd, .offset = from};
        (void)aio_do(e->disk->aio, &req);
    }
    return rc;
}

int disk_extend(const struct disk_host *host, const char *name, uint64_t size, bool eager,
                struct aio *aio, disk_progress_fn *progress, void *ctx, struct err *err)
{
    cleanup_editing struct editing e = {0};
    int rc = editing_begin(&e, host, name, aio, err);

    rc = rc ? rc : check_growth(&e, size, err);
    if (rc)
        return err_prefix(err, rc, "cannot extend \"%s\"", name);
    if (e.embedded) {
        rc = size > e.disk->size ? disk_rewrite(e.disk, size, progress, ctx, err) : 0;
        return rc ? err_prefix(err, rc, "cannot extend \"%s\"", name) : 0;
    }
    struct vmdk_extent *last = &e.desc.extents[e.desc.extent_count - 1];
    uint64_t more = (size - e.disk->size) / DISK_SECTOR;
    rc = grow_file(&e, (last->sectors + more) * DISK_SECTOR, eager, progress, ctx);
    if (rc)
        return err_sys(err, rc, "cannot extend \"%s\"", name);
    last->sectors += more;
    e.desc.sectors += more;
    return save(&e, err);
}

/* -- Room ----------------------------------------------------------------------------------------
 */

/* Walks the disk in pieces of at most CHUNK that are in one state. */
static int walk(struct disk *disk,
                int (*piece)(struct disk *disk, uint64_t offset, uint64_t length,
                             enum disk_state state, uint8_t *bytes),
                disk_progress_fn *progress, void *ctx, struct err *err)
{
    cleanup_free uint8_t *bytes = calloc(1, CHUNK);
    uint64_t at = 0, length;
    enum disk_state state;
    int rc = bytes ? 0 : -ENOMEM;

    for (; !rc && at < disk->size; at += length) {
        if (progress && (rc = progress(ctx, at, disk->size)))
            return err_set(err, rc, "cancelled");
        rc = disk_map(disk, at, &state, &length);
        length = MIN(length, CHUNK - at % CHUNK);
        rc = rc ? rc : piece(disk, at, length, state, bytes);
    }
    rc = rc ? rc : disk_flush(disk);
    return rc ? err_sys(err, rc, "at %llu", (unsigned long long)at) : 0;
}

static int inflate_piece(struct disk *disk, uint64_t offset, uint64_t length, enum disk_state state,
                         uint8_t *bytes)
{
    return state == DISK_HOLE ? disk_pwrite(disk, bytes, length, offset) : 0;
}

int disk_inflate(const struct disk_host *host, const char *name, struct aio *aio,
                 disk_progress_fn *progress, void *ctx, struct err *err)
{
    cleanup_editing struct editing e = {0};
    int rc = editing_begin(&e, host, name, aio, err);

    if (!rc)
        e.disk->keeps_cid = true; /* its content stays what it is */
    rc = rc ? rc : walk(e.disk, inflate_piece, progress, ctx, err);
    if (!rc && e.desc.thin) {
        e.desc.thin = false;
        rc = save(&e, err);
    }
    return rc ? err_prefix(err, rc, "cannot inflate \"%s\"", name) : 0;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

static int shrink_piece(struct disk *disk, uint64_t offset, uint64_t length, enum disk_state state,
                        uint8_t *bytes)
{
    int rc = state == DISK_DATA ? disk_pread(disk, bytes, length, offset) : 0;

    for (uint64_t at = 0, len; state == DISK_DATA && at < length && !rc; at += len) {
        len = MIN(length - at, (uint64_t)BLOCK);
        if (all_zero(bytes + at, len))
            rc = disk_op_sync(disk, DISK_DISCARD, len, offset + at);
    }
    return rc;
}

int disk_shrink(const struct disk_host *host, const char *name, struct aio *aio,
                disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    cleanup_disk struct disk *disk = NULL;
    int rc = disk_open(host, name, &options, aio, &disk, err);

    if (!rc)
        disk->keeps_cid = true;
    if (!rc && disk->discards)
        rc = walk(disk, shrink_piece, progress, ctx, err);
    return rc ? err_prefix(err, rc, "cannot shrink \"%s\"", name) : 0;
}

static int wipe_piece(struct disk *disk, uint64_t offset, uint64_t length, enum disk_state state,
                      uint8_t *bytes)
{
    (void)bytes;
    return state == DISK_DATA ? disk_op_sync(disk, DISK_WRITE_ZEROES, length, offset) : 0;
}

int disk_wipe(const struct disk_host *host, const char *name, struct aio *aio,
              disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    cleanup_disk struct disk *disk = NULL;
    int rc = disk_open(host, name, &options, aio, &disk, err);

    rc = rc ? rc : walk(disk, wipe_piece, progress, ctx, err);
    return rc ? err_prefix(err, rc, "cannot fill \"%s\" with zeros", name) : 0;
}

/* -- Identity and name ---------------------------------------------------------------------------
 */

int disk_set_uuid(const struct disk_host *host, const char *name, const char *uuid, struct aio *aio,
                  struct err *err)
{
    cleanup_editing struct editing e = {0};
    int rc = editing_begin(&e, host, name, aio, err);

    if (!rc && (strlen(uuid) >= sizeof e.desc.uuid || strpbrk(uuid, "\"\r\n") || !*uuid))
        rc = err_set(err, -EINVAL, "\"%.80s\" is no uuid", uuid);
    if (rc)
        return rc;
    memcpy(e.desc.uuid, uuid, strlen(uuid) + 1);
    return save(&e, err);
}

static int content_id(const struct disk_host *host, const char *name, struct aio *aio,
                      uint32_t *ret_cid, struct err *err)
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK | DISK_ALONE,
                                   .format = "vmdk"};
    cleanup_disk struct disk *disk = NULL;
    int rc = disk_open(host, name, &options, aio, &disk, err);

    if (!rc)
        *ret_cid = disk->info.cid;
    return rc;
}

/* In one sector, so that a power failure leaves the one or the other. */
static int write_parent(struct editing *e, const char *parent, uint32_t cid, bool try,
                        struct err *err)
{
    size_t from, to;
    int rc = vmdk_desc_set_parent(&e->desc, e->text, parent, cid, &from, &to);

    if (!rc && (e->offset + from) / DISK_SECTOR != (e->offset + to - 1) / DISK_SECTOR)
        rc = -ENOTSUP;
    if (rc)
        return err_set(err, rc, "its descriptor has no room for another parent");
    if (!try)
        rc = file_write(e->disk, e->disk->files[0], e->text + from, to - from, e->offset + from);
    rc = rc || try ? rc : file_sync(e->disk, e->disk->files[0]);
    return rc ? err_sys(err, rc, "cannot write its descriptor") : 0;
}

int disk_reparent(const struct disk_host *host, const char *name, const char *parent, bool try,
                  struct aio *aio, struct err *err)
{
    struct disk_options options = {
        .flags = DISK_ALONE | (try ? DISK_READONLY | DISK_NOLOCK : DISK_LOCKED_ELSEWHERE),
        .format = "vmdk"};
    cleanup_editing struct editing e = {0};
    uint32_t cid;
    int rc = disk_open(host, name, &options, aio, &e.disk, err);

    rc = rc ? rc : read_text(&e, err);
    rc = rc ? rc : content_id(host, parent, aio, &cid, err);
    if (!rc && e.desc.parent_cid == VMDK_NO_PARENT)
        rc = err_set(err, -EINVAL, "it has no parent");
    if (!rc && (e.desc.parent_cid != cid || strcmp(e.desc.parent, parent) != 0))
        rc = write_parent(&e, parent, cid, try, err);
    return rc ? err_prefix(err, rc, "cannot make \"%s\" a child of \"%s\"", name, parent) : 0;
}

/* "a-flat.vmdk" of "a.vmdk" becomes "b-flat.vmdk"; "x" of it "b-2.vmdk", for what is not named
 * after its disk. */
static int extent_name(const char *file, const char *disk, const char *to, unsigned index,
                       char *name, size_t room)
{
    size_t stem = strlen(disk), to_stem = strlen(to);
    int len;

    stem -= stem > 5 && !strcasecmp(disk + stem - 5, ".vmdk") ? 5 : 0;
    to_stem -= to_stem > 5 && !strcasecmp(to + to_stem - 5, ".vmdk") ? 5 : 0;
    if (!strncmp(file, disk, stem))
        len = snprintf(name, room, "%.*s%s", (int)to_stem, to, file + stem);
    else
        len = snprintf(name, room, "%.*s-%u.vmdk", (int)to_stem, to, index + 1);
    return len < (int)room ? 0 : -ENAMETOOLONG;
}

static bool listed_before(const struct vmdk_desc *desc, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (!strcmp(desc->extents[i].file, desc->extents[index].file))
            return true;
    return false;
}

/* Second names for all extents, as `desc` then says them. */
static int link_extents(struct editing *e, struct vmdk_desc *desc, const struct disk_host *to_host,
                        const char *to, unsigned *ret_linked)
{
    const struct vmdk_desc *old = &e->desc;
    int rc = 0;

    for (unsigned i = 0; i < old->extent_count && !rc; i++) {
        struct vmdk_extent *extent = &desc->extents[i];
        if (!*old->extents[i].file)
            continue;
        rc = extent_name(old->extents[i].file, e->disk->name, to, i, extent->file,
                         sizeof extent->file);
        if (!rc && !listed_before(old, i))
            rc = e->disk->host->link(e->disk->host, old->extents[i].file, to_host, extent->file);
        *ret_linked += !rc;
    }
    return rc;
}

static void unlink_extents(const struct disk_host *host, const struct vmdk_desc *desc,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (*desc->extents[i].file)
            (void)host->unlink(host, desc->extents[i].file);
}

static int move_described(struct editing *e, const struct disk_host *to_host, const char *to,
                          struct err *err)
{
    struct vmdk_desc desc = e->desc;
    cleanup_buf struct buf text = {0};
    cleanup_free struct vmdk_extent *extents = calloc(desc.extent_count, sizeof *extents);
    unsigned linked = 0;
    int rc = extents ? 0 : -ENOMEM;

    if (extents)
        memcpy(extents, desc.extents, desc.extent_count * sizeof *extents);
    desc.extents = extents;
    rc = rc ? rc : link_extents(e, &desc, to_host, to, &linked);
    rc = rc ? rc : to_host->sync(to_host);
    if (rc)
        err_sys(err, rc, "cannot name its extents anew");
    if (!rc)
        vmdk_desc_rewrite(&desc, e->text, e->len, &text);
    if (text.failed)
        rc = err_sys(err, -ENOMEM, "descriptor");
    rc = rc ? rc : save_file(to_host, to, e->disk->aio, &text, false, err);
    if (rc && extents)
        unlink_extents(to_host, &desc, linked);
    return rc;
}

int disk_move(const struct disk_host *host, const char *name, const struct disk_host *to_host,
              const char *to, struct aio *aio, struct err *err)
{
    cleanup_editing struct editing e = {0};
    int rc = editing_begin(&e, host, name, aio, err);

    if (!rc && e.disk->parent && host != to_host)
        rc = err_set(err, -ENOTSUP, "it has a parent, which would stay behind");
    if (!rc && !e.embedded)
        rc = move_described(&e, to_host, to, err);
    else if (!rc && (rc = host->link(host, name, to_host, to)))
        rc = err_sys(err, rc, "cannot name it anew");
    if (rc)
        return err_prefix(err, rc, "cannot move \"%s\" to \"%s\"", name, to);
    rc = host->unlink(host, name);
    if (!e.embedded)
        unlink_extents(host, &e.desc, e.desc.extent_count);
    return rc ? err_sys(err, rc, "cannot remove \"%s\"", name) : 0;
}

static int open_to_remove(const struct disk_host *host, const char *name, struct aio *aio,
                          struct disk **ret_disk, struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    int rc = disk_open(host, name, &options, aio, ret_disk, err);

    if (rc != -EROFS)
        return rc;
    if (err) /* a stream: nobody writes to it */
        *err = ERR_INIT;
    options.flags = DISK_READONLY;
    return disk_open(host, name, &options, aio, ret_disk, err);
}

int disk_remove(const struct disk_host *host, const char *name, bool ancestors, struct aio *aio,
                struct err *err)
{
    cleanup_disk struct disk *disk = NULL;
    int rc = open_to_remove(host, name, aio, &disk, err);

    for (struct disk *at = disk; at && !rc; at = ancestors ? at->parent : NULL)
        for (unsigned i = 0; !rc && i < at->file_count; i++)
            rc = host->unlink(host, at->files[i]->name);
    rc = rc ? rc : host->sync(host);
    return rc ? err_prefix(err, rc, "cannot remove \"%s\"", name) : 0;
}

/* -- Sharing -------------------------------------------------------------------------------------
 */

static void unshare(const struct disk *disk, const struct disk_host *to_host, unsigned count)
{
    for (; disk && count; disk = disk->parent)
        for (unsigned i = 0; i < disk->file_count && count; i++, count--)
            (void)to_host->unlink(to_host, disk->files[i]->name);
}

int disk_share(const struct disk_host *host, const char *name, const struct disk_host *to_host,
               struct aio *aio, struct err *err)
{
    struct disk_options options = {.flags = DISK_READONLY, .format = "vmdk"};
    cleanup_disk struct disk *disk = NULL;
    unsigned count = 0;
    int rc = disk_open(host, name, &options, aio, &disk, err);

    if (rc)
        return rc;
    for (struct disk *at = disk; at && !rc; at = at->parent)
        for (unsigned i = 0; i < at->file_count && !rc; i++) {
            rc = host->link(host, at->files[i]->name, to_host, at->files[i]->name);
            count += !rc;
        }
    rc = rc ? rc : to_host->sync(to_host);
    if (!rc)
        return 0;
    unshare(disk, to_host, count);
    return err_sys(err, rc, "cannot share \"%s\"", name);
}
