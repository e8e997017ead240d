/* SPDX-License-Identifier: Apache-2.0 */
/* A fault at every I/O: the same small job is run again and again, and the Nth thing that it asks
 * of the system fails, for N = 1 until nothing fails any more, with an I/O error, a full disk, an
 * interrupted call and a short transfer. After each: what failed said so with a message, what was
 * acknowledged is there, the disk passes its check, no file is left over and no descriptor leaks.
 */
#include <errno.h>

#include "base/range.h"
#include "tests/disk/folder.h"

enum fault { FAULT_EIO, FAULT_ENOSPC, FAULT_EINTR, FAULT_SHORT, FAULT_MAX };

struct faults {
    struct disk_host host; /* give this one to the disk */
    const struct disk_host *real;
    enum fault fault;
    unsigned at, count; /* the at-th fails; counted so far */
    bool unlink_failed;
};

static bool due(struct faults *faults)
{
    return ++faults->count == faults->at;
}

static int error_of(const struct faults *faults)
{
    return faults->fault == FAULT_ENOSPC ? -ENOSPC : -EIO;
}

/* Names know only hard errors. */
static bool name_due(struct faults *faults)
{
    return due(faults) && faults->fault <= FAULT_ENOSPC;
}

static int fault_open(const struct disk_host *host, const char *name, unsigned flags)
{
    struct faults *faults = (struct faults *)(uintptr_t)host;

    return name_due(faults) ? error_of(faults) : faults->real->open(faults->real, name, flags);
}

static int fault_replace(const struct disk_host *host, const char *from, const char *to)
{
    struct faults *faults = (struct faults *)(uintptr_t)host;

    return name_due(faults) ? error_of(faults) : faults->real->replace(faults->real, from, to);
}

static int fault_rename(const struct disk_host *host, const char *from, const char *to)
{
    struct faults *faults = (struct faults *)(uintptr_t)host;

    return name_due(faults) ? error_of(faults) : faults->real->rename(faults->real, from, to);
}

static int fault_unlink(const struct disk_host *host, const char *name)
{
    struct faults *faults = (struct faults *)(uintptr_t)host;

    if (name_due(faults)) {
        faults->unlink_failed = true;
        return error_of(faults);
    }
    return faults->real->unlink(faults->real, name);
}

static int fault_sync(const struct disk_host *host)
{
    struct faults *faults = (struct faults *)(uintptr_t)host;

    return name_due(faults) ? error_of(faults) : faults->real->sync(faults->real);
}

static bool short_transfer(struct aio_req *req, int64_t *ret_result)
{
    if (req->op == AIO_READ)
        *ret_result =
            pread(req->fd, req->iov[0].iov_base, req->iov[0].iov_len / 2 + 1, (off_t)req->offset);
    else if (req->op == AIO_WRITE)
        *ret_result =
            pwrite(req->fd, req->iov[0].iov_base, req->iov[0].iov_len / 2 + 1, (off_t)req->offset);
    else
        return false;
    return true;
}

static bool on_request(void *ctx, struct aio_req *req, int64_t *ret_result)
{
    struct faults *faults = ctx;

    if (!due(faults))
        return false;
    if (faults->fault == FAULT_SHORT)
        return short_transfer(req, ret_result);
    *ret_result = faults->fault == FAULT_EINTR ? -EINTR : error_of(faults);
    return true;
}

/* -- The job -------------------------------------------------------------------------------------
 */

enum { STEPS = 12, STEP_SECTORS = 40 };

/* What step `i` writes, and whether the last attempt at its place was acknowledged. */
struct job {
    struct folder folder;
    struct aio *aio;
    struct faults faults;
    enum disk_format_id format;
    bool acked[STEPS];
};

static uint64_t place(unsigned step)
{
    return (step % 2 ? MIB(33) : 0) + step * 3 * KIB(64) + 5 * DISK_SECTOR;
}

static const char *name_of(const struct job *job)
{
    return job->format == DISK_RAW ? "a.img" : "a.vmdk";
}

