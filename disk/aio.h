/* SPDX-License-Identifier: Apache-2.0 */
/* File I/O and the event loop of an I/O thread, in one: requests on descriptors, and watches on
 * eventfds, complete as callbacks from aio_run_once.
 *
 * One thread owns an aio and everything that is submitted to it, so nothing here is locked. Any
 * thread may create it and use aio_do; the thread that calls aio_adopt (or, without it, the first
 * aio_run_once) becomes the owner for good. A thread that will run under a seccomp filter adopts
 * first; from then on the calls are io_uring_enter (uring) or ppoll (plain), and pread(v)2,
 * preadv2, pwrite(v), pwritev, fdatasync, fallocate and, in the plain engine, read. Nothing is
 * allocated after aio_create and aio_watch.
 *
 * Two engines, one behaviour. `plain` makes the system calls one after the other, in the order of
 * submission, inside aio_run_once. `uring` makes one io_uring_enter an iteration for all that is
 * queued and for the wait. What io_uring would only hand to a worker thread although it is memory
 * speed (buffered writes, anything on tmpfs, a lone read that sits in the page cache) it does
 * itself.
 *
 * Requests are not ordered against each other: a caller that needs order waits for the first. A
 * sync covers the writes that had completed when it was submitted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

struct aio;

enum aio_engine { AIO_AUTO, AIO_URING, AIO_PLAIN, AIO_ENGINE_MAX };

enum aio_op {
    AIO_READ,
    AIO_WRITE,
    AIO_SYNC,   /* fdatasync */
    AIO_EXTEND, /* room for the range, which lies beyond the end; the file grows to the range's end
                 */
    AIO_PUNCH,  /* the range reads zero and its room is given back; the size stays */
    AIO_ZERO,   /* the range reads zero and keeps its room; the size stays */
    AIO_TRUNCATE, /* the file's size becomes `offset`; not in a sandbox */
    AIO_OP_MAX
};

/* What a descriptor is, found out once (aio_file_of) and said with each request: it decides who
 * does the work. AIO_FILE_ANY leaves everything to the engine. */
enum aio_file {
    AIO_FILE_ANY,
    AIO_FILE_CACHED, /* a regular file through the page cache: writes are memory speed */
    AIO_FILE_MEMORY, /* tmpfs: everything is memory speed */
};
enum aio_file aio_file_of(int fd);

/* Owned by the caller from start to `done`, which may submit it again or free it. `result`: bytes
 * for reads and writes, else 0; or a negative errno. A read is short only at the end of the file, a
 * write never is. */
struct aio_req {
    enum aio_op op;
    enum aio_file file;
    int fd;
    unsigned niov; /* reads and writes; 1 .. AIO_IOV_MAX */
    const struct iovec *iov;
    uint64_t offset;
    uint64_t length; /* bytes; for reads and writes the sum of iov */
    void (*done)(struct aio_req *req, int64_t result);
    void *ctx; /* the caller's */

    struct aio_req *next; /* aio's, while submitted */
    int64_t result;       /* aio's */
};
enum { AIO_IOV_MAX = 1024, AIO_WATCH_MAX = 256 };

/* An eventfd and what to call after it was signalled; the signal has been consumed then. Embedded
 * by its owner, who keeps it and the descriptor open until aio_destroy or aio_unwatch. */
struct aio_watch {
    int fd; /* borrowed */
    void (*ready)(struct aio_watch *watch);
    void *ctx;              /* the caller's */
    struct aio_watch *next; /* aio's */
    bool armed, fired;      /* aio's */
};

/* AIO_AUTO: uring where the kernel has it, else plain; asking for uring where it is missing is
 * -ENOSYS or -EPERM with the reason in err. */
int aio_create(enum aio_engine engine, struct aio **ret_aio, struct err *err);
void aio_destroy(struct aio *aio); /* nothing may be in flight */
DEFINE_CLEANUP(struct aio *, aio_destroy)
#define cleanup_aio CLEANUP(aio_destroy_cleanup_)

enum aio_engine aio_engine_of(const struct aio *aio);                 /* never AIO_AUTO */
bool aio_engine_parse(const char *name, enum aio_engine *ret_engine); /* "auto" "uring" "plain" */

int aio_adopt(struct aio *aio); /* on the owner's thread; once, before its seccomp filter */

void aio_watch(struct aio *aio, struct aio_watch *watch);
/* `ready` is not called any more. By the owner, or when nobody turns this aio any more. */
void aio_unwatch(struct aio *aio, struct aio_watch *watch);

/* Queues; `done` comes from a later aio_run_once, never from here. */
void aio_submit(struct aio *aio, struct aio_req *req);
/* The same for what needs no system call: its `done` gets `result`. */
void aio_finish(struct aio *aio, struct aio_req *req, int64_t result);

/* Starts what is queued, waits until at least one request or watch is due (wait false: only looks),
 * and calls back for all that are. Returns the number of callbacks, 0 when there is nothing to wait
 * for or a signal came, or a negative errno when the engine itself is broken (-EPERM: uring, and
 * the caller is not the owner). */
int aio_run_once(struct aio *aio, bool wait);

/* The same request, now and blocking, `done` unused: opening, tables, tools. Returns its result. */
int64_t aio_do(struct aio *aio, struct aio_req *req);

/* Lets the ring drop the files that finished requests still hold: it does so only when its owner
 * enters it. Calls nobody back; nothing happens on other threads. */
void aio_settle(struct aio *aio);

/* The seam of the tests: sees each request immediately before it is performed. Returns true when it
 * dealt with it (its outcome in *ret_result: faults, short transfers, records), false to go on. */
typedef bool aio_filter_fn(void *ctx, struct aio_req *req, int64_t *ret_result);
void aio_set_filter(struct aio *aio, aio_filter_fn *filter, void *ctx);
