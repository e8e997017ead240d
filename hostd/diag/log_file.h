/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of a host in hosted mode, in log/ of its folder: hostd's, the front's, and one of each
 * VM's processes. Files are appended to by the processes themselves. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { LOG_KEY_MAX = 32, LOG_PATH_MAX = 64, LOG_LINES_MAX = 1000, LOG_LINE_BYTES_MAX = 4096 };

/* "hostd", "front", "vm-7": the key is the file's name without its ".log". -EINVAL: no such name.
 */
int log_path(const char *key, char path[LOG_PATH_MAX]);

/* Lines first .. first + count - 1 (from 1; at most LOG_LINES_MAX; what is too long is cut), those
 * of them that are there. *ret_total: how many the file has. Needs time in proportion to the file.
 * -errno. */
struct log_lines {
    size_t count;
    const char **items; /* in the arena, UTF-8 */
};
int log_read(const char *path, uint32_t first, uint32_t count, struct arena *arena,
             struct log_lines *ret_lines, uint32_t *ret_total);
