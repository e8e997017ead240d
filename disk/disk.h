/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual disks: raw images and VMDK, as a library that needs no VM. This header and aio.h are all
 * that the rest of the tree may include from disk/.
 *
 * Model. A disk is `size` bytes in sectors of 512, backed by one or more files of one folder. It is
 * opened with an aio, whose owner's thread makes every call on the disk and gets every completion;
 * so there are no locks. A caller submits a disk_io that it owns until `done`.
 *
 * What the operations promise
 * - A completed write is seen by later reads. It is durable only when a flush that was submitted
 * after it completed has succeeded. Requests in flight at once are not ordered.
 * - flush: everything completed before is on stable storage, the metadata that leads to it
 * included. In sparse formats metadata is written at flush (and close) only, in the order data,
 * sync, tables, sync: a crash leaves unused grains behind, never a table entry whose grain is
 * missing.
 * - discard: the range reads zero or what it was; space may be given back. write_zeroes: reads
 * zero.
 * - After a failed sync the disk takes no more writes and flushes (-EIO): what the kernel threw
 * away cannot be known. Opening it again starts afresh.
 *
 * A disk may be the child of another (a snapshot's delta): it holds what was written since, grain
 * by grain, and the parent, which is opened with it for reading, answers for the rest. A parent
 * that was written behind its child's back has another content id and is refused (-ESTALE).
 *
 * Errors are negative errno: -EINVAL misuse (sectors, too many iovecs), -EROFS, -ENOSPC, -EIO,
 * -EUCLEAN damaged image. Opening: -EBUSY in use, -EXDEV a path leaves the folder, -ENOTSUP.
 * Images are hostile: sizes and paths are checked, time is bounded, memory stays below 64 MiB. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "disk/aio.h"

enum { DISK_SECTOR = 512, DISK_SLICE_MAX = 16, DISK_IOV_MAX = AIO_IOV_MAX };
enum { DISK_CHAIN_MAX = 256, DISK_NAME_MAX = 256 };

struct disk;

/* -- Where files come from: everything that has a name goes through here. ------------------------
 */

enum disk_file_flags {
    DISK_FILE_WRITE = 1,  /* read and write, else read */
    DISK_FILE_CREATE = 2, /* must not exist; mode 0600 */
    DISK_FILE_DEVICE = 4, /* a block device is acceptable as well as a regular file */
};

/* Names are relative to the folder of the VM; what leaves it, and symbolic links, are refused. */
struct disk_host {
    int (*open)(const struct disk_host *host, const char *name, unsigned flags); /* fd or -errno */
    /* -EEXIST: never replaces */
    int (*rename)(const struct disk_host *host, const char *from, const char *to);
    int (*unlink)(const struct disk_host *host, const char *name);
    int (*sync)(const struct disk_host *host); /* the folder itself */
    /* For disk_extend and the like; NULL where a host is not for that. */
    int (*replace)(const struct disk_host *host, const char *from, const char *to);
    /* A second name, in another folder; -EEXIST, -EXDEV. */
    int (*link)(const struct disk_host *host, const char *from, const struct disk_host *to_host,
                const char *to);
};

/* The ordinary one: a folder by descriptor. */
struct disk_dir {
    struct disk_host host;
    int fd; /* owned */
};
int disk_dir_open(struct disk_dir *dir, const char *path, struct err *err);
void disk_dir_take(struct disk_dir *dir, int fd); /* of a folder, opened for reading */
void disk_dir_close(struct disk_dir *dir);
/* For a path that a person typed: opens its folder, yields the last component (within `path`). */
int disk_dir_open_for(struct disk_dir *dir, const char *path, const char **ret_name,
                      struct err *err);

/* -- Open disks ----------------------------------------------------------------------------------
 */

enum disk_open_flags {
    DISK_READONLY = 1,
    DISK_NOLOCK = 2, /* inspection of a disk in use; only with DISK_READONLY */
    DISK_DEVICE = 4, /* the named file may be a block device (raw only) */
    DISK_PROBE = 8,  /* without `format`: look inside, for tools; never for a guest's disk, which
                        could write itself another format's header */
    DISK_LOCKED_ELSEWHERE = 16, /* without a lock even to write: see struct disk_merge */
    DISK_ALONE = 32, /* without its ancestors, to be looked at (disk_get_info): holds nothing */
};

struct disk_options {
    unsigned flags;
    const char *format; /* "raw", "vmdk", or NULL: by the name (.vmdk; .img .raw .iso .bin .fd) */
};

/* `host` and `aio` are borrowed until disk_close. The disk is locked (readers share, a writer is
 * alone) by open-file-description locks on every file. */
int disk_open(const struct disk_host *host, const char *name, const struct disk_options *options,
              struct aio *aio, struct disk **ret_disk, struct err *err);
/* Waits for what is in flight (so may call back), flushes, marks clean, unlocks. A caller that must
 * know whether the last writes arrived flushes first. With nothing in flight any thread may close.
 */
void disk_close(struct disk *disk);
DEFINE_CLEANUP(struct disk *, disk_close)
#define cleanup_disk CLEANUP(disk_close_cleanup_)

uint64_t disk_size(const struct disk *disk); /* bytes, a multiple of DISK_SECTOR */
bool disk_readonly(const struct disk *disk);
struct aio *disk_aio(const struct disk *disk);

struct disk_info {
    const char *format;      /* "raw", "vmdk" */
    const char *create_type; /* "monolithicFlat" ..., "" for raw */
    uint64_t size;
    uint64_t room;  /* bytes that its files take on the host */
    uint32_t grain; /* bytes of the allocation unit that discard works in; 0: any sector */
    uint32_t cid;   /* content id, 0 for raw */
    unsigned extents;
    unsigned ancestors; /* parent, its parent ... */
    char parent[DISK_NAME_MAX];
    bool thin, unclean; /* unclean: a writer did not close it */
    bool shared;        /* a file of it has another name as well (disk_share) */
    char adapter[16], uuid[64];
};
void disk_get_info(const struct disk *disk, struct disk_info *ret_info);

/* Calls with the name of each of its files, and with `ancestors` of those that it stands on. */
void disk_each_file(const struct disk *disk, bool ancestors,
                    void (*visit)(void *ctx, const char *name), void *ctx);

/* -- Requests ------------------------------------------------------------------------------------
 */

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH,
    DISK_DISCARD,
    DISK_WRITE_ZEROES, /* keeps or gives back room, as the format likes */
    DISK_OP_MAX
};