/* When the last flush fails, only what an earlier one had covered must be there. */
static void write_all(struct job *job, struct disk *disk)
{
    static uint8_t bytes[STEP_SECTORS * DISK_SECTOR];
    bool durable[STEPS] = {0};

    for (unsigned i = 0; i < STEPS; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        job->acked[i] = !disk_pwrite(disk, bytes, sizeof bytes, place(i));
        if (i == 6)
            (void)disk_op_sync(disk, DISK_DISCARD, MIB(1), MIB(20));
        if (i == 7)
            (void)disk_op_sync(disk, DISK_WRITE_ZEROES, MIB(1), MIB(40));
        if (i % 4 == 3 && !disk_flush(disk))
            memcpy(durable, job->acked, sizeof durable);
    }
    memcpy(job->acked, durable, sizeof durable);
}

static unsigned wrong(struct job *job, struct disk *disk)
{
    static uint8_t bytes[STEP_SECTORS * DISK_SECTOR];
    unsigned wrong = 0;

    for (unsigned i = 0; i < STEPS; i++) {
        if (disk_pread(disk, bytes, sizeof bytes, place(i)))
            return wrong + 1;
        for (size_t at = 0; at < sizeof bytes; at++)
            wrong += bytes[at] != i + 1 && (job->acked[i] || bytes[at]);
    }
    return wrong;
}

/* Opens without faults, read-only and for writing. */
static unsigned judge(struct job *job, const char *name)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct disk_options options = {.flags = i ? 0 : DISK_READONLY};
        cleanup_disk struct disk *disk = NULL;
        struct disk_check check = {0};
        struct err err = ERR_INIT;

        if (disk_open(&job->folder.dir.host, name, &options, job->aio, &disk, &err) ||
            disk_check(disk, &check, &err)) {
            (void)printf("# fault %u: %s\n", job->faults.at, err.text);
            return 1;
        }
        bad += check.problems || wrong(job, disk);
    }
    return bad;
}

static unsigned with_fault(struct job *job, unsigned at)
{
    struct disk_spec spec = {.format = job->format, .size = MIB(48)};
    struct disk_options options = {0};
    struct disk *disk = NULL;
    struct err err = ERR_INIT;
    unsigned bad = 0;
    int rc;

    memset(job->acked, 0, sizeof job->acked);
    job->faults.at = at;
    job->faults.count = 0;
    job->faults.unlink_failed = false;
    aio_set_filter(job->aio, on_request, &job->faults);
    rc = disk_create(&job->faults.host, name_of(job), &spec, job->aio, NULL, NULL, &err);
    if (!rc) {
        rc = disk_open(&job->faults.host, name_of(job), &options, job->aio, &disk, &err);
        if (!rc)
            write_all(job, disk);
        disk_close(disk);
        aio_set_filter(job->aio, NULL, NULL);
        bad += judge(job, name_of(job));
    } else {
        bad += !job->faults.unlink_failed && folder_count(&job->folder) != 0;
    }
    bad += rc && !err.text[0];
    bad += rc && job->faults.fault >= FAULT_EINTR;
    aio_set_filter(job->aio, NULL, NULL);
    folder_empty(&job->folder);
    return bad;
}

/* The same for a conversion of a disk that was made without faults. */
static unsigned convert_with_fault(struct job *job, unsigned at)
{
    struct disk_spec spec = {.format = DISK_RAW, .size = MIB(48)}, to = {.format = job->format};
    cleanup_disk struct disk *source = NULL;
    struct err err = ERR_INIT;
    unsigned bad = 0;
    int rc;

    (void)disk_create(&job->folder.dir.host, "s.img", &spec, job->aio, NULL, NULL, NULL);
    if (disk_open(&job->folder.dir.host, "s.img", &(struct disk_options){0}, job->aio, &source,
                  &err))
        return 1;
    write_all(job, source);
    job->faults.at = at;
    job->faults.count = 0;
    job->faults.unlink_failed = false;
    aio_set_filter(job->aio, on_request, &job->faults);
    rc = disk_convert(source, &job->faults.host, "b.vmdk", &to, job->aio, NULL, NULL, &err);
    aio_set_filter(job->aio, NULL, NULL);
    if (!rc) {
        struct disk_options options = {.flags = DISK_READONLY};
        cleanup_disk struct disk *disk = NULL;
        bad += disk_open(&job->folder.dir.host, "b.vmdk", &options, job->aio, &disk, NULL) ||
               wrong(job, disk);
    } else {
        bad += !job->faults.unlink_failed && folder_count(&job->folder) != 1;
    }
    bad += rc && !err.text[0];
    bad += rc && job->faults.fault >= FAULT_EINTR;
    folder_empty(&job->folder);
    return bad;
}

