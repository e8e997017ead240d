/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: read at once, replaced at once. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the file's content; -EFBIG when it has more than `max` bytes. `path` is under `dir_fd`
 * (AT_FDCWD: the working directory). -ENOENT comes without a message: often it is no failure. */
int file_load(int dir_fd, const char *path, size_t max, struct buf *out, struct err *err);

/* All of it, however many writes that takes. */
int file_write_all(int fd, const void *data, size_t len);

/* Puts new content at `path` so that a crash at any moment leaves the old or the new, never a
 * mixture, and that the new one is on stable storage when this returns: a file beside it, fsync,
 * rename, fsync of the folder. `mode`: of one that was not there. Of two at once the later one's
 * stays. */
int file_replace(int dir_fd, const char *path, mode_t mode, const void *data, size_t len,
                 struct err *err);

/* A replacement that a crash cut off leaves its file beside: PATH.new-PROCESS-COUNT. Of such a
 * name: the length of what it was to replace; 0: it is none. */
size_t file_replaces(const char *name);
