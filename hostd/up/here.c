/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/up/here.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"

static bool is_here(const char *pid, const char *name, const char *here)
{
    char path[64], text[PATH_MAX];
    cleanup_buf struct buf comm = {0};
    size_t len = strlen(name);

    (void)snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    if (file_load(AT_FDCWD, path, 64, &comm, NULL) < 0 || comm.len != len + 1 ||
        memcmp(comm.data, name, len) != 0)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%.16s/cwd", pid);
    ssize_t n = readlink(path, text, sizeof text - 1);
    text[MAX(n, 0)] = '\0';
    return n > 0 && !strcmp(text, here);
}

unsigned here_each(const char *name, void (*each)(void *ctx, pid_t pid), void *ctx)
{
    char here[PATH_MAX];
    unsigned count = 0;
    glob_t found;

    if (!getcwd(here, sizeof here) || glob("/proc/[1-9]*", GLOB_NOSORT, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *pid = found.gl_pathv[i] + strlen("/proc/");
        if (!is_here(pid, name, here))
            continue;
        each(ctx, (pid_t)strtol(pid, NULL, 10));
        count++;
    }
    globfree(&found);
    return count;
}
