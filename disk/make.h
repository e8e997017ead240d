/* SPDX-License-Identifier: Apache-2.0 */
/* How new disk files come to be: everything is written under a temporary name, synced, and then
 * renamed, so that a name means a whole file; what fails or is cancelled leaves nothing behind. */
#pragma once

#include "disk/format.h"
#include "disk/vmdk_desc.h"

/* Room for the descriptor inside a sparse file, behind the first sector. Entries of its tables have
 * 32 bits: all of the data and the tables must lie below 2 TiB. */
enum { MAKE_DESC_ROOM = 20 * DISK_SECTOR };
#define MAKE_SPARSE_MAX (UINT64_C(2040) << 30)

/* A file being written front to back (and patched), with sticky errors: the first failure stays in
 * rc, later calls do nothing. */
struct out {
    const struct disk_host *host;
    struct aio *aio;
    char name[VMDK_NAME_MAX + 16]; /* the temporary one */
    int fd;
    enum aio_file kind;
    uint64_t at; /* where out_put goes on */
    int rc;
    /* Instead of a file: takes what out_put and out_pad put; the rest is not for it then. */
    disk_sink_fn *sink;
    void *sink_ctx;
};

/* `final` is the name to be; the temporary one is made from it. */
int out_open(struct out *out, const struct disk_host *host, struct aio *aio, const char *final,
             struct err *err);
void out_write(struct out *out, const void *data, size_t len, uint64_t offset);
void out_put(struct out *out, const void *data, size_t len);
void out_pad(struct out *out, uint64_t alignment);
void out_op(struct out *out, enum aio_op op, uint64_t offset, uint64_t length);
/* Syncs and closes; the file stays under its temporary name. Returns rc. */
int out_close(struct out *out);
void out_abandon(struct out *out); /* closes and removes; also after out_close */

/* Fills in what a new descriptor has: ids, adapter, one extent. `file` is that extent's. */
int make_desc(struct vmdk_desc *desc, const struct disk_spec *spec, const char *file,
              const char *create_type);

/* The content of `source` into what has been made and closed. */
int make_content(struct out *out, struct disk *source, const struct disk_spec *spec,
                 disk_progress_fn *progress, void *ctx, struct err *err);
/* An empty sparse file; a whole stream with the content of `source`. */
void make_sparse(struct out *out, const struct disk_spec *spec, const char *name);
int make_stream(struct out *out, struct disk *source, const char *name,
                const struct disk_spec *spec, disk_progress_fn *progress, void *ctx,
                struct err *err);
