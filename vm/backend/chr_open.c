/* SPDX-License-Identifier: Apache-2.0 */
/* The part of chr.h that opens things, for the process that may. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vm/backend/chr.h"

/* Is `path` a socket left behind by a listener that is gone? */
static bool is_stale(int fd, const struct sockaddr_un *addr)
{
    struct stat st;

    return lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
           connect(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 && errno == ECONNREFUSED;
}

static int bind_listen(int fd, const struct sockaddr_un *addr)
{
    int rc;

    /* The mode that the socket file is born with; nobody else may connect in between. */
    mode_t mask = umask(0077);
    rc = bind(fd, (const struct sockaddr *)addr, sizeof *addr) < 0 ? -errno : 0;
    (void)umask(mask);
    return rc == 0 && listen(fd, 1) < 0 ? -errno : rc;
}

int chr_listen_unix(const char *path, int *ret_fd, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    int rc;

    if (strlen(path) >= sizeof addr.sun_path)
        return err_set(err, -ENAMETOOLONG, "socket \"%s\": a socket's path has at most %zu bytes",
                       path, sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -errno : bind_listen(fd, &addr);
    if (rc == -EADDRINUSE && is_stale(fd, &addr)) {
        (void)unlink(path);
        rc = bind_listen(fd, &addr);
    }
    if (rc < 0)
        return err_sys(err, rc, "socket \"%s\"", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int chr_open_file(const char *path, int *ret_fd, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);

    if (fd < 0)
        return err_sys(err, -errno, "cannot write \"%s\"", path);
    *ret_fd = fd;
    return 0;
}
