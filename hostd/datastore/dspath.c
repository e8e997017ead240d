/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/datastore/dspath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { DEPTH_MAX = 64 };

bool dspath_normalize(const char *text, char rel[DSPATH_MAX])
{
    size_t len = 0;

    rel[0] = '\0';
    while (*text) {
        size_t n = strcspn(text, "/");
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)text[i] < ' ' || text[i] == '\x7f')
                return false;
        bool dots = (n == 1 && text[0] == '.') || (n == 2 && text[0] == '.' && text[1] == '.');
        bool ours = !strncmp(text, DSPATH_OWN, sizeof DSPATH_OWN - 1);
        if (dots || ours || len + n + 2 > DSPATH_MAX)
            return false;
        if (n && len)
            rel[len++] = '/';
        memcpy(rel + len, text, n);
        len += n;
        rel[len] = '\0';
        text += n;
        text += *text == '/';
    }
    return true;
}

int dspath_parse(const char *text, struct dspath *ret_path)
{
    const char *close = *text == '[' ? strchr(text, ']') : NULL;
    size_t len = close ? (size_t)(close - text) - 1 : 0;

    if (!close || len > DSPATH_NAME_MAX)
        return -EINVAL;
    memcpy(ret_path->datastore, text + 1, len);
    ret_path->datastore[len] = '\0';
    close++;
    return dspath_normalize(close + (*close == ' '), ret_path->rel) ? 0 : -EINVAL;
}

int dspath_parse_vmfs(const char *text, struct dspath *ret_path)
{
    static const char prefix[] = "/vmfs/volumes/";
    const char *name = text + sizeof prefix - 1;

    if (strncmp(text, prefix, sizeof prefix - 1))
        return -EINVAL;
    size_t len = strcspn(name, "/");
    if (!len || len > DSPATH_NAME_MAX)
        return -EINVAL;
    memcpy(ret_path->datastore, name, len);
    ret_path->datastore[len] = '\0';
    return dspath_normalize(name + len, ret_path->rel) ? 0 : -EINVAL;
}

void dspath_format(const char *datastore, const char *rel, char *text, size_t size)
{
    (void)snprintf(text, size, "[%s] %s", datastore, rel);
}

int dspath_open(int dir_fd, const char *rel, int flags, mode_t mode)
{
    /* openat2 takes no flag that O_PATH has no use for. */
    int always = O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY);
    struct open_how how = {.flags = (unsigned)(flags | always),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, dir_fd, *rel ? rel : ".", &how, sizeof how);

    return fd < 0 ? -errno : (int)fd;
}

int dspath_stat(int dir_fd, const char *rel, struct stat *ret_st)
{
    int fd = dspath_open(dir_fd, rel, O_PATH, 0);

    if (fd < 0)
        return fd;
    int rc = fstat(fd, ret_st) < 0 ? -errno : 0;
    (void)close_fd(fd);
    return rc;
}

int dspath_open_parent(int dir_fd, const char *rel, const char **ret_last)
{
    const char *slash = strrchr(rel, '/');
    char folder[DSPATH_MAX] = "";

    if (!*rel)
        return -EINVAL;
    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - rel), rel);
    *ret_last = slash ? slash + 1 : rel;
    return dspath_open(dir_fd, folder, O_PATH | O_DIRECTORY, 0);
}

int dspath_make_parents(int dir_fd, const char *rel)
{
    char part[DSPATH_MAX];

    for (const char *slash = strchr(rel, '/'); slash; slash = strchr(slash + 1, '/')) {
        const char *last;
        (void)snprintf(part, sizeof part, "%.*s", (int)(slash - rel), rel);
        int parent = dspath_open_parent(dir_fd, part, &last);
        int rc = parent < 0 ? parent : mkdirat(parent, last, 0755) < 0 ? -errno : 0;
        (void)close_fd(parent);
        if (rc < 0 && rc != -EEXIST)
            return rc;
    }
    return 0;
}

static int remove_tree(int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth > DEPTH_MAX)
        return -ELOOP;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        (void)close_fd(fd);
        return -errno;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = remove_tree(dirfd(dir), e->d_name, depth + 1);
    (void)closedir(dir);
    if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
        rc = -errno;
    return rc;
}

int dspath_remove(int dir_fd, const char *rel)
{
    const char *last;
    int parent = dspath_open_parent(dir_fd, rel, &last);

    if (parent < 0)
        return parent;
    int rc = remove_tree(parent, last, 0);
    (void)close_fd(parent);
    return rc;
}
