/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/program.h"

void spawn_fds_init(struct spawn_fds *fds)
{
    for (int i = 0; i < VM_FD_END; i++)
        fds->fd[i] = -1;
}

void spawn_fds_close(struct spawn_fds *fds)
{
    for (int i = 0; i < VM_FD_END; i++)
        fds->fd[i] = close_fd(fds->fd[i]);
}

int spawn_fds_share(struct spawn_fds *fds, enum vm_fd number, int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, VM_FD_END);

    if (moved < 0)
        return -errno;
    (void)close_fd(fds->fd[number]);
    fds->fd[number] = moved;
    return 0;
}

int spawn_fds_put(struct spawn_fds *fds, enum vm_fd number, int fd)
{
    int rc = spawn_fds_share(fds, number, fd);

    (void)close_fd(fd);
    return rc;
}

/* A program on its way: no input, no output, no signal blocked, a process group of its own; and the
 * descriptors that are added between start_begin and start_end. */
struct start {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
};

static int start_begin(struct start *start)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&start->attr);
    (void)posix_spawnattr_setflags(&start->attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&start->attr, &none);
    (void)posix_spawn_file_actions_init(&start->actions);
    int rc =
        posix_spawn_file_actions_addopen(&start->actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    return rc ? rc : posix_spawn_file_actions_adddup2(&start->actions, STDIN_FILENO, STDOUT_FILENO);
}

/* `rc`: of what came before. Ends `start`. */
static int start_end(struct start *start, int rc, const char *path, char *const *argv,
                     pid_t *ret_pid, struct err *err)
{
    char *envp[] = {NULL};

    if (rc == 0)
        rc = posix_spawn(ret_pid, path, &start->actions, &start->attr, argv, envp);
    (void)posix_spawn_file_actions_destroy(&start->actions);
    (void)posix_spawnattr_destroy(&start->attr);
    return rc ? err_sys(err, -rc, "cannot start %s", path) : 0;
}

static int find(const char *name, char path[PATH_MAX], struct err *err)
{
    char full[64];

    (void)snprintf(full, sizeof full, "socle-%s", name);
    return program_find(full, path, PATH_MAX, err);
}

int spawn(const char *name, const struct spawn_fds *fds, pid_t *ret_pid, struct err *err)
{
    struct start start;
    char path[PATH_MAX];
    int rc = find(name, path, err);

    if (rc < 0)
        return rc;
    rc = start_begin(&start);
    for (int i = 0; i < VM_FD_END && rc == 0; i++)
        if (fds->fd[i] >= 0)
            rc = posix_spawn_file_actions_adddup2(&start.actions, fds->fd[i], i);
    return start_end(&start, rc, path, (char *[]){path, NULL}, ret_pid, err);
}

int spawn_program(const char *name, const char *const *argv, int fd3, int error_fd, pid_t *ret_pid,
                  struct err *err)
{
    struct start start;
    char path[PATH_MAX];
    int rc = find(name, path, err);

    if (rc < 0)
        return rc;
    /* Out of the way of the numbers that are given out. */
    cleanup_fd int moved3 = fcntl(fd3, F_DUPFD_CLOEXEC, 10);
    cleanup_fd int moved2 = fcntl(error_fd, F_DUPFD_CLOEXEC, 10);
    rc = start_begin(&start);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&start.actions, moved2, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&start.actions, moved3, 3);
    return start_end(&start, rc, path, (char *const *)argv, ret_pid, err);
}
