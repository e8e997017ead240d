/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NEW ".new-"

int file_load(int dir_fd, const char *path, size_t max, struct buf *out, struct err *err)
{
    enum { STEP = 16 << 10 };
    cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t start = out->len;

    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return err_sys(err, -errno, "cannot open \"%s\"", path);
    for (;;) {
        uint8_t *at = buf_grow(out, STEP);
        if (!at)
            return err_sys(err, -ENOMEM, "cannot read \"%s\"", path);
        ssize_t n = read(fd, at, STEP);
        out->len -= STEP - (size_t)(n > 0 ? n : 0);
        if (n < 0 && errno != EINTR)
            return err_sys(err, -errno, "cannot read \"%s\"", path);
        if (out->len - start > max)
            return err_set(err, -EFBIG, "\"%s\" is larger than %zu bytes", path, max);
        if (n == 0)
            return 0;
    }
}

int file_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? n : 0;
        len -= (size_t)(n > 0 ? n : 0);
    }
    return 0;
}

/* The rename is durable once the folder is. */
static int sync_folder(int dir_fd, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";

    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    cleanup_fd int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Two who write the same file, in one process or in two, each have a file of their own. */
static int open_beside(int dir_fd, const char *path, mode_t mode, char beside[PATH_MAX])
{
    enum { TRIES = 1000 }; /* a name that is taken was left by a process of the same number */
    static atomic_uint count;
    int fd = -1;

    for (unsigned i = 0; i < TRIES && fd < 0; i++) {
        unsigned n = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
        if (snprintf(beside, PATH_MAX, "%s" NEW "%x-%x", path, (unsigned)getpid(), n) >= PATH_MAX)
            return -ENAMETOOLONG;
        fd = openat(dir_fd, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    return fd < 0 ? -errno : fd;
}

size_t file_replaces(const char *name)
{
    static const char hex[] = "0123456789abcdef";
    const char *at = NULL;

    for (const char *next = strstr(name, NEW); next; next = strstr(next + 1, NEW))
        at = next;
    if (!at || at == name)
        return 0;
    const char *number = at + strlen(NEW);
    size_t pid = strspn(number, hex);
    if (!pid || number[pid] != '-')
        return 0;
    size_t n = strspn(number + pid + 1, hex);
    return n && !number[pid + 1 + n] ? (size_t)(at - name) : 0;
}

int file_replace(int dir_fd, const char *path, mode_t mode, const void *data, size_t len,
                 struct err *err)
{
    char beside[PATH_MAX];
    struct stat old;
    bool is_there = fstatat(dir_fd, path, &old, 0) == 0;
    cleanup_fd int fd = open_beside(dir_fd, path, mode, beside);
    int rc = fd < 0 ? fd : 0;

    if (rc == 0 && is_there && fchmod(fd, old.st_mode & 0777) < 0)
        rc = -errno;
    if (rc == 0)
        rc = file_write_all(fd, data, len);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (rc == 0 && renameat(dir_fd, beside, dir_fd, path) < 0)
        rc = -errno;
    if (rc < 0 && fd >= 0)
        (void)unlinkat(dir_fd, beside, 0);
    if (rc == 0)
        rc = sync_folder(dir_fd, path);
    return rc < 0 ? err_sys(err, rc, "cannot write \"%s\"", path) : 0;
}
