/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the library.
 *
 * A disk is a row of extents without gaps; an extent knows, for each of its bytes, where it is: a
 * run in a file, nowhere (zero), or in memory (just decompressed). disk/io.c turns requests into
 * runs and runs into file I/O; disk/flush.c brings data and tables to stable storage in the right
 * order. So a format is what opens the extents, and an extent kind is a map from offsets to runs,
 * plus, if it has tables of its own, the commit of those tables. */
#pragma once

#include "disk/disk.h"

enum { DISK_FILES_MAX = 1024, DISK_EXTENTS_MAX = 1024 };

/* One open file. Files are never closed before the disk. */
struct disk_file {
    int fd; /* owned */
    enum aio_file kind;
    bool dirty; /* a write ended since the last sync began */
    bool writable;
    bool shared; /* it has other names */
    uint64_t size; /* bytes, when opened; kept up by who extends it, and file_has_grown */
    uint64_t dev, ino;
    char *name; /* owned */
};

/* RUN_PARENT: this disk has nothing there, its parent decides. */
enum run_kind { RUN_FILE, RUN_ZERO, RUN_MEMORY, RUN_PARENT };

struct run {
    enum run_kind kind;
    struct disk_file *file; /* RUN_FILE */
    uint64_t offset;        /* in the file */
    const uint8_t *memory;  /* RUN_MEMORY; good until the next map */
    uint64_t length;        /* > 0; at most what was asked */
};

enum map_mode { MAP_READ, MAP_WRITE, MAP_PROBE }; /* PROBE: like READ, but never decompresses */

struct extent;

struct extent_ops {
    /* Where [offset, offset + length) of the extent begins to be. MAP_WRITE makes room and yields a
     * RUN_FILE or fails; -EAGAIN: only after the next commit. */
    int (*map)(struct disk *disk, struct extent *extent, uint64_t offset, uint64_t length,
               enum map_mode mode, struct run *ret_run);

    /* Tables. begin freezes what is to be committed now (false: nothing); everything it stands on
     * is synced before the first next, which fills in one table write after the other (false: that
     * was all); end says how it went, on failure it is all to be committed again. */
    bool (*commit_begin)(struct extent *extent);
    bool (*commit_next)(struct extent *extent, struct aio_req *req);
    void (*commit_end)(struct extent *extent, int result);

    /* Once, before the first change and after the last (everything is synced then). Blocking. */
    int (*write_begin)(struct disk *disk, struct extent *extent);
    int (*write_end)(struct disk *disk, struct extent *extent);

    int (*check)(struct disk *disk, struct extent *extent, struct disk_check *check,
                 struct err *err);
    void (*destroy)(struct extent *extent);
};

struct extent {
    const struct extent_ops *ops;
    uint64_t start, length; /* bytes of the disk */
    struct disk_file *file; /* borrowed from the disk; NULL for a zero extent */
    uint64_t file_offset;   /* flat: where it begins */
    bool committing;        /* flush.c's */
    void *impl;             /* owned; the kind's own */
};

struct disk_io_list {
    struct disk_io *head, **tail;
};

struct flush {
    enum flush_phase { FLUSH_IDLE, FLUSH_DATA, FLUSH_TABLES, FLUSH_TABLES_SYNC } phase;
    struct disk_io_list waiting, served; /* for the next, by this one */
    unsigned at;                         /* file or extent */
    bool tables;                         /* some extent has something to commit */
    int result;
    struct aio_req req;
    struct disk_file *file; /* that req is about */
};

struct disk {
    const struct disk_host *host; /* borrowed */
    struct aio *aio;              /* borrowed */
    const struct disk_format *format;
    char *name;
    unsigned flags;
    uint64_t size;
    struct disk *parent; /* owned; NULL: none */
    unsigned depth;      /* how many descendants have been opened before it */
    bool blame_parent;   /* it could not be opened because of an ancestor, whose name is said */
    struct extent *extents;
    unsigned extent_count, last_extent; /* last: where the previous request was */
    struct disk_file *files[DISK_FILES_MAX];
    unsigned file_count;
    struct disk_info info;
    uint64_t table_count; /* grain tables of all extents: a bound on memory */
    bool discards;        /* giving room back is wanted: raw, thin, sparse */
    bool keeps_cid;       /* merge.c: its child is still to be accepted */
    bool changed;         /* write_begin is done */
    bool failed;          /* a sync failed */

