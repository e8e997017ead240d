/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/console.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

int console_send(int socket, const struct console_message *message, const int *fds,
                 unsigned fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CONSOLE_FDS_MAX * sizeof(int))] = {0};
    struct iovec iov = {(void *)message, sizeof *message};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count > CONSOLE_FDS_MAX)
        return -E2BIG;
    if (fd_count) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    return sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Too many, or unwanted ones, are closed and spoil the message. */
static int take_fds(struct msghdr *msg, int *fds)
{
    unsigned count = 0;
    int rc = msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? -EBADMSG : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)c + at, sizeof fd);
            if (fds && count < CONSOLE_FDS_MAX)
                fds[count++] = fd;
            else
                rc = close_fd(fd) < 0 ? -EBADMSG : rc;
        }
    }
    return rc;
}

int console_receive(int socket, struct console_message *ret_message, int *fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CONSOLE_FDS_MAX * sizeof(int))];
    struct iovec iov = {ret_message, sizeof *ret_message};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    for (unsigned i = 0; fds && i < CONSOLE_FDS_MAX; i++)
        fds[i] = -1;
    ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n <= 0)
        return n == 0 ? -EPIPE : errno == EINTR ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
    int rc = take_fds(&msg, fds);
    if (rc == 0 && (n != sizeof *ret_message || ret_message->kind >= CONSOLE_KIND_MAX))
        rc = -EBADMSG;
    for (unsigned i = 0; rc < 0 && fds && i < CONSOLE_FDS_MAX; i++)
        fds[i] = close_fd(fds[i]);
    return rc;
}

int console_ask(int socket, const struct console_message *message, int fd, uint32_t *ret_value)
{
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    struct console_message answer;
    int rc = console_send(socket, message, &fd, fd >= 0);

    if (rc == 0 && poll(&ready, 1, CONSOLE_ANSWER_MS) != 1)
        rc = -ETIMEDOUT;
    if (rc == 0)
        rc = console_receive(socket, &answer, NULL);
    if (rc == 0 && answer.kind != CONSOLE_DONE)
        rc = -EBADMSG;
    if (rc == 0)
        *ret_value = answer.value;
    return rc;
}
