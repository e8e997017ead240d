/* SPDX-License-Identifier: Apache-2.0 */
/* What both I/O engines share: the queues, the callbacks, and the system calls themselves with the
 * rule that a transfer is carried to its end (Linux may cut one short or interrupt it at any
 * point). See aio.h. Deliberately missing: O_DIRECT, priorities and cancellation of requests. */
#include "disk/aio.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/range.h"
#include "disk/aio_engine.h"

void aio_list_init(struct aio_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

void aio_list_push(struct aio_list *list, struct aio_req *req)
{
    req->next = NULL;
    *list->tail = req;
    list->tail = &req->next;
}

struct aio_req *aio_list_pop(struct aio_list *list)
{
    struct aio_req *req = list->head;

    if (req) {
        list->head = req->next;
        if (!list->head)
            list->tail = &list->head;
    }
    return req;
}

enum aio_file aio_file_of(int fd)
{
    struct stat st;
    struct statfs fs;

    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
        return AIO_FILE_ANY;
    return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ? AIO_FILE_MEMORY : AIO_FILE_CACHED;
}

/* -- Performing a request ------------------------------------------------------------------------
 */

static int64_t punch(const struct aio_req *req, int mode)
{
    return fallocate(req->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->offset, (off_t)req->length);
}

/* Where the file system cannot reserve, the file still grows: its last byte is written. */
static int64_t extend(const struct aio_req *req)
{
    int rc = fallocate(req->fd, 0, (off_t)req->offset, (off_t)req->length);

    if (rc && errno == EOPNOTSUPP)
        rc = pwrite(req->fd, "", 1, (off_t)(req->offset + req->length - 1)) == 1 ? 0 : -1;
    return rc;
}

static int64_t call(const struct aio_req *req)
{
    switch (req->op) {
    case AIO_READ:
        return preadv(req->fd, req->iov, (int)req->niov, (off_t)req->offset);
    case AIO_WRITE:
        return pwritev(req->fd, req->iov, (int)req->niov, (off_t)req->offset);
    case AIO_SYNC:
        return fdatasync(req->fd);
    case AIO_EXTEND:
        return extend(req);
    case AIO_PUNCH:
        return punch(req, FALLOC_FL_PUNCH_HOLE);
    case AIO_ZERO:
        return punch(req, FALLOC_FL_ZERO_RANGE);
    case AIO_TRUNCATE:
        return ftruncate(req->fd, (off_t)req->offset);
    default:
        errno = EINVAL;
        return -1;
    }
}

static int64_t attempt(struct aio *aio, struct aio_req *req)
{
    int64_t result;

    if (aio->filter && aio->filter(aio->filter_ctx, req, &result))
        return result;
    result = call(req);
    return result < 0 ? -errno : result;
}

/* The part of `req` that begins `done` bytes into it; `iov` has room for req->niov. */
static struct aio_req rest_of(const struct aio_req *req, uint64_t done, struct iovec *iov)
{
    struct aio_req rest = *req;
    uint64_t skip = done;
    unsigned first = 0;

    while (first < req->niov && skip >= req->iov[first].iov_len)
        skip -= req->iov[first++].iov_len;
    rest.niov = req->niov - first;
    memcpy(iov, req->iov + first, rest.niov * sizeof *iov);
    if (rest.niov) {
        iov[0].iov_base = (char *)iov[0].iov_base + skip;
        iov[0].iov_len -= skip;
    }
    rest.iov = iov;
    rest.offset += done;
    rest.length -= done;
    return rest;
}

/* Rare, and apart from the common way because of what clearing its iovecs costs. */
static __attribute__((noinline)) int64_t attempt_rest(struct aio *aio, struct aio_req *req,
                                                      uint64_t done)
{
    struct iovec iov[AIO_IOV_MAX];
    struct aio_req rest = rest_of(req, done, iov);

    return attempt(aio, &rest);
}

static bool transfers(const struct aio_req *req)
{
    return req->op == AIO_READ || req->op == AIO_WRITE;
}

int64_t aio_perform(struct aio *aio, struct aio_req *req, uint64_t done)
{
    for (;;) {
        int64_t result = done ? attempt_rest(aio, req, done) : attempt(aio, req);

        if (result == -EINTR || result == -EAGAIN)
            continue;
        if (result < 0 || !transfers(req))
            return result;
        done += (uint64_t)result;
        if (done >= req->length)
            return (int64_t)done;
        if (!result)
            return req->op == AIO_WRITE ? -EIO : (int64_t)done;
    }
}

void aio_complete(struct aio *aio, struct aio_req *req, int64_t result)
{
    if (result == -EINTR || result == -EAGAIN)
        result = aio_perform(aio, req, 0);
    else if (result > 0 && transfers(req) && (uint64_t)result < req->length)
        result = aio_perform(aio, req, (uint64_t)result);
    else if (!result && req->op == AIO_WRITE && req->length)
        result = -EIO;
    req->result = result;
    aio_list_push(&aio->due, req);
}

int64_t aio_do(struct aio *aio, struct aio_req *req)
{
    return aio_perform(aio, req, 0);
}

/* -- Life ----------------------------------------------------------------------------------------
 */

bool aio_engine_parse(const char *name, enum aio_engine *ret_engine)
{
    static const char *const names[] = {"auto", "uring", "plain"};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i])) {
            *ret_engine = (enum aio_engine)i;
            return true;
        }
    return false;
}

