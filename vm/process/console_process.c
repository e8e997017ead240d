/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/console_process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/range.h"
#include "vm/backend/console_page.h"
#include "vm/dev/vga.h"
#include "vm/process/console.h"

enum { BACKLOG = 16, REAP_MS = 2000 };

void console_process_init(struct console_process *console)
{
    *console = (struct console_process){.listen = -1, .control = -1, .pidfd = -1};
    spawn_fds_init(&console->fds);
}

/* --- what is shared --- */

/* `a` and `b` get a duplicate each; NULL: nobody. */
static int share(int fd, unsigned number, struct spawn_fds *a, struct spawn_fds *b)
{
    int rc = fd < 0 ? -errno : 0;

    if (rc == 0 && a)
        rc = spawn_fds_share(a, (enum vm_fd)number, fd);
    if (rc == 0 && b)
        rc = spawn_fds_share(b, (enum vm_fd)number, fd);
    return rc;
}

/* The display's memory. Who shows it gets a descriptor that cannot write. */
static int make_video(struct console_process *c, struct spawn_fds *vmm)
{
    cleanup_fd int fd = memfd_create("video", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    char path[64];

    if (fd < 0 || ftruncate(fd, VGA_MEMORY_SIZE) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cleanup_fd int readonly = open(path, O_RDONLY | O_CLOEXEC);
    int rc = share(readonly, VM_FD_VIDEO, &c->fds, NULL);
    return rc < 0 ? rc : share(fd, VM_FD_VIDEO, vmm, NULL);
}

static int make_ring(struct console_process *c, unsigned number, struct spawn_fds *reader)
{
    int rc = 0;

    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        cleanup_fd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        rc = share(fd, number + i, &c->fds, reader);
    }
    return rc;
}

static int make_shared(struct console_process *c, struct spawn_fds *vmm, struct spawn_fds *vmx,
                       struct err *err)
{
    cleanup_fd int page = -1;
    int rc = console_page_create(&page, err);

    if (rc < 0)
        return rc;
    rc = share(page, VM_FD_CONSOLE_PAGE, vmm, vmx);
    if (rc == 0)
        rc = share(page, VM_FD_CONSOLE_PAGE, &c->fds, NULL);
    if (rc == 0)
        rc = make_video(c, vmm);
    if (rc == 0)
        rc = make_ring(c, VM_FD_KEYS, vmm);
    if (rc == 0)
        rc = make_ring(c, VM_FD_TABLET, vmx);
    return rc < 0 ? err_sys(err, rc, "cannot make the console's shared memory") : 0;
}

static int listen_at(const char *text, uint16_t port, int *ret_fd)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    const int one = 1;

    if (!is_v4 && inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return -EINVAL;
    cleanup_fd int fd =
        socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, address, is_v4 ? sizeof v4 : sizeof v6) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* --- the program --- */

/* Tells it; descriptors are duplicated. */
static int tell(struct console_process *c, enum console_kind kind, const char *text, int fd)
{
    struct console_message m = {.kind = kind};

    (void)snprintf(m.text, sizeof m.text, "%s", text ? text : "");
    return console_send(c->control, &m, &fd, fd >= 0);
}

static void stop(struct console_process *c)
{
    struct pollfd exited = {.fd = c->pidfd, .events = POLLIN};

    loop_del(&c->exited);
    c->control = close_fd(c->control); /* which it ends with */
    if (c->pid > 0) {
        if (c->pidfd < 0 || poll(&exited, 1, REAP_MS) != 1)
            (void)kill(c->pid, SIGKILL);
        (void)waitpid(c->pid, NULL, 0);
    }
    c->pid = 0;
    c->pidfd = close_fd(c->pidfd);
}

static void on_knock(void *ctx, uint32_t events);

/* While the program does not run somebody has to see that it is wanted. */
static int watch_door(struct console_process *c)
{
    return c->listen < 0 ? 0 : loop_add_fd(c->loop, &c->knock, c->listen, EPOLLIN, on_knock, c);
}

static void on_exited(void *ctx, uint32_t events)
{
    struct console_process *c = ctx;

    (void)events;
    log_info("%s: the console's process has ended; the VM runs on", c->name);
    stop(c);
    (void)watch_door(c);
}

static int start(struct console_process *c, struct err *err)
{
    int sv[2];

    if (c->pid > 0)
        return 0;
    loop_del(&c->knock);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return err_sys(err, -errno, "cannot make a socket");
    c->control = sv[0];
    int rc = spawn_fds_put(&c->fds, VM_FD_CONTROL, sv[1]);
    if (rc == 0)
        rc = spawn("rfb", &c->fds, &c->pid, err);
    c->fds.fd[VM_FD_CONTROL] = close_fd(c->fds.fd[VM_FD_CONTROL]);
    if (rc == 0 && (c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0)) < 0)
        rc = -errno;
    if (rc == 0)
        rc = loop_add_fd(c->loop, &c->exited, c->pidfd, EPOLLIN, on_exited, c);
    if (rc == 0)
        rc = tell(c, CONSOLE_NAME, c->name, -1);
    if (rc == 0 && c->listen >= 0)
        rc = tell(c, CONSOLE_LISTEN, c->password, c->listen);
    if (rc < 0) {
        stop(c);
        return err && err->code ? rc : err_sys(err, rc, "the console's process");
    }
    return 0;
}

static void on_knock(void *ctx, uint32_t events)
{
    struct console_process *c = ctx;
    struct err err = ERR_INIT;

    (void)events;
    if (start(c, &err) < 0) { /* whoever knocks would do so for ever */
        log_error("%s", err.text);
        c->listen = close_fd(c->listen);
    }
}

int console_process_open(struct console_process *console, const struct vmcfg *cfg,
                         struct loop *loop, struct spawn_fds *vmm, struct spawn_fds *vmx,
                         struct err *err)
{
    struct console_process *c = console;
    int rc = 0;

    c->loop = loop;
    c->name = strdup(cfg->name);
    c->password = cfg->vnc_password ? strdup(cfg->vnc_password) : NULL;
    if (!c->name || (cfg->vnc_password && !c->password))
        return err_set(err, -ENOMEM, "out of memory");
    if (cfg->vnc_addr && (rc = listen_at(cfg->vnc_addr, cfg->vnc_port, &c->listen)) < 0) {
        (void)err_sys(err, rc, "VNC at %s, port %u", cfg->vnc_addr, cfg->vnc_port);
        return -EBADMSG;
    }
    rc = make_shared(c, vmm, vmx, err);
    if (rc == 0 && (rc = watch_door(c)) < 0)
        (void)err_sys(err, rc, "VNC");
    return rc;
}

int console_process_connect(struct console_process *console, int socket, struct err *err)
{
    int rc = start(console, err);
    if (rc < 0)
        return rc;
    rc = tell(console, CONSOLE_USER, NULL, socket);
    return rc < 0 ? err_sys(err, rc, "the console's process") : 0;
}

void console_process_close(struct console_process *console)
{
    stop(console);
    loop_del(&console->knock);
    console->listen = close_fd(console->listen);
    spawn_fds_close(&console->fds);
    free(console->name);
    free(console->password);
    console_process_init(console);
}
