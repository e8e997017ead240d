/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a keeper. */
#include "vm/process/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/loop.h"
#include "vm/process/config_fd.h"
#include "vm/process/spawn.h"

enum { LAST_WORDS_MAX = 4096 };

/* What the keeper said when it could not start. */
static int read_complaint(int fd, struct err *err)
{
    char text[ERR_TEXT_MAX] = "";
    ssize_t n = read(fd, text, sizeof text - 1);

    if (n <= 0)
        return err_set(err, -EIO, "the VM's keeper ended at once");
    text[strcspn(text, "\n")] = '\0';
    return err_set(err, -EIO, "%s", text);
}

int keeper_start(const struct vmcfg *cfg, const char *path, const char *log, struct err *err)
{
    cleanup_fd int config = -1;
    int status = 0, words[2];
    pid_t pid;

    int rc = config_fd(cfg, &config, err);
    if (rc < 0)
        return rc;
    if (pipe2(words, O_CLOEXEC) < 0)
        return err_sys(err, -errno, "cannot make a pipe");
    const char *argv[] = {"socle-keeper", path, log, NULL};
    rc = spawn_program("keeper", argv, config, words[1], &pid, err);
    (void)close_fd(words[1]);
    if (rc == 0 && waitpid(pid, &status, 0) < 0)
        rc = err_sys(err, -errno, "the VM's keeper");
    if (rc == 0 && status)
        rc = read_complaint(words[0], err);
    (void)close_fd(words[0]);
    return rc;
}

int keeper_connect(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
        (int)sizeof address.sun_path)
        return -ENAMETOOLONG;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
};

int keeper_send_message(int socket, const struct keeper_message *message, int fd)
{
    union control control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof *message};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        header.msg_control = control.space;
        header.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int keeper_send(int fd, enum keeper_kind kind)
{
    const struct keeper_message m = {.kind = kind};

    return keeper_send_message(fd, &m, -1);
}

static int send_bytes(int socket, enum keeper_kind kind, uint64_t token, const void *data,
                      size_t len, const char *name, struct err *err)
{
    struct keeper_message m = {.kind = kind, .token = token};
    cleanup_fd int fd = -1;

    if (snprintf(m.text, sizeof m.text, "%s", name) >= (int)sizeof m.text)
        return err_sys(err, -ENAMETOOLONG, "%s", name);
    int rc = bytes_fd(data, len, &fd, err);
    if (rc == 0 && (rc = keeper_send_message(socket, &m, fd)) < 0)
        (void)err_sys(err, rc, "the VM's keeper");
    return rc;
}

int keeper_change(int socket, const struct keeper_change *change, struct err *err)
{
    const struct keeper_message with_state = {.kind = KEEPER_WITH_STATE, .token = change->token};
    const struct keeper_message go = {.kind = KEEPER_CHANGE,
                                      .value = change->flags,
                                      .changes = change->changes,
                                      .token = change->token};
    cleanup_buf struct buf config = {0};
    int rc = change->cfg ? vmcfg_encode(change->cfg, &config) : 0;

    if (rc == 0 && change->state_fd >= 0)
        rc = keeper_send_message(socket, &with_state, change->state_fd);
    if (rc < 0)
        return err_sys(err, rc, "the VM's keeper");
    if (change->cfg)
        rc =
            send_bytes(socket, KEEPER_WITH_CONFIG, change->token, config.data, config.len, "", err);
    if (rc == 0 && change->commit_path)
        rc = send_bytes(socket, KEEPER_WITH_COMMIT, change->token, change->commit,
                        change->commit_len, change->commit_path, err);
    for (unsigned i = 0; i < VMCFG_DISKS_MAX && rc == 0; i++) {
        const struct keeper_message size = {.kind = KEEPER_WITH_SIZE,
                                            .value = i,
                                            .us = (int64_t)change->grow[i],
                                            .token = change->token};
        if (size.us && (rc = keeper_send_message(socket, &size, -1)) < 0)
            (void)err_sys(err, rc, "the VM's keeper");
    }
    if (rc == 0 && (rc = keeper_send_message(socket, &go, -1)) < 0)
        (void)err_sys(err, rc, "the VM's keeper");
    return rc;
}