    struct disk_usage *usage;             /* NULL: nobody counts; borrowed */
    unsigned in_flight;                   /* requests that have not called back */
    uint32_t next_cid;                    /* drawn at opening: a sandbox has no random numbers */
    uint64_t cid_offset, long_cid_offset; /* in files[0]: the eight digits; 0 none */
    struct flush flush;
    struct disk_io_list parked; /* writes that wait for a commit */
};

struct disk_format {
    const char *name;
    /* 0: not ours; 1 .. 100: how sure. `size` is the whole file's. */
    int (*probe)(const uint8_t *first, size_t len, uint64_t size);
    int (*open)(struct disk *disk, struct err *err); /* files[0] is open and locked */
    int (*write_begin)(struct disk *disk); /* may be NULL; blocking, before the first change */
};
extern const struct disk_format disk_raw_format, disk_vmdk_format;

/* open.c. disk_open for the ancestor of a disk, `depth` above the first. */
int disk_open_at_depth(const struct disk_host *host, const char *name,
                       const struct disk_options *options, struct aio *aio, unsigned depth,
                       struct disk **ret_disk, struct err *err);
/* Opens, checks and locks a file of the disk; the same name twice is the same file. */
int disk_add_file(struct disk *disk, const char *name, struct disk_file **ret_file,
                  struct err *err);
int disk_add_extents(struct disk *disk, unsigned count); /* zeroed */
/* flat.c */
extern const struct extent_ops extent_flat_ops, extent_zero_ops;

/* Blocking reads and writes at the aio's seam; a short read is -EIO. */
int file_read(struct disk *disk, struct disk_file *file, void *buf, size_t len, uint64_t offset);
int file_write(struct disk *disk, struct disk_file *file, const void *buf, size_t len,
               uint64_t offset);
int file_sync(struct disk *disk, struct disk_file *file);
/* Of a reader's file, into which somebody may be merging: its size is looked up again. */
bool file_has_grown(struct disk_file *file);

/* io.c */
void io_list_init(struct disk_io_list *list);
void io_list_push(struct disk_io_list *list, struct disk_io *io);
struct disk_io *io_list_pop(struct disk_io_list *list);
void io_end(struct disk_io *io, int result);
void io_resume(struct disk_io *io);
struct extent *disk_extent_at(struct disk *disk, uint64_t offset);

/* chain.c. Opens the disk that `name` and `cid` of a child's descriptor say. */
int chain_open_parent(struct disk *disk, const char *name, uint32_t cid, struct err *err);
/* Where a byte of the disk is, in whichever disk of the chain; never RUN_PARENT. MAP_WRITE is about
 * the disk itself. */
int chain_map(struct disk *disk, uint64_t offset, uint64_t length, enum map_mode mode,
              struct run *ret_run);
int chain_map_own(struct disk *disk, uint64_t offset, uint64_t length, enum map_mode mode,
                  struct run *ret_run);
/* What the parent has, into a new place of the child's: blocking. */
int chain_copy_up(struct disk *disk, uint64_t offset, uint64_t length, struct disk_file *file,
                  uint64_t file_offset);

/* rewrite.c. Of a sparse disk of one file, open for writing and not written to: it is another file
 * afterwards, and nothing but closing is to be done with `disk`. -ENOTSUP: it is of another kind. */
int disk_rewrite(struct disk *disk, uint64_t size, disk_progress_fn *progress, void *ctx,
                 struct err *err);

/* flush.c */
void flush_submit(struct disk *disk, struct disk_io *io); /* io NULL: for its own sake */
int flush_now(struct disk *disk); /* blocking, on any thread; nothing may be in flight */

/* check.c: counts one, and says it while there have not been too many. */
void check_problem(struct disk_check *check, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
