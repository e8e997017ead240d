/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a host, whether or not hostd runs: VMs are asked by their keepers. */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"
#include "hostd/up/rootdir.h"
#include "hostd/up/up.h"
#include "vm/process/keeper.h"

enum { HOST_STOP_MS = 45000, SHUTDOWN_S = 300, OFF_S = 30 };

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

/* Waits for KEEPER_ENDED or the end of the connection. */
static bool wait_for_end(int fd, uint64_t deadline)
{
    struct keeper_message m;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_now();
        if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000000) + 1) < 1)
            return false;
        int rc = keeper_receive(fd, &m, NULL);
        if ((rc < 0 && rc != -EAGAIN) || (rc == 0 && m.kind == KEEPER_ENDED))
            return true;
    }
}

/* A VM to be ended, -1 if it does not run. The connection stays until the end: one that closes with
 * something unread takes what it sent along. */
static int ask(const char *path, enum down_vms vms)
{
    int fd = -1;

    if (keeper_connect(path, &fd) == 0)
        (void)keeper_send(fd, vms == DOWN_OFF ? KEEPER_STOP : KEEPER_POWER_BUTTON);
    return fd;
}

/* All at once, then one after another until each has ended. */
static int end_vms(enum down_vms vms, struct err *err)
{
    uint64_t deadline = clock_now() + (uint64_t)(vms == DOWN_OFF ? OFF_S : SHUTDOWN_S) * 1000000000;
    unsigned running = 0;
    glob_t found;

    if (glob(ROOTDIR_VMS "/*.sock", 0, NULL, &found) != 0)
        return 0;
    cleanup_free int *fds = calloc(found.gl_pathc, sizeof *fds);
    for (size_t i = 0; fds && i < found.gl_pathc; i++)
        fds[i] = ask(found.gl_pathv[i], vms);
    for (size_t i = 0; fds && i < found.gl_pathc; i++) {
        running += fds[i] >= 0 && !wait_for_end(fds[i], deadline);
        (void)close_fd(fds[i]);
    }
    globfree(&found);
    if (!fds)
        return err_sys(err, -ENOMEM, "VMs");
    return running
               ? err_set(err, -ETIMEDOUT, "%u VMs run still; --vms off switches them off", running)
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
    return rc;
}