enum aio_engine aio_engine_of(const struct aio *aio)
{
    return aio->ops->id;
}

int aio_create(enum aio_engine engine, struct aio **ret_aio, struct err *err)
{
    struct aio *aio = calloc(1, sizeof *aio);
    int rc;

    if (!aio)
        return err_sys(err, -ENOMEM, "I/O engine");
    aio_list_init(&aio->queue);
    aio_list_init(&aio->due);
    aio->ops = engine == AIO_PLAIN ? &aio_plain_ops : &aio_uring_ops;
    rc = aio->ops->open(aio, engine == AIO_AUTO ? NULL : err);
    if (rc && engine == AIO_AUTO) {
        aio->ops = &aio_plain_ops;
        rc = aio->ops->open(aio, err);
    }
    if (rc) {
        free(aio);
        return rc;
    }
    *ret_aio = aio;
    return 0;
}

void aio_destroy(struct aio *aio)
{
    if (!aio)
        return;
    aio->ops->close(aio);
    free(aio);
}

int aio_adopt(struct aio *aio)
{
    int rc;

    if (aio->adopted)
        return 0;
    rc = aio->ops->adopt(aio);
    aio->adopted = !rc;
    return rc;
}

void aio_settle(struct aio *aio)
{
    if (aio->adopted && aio->ops->settle)
        aio->ops->settle(aio);
}

void aio_set_filter(struct aio *aio, aio_filter_fn *filter, void *ctx)
{
    aio->filter = filter;
    aio->filter_ctx = ctx;
}

/* -- Watches and the loop ------------------------------------------------------------------------
 */

void aio_watch(struct aio *aio, struct aio_watch *watch)
{
    assert(aio->watch_count < AIO_WATCH_MAX);
    watch->armed = watch->fired = false;
    watch->next = aio->watches;
    aio->watches = watch;
    aio->watch_count++;
}

void aio_unwatch(struct aio *aio, struct aio_watch *watch)
{
    struct aio_watch **link = &aio->watches;

    while (*link && *link != watch)
        link = &(*link)->next;
    if (!*link)
        return;
    aio->ops->unwatch(aio, watch);
    *link = watch->next;
    aio->watch_count--;
    aio->fired -= watch->fired;
    watch->fired = false;
}

void aio_fire(struct aio *aio, struct aio_watch *watch)
{
    aio->fired += !watch->fired;
    watch->fired = true;
}

/* Callbacks may take out any watch, so the search starts afresh after each. */
static int call_watches(struct aio *aio)
{
    int count = 0;

    while (aio->fired) {
        struct aio_watch *watch = aio->watches;

        while (!watch->fired)
            watch = watch->next;
        watch->fired = false;
        aio->fired--;
        watch->ready(watch);
        count++;
    }
    return count;
}

void aio_submit(struct aio *aio, struct aio_req *req)
{
    aio_list_push(&aio->queue, req);
}

void aio_finish(struct aio *aio, struct aio_req *req, int64_t result)
{
    req->result = result;
    aio_list_push(&aio->due, req);
}

int aio_run_once(struct aio *aio, bool wait)
{
    struct aio_list due;
    struct aio_req *req;
    int count = 0, rc = aio_adopt(aio);

    if (rc)
        return rc;
    rc = aio->ops->turn(aio, wait && !aio->due.head);
    if (rc)
        return rc;
    /* What callbacks make due belongs to the next turn. */
    due = aio->due;
    aio_list_init(&aio->due);
    if (!due.head)
        due.tail = &due.head;
    while ((req = aio_list_pop(&due))) {
        req->done(req, req->result);
        count++;
    }
    return count + call_watches(aio);
}
