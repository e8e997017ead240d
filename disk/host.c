/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary disk_host: names are resolved beneath the descriptor of a folder, by the kernel
 * (openat2), so that no link and no `..` in a hostile image leads anywhere else. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/range.h"
#include "disk/disk.h"

static int folder(const struct disk_host *host)
{
    return container_of(host, struct disk_dir, host)->fd;
}

static int dir_open(const struct disk_host *host, const char *name, unsigned flags)
{
    struct open_how how = {
        .flags = (flags & DISK_FILE_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                 O_NOFOLLOW | (flags & DISK_FILE_CREATE ? O_CREAT | O_EXCL : 0),
        .mode = flags & DISK_FILE_CREATE ? 0600 : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    cleanup_fd int fd = -1;
    struct stat st;

    do
        fd = (int)syscall(SYS_openat2, folder(host), name, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st))
        return -errno;
    if (!S_ISREG(st.st_mode) && !(S_ISBLK(st.st_mode) && (flags & DISK_FILE_DEVICE)))
        return -EMEDIUMTYPE;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK))
        return -errno;
    return TAKE_FD(fd);
}

static int dir_rename(const struct disk_host *host, const char *from, const char *to)
{
    if (!renameat2(folder(host), from, folder(host), to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (!faccessat(folder(host), to, F_OK, AT_SYMLINK_NOFOLLOW))
        return -EEXIST;
    return renameat(folder(host), from, folder(host), to) ? -errno : 0;
}

static int dir_unlink(const struct disk_host *host, const char *name)
{
    return unlinkat(folder(host), name, 0) ? -errno : 0;
}

static int dir_sync(const struct disk_host *host)
{
    return fsync(folder(host)) && errno != EINVAL ? -errno : 0;
}

static int dir_replace(const struct disk_host *host, const char *from, const char *to)
{
    return renameat(folder(host), from, folder(host), to) ? -errno : 0;
}

static int dir_link(const struct disk_host *host, const char *from, const struct disk_host *to_host,
                    const char *to)
{
    return linkat(folder(host), from, folder(to_host), to, 0) ? -errno : 0;
}

void disk_dir_take(struct disk_dir *dir, int fd)
{
    *dir = (struct disk_dir){
        .host = {.open = dir_open,
                 .rename = dir_rename,
                 .unlink = dir_unlink,
                 .sync = dir_sync,
                 .replace = dir_replace,
                 .link = dir_link},
        .fd = fd,
    };
}

int disk_dir_open(struct disk_dir *dir, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, -errno, "folder \"%s\"", path);
    disk_dir_take(dir, fd);
    return 0;
}

void disk_dir_close(struct disk_dir *dir)
{
    dir->fd = close_fd(dir->fd);
}

int disk_dir_open_for(struct disk_dir *dir, const char *path, const char **ret_name,
                      struct err *err)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_MAX];
    int rc;

    if (!*path || (slash && !slash[1]) || strlen(path) >= sizeof parent)
        return err_set(err, -EINVAL, "\"%s\" is not the name of a file", path);
    (void)snprintf(parent, sizeof parent, "%.*s",
                   slash ? (int)(slash == path ? 1 : slash - path) : 1, slash ? path : ".");
    rc = disk_dir_open(dir, parent, err);
    if (rc)
        return rc;
    *ret_name = slash ? slash + 1 : path;
    return 0;
}
