/* SPDX-License-Identifier: Apache-2.0 */
/* A file on a datastore, or a folder with all that is in it: measured, and copied so that holes
 * stay holes. Links and what is neither file nor folder are refused (-EACCES). Blocking: for worker
 * threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hostd/datastore/dspath.h"

/* Anything but 0 ends it with that code. */
typedef int file_tree_progress(void *ctx, uint64_t done, uint64_t total);

/* Bytes of data in it; -EBUSY when a file of it is in use (a VM or a copy has it locked). */
int file_tree_measure(int dir_fd, const char *rel, uint64_t *ret_bytes);

/* `to` must not be there, unless `replace` and both are files; on failure nothing of it is. It
 * grows as `beside` and is given its name when it is whole. */
int file_tree_copy(int from_fd, const char *from, int to_fd, const char *to, const char *beside,
                   bool replace, file_tree_progress *progress, void *ctx);
/* A name for that, in the same folder; long names are cut. */
void file_tree_beside(const char *to, char beside[DSPATH_MAX]);
