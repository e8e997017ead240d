/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test: made under TMPDIR, removed with all that is in it. Only for test programs, so
 * it ends the program when the system refuses. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk/disk.h"
#include "tests/tap.h"

struct folder {
    char path[256];
    struct disk_dir dir;
};

static inline void folder_require(bool ok, const char *what)
{
    if (!ok) {
        (void)printf("Bail out! %s: %m\n", what);
        exit(99);
    }
}

static inline void folder_make(struct folder *folder)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(folder->path, sizeof folder->path, "%s/socle-disk-XXXXXX", base ? base : "/tmp");
    folder_require(mkdtemp(folder->path) != NULL, "mkdtemp");
    folder_require(!disk_dir_open(&folder->dir, folder->path, NULL), "folder");
}

static inline void folder_empty(const struct folder *folder)
{
    DIR *dir = opendir(folder->path);
    struct dirent *entry;

    folder_require(dir != NULL, "opendir");
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            if (unlinkat(folder->dir.fd, entry->d_name, 0))
                (void)unlinkat(folder->dir.fd, entry->d_name, AT_REMOVEDIR);
    (void)closedir(dir);
}

static inline unsigned folder_count(const struct folder *folder)
{
    DIR *dir = opendir(folder->path);
    unsigned count = 0;

    folder_require(dir != NULL, "opendir");
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count - 2;
}

static inline void folder_remove(struct folder *folder)
{
    folder_empty(folder);
    disk_dir_close(&folder->dir);
    (void)rmdir(folder->path);
}

static inline void folder_write(const struct folder *folder, const char *name, const void *data,
                                size_t len, uint64_t size)
{
    int fd = openat(folder->dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    folder_require(fd >= 0 && write(fd, data, len) == (ssize_t)len &&
                       (!size || !ftruncate(fd, (off_t)size)),
                   name);
    (void)close(fd);
}

static inline unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    folder_require(dir != NULL, "/proc/self/fd");
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}
