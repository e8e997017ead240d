/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/file_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_copy.h"
#include "base/range.h"
#include "hostd/datastore/dspath.h"

enum { DEPTH_MAX = 64 };

static int open_in(int dir, const char *name, struct stat *ret_st)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -EACCES : -errno;
    if (fstat(fd, ret_st) == 0 && (S_ISREG(ret_st->st_mode) || S_ISDIR(ret_st->st_mode)))
        return fd;
    (void)close_fd(fd);
    return -EACCES;
}

static int open_rel(int dir_fd, const char *rel, struct stat *ret_st)
{
    const char *last;
    cleanup_fd int parent = dspath_open_parent(dir_fd, rel, &last);

    return parent < 0 ? parent : open_in(parent, last, ret_st);
}

/* Calls for each entry of a folder; takes the descriptor. */
static int each(int fd, int (*visit)(void *ctx, int dir, const char *name), void *ctx)
{
    DIR *dir = fdopendir(fd);
    int rc = 0;

    if (!dir) {
        rc = -errno;
        (void)close_fd(fd);
        return rc;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = visit(ctx, dirfd(dir), e->d_name);
    (void)closedir(dir);
    return rc;
}

/* --- measuring --- */

struct measure {
    uint64_t bytes;
    unsigned depth;
};

static bool in_use(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int measure_entry(void *ctx, int dir, const char *name);

/* Takes the descriptor. */
static int measure_open(struct measure *m, int fd, const struct stat *st)
{
    if (S_ISDIR(st->st_mode)) {
        if (m->depth == DEPTH_MAX) {
            (void)close_fd(fd);
            return -ELOOP;
        }
        m->depth++;
        int rc = each(fd, measure_entry, m);
        m->depth--;
        return rc;
    }
    m->bytes += MIN((uint64_t)st->st_blocks * 512, (uint64_t)st->st_size);
    int rc = in_use(fd) ? -EBUSY : 0;
    (void)close_fd(fd);
    return rc;
}

static int measure_entry(void *ctx, int dir, const char *name)
{
    struct stat st;
    int fd = open_in(dir, name, &st);

    return fd < 0 ? fd : measure_open(ctx, fd, &st);
}

int file_tree_measure(int dir_fd, const char *rel, uint64_t *ret_bytes)
{
    struct measure m = {0};
    struct stat st;
    int fd = open_rel(dir_fd, rel, &st);
    int rc = fd < 0 ? fd : measure_open(&m, fd, &st);

    if (rc == 0)
        *ret_bytes = m.bytes;
    return rc;
}

/* --- copying --- */

static int copy_file(struct file_copy *copy, int in, int out)
{
    int rc = file_copy_data(copy, in, out);

    return rc ? rc : fsync(out) < 0 ? -errno : 0;
}

struct copying {
    struct file_copy copy;
    int to; /* folder */
    unsigned depth;
};

static int copy_entry(void *ctx, int dir, const char *name);

/* Takes `in`. */
static int copy_open(struct copying *c, int in, const struct stat *st, int to, const char *name)
{
    if (S_ISREG(st->st_mode)) {
        cleanup_fd int from = in;
        cleanup_fd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        return out < 0 ? -errno : copy_file(&c->copy, from, out);
    }
    int rc = c->depth == DEPTH_MAX ? -ELOOP : mkdirat(to, name, 0755) < 0 ? -errno : 0;
    cleanup_fd int folder = rc < 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (folder < 0) {
        (void)close_fd(in);
        return rc < 0 ? rc : -errno;
    }
    struct copying below = {.copy = c->copy, .to = folder, .depth = c->depth + 1};
    rc = each(in, copy_entry, &below);
    c->copy.done = below.copy.done;
    return rc;
}

static int copy_entry(void *ctx, int dir, const char *name)
{
    struct copying *c = ctx;
    struct stat st;
    int in = open_in(dir, name, &st);

    return in < 0 ? in : copy_open(c, in, &st, c->to, name);
}

static int publish(int parent, const char *beside, const char *last, bool replace)
{
    int rc =
        renameat2(parent, beside, parent, last, replace ? 0 : RENAME_NOREPLACE) < 0 ? -errno : 0;
    cleanup_fd int folder = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (rc == 0 && folder >= 0)
        (void)fsync(folder);
    return rc;
}

void file_tree_beside(const char *to, char beside[DSPATH_MAX])
{
    const char *slash = strrchr(to, '/'), *last = slash ? slash + 1 : to;
    int folder = (int)(last - to);

    (void)snprintf(beside, DSPATH_MAX, "%.*s.%.*s.copy-%08lx", folder, to,
                   MAX(MIN(200, DSPATH_MAX - 32 - folder), 1), last, (unsigned long)random());
}

int file_tree_copy(int from_fd, const char *from, int to_fd, const char *to, const char *beside,
                   bool replace, file_tree_progress *progress, void *ctx)
{
    struct copying c = {.copy = {.progress = progress, .ctx = ctx}};
    const char *last, *slash = strrchr(beside, '/'), *temporary = slash ? slash + 1 : beside;
    struct stat st, there;
    int rc = file_tree_measure(from_fd, from, &c.copy.total);

    if (rc < 0)
        return rc;
    cleanup_fd int parent = dspath_open_parent(to_fd, to, &last);
    if (parent < 0)
        return parent;
    if (fstatat(parent, last, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        !(replace && S_ISREG(there.st_mode)))
        return -EEXIST;
    int in = open_rel(from_fd, from, &st);
    if (in < 0)
        return in;
    rc = copy_open(&c, in, &st, parent, temporary);
    if (rc == 0)
        rc = publish(parent, temporary, last, replace && S_ISREG(st.st_mode));
    if (rc < 0)
        (void)dspath_remove(parent, temporary);
    return rc;
}
