/* SPDX-License-Identifier: Apache-2.0 */
/* Flush: data to stable storage, then the tables that lead to it, then those (reliability: a table
 * entry must never be found whose data is not). One runs at a time; those that are asked for
 * meanwhile are served together by the next. A disk without tables, or without new ones, is done
 * after the first step; one without changes at once.
 *
 * A failed sync is final for the disk: the kernel reports a lost write once and then forgets it, so
 * a later success would mean nothing. */
#include <errno.h>

#include "disk/format.h"

static void advance(struct disk *disk);

static void start(struct disk *disk)
{
    struct flush *flush = &disk->flush;

    flush->served = flush->waiting;
    if (!flush->served.head)
        flush->served.tail = &flush->served.head;
    io_list_init(&flush->waiting);
    flush->phase = FLUSH_DATA;
    flush->at = 0;
    flush->result = disk->failed ? -EIO : 0;
    flush->tables = false;
    for (unsigned i = 0; i < disk->extent_count; i++) {
        struct extent *extent = &disk->extents[i];
        extent->committing = extent->ops->commit_begin && extent->ops->commit_begin(extent);
        flush->tables |= extent->committing;
    }
}

static void finish(struct disk *disk)
{
    struct flush *flush = &disk->flush;
    struct disk_io_list served = flush->served, parked = disk->parked;
    struct disk_io *io;

    for (unsigned i = 0; i < disk->extent_count; i++)
        if (disk->extents[i].committing) {
            disk->extents[i].ops->commit_end(&disk->extents[i], flush->result);
            disk->extents[i].committing = false;
        }
    flush->phase = FLUSH_IDLE;
    io_list_init(&flush->served);
    io_list_init(&disk->parked);
    while ((io = io_list_pop(&served)))
        io_end(io, flush->result);
    while ((io = io_list_pop(&parked))) {
        if (flush->result)
            io_end(io, flush->result);
        else
            io_resume(io);
    }
}

static void on_done(struct aio_req *req, int64_t result)
{
    struct disk *disk = req->ctx;
    struct flush *flush = &disk->flush;

    if (req->op == AIO_SYNC && result < 0) {
        disk->failed = true;
        flush->file->dirty = true;
    } else if (req->op == AIO_WRITE) {
        flush->file->dirty = true;
    }
    if (result < 0)
        flush->result = (int)result;
    advance(disk);
}

static bool submit(struct disk *disk, struct disk_file *file)
{
    struct flush *flush = &disk->flush;

    flush->file = file;
    flush->req.fd = file->fd;
    flush->req.file = file->kind;
    flush->req.done = on_done;
    flush->req.ctx = disk;
    aio_submit(disk->aio, &flush->req);
    return true;
}

/* Each returns whether something was submitted; false: this phase is over. */
static bool sync_next(struct disk *disk)
{
    struct flush *flush = &disk->flush;

    while (flush->at < disk->file_count) {
        struct disk_file *file = disk->files[flush->at++];

        if (!file->dirty)
            continue;
        file->dirty = false;
        flush->req.op = AIO_SYNC;
        return submit(disk, file);
    }
    return false;
}

static bool tables_next(struct disk *disk)
{
    struct flush *flush = &disk->flush;

    for (; flush->at < disk->extent_count; flush->at++) {
        struct extent *extent = &disk->extents[flush->at];

        if (extent->committing && extent->ops->commit_next(extent, &flush->req))
            return submit(disk, extent->file);
    }
    return false;
}

/* The next step, or the end. */
static void advance(struct disk *disk)
{
    struct flush *flush = &disk->flush;

    while (!flush->result) {
        if (flush->phase == FLUSH_TABLES ? tables_next(disk) : sync_next(disk))
            return;
        if (flush->phase == FLUSH_TABLES_SYNC || !flush->tables)
            break;
        flush->phase = flush->phase == FLUSH_DATA ? FLUSH_TABLES : FLUSH_TABLES_SYNC;
        flush->at = 0;
    }
    finish(disk);
    if (disk->flush.phase == FLUSH_IDLE && disk->flush.waiting.head) {
        start(disk);
        advance(disk);
    }
}

/* Gives the flush to the loop when nothing would be submitted: `done` never comes from disk_submit.
 */
static void on_idle(struct aio_req *req, int64_t result)
{
    advance(req->ctx);
}

void flush_submit(struct disk *disk, struct disk_io *io)
{
    struct flush *flush = &disk->flush;

    if (io)
        io_list_push(&flush->waiting, io);
    if (flush->phase != FLUSH_IDLE)
        return;
    start(disk);
    if (sync_next(disk))
        return;
    flush->req.done = on_idle;
    flush->req.ctx = disk;
    aio_finish(disk->aio, &flush->req, 0);
}

/* -- Blocking, for closing -----------------------------------------------------------------------
 */

static int sync_all(struct disk *disk)
{
    int rc = disk->failed ? -EIO : 0;

    for (unsigned i = 0; i < disk->file_count && !rc; i++)
        if (disk->files[i]->dirty)
            rc = file_sync(disk, disk->files[i]);
    return rc;
}

static int write_tables(struct disk *disk, struct extent *extent)
{
    struct aio_req req = {.fd = extent->file->fd, .file = extent->file->kind};
    int64_t rc = 0;

    while (rc >= 0 && extent->ops->commit_next(extent, &req)) {
        rc = aio_do(disk->aio, &req);
        extent->file->dirty = true;
    }
    return rc < 0 ? (int)rc : 0;
}

int flush_now(struct disk *disk)
{
    int rc;

    start(disk);
    rc = sync_all(disk);
    for (unsigned i = 0; i < disk->extent_count && !rc; i++)
        if (disk->extents[i].committing)
            rc = write_tables(disk, &disk->extents[i]);
    disk->flush.result = rc ? rc : sync_all(disk);
    rc = disk->flush.result;
    finish(disk);
    return rc;
}
