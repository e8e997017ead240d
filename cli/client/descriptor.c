/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file_copy.h"
#include "base/range.h"

DEFINE_CLEANUP(struct api_socket *, api_socket_close)

static int send_request(int socket, const struct http *http, const char *path)
{
    cleanup_buf struct buf text = {0};

    buf_printf(&text,
               "GET %s HTTP/1.1\r\nHost: local\r\nConnection: close\r\n"
               "vmware-api-session-id: %s\r\nSocle-Descriptor: 1\r\n\r\n",
               path, http->session);
    ssize_t n = text.failed ? -1 : send(socket, text.data, text.len, MSG_NOSIGNAL);
    return n == (ssize_t)text.len ? 0 : -EOPNOTSUPP;
}

/* It comes with the answer's first byte. */
static int receive_descriptor(int socket)
{
    char head[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {.iov_base = head, .iov_len = sizeof head};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = -EOPNOTSUPP;

    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0)
        return fd;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

static int ask(struct http *http, const char *path, struct err *err)
{
    struct api_socket *socket CLEANUP(api_socket_close_cleanup_) = NULL;
    int rc = http_socket(http, &socket, err);

    if (rc < 0)
        return rc;
    int flags = fcntl(api_socket_fd(socket), F_GETFL);
    (void)fcntl(api_socket_fd(socket), F_SETFL, flags & ~O_NONBLOCK); /* curl's way is another */
    rc = send_request(api_socket_fd(socket), http, path);
    return rc < 0 ? rc : receive_descriptor(api_socket_fd(socket));
}

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct api_progress *p = ctx;

    if (p)
        p->moved(p->ctx, done, total);
    return api_interrupted() ? -ECANCELED : 0;
}

int descriptor_save(struct http *http, const char *path, int fd,
                    const struct api_progress *progress, struct err *err)
{
    cleanup_fd int from = *http->socket ? ask(http, path, err) : -EOPNOTSUPP;
    struct file_copy copy = {.progress = on_progress, .ctx = (void *)(uintptr_t)progress};
    struct stat st;

    if (from < 0)
        return from;
    if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
        return -EOPNOTSUPP;
    copy.total = MIN((uint64_t)st.st_size, (uint64_t)st.st_blocks * 512);
    int rc = file_copy_data(&copy, from, fd);
    if (rc == -ECANCELED)
        return err_set(err, rc, "cancelled");
    return rc < 0 ? err_sys(err, rc, "cannot copy it") : 0;
}
