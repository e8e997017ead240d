/* SPDX-License-Identifier: Apache-2.0 */
#include "base/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool beside(const char *name, char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);

    if (n <= 0)
        return false;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    size_t head = (size_t)(slash - path) + 1;
    return snprintf(slash + 1, size - head, "%s", name) < (int)(size - head) &&
           access(path, X_OK) == 0;
}

int program_find(const char *name, char *path, size_t size, struct err *err)
{
    if (beside(name, path, size))
        return 0;
    if (snprintf(path, size, SOCLE_LIBEXECDIR "/%s", name) < (int)size && access(path, X_OK) == 0)
        return 0;
    return err_set(err, -ENOENT, "cannot find the program %s beside socle or in %s", name,
                   SOCLE_LIBEXECDIR);
}
