/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a host, whether or not hostd runs: VMs are asked by their keepers. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "hostd/up/here.h"
#include "hostd/up/rootdir.h"
#include "hostd/up/up.h"
#include "vm/process/keeper.h"

enum { HOST_STOP_MS = 45000, SHUTDOWN_S = 300, OFF_S = 30, KILL_S = 5 };

static int stop_host(pid_t pid, struct err *err)
{
    cleanup_fd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};

    if (fd < 0 || kill(pid, SIGTERM) < 0)
        return errno == ESRCH ? 0 : err_sys(err, -errno, "cannot end process %d", (int)pid);
    if (poll(&ended, 1, HOST_STOP_MS) != 1)
        return err_set(err, -ETIMEDOUT, "process %d does not end", (int)pid);
    return 0;
}

/* A VM that is to end. Its keeper says which process it is, and that process is waited for: a
 * connection that closes, or was never let in, is not the end of a VM. */
struct ending {
    const char *path;
    int fd;     /* to the keeper; -1: nobody listens */
    pid_t pid;  /* the keeper's; 0: not said yet */
    int end_fd; /* its pidfd; -1 */
};

static void know(struct ending *e, pid_t pid)
{
    e->pid = pid;
    e->end_fd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool has_ended(const struct ending *e)
{
    struct pollfd ended = {.fd = e->end_fd, .events = POLLIN};

    return e->pid && (e->end_fd < 0 || poll(&ended, 1, 0) == 1);
}

/* What the keeper says meanwhile. */
static void listen_to(struct ending *e)
{
    struct keeper_message m;
    int rc = keeper_receive(e->fd, &m, NULL);

    if (rc == 0 && m.kind == KEEPER_USAGE && !e->pid)
        know(e, (pid_t)strtol(m.text, NULL, 10));
    if (rc < 0 && rc != -EAGAIN)
        e->fd = close_fd(e->fd);
}

static bool wait_for_end(struct ending *e, uint64_t deadline)
{
    uint64_t now;

    while (!has_ended(e) && (e->fd >= 0 || e->pid) && (now = clock_now()) < deadline) {
        struct pollfd p[2] = {{.fd = e->fd, .events = POLLIN}, {.fd = e->end_fd, .events = POLLIN}};
        int ms = (int)((deadline - now) / 1000000) + 1;
        if (poll(p, 2, ms) > 0 && p[0].revents)
            listen_to(e);
    }
    return has_ended(e) || (e->fd < 0 && !e->pid);
}

static void ask(struct ending *e, enum down_vms vms)
{
    if (keeper_connect(e->path, &e->fd) < 0)
        return;
    (void)keeper_send(e->fd, KEEPER_USAGE);
    (void)keeper_send(e->fd, vms == DOWN_OFF ? KEEPER_STOP : KEEPER_POWER_BUTTON);
}

/* Whoever waits for guests wants to know for how many, and how long. */
static void tell(enum down_vms vms, unsigned left, unsigned all)
{
    if (vms == DOWN_SHUTDOWN && left && left == all)
        (void)fprintf(stderr,
                      "socle down: waiting for %u %s to shut down, for %u minutes at most\n", left,
                      left == 1 ? "VM" : "VMs", SHUTDOWN_S / 60);
    else if (vms == DOWN_SHUTDOWN && left)
        (void)fprintf(stderr, "socle down: %u of %u VMs left\n", left, all);
}

/* All at once, then one after another until each has ended. */
static int end_vms(enum down_vms vms, struct err *err)
{
    uint64_t deadline = clock_now() + (uint64_t)(vms == DOWN_OFF ? OFF_S : SHUTDOWN_S) * 1000000000;
    unsigned asked = 0, ended = 0;
    glob_t found;

    if (glob(ROOTDIR_VMS "/*.sock", 0, NULL, &found) != 0)
        return 0;
    cleanup_free struct ending *all = calloc(found.gl_pathc, sizeof *all);
    for (size_t i = 0; all && i < found.gl_pathc; i++) {
        all[i] = (struct ending){.path = found.gl_pathv[i], .fd = -1, .end_fd = -1};
        ask(&all[i], vms);
        asked += all[i].fd >= 0;
    }
    tell(vms, asked, asked);
    for (size_t i = 0; all && i < found.gl_pathc; i++) {
        bool was_asked = all[i].fd >= 0;
        if (wait_for_end(&all[i], deadline) && was_asked)
            tell(vms, asked - ++ended, asked);
        (void)close_fd(all[i].fd);
        (void)close_fd(all[i].end_fd);
    }
    globfree(&found);
    return all ? 0 : err_sys(err, -ENOMEM, "VMs");
}

/* --- what is left --- */

/* Of all keepers of this host, whether or not somebody still finds their sockets. */
static unsigned each_keeper(void (*each)(void *ctx, pid_t pid), void *ctx)
{
    return here_each("socle-keeper", each, ctx);
}

/* The VM goes with its keeper. */
static void kill_one(void *ctx, pid_t pid)
{
    uint64_t deadline = clock_now() + (uint64_t)KILL_S * 1000000000;
    struct ending e = {.fd = -1};

    (void)ctx;
    know(&e, pid);
    (void)fprintf(stderr, "socle down: process %d did not end by itself; it is killed\n", (int)pid);
    (void)kill(pid, SIGKILL);
    (void)wait_for_end(&e, deadline);
    (void)close_fd(e.end_fd);
}

static void name_one(void *ctx, pid_t pid)
{
    buf_printf(ctx, "%s%d", ((struct buf *)ctx)->len ? ", " : "", (int)pid);
}

static int look_for_left(enum down_vms vms, struct err *err)
{
    cleanup_buf struct buf pids = {0};

    if (vms == DOWN_OFF)
        (void)each_keeper(kill_one, NULL);
    unsigned running = each_keeper(name_one, &pids);
    return running
               ? err_set(err, -ETIMEDOUT, "%u VMs run still (processes %s)%s", running,
                         buf_cstr(&pids), vms == DOWN_OFF ? "" : "; --vms off switches them off")
               : 0;
}

int down_run(const char *root, enum down_vms vms, struct err *err)
{
    pid_t holder = 0;
    int rc = rootdir_enter(root, &holder, err);

    if (rc == 0 && holder)
        rc = stop_host(holder, err);
    if (rc == 0 && vms != DOWN_LEAVE)
        rc = end_vms(vms, err);
    if (rc == 0 && vms != DOWN_LEAVE)
        rc = look_for_left(vms, err);
    return rc;
}
