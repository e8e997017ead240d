/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LINK_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int link_shared_create(int *ret_fd, struct err *err)
{
    cleanup_fd int fd = memfd_create("vm-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, sizeof(struct link_shared)) < 0 ||
        fcntl(fd, F_ADD_SEALS, LINK_SEALS) < 0)
        return err_sys(err, -errno, "cannot make the memory that vmm and vmx share");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int link_shared_map(int fd, struct link_shared **ret_shared, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size != sizeof(struct link_shared) ||
        fcntl(fd, F_GET_SEALS) != LINK_SEALS)
        return err_set(err, -EINVAL, "the shared memory is not what it should be");
    void *at = mmap(NULL, sizeof(struct link_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return err_sys(err, -errno, "cannot map the shared memory");
    *ret_shared = at;
    return 0;
}

int link_ring_writer(struct link_shared *shared, enum link_ring which, struct bytering *ret_ring)
{
    return bytering_init_writer(ret_ring, (void *)shared->ring[which], LINK_RING_SIZE,
                                VM_FD_RING + 2 * (int)which, VM_FD_RING + 2 * (int)which + 1);
}

int link_ring_reader(struct link_shared *shared, enum link_ring which, struct bytering *ret_ring)
{
    return bytering_init_reader(ret_ring, (void *)shared->ring[which], LINK_RING_SIZE,
                                VM_FD_RING + 2 * (int)which, VM_FD_RING + 2 * (int)which + 1);
}

int link_send(int socket, const struct link_message *message, const int *fds, unsigned fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(LINK_FDS_MAX * sizeof(int))];
    struct iovec iov = {(void *)message, sizeof *message};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count > LINK_FDS_MAX)
        return -E2BIG;
    if (fd_count) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(fd_count * sizeof(int))};
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Takes the descriptors out of a message; closes them all when there are more than wanted. */
static int take_fds(struct msghdr *msg, int *fds, unsigned fd_max, unsigned *ret_count)
{
    unsigned count = 0;
    bool refused = msg->msg_flags & MSG_CTRUNC;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned here = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < fd_max)
                fds[count++] = fd;
            else
                refused = close_fd(fd) < 0;
        }
    }
    for (unsigned i = 0; refused && i < count; i++)
        fds[i] = close_fd(fds[i]);
    *ret_count = refused ? 0 : count;
    return refused ? -EBADMSG : 0;
}

int link_receive(int socket, struct link_message *ret_message, int *fds, unsigned fd_max,
                 unsigned *ret_fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(LINK_FDS_MAX * sizeof(int))];
    struct iovec iov = {ret_message, sizeof *ret_message};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    unsigned count = 0;
    ssize_t n;

    do
        n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : -EPIPE;
    int rc = take_fds(&msg, fds, fd_max, &count);
    if (rc == 0 && (n != sizeof *ret_message || ret_message->kind >= LINK_KIND_MAX)) {
        for (unsigned i = 0; i < count; i++)
            (void)close_fd(fds[i]);
        rc = -EBADMSG;
    }
    if (rc == 0 && ret_fd_count)
        *ret_fd_count = count;
    return rc;
}