/* One that is longer is of a later build. */
static int check(const struct keeper_message *m, ssize_t n)
{
    if (n < (ssize_t)sizeof *m || (m->kind == KEEPER_ENDED && m->value >= VM_END_MAX) ||
        !memchr(m->text, 0, sizeof m->text))
        return -EBADMSG;
    return 0;
}

int keeper_receive(int socket, struct keeper_message *ret_message, int *ret_fd)
{
    union control control = {0};
    struct iovec iov = {.iov_base = ret_message, .iov_len = sizeof *ret_message};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = ret_fd ? control.space : NULL,
                            .msg_controllen = ret_fd ? sizeof control.space : 0};
    ssize_t n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    cleanup_fd int fd = -1;

    if (n < 0)
        return errno == EINTR ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
    if (n == 0)
        return -EPIPE;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    int rc = check(ret_message, n);
    if (rc == 0 && ret_fd)
        *ret_fd = TAKE_FD(fd);
    return rc;
}

/* Messages of other kinds come on each connection: what state the VM is in. */
static int receive_serial(int socket, int *ret_fd)
{
    struct keeper_message m;
    int fd = -1, rc = keeper_receive(socket, &m, &fd);

    if (rc < 0)
        return rc;
    if (m.kind == KEEPER_SERIAL && fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    (void)close_fd(fd);
    if (m.kind == KEEPER_SERIAL)
        return m.value && m.value < 4096 ? -(int)m.value : -EBADMSG;
    return m.kind == KEEPER_ENDED ? -EPIPE : -EAGAIN;
}

int keeper_serial(const char *path, int *ret_fd)
{
    uint64_t deadline = clock_now() + (uint64_t)KEEPER_ANSWER_MS * 1000000, now;
    cleanup_fd int socket = -1;
    int rc = keeper_connect(path, &socket);

    if (rc == 0)
        rc = keeper_send(socket, KEEPER_SERIAL);
    if (rc == 0)
        rc = -EAGAIN;
    while (rc == -EAGAIN && (now = clock_now()) < deadline) {
        struct pollfd ready = {.fd = socket, .events = POLLIN};
        if (poll(&ready, 1, (int)((deadline - now) / 1000000) + 1) == 1)
            rc = receive_serial(socket, ret_fd);
    }
    return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

int keeper_console(int keeper, int *ret_fd)
{
    const struct keeper_message m = {.kind = KEEPER_CONSOLE};
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return -errno;
    int rc = keeper_send_message(keeper, &m, sv[1]);
    (void)close(sv[1]);
    if (rc < 0)
        (void)close(sv[0]);
    else
        *ret_fd = sv[0];
    return rc;
}

bool keeper_knows(uint64_t version, enum keeper_kind kind)
{
    return kind == KEEPER_RETRY ? version >= 2 : kind <= KEEPER_CONSOLE;
}

int keeper_last_words(const char *path, struct keeper_message *ret_message)
{
    cleanup_buf struct buf data = {0};
    char end[sizeof(struct sockaddr_un) + 8];

    (void)snprintf(end, sizeof end, "%s.end", path);
    int rc = file_load(AT_FDCWD, end, LAST_WORDS_MAX, &data, NULL);
    if (rc < 0)
        return rc;
    if (data.len < sizeof *ret_message)
        return -EBADMSG;
    memcpy(ret_message, data.data, sizeof *ret_message);
    return check(ret_message, (ssize_t)data.len);
}

void keeper_forget(const char *path)
{
    char end[sizeof(struct sockaddr_un) + 8];

    (void)snprintf(end, sizeof end, "%s.end", path);
    (void)unlink(end);
    (void)unlink(path);
}
