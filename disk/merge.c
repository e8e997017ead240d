/* SPDX-License-Identifier: Apache-2.0 */
/* A child's content into its parent. What is copied is at every moment also in the child, and the
 * parent keeps its content id until all of it is there: so whenever this ends, the child reads as
 * before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "disk/format.h"

enum { CHUNK = 1 << 20 };

struct merge {
    const struct disk_merge *what;
    struct disk *child, *into; /* into: opened for writing, apart from the child's own ancestor */
    disk_progress_fn *progress;
    void *ctx;
    uint8_t *bytes; /* CHUNK */
};

/* Whether one of the layers has something of its own at `offset`, and how far that is so. */
static int map_layers(const struct merge *merge, uint64_t offset, enum disk_state *ret_state,
                      uint64_t *ret_length, bool *ret_inherited)
{
    struct disk *layer = merge->child;
    uint64_t length;
    int rc = disk_map_own(layer, offset, ret_state, ret_length, ret_inherited);

    for (unsigned i = 1; i < merge->what->layers && !rc && *ret_inherited; i++) {
        layer = layer->parent;
        rc = disk_map_own(layer, offset, ret_state, &length, ret_inherited);
        *ret_length = MIN(*ret_length, length);
    }
    return rc;
}

/* One stretch of the layers' own. */
static int bring(struct merge *merge, uint64_t offset, uint64_t length, enum disk_state state)
{
    int rc = 0;

    if (state != DISK_DATA)
        return disk_op_sync(merge->into, DISK_WRITE_ZEROES, length, offset);
    for (uint64_t at = 0, len; at < length && !rc; at += len) {
        len = MIN(length - at, (uint64_t)CHUNK);
        rc = disk_pread(merge->child, merge->bytes, len, offset + at);
        rc = rc ? rc : disk_pwrite(merge->into, merge->bytes, len, offset + at);
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
        rc = map_layers(merge, at, &state, &length, &inherited);
        length = MIN(length, (uint64_t)CHUNK * 16);
        if (!rc && !inherited)
            rc = bring(merge, at, length, state);
        if (rc)
            break;
    }
    rc = rc ? rc : disk_flush(merge->into);
    return rc ? err_sys(err, rc, "cannot copy, at %llu", (unsigned long long)at) : 0;
}

/* From here on neither this child nor any other is accepted. */
static int renew(struct disk *into, struct err *err)
{
    int rc;

    into->keeps_cid = false;
    rc = into->format->write_begin ? into->format->write_begin(into) : 0;
    return rc ? err_sys(err, rc, "cannot change the content id of \"%s\"", into->name) : 0;
}

/* The layers are there, what they are to be brought to stands below them, and all have one size. */
static int check_chain(const struct merge *merge, struct err *err)
{
    const struct disk_merge *what = merge->what;
    const struct disk *at = merge->child;
    unsigned depth = 0;

    while (at && (depth < what->layers || (what->into && strcmp(at->name, what->into) != 0))) {
        if (at->size != merge->child->size)
            return err_set(err, -ENOTSUP, "\"%s\" has another size than \"%s\"", at->name,
                           merge->child->name);
        at = at->parent;
        depth++;
    }
    if (!at)
        return err_set(err, -EINVAL, "\"%s\" has no parent%s%s", what->name, what->into ? " " : "",
                       what->into ? what->into : "");
    if (at->size != merge->child->size)
        return err_set(err, -ENOTSUP, "\"%s\" is larger than its parent", what->name);
    return 0;
}

static int open_both(struct merge *merge, const struct disk_host *host, struct aio *aio,
                     struct err *err)
{
    const struct disk_merge *what = merge->what;
    struct disk_options options = {.format = "vmdk"};
    int rc;

    /* Alone with the child first; its lock on the parent is a reader's, so the child is opened
     * again behind the parent, without. */
    options.flags = what->live ? DISK_READONLY | DISK_NOLOCK : 0;
    rc = disk_open(host, what->name, &options, aio, &merge->child, err);
    if (rc)
        return rc;
    rc = check_chain(merge, err);
    if (rc)
        return rc;
    const char *into = what->into ? what->into : merge->child->info.parent;
    cleanup_free char *name = strdup(into);
    if (!name)
        return err_sys(err, -ENOMEM, "merge");
    disk_close(TAKE_PTR(merge->child));
    options.flags = what->live ? DISK_LOCKED_ELSEWHERE : 0;
    rc = disk_open(host, name, &options, aio, &merge->into, err);
    for (unsigned i = 0; !rc && i < merge->into->file_count; i++)
        if (merge->into->files[i]->shared)
            rc = err_set(err, -EMLINK, "\"%s\" is shared with a linked clone", name);
    options.flags = DISK_READONLY | DISK_NOLOCK;
    rc = rc ? rc : disk_open(host, what->name, &options, aio, &merge->child, err);
    if (rc)
        return rc;
    merge->into->keeps_cid = true;
    return 0;
}

int disk_merge_layers(const struct disk_host *host, const struct disk_merge *what, struct aio *aio,
                      disk_progress_fn *progress, void *ctx, struct err *err)
{
    cleanup_free uint8_t *bytes = malloc(CHUNK);
    struct merge merge = {.what = what, .progress = progress, .ctx = ctx, .bytes = bytes};
    int rc = bytes ? 0 : err_sys(err, -ENOMEM, "merge");

    rc = rc ? rc : open_both(&merge, host, aio, err);
    rc = rc ? rc : bring_all(&merge, err);
    if (!rc && what->end)
        rc = renew(merge.into, err);
    if (!rc && progress)
        (void)progress(ctx, merge.child->size, merge.child->size);
    disk_close(merge.into);
    disk_close(merge.child);
    return rc ? err_prefix(err, rc, "cannot merge \"%s\"", what->name) : 0;
}

int disk_merge(const struct disk_host *host, const char *name, struct aio *aio,
               disk_progress_fn *progress, void *ctx, struct err *err)
{
    const struct disk_merge what = {.name = name, .layers = 1, .end = true};

    return disk_merge_layers(host, &what, aio, progress, ctx, err);
}