/* Offset and length are multiples of DISK_SECTOR within the disk (a flush has neither); the iovecs
 * sum to length and stay as they are until `done`. No allocation, no copy. */
struct disk_io {
    enum disk_op op;
    unsigned niov;
    const struct iovec *iov;
    uint64_t offset, length;
    void (*done)(struct disk_io *io, int result); /* 0 or negative errno; may submit it again */
    void *ctx;                                    /* the caller's */

    /* The disk's, while submitted. */
    struct disk *disk;
    struct disk_io *next;
    uint64_t at;    /* bytes done */
    uint64_t began; /* ns; of one that is counted */
    struct aio_req req;
    struct iovec slice[DISK_SLICE_MAX];
};

/* What has been done on a disk, for whoever watches: written by the thread that runs the aio, read
 * by anybody. The times are from submission to completion, summed. */
struct disk_usage {
    _Atomic(uint64_t) reads, writes, read_bytes, write_bytes, read_ns, write_ns;
};
void disk_count_into(struct disk *disk, struct disk_usage *usage); /* NULL: no more */

/* `done` comes from a later aio_run_once, whatever happens; never from here. */
void disk_submit(struct disk *disk, struct disk_io *io);

/* For tools and tests: run the disk's aio until the request is done. */
int disk_pread(struct disk *disk, void *buf, uint64_t length, uint64_t offset);
int disk_pwrite(struct disk *disk, const void *buf, uint64_t length, uint64_t offset);
int disk_op_sync(struct disk *disk, enum disk_op op, uint64_t length, uint64_t offset);
int disk_flush(struct disk *disk);
/* A flush with nothing in flight, on any thread; -EROFS and the like are not errors of a reader. */
int disk_flush_now(struct disk *disk);

/* -- Looking at them -----------------------------------------------------------------------------
 */

enum disk_state { DISK_HOLE, DISK_DATA, DISK_ZERO }; /* hole: nothing there, reads zero */

/* The state at `offset` and how far it goes at least (bytes). */
int disk_map(struct disk *disk, uint64_t offset, enum disk_state *ret_state, uint64_t *ret_length);
/* The same of the disk alone; what its parent decides is *ret_inherited. */
int disk_map_own(struct disk *disk, uint64_t offset, enum disk_state *ret_state,
                 uint64_t *ret_length, bool *ret_inherited);

