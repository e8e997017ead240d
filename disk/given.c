/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/given.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"

static struct disk_given *given_of(const struct disk_host *host)
{
    return (struct disk_given *)container_of(host, struct disk_given, host);
}

static int open_and_keep(struct disk_given *given, const char *name, unsigned flags)
{
    cleanup_fd int fd = given->folder->open(given->folder, name, flags);

    if (fd < 0)
        return TAKE_FD(fd);
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int rc = kept < 0 ? -errno : disk_given_add(given, name, flags, kept);
    return rc < 0 ? rc : TAKE_FD(fd);
}

static int given_open(const struct disk_host *host, const char *name, unsigned flags)
{
    struct disk_given *given = given_of(host);

    if (given->folder)
        return open_and_keep(given, name, flags);
    for (unsigned i = 0; i < given->count; i++) {
        struct disk_given_file *file = &given->file[i];
        if (file->fd >= 0 && file->flags == flags && !strcmp(file->name, name))
            return TAKE_FD(file->fd);
    }
    return -ENOENT;
}

/* Disks in use have no other business with their folder. */
static int no_rename(const struct disk_host *host, const char *from, const char *to)
{
    (void)host, (void)from, (void)to;
    return -EROFS;
}

static int no_unlink(const struct disk_host *host, const char *name)
{
    (void)host, (void)name;
    return -EROFS;
}

static int no_sync(const struct disk_host *host)
{
    (void)host;
    return -EROFS;
}

void disk_given_init(struct disk_given *given, const struct disk_host *folder)
{
    *given = (struct disk_given){
        .host = {.open = given_open, .rename = no_rename, .unlink = no_unlink, .sync = no_sync},
        .folder = folder,
    };
}

void disk_given_free(struct disk_given *given)
{
    for (unsigned i = 0; i < given->count; i++)
        (void)close_fd(given->file[i].fd);
    free(given->file);
    given->file = NULL;
    given->count = 0;
}

int disk_given_add(struct disk_given *given, const char *name, unsigned flags, int fd)
{
    cleanup_fd int owned = fd;

    size_t len = strlen(name);

    if (len >= DISK_NAME_MAX)
        return -ENAMETOOLONG;
    if (given->count == DISK_GIVEN_MAX)
        return -EMFILE;
    struct disk_given_file *file = reallocarray(given->file, given->count + 1, sizeof *file);
    if (!file)
        return -ENOMEM;
    given->file = file;
    file += given->count++;
    *file = (struct disk_given_file){.flags = flags, .fd = TAKE_FD(owned)};
    memcpy(file->name, name, len + 1);
    return 0;
}
