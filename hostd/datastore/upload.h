/* SPDX-License-Identifier: Apache-2.0 */
/* A file that comes by PUT. It grows beside its place, under a name of its own, and takes its place
 * when all of it is there and on stable storage: who reads meanwhile reads the old one. Whole
 * blocks of zeros become holes.
 *
 * With Content-Range the file may come in parts, over any number of connections: what has come is
 * kept as ".NAME.partial" in the same folder, a part continues it (or begins anew at 0), and the
 * last one, whose end is the whole size, makes the file. "bytes *" "/SIZE" without a body asks how
 * much is there. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hostd/http/server.h"

struct upload {
    bool is_new; /* nothing of that name was there */
    bool whole;  /* it is there now; else `have` bytes wait for more */
    uint64_t have;
};

/* On a transfer's thread. `datastore`: its id, `dir_fd` its folder. -errno; -ERANGE: the part does
 * not continue what is there (have says what is). What fails, or is cut off with hostd itself,
 * leaves nothing but what a part can continue. */
int upload_store(struct http_stream *stream, const char *datastore, int dir_fd, const char *rel,
                 struct upload *ret_upload);

/* "bytes a-b/c" and "bytes *" "/c". */
struct content_range {
    bool query;
    uint64_t first, end, total; /* [first, end) */
};
int content_range_parse(const char *value, struct content_range *ret_range); /* -EINVAL */