struct disk_check {
    void (*problem)(void *ctx, const char *text); /* one line each, at most DISK_CHECK_LINES */
    void *ctx;
    uint64_t problems; /* damage */
    uint64_t leaks;    /* allocation units that nothing refers to: room, not damage */
    uint64_t used;     /* allocation units in use */
};
enum { DISK_CHECK_LINES = 100 };
/* 0 when it could be checked, whatever was found; its ancestors are checked as well. A disk open
 * for writing is flushed first. */
int disk_check(struct disk *disk, struct disk_check *check, struct err *err);

/* -- Making them ---------------------------------------------------------------------------------
 */

enum disk_format_id {
    DISK_RAW,
    DISK_VMDK_FLAT,
    DISK_VMDK_SPARSE,
    DISK_VMDK_STREAM,
    DISK_FORMAT_MAX
};
enum disk_provision { DISK_THIN, DISK_LAZY, DISK_EAGER, DISK_PROVISION_MAX };

/* "raw", "vmdk-flat", "vmdk-sparse", "vmdk-stream" and "thin", "lazy", "eager". */
const char *disk_format_name(enum disk_format_id id);
bool disk_format_parse(const char *name, enum disk_format_id *ret_id);
bool disk_provision_parse(const char *name, enum disk_provision *ret_provision);

struct disk_spec {
    enum disk_format_id format;
    enum disk_provision provision; /* raw and flat */
    uint64_t size;                 /* bytes, a multiple of DISK_SECTOR, at most DISK_SIZE_MAX */
    const char *adapter;           /* NULL: lsilogic */
    /* A VMDK of the same folder, for DISK_VMDK_SPARSE: a child is made, which reads as its parent
     * does now. Size 0 and no adapter mean the parent's. The parent may be in use; nobody may write
     * to it from now on. */
    const char *parent;
    uint32_t parent_cid; /* disk_create's own */
};
#define DISK_SIZE_MAX (UINT64_C(62) << 40) /* ESXi's */

/* Called now and then with bytes done of total; anything but 0 cancels with that code. */
typedef int disk_progress_fn(void *ctx, uint64_t done, uint64_t total);

/* Makes `name` (and `name`-flat for the flat format). It must not exist; on failure nothing is left
 * behind. DISK_VMDK_STREAM can only be made by disk_convert. */
int disk_create(const struct disk_host *host, const char *name, const struct disk_spec *spec,
                struct aio *aio, disk_progress_fn *progress, void *ctx, struct err *err);

/* Brings into its parent what `name` holds; both are closed before and after, and every other child
 * of the parent is void then. Ended early, by cancelling or a crash, it may be begun again, and the
 * child reads as ever; once it is done the child is no longer accepted, and may be removed. */
int disk_merge(const struct disk_host *host, const char *name, struct aio *aio,
               disk_progress_fn *progress, void *ctx, struct err *err);

/* The same of several disks of a chain at once, into any ancestor of them. */
struct disk_merge {
    const char *name; /* the uppermost */
    unsigned layers;  /* how many from there down are brought: 1 is `name` alone */
    const char *into; /* below them; NULL: the next below. What stands between the layers and it has
                         nothing that it has not, which the caller knows */
    /* A running VM reads these disks and writes to none of them: it has the locks. What it reads
     * does not change by this. */
    bool live;
    /* When it is done, no child of `into` is accepted any more, until when each reads as ever.
     * Without this that comes with the next write to `into`. */
    bool end;
};
int disk_merge_layers(const struct disk_host *host, const struct disk_merge *what, struct aio *aio,
                      disk_progress_fn *progress, void *ctx, struct err *err);

/* The same with the content of `source`; spec->size is taken from it. The name appears only when
 * everything is on stable storage. */
int disk_convert(struct disk *source, const struct disk_host *host, const char *name,
                 const struct disk_spec *spec, struct aio *aio, disk_progress_fn *progress,
                 void *ctx, struct err *err);

/* For a taker of the bytes of a whole stream-optimized disk, front to back; anything but 0 ends it
 * with that code. */
typedef int disk_sink_fn(void *ctx, const void *data, size_t len);

/* What disk_convert would write as DISK_VMDK_STREAM, without a file. `name` is for the descriptor
 * inside. */
