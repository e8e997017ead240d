/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a keeper. */
#include "vm/process/keeper.h"

#include <errno.h>
#include <fcntl.h>
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
#include "vm/process/config_fd.h"
#include "vm/process/spawn.h"

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

int keeper_start(const struct vmcfg *cfg, const char *path, struct err *err)
{
    cleanup_fd int config = -1;
    int status = 0, words[2];
    pid_t pid;

    int rc = config_fd(cfg, &config, err);
    if (rc < 0)
        return rc;
    if (pipe2(words, O_CLOEXEC) < 0)
        return err_sys(err, -errno, "cannot make a pipe");
    const char *argv[] = {"socle-keeper", path, NULL};
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

int keeper_send(int fd, enum keeper_kind kind)
{
    struct keeper_message m = {.kind = kind};
    ssize_t n = send(fd, &m, sizeof m, MSG_NOSIGNAL);

    return n < 0 ? -errno : 0;
}

static int check(const struct keeper_message *m, ssize_t n)
{
    if (n != (ssize_t)sizeof *m || m->kind >= KEEPER_KIND_MAX ||
        (m->kind == KEEPER_ENDED && m->value >= VM_END_MAX) || !memchr(m->text, 0, sizeof m->text))
        return -EBADMSG;
    return 0;
}

int keeper_receive(int fd, struct keeper_message *ret_message)
{
    ssize_t n = recv(fd, ret_message, sizeof *ret_message, MSG_TRUNC);

    if (n < 0)
        return errno == EINTR ? -EAGAIN : errno == ECONNRESET ? -EPIPE : -errno;
    return n == 0 ? -EPIPE : check(ret_message, n);
}

int keeper_last_words(const char *path, struct keeper_message *ret_message)
{
    cleanup_buf struct buf data = {0};
    char end[sizeof(struct sockaddr_un) + 8];

    (void)snprintf(end, sizeof end, "%s.end", path);
    int rc = file_load(AT_FDCWD, end, sizeof *ret_message, &data, NULL);
    if (rc < 0)
        return rc;
    if (data.len != sizeof *ret_message)
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