/* A sparse disk that grows, for which it is written anew: the same disk, of the one size or the
 * other. */
static unsigned grow_with_fault(struct job *job, unsigned at)
{
    struct disk_spec spec = {.format = job->format, .size = MIB(48)};
    const struct disk_host *host = &job->folder.dir.host;
    struct disk_options options = {0};
    struct disk *disk = NULL;
    struct err err = ERR_INIT;
    unsigned bad = 0;

    (void)disk_create(host, name_of(job), &spec, job->aio, NULL, NULL, NULL);
    if (disk_open(host, name_of(job), &options, job->aio, &disk, &err))
        return 1;
    write_all(job, disk);
    disk_close(disk);
    job->faults.at = at;
    job->faults.count = 0;
    job->faults.unlink_failed = false;
    aio_set_filter(job->aio, on_request, &job->faults);
    int rc =
        disk_extend(&job->faults.host, name_of(job), MIB(512), false, job->aio, NULL, NULL, &err);
    aio_set_filter(job->aio, NULL, NULL);
    bad += judge(job, name_of(job));
    bad += !rc && disk_open(host, name_of(job), &options, job->aio, &disk, NULL);
    if (!rc && !bad) {
        bad += disk_size(disk) != MIB(512);
        disk_close(disk);
    }
    bad += !job->faults.unlink_failed && folder_count(&job->folder) != 1;
    bad += rc && !err.text[0];
    bad += rc && job->faults.fault >= FAULT_EINTR;
    folder_empty(&job->folder);
    return bad;
}

static void every_point(enum disk_format_id format, enum aio_engine engine,
                        unsigned (*run)(struct job *job, unsigned at))
{
    struct job job = {.format = format};
    unsigned points = 0, bad = 0, files = open_files();

    folder_make(&job.folder);
    folder_require(!aio_create(engine, &job.aio, NULL), "aio");
    job.faults.host = (struct disk_host){.open = fault_open,
                                         .rename = fault_rename,
                                         .unlink = fault_unlink,
                                         .sync = fault_sync,
                                         .replace = fault_replace};
    job.faults.real = &job.folder.dir.host;
    for (job.faults.fault = 0; job.faults.fault < FAULT_MAX; job.faults.fault++)
        for (unsigned at = 1; at == 1 || job.faults.count >= at - 1; at++, points++) {
            unsigned now = run(&job, at);
            if (now)
                (void)printf("# fault %d at %u: %u wrong\n", job.faults.fault, at, now);
            bad += now;
        }
    (void)printf("# %u points\n", points);
    CHECK(points > 4 * 10);
    CHECK_EQ(bad, 0);
    aio_destroy(job.aio);
    folder_remove(&job.folder);
    CHECK_EQ(open_files(), files);
}

static void raw_plain(void)
{
    every_point(DISK_RAW, AIO_PLAIN, with_fault);
}
static void flat_uring(void)
{
    every_point(DISK_VMDK_FLAT, AIO_URING, with_fault);
}
static void sparse_plain(void)
{
    every_point(DISK_VMDK_SPARSE, AIO_PLAIN, with_fault);
}
static void sparse_uring(void)
{
    every_point(DISK_VMDK_SPARSE, AIO_URING, with_fault);
}
static void convert_flat(void)
{
    every_point(DISK_VMDK_FLAT, AIO_PLAIN, convert_with_fault);
}
static void convert_sparse(void)
{
    every_point(DISK_VMDK_SPARSE, AIO_PLAIN, convert_with_fault);
}
static void convert_stream(void)
{
    every_point(DISK_VMDK_STREAM, AIO_PLAIN, convert_with_fault);
}

static void grow_sparse(void)
{
    every_point(DISK_VMDK_SPARSE, AIO_PLAIN, grow_with_fault);
}

TAP_MAIN(TAP_CASE(raw_plain), TAP_CASE(flat_uring), TAP_CASE(sparse_plain), TAP_CASE(sparse_uring),
         TAP_CASE(convert_flat), TAP_CASE(convert_sparse), TAP_CASE(convert_stream),
         TAP_CASE(grow_sparse))