int disk_export(struct disk *source, const char *name, struct aio *aio, disk_sink_fn *sink,
                disk_progress_fn *progress, void *ctx, struct err *err);

/* The other way: the bytes of an image as they come, in pieces of any size, written to `target`,
 * which holds zeros only and is at least as large. Stream-optimized VMDK (with its markers: what
 * can be read front to back), or with `raw` the disk's own bytes. Damage is -EUCLEAN, other kinds
 * of VMDK are -ENOTSUP; in any case some of it may have been written. */
struct disk_intake;
int disk_intake_create(struct disk *target, bool raw, struct disk_intake **ret_intake);
void disk_intake_destroy(struct disk_intake *intake); /* accepts NULL */
int disk_intake_put(struct disk_intake *intake, const void *data, size_t len, struct err *err);
/* The image has come to its end: flushes the target. `ret_populated`: bytes of the disk that were
 * written. */
int disk_intake_end(struct disk_intake *intake, uint64_t *ret_populated, struct err *err);
/* Bytes of the disk up to which it has come, for progress. */
uint64_t disk_intake_at(const struct disk_intake *intake);

/* -- Changing them: closed before and after, nobody else may have them open (-EBUSY). ------------
 */

/* A larger size, for disks without a parent: of flat extents, or sparse ones of one file, which are
 * written anew beside the old file (else -ENOTSUP). What is new reads zero; it gets room as the
 * rest has, and with `eager`, if flat, is written. The descriptor says the new size last. Ended
 * early, the old size is there. */
int disk_extend(const struct disk_host *host, const char *name, uint64_t size, bool eager,
                struct aio *aio, disk_progress_fn *progress, void *ctx, struct err *err);

/* Every byte gets its room, by writing zeros where nothing is; a flat disk is thin no more. */
int disk_inflate(const struct disk_host *host, const char *name, struct aio *aio,
                 disk_progress_fn *progress, void *ctx, struct err *err);
/* The other way: what reads zero gives its room back. Thick disks stay as they are. */
int disk_shrink(const struct disk_host *host, const char *name, struct aio *aio,
                disk_progress_fn *progress, void *ctx, struct err *err);
/* A sparse disk of one file, without a parent, is written anew in the order of its content, and
 * what reads zero gives its room back; needs room for both. A flat one has nothing to put in order.
 */
int disk_defragment(const struct disk_host *host, const char *name, struct aio *aio,
                    disk_progress_fn *progress, void *ctx, struct err *err);
/* Of an open disk: how much of it (per cent) does not follow what is before it, as far as the first
 * 65,536 grains say. */
int disk_fragmentation(struct disk *disk, unsigned *ret_percent);
/* All of it reads zero. */
int disk_wipe(const struct disk_host *host, const char *name, struct aio *aio,
              disk_progress_fn *progress, void *ctx, struct err *err);

/* `uuid` in the descriptor's form, "60 00 C2 9f 0e ...-...". */
int disk_set_uuid(const struct disk_host *host, const char *name, const char *uuid, struct aio *aio,
                  struct err *err);

/* The child `name` becomes one of `parent`, a disk of the same folder that reads as its present
 * parent does, which the caller knows. One write within one sector: whenever this ends, it is the
 * child of the one or the other, and whoever has it open goes on with what he has. So nobody need
 * close it (it takes no lock), but nobody else may change descriptors meanwhile. Done already: 0.
 * -ENOTSUP: there is no room for that name where the old one stands. `try`: would it be possible?
 */
int disk_reparent(const struct disk_host *host, const char *name, const char *parent, bool try,
                  struct aio *aio, struct err *err);

/* Another name, in the same or another folder of the same file system (-EXDEV: copy it). New names
 * first, then the old ones go: a crash leaves one of the two whole. */
int disk_move(const struct disk_host *host, const char *name, const struct disk_host *to_host,
              const char *to, struct aio *aio, struct err *err);

/* The descriptor and then its extents; with `ancestors` also those that it stands on. */
int disk_remove(const struct disk_host *host, const char *name, bool ancestors, struct aio *aio,
                struct err *err);

/* All files of the disk and of what it stands on get the same names in another folder of the same
 * file system, so that a child can be made there: a linked clone. From then on nobody may write to
 * it; disk_merge into such a disk is refused (-EMLINK). On failure none of them is there. */
int disk_share(const struct disk_host *host, const char *name, const struct disk_host *to_host,
               struct aio *aio, struct err *err);
