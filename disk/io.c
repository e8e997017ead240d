/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: checked, cut into runs, one run under way at a time, so that a request brings all the
 * memory that it needs with it. Nearly always there is one run. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/range.h"
#include "disk/format.h"

enum { ZERO_CHUNK = 65536 };

void io_list_init(struct disk_io_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void io_list_push(struct disk_io_list *list, struct disk_io *io)
{
    io->next = NULL;
    *list->tail = io;
    list->tail = &io->next;
}

struct disk_io *io_list_pop(struct disk_io_list *list)
{
    struct disk_io *io = list->head;

    if (io) {
        list->head = io->next;
        if (!list->head)
            list->tail = &list->head;
    }
    return io;
}

/* The extent of a byte of the disk; requests tend to stay in one. */
struct extent *disk_extent_at(struct disk *disk, uint64_t offset)
{
    struct extent *extent = &disk->extents[disk->last_extent];
    unsigned low = 0, high = disk->extent_count;

    if (offset - extent->start < extent->length)
        return extent;
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (disk->extents[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    disk->last_extent = low;
    return &disk->extents[low];
}

/* -- The caller's memory -------------------------------------------------------------------------
 */

/* Points io->slice at the caller's memory from io->at on; returns the bytes covered, at most
 * `length`, and their number of iovecs. */
static uint64_t slice(struct disk_io *io, uint64_t length, unsigned *ret_niov)
{
    uint64_t skip = io->at, covered = 0;
    unsigned i = 0, n = 0;

    while (skip >= io->iov[i].iov_len)
        skip -= io->iov[i++].iov_len;
    for (; covered < length && n < DISK_SLICE_MAX; i++, skip = 0) {
        size_t len = io->iov[i].iov_len - skip;

        if (!len)
            continue;
        len = MIN(len, length - covered);
        io->slice[n++] = (struct iovec){(char *)io->iov[i].iov_base + skip, len};
        covered += len;
    }
    *ret_niov = n;
    return covered;
}

/* Fills the caller's memory from `from`, or with zeros. */
static void fill(struct disk_io *io, const uint8_t *from, uint64_t length)
{
    unsigned niov;

    while (length) {
        uint64_t covered = slice(io, length, &niov);

        for (unsigned i = 0; i < niov; i++) {
            if (from) {
                memcpy(io->slice[i].iov_base, from, io->slice[i].iov_len);
                from += io->slice[i].iov_len;
            } else {
                memset(io->slice[i].iov_base, 0, io->slice[i].iov_len);
            }
        }
        io->at += covered;
        length -= covered;
    }
}

/* -- Runs ----------------------------------------------------------------------------------------
 */

static const uint8_t zeroes[ZERO_CHUNK];

static uint64_t slice_zeroes(struct disk_io *io, uint64_t length, unsigned *ret_niov)
{
    uint64_t covered = 0;
    unsigned n = 0;

    for (; covered < length && n < DISK_SLICE_MAX; n++) {
        size_t len = MIN(length - covered, (uint64_t)ZERO_CHUNK);
        io->slice[n] = (struct iovec){(void *)(uintptr_t)zeroes, len};
        covered += len;
    }
    *ret_niov = n;
    return covered;
}

static void on_run_done(struct aio_req *req, int64_t result);

static void issue(struct disk_io *io, enum aio_op op, const struct run *run)
{
    struct aio_req *req = &io->req;

    req->op = op;
    req->fd = run->file->fd;
    req->file = run->file->kind;
    req->offset = run->offset;
    req->length = run->length;
    req->done = on_run_done;
    req->ctx = run->file;
    if (op == AIO_READ || op == AIO_WRITE) {
        if (io->op == DISK_WRITE_ZEROES) {
            req->length = slice_zeroes(io, run->length, &req->niov);
            req->iov = io->slice;
        } else if (!io->at && run->length == io->length) {
            req->iov = io->iov;
            req->niov = io->niov;
        } else {
            req->length = slice(io, run->length, &req->niov);
            req->iov = io->slice;
        }
    }
    aio_submit(io->disk->aio, req);
}

static enum aio_op aio_op_of(const struct disk_io *io)
{
    switch (io->op) {
    case DISK_READ:
        return AIO_READ;
    case DISK_WRITE:
        return AIO_WRITE;
    case DISK_DISCARD:
        return AIO_PUNCH;
    default:
        return io->disk->discards ? AIO_PUNCH : AIO_ZERO;
    }
}

/* The next run of a request. */
static int next_run(struct disk_io *io, struct run *ret_run)
{
    uint64_t offset = io->offset + io->at, length = io->length - io->at;
    int rc;

    if (io->op == DISK_READ)
        return chain_map(io->disk, offset, length, MAP_READ, ret_run);
    if (io->op == DISK_WRITE)
        return chain_map_own(io->disk, offset, length, MAP_WRITE, ret_run);
    rc = chain_map_own(io->disk, offset, length, MAP_PROBE, ret_run);
    if (rc || ret_run->kind != RUN_PARENT || io->op == DISK_DISCARD)
        return rc;
    /* Zeros hide what the parent has, if it has anything. */
    rc = chain_map(io->disk, offset, ret_run->length, MAP_PROBE, ret_run);
    return rc || ret_run->kind == RUN_ZERO
               ? rc
               : chain_map_own(io->disk, offset, ret_run->length, MAP_WRITE, ret_run);
}

/* Goes on until a run is under way (1) or the request is done (0, or an error). */
static int step(struct disk_io *io)
{
    struct disk *disk = io->disk;

    while (io->at < io->length) {
        struct run run;
        int rc = next_run(io, &run);

        if (rc == -EAGAIN) {
            io_list_push(&disk->parked, io);
            flush_submit(disk, NULL);
            return 1;
        }
        if (rc)
            return rc;
        if (run.kind == RUN_FILE) {
            issue(io, aio_op_of(io), &run);
            return 1;
        }
        if (io->op == DISK_READ)
            fill(io, run.kind == RUN_MEMORY ? run.memory : NULL, run.length);
        else
            io->at += run.length;
    }
    return 0;
}

/* What to do when the file system cannot punch or zero: the next thing that has the effect. */
static bool second_best(struct disk_io *io)
{
    struct aio_req *req = &io->req;
    struct run run = {RUN_FILE, req->ctx, req->offset, NULL, req->length};

    if (io->op != DISK_WRITE_ZEROES || req->op == AIO_WRITE)
        return false;
    issue(io, req->op == AIO_ZERO ? AIO_PUNCH : AIO_WRITE, &run);
    return true;
}

static void on_run_done(struct aio_req *req, int64_t result)
{
    struct disk_io *io = container_of(req, struct disk_io, req);
    struct disk_file *file = req->ctx;
    int rc;

    if (req->op != AIO_READ)
        file->dirty = true;
    if (result == -EOPNOTSUPP && (req->op == AIO_PUNCH || req->op == AIO_ZERO)) {
        if (second_best(io))
            return;
        result = 0; /* a discard is a wish */
    }
    if (result < 0) {
        io_end(io, (int)result);
        return;
    }
    if (req->op == AIO_READ && (uint64_t)result < req->length) {
        io_end(io, -EIO); /* the file has become shorter */
        return;
    }
    io->at += req->length;
    rc = step(io);
    if (rc <= 0)
        io_end(io, rc);
}

void io_resume(struct disk_io *io)
{
    int rc = step(io);

    if (rc <= 0)
        io_end(io, rc);
}

/* -- Beginning and end ---------------------------------------------------------------------------
 */

void disk_count_into(struct disk *disk, struct disk_usage *usage)
{
    disk->usage = usage;
}

/* There is one writer: no locked instruction. */
static void add(_Atomic(uint64_t) *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void count(struct disk_usage *usage, const struct disk_io *io)
{
    uint64_t ns = clock_monotonic(&clock_host) - io->began;

    if (io->op == DISK_READ) {
        add(&usage->reads, 1);
        add(&usage->read_bytes, io->length);
        add(&usage->read_ns, ns);
    } else if (io->op == DISK_WRITE) {
        add(&usage->writes, 1);
        add(&usage->write_bytes, io->length);
        add(&usage->write_ns, ns);
    }
}

void io_end(struct disk_io *io, int result)
{
    io->disk->in_flight--;
    if (io->disk->usage)
        count(io->disk->usage, io);
    io->done(io, result);
}

static void on_finished(struct aio_req *req, int64_t result)
{
    io_end(container_of(req, struct disk_io, req), (int)result);
}

static int change(struct disk *disk)
{
    int rc = 0;

    if (disk->flags & DISK_READONLY)
        return -EROFS;
    if (disk->failed)
        return -EIO;
    for (unsigned i = 0; !disk->changed && !rc && i < disk->extent_count; i++)
        if (disk->extents[i].ops->write_begin)
            rc = disk->extents[i].ops->write_begin(disk, &disk->extents[i]);
    if (!rc && !disk->changed)
        rc = disk->format->write_begin ? disk->format->write_begin(disk) : 0;
    disk->changed |= !rc;
    return rc;
}

static bool memory_fits(const struct disk_io *io)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < io->niov; i++)
        sum += io->iov[i].iov_len;
    return io->niov <= DISK_IOV_MAX && sum == io->length;
}

static int validate(struct disk *disk, const struct disk_io *io)
{
    if (!range_within(io->offset, io->length, disk->size) ||
        (io->offset | io->length) % DISK_SECTOR)
        return -EINVAL;
    if ((io->op == DISK_READ || io->op == DISK_WRITE) && !memory_fits(io))
        return -EINVAL;
    return io->op == DISK_READ || disk->changed & !disk->failed ? 0 : change(disk);
}

void disk_submit(struct disk *disk, struct disk_io *io)
{
    int rc = 0;

    io->disk = disk;
    io->at = 0;
    if (disk->usage)
        io->began = clock_monotonic(&clock_host);
    disk->in_flight++;
    if (io->op == DISK_FLUSH) {
        if (!disk->failed) {
            flush_submit(disk, io);
            return;
        }
        rc = -EIO;
    } else {
        rc = io->op < DISK_OP_MAX ? validate(disk, io) : -EINVAL;
        if (!rc && !(io->op == DISK_DISCARD && !disk->discards))
            rc = step(io);
        if (rc > 0)
            return;
    }
    io->req.done = on_finished;
    aio_finish(disk->aio, &io->req, rc);
}

/* -- For tools -----------------------------------------------------------------------------------
 */

static void on_sync_done(struct disk_io *io, int result)
{
    *(int *)io->ctx = result;
}

static int run(struct disk *disk, struct disk_io *io)
{
    enum { PENDING = 1 };
    int result = PENDING, rc = 0;

    io->done = on_sync_done;
    io->ctx = &result;
    disk_submit(disk, io);
    while (result == PENDING && rc >= 0)
        rc = aio_run_once(disk->aio, true);
    return rc < 0 ? rc : result;
}

int disk_pread(struct disk *disk, void *buf, uint64_t length, uint64_t offset)
{
    struct iovec iov = {buf, length};

    return run(disk,
               &(struct disk_io){
                   .op = DISK_READ, .niov = 1, .iov = &iov, .offset = offset, .length = length});
}

int disk_pwrite(struct disk *disk, const void *buf, uint64_t length, uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)buf, length};

    return run(disk,
               &(struct disk_io){
                   .op = DISK_WRITE, .niov = 1, .iov = &iov, .offset = offset, .length = length});
}

int disk_op_sync(struct disk *disk, enum disk_op op, uint64_t length, uint64_t offset)
{
    return run(disk, &(struct disk_io){.op = op, .offset = offset, .length = length});
}

int disk_flush(struct disk *disk)
{
    return run(disk, &(struct disk_io){.op = DISK_FLUSH});
}
