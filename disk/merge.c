/* SPDX-License-Identifier: Apache-2.0 */
/* A child's content into its parent. What is copied is at every moment also in the child, and the
 * parent keeps its content id until all of it is there: so whenever this ends, the child reads as
 * before. */
#include <errno.h>
#include <stdlib.h>

#include "base/range.h"
#include "disk/format.h"

enum { CHUNK = 1 << 20 };

struct merge {
    struct disk *child, *parent;
    disk_progress_fn *progress;
    void *ctx;
    uint8_t *bytes; /* CHUNK */
};

/* One stretch of the child's own. */
static int bring(struct merge *merge, uint64_t offset, uint64_t length, enum disk_state state)
{
    int rc = 0;

    if (state != DISK_DATA)
        return disk_op_sync(merge->parent, DISK_WRITE_ZEROES, length, offset);
    for (uint64_t at = 0, len; at < length && !rc; at += len) {
        len = MIN(length - at, (uint64_t)CHUNK);
        rc = disk_pread(merge->child, merge->bytes, len, offset + at);
        rc = rc ? rc : disk_pwrite(merge->parent, merge->bytes, len, offset + at);
    }
    return rc;
}

static int bring_all(struct merge *merge, struct err *err)
{
    uint64_t at = 0, length, size = merge->child->size;
    enum disk_state state;
    bool inherited;
    int rc = 0;

    for (; at < size && !rc; at += length) {
        if (merge->progress && (rc = merge->progress(merge->ctx, at, size)))
            return err_set(err, rc, "cancelled");
        rc = disk_map_own(merge->child, at, &state, &length, &inherited);
        length = MIN(length, (uint64_t)CHUNK * 16);
        if (!rc && !inherited)
            rc = bring(merge, at, length, state);
        if (rc)
            break;
    }
    rc = rc ? rc : disk_flush(merge->parent);
    return rc ? err_sys(err, rc, "cannot copy, at %llu", (unsigned long long)at) : 0;
}

/* From here on neither this child nor any other is accepted. */
static int renew(struct disk *parent, struct err *err)
{
    int rc;

    parent->keeps_cid = false;
    rc = parent->format->write_begin ? parent->format->write_begin(parent) : 0;
    return rc ? err_sys(err, rc, "cannot change the content id of \"%s\"", parent->name) : 0;
}

static int open_both(struct merge *merge, const struct disk_host *host, const char *name,
                     struct aio *aio, struct disk **ret_parent, struct disk **ret_child,
                     struct err *err)
{
    struct disk_options options = {.format = "vmdk"};
    struct disk_info info;
    int rc;

    /* Alone with the child first; its lock on the parent is a reader's, so the child is opened
     * again behind the parent, without. */
    rc = disk_open(host, name, &options, aio, ret_child, err);
    if (rc)
        return rc;
    disk_get_info(*ret_child, &info);
    if (!*info.parent)
        return err_set(err, -EINVAL, "\"%s\" has no parent", name);
    if ((*ret_child)->size != (*ret_child)->parent->size)
        return err_set(err, -ENOTSUP, "\"%s\" is larger than its parent", name);
    disk_close(*ret_child);
    *ret_child = NULL;
    rc = disk_open(host, info.parent, &options, aio, ret_parent, err);
    options.flags = DISK_READONLY | DISK_NOLOCK;
    rc = rc ? rc : disk_open(host, name, &options, aio, ret_child, err);
    if (rc)
        return rc;
    (*ret_parent)->keeps_cid = true;
    merge->parent = *ret_parent;
    merge->child = *ret_child;
    return 0;
}

int disk_merge(const struct disk_host *host, const char *name, struct aio *aio,
               disk_progress_fn *progress, void *ctx, struct err *err)
{
    cleanup_free uint8_t *bytes = malloc(CHUNK);
    cleanup_disk struct disk *parent = NULL;
    cleanup_disk struct disk *child = NULL;
    struct merge merge = {.progress = progress, .ctx = ctx, .bytes = bytes};
    int rc = bytes ? 0 : err_sys(err, -ENOMEM, "merge");

    rc = rc ? rc : open_both(&merge, host, name, aio, &parent, &child, err);
    rc = rc ? rc : bring_all(&merge, err);
    rc = rc ? rc : renew(parent, err);
    if (rc)
        return err_prefix(err, rc, "cannot merge \"%s\"", name);
    if (progress)
        (void)progress(ctx, child->size, child->size);
    return 0;
}
