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

/* Beside the running program (a build tree, an unpacked archive), else where it was installed. */
static int find_program(const char *name, char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);

    if (n > 0) {
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        size_t head = (size_t)(slash - path) + 1;
        if (snprintf(slash + 1, size - head, "socle-%s", name) < (int)(size - head) &&
            access(path, X_OK) == 0)
            return 0;
    }
    if (snprintf(path, size, SOCLE_LIBEXECDIR "/socle-%s", name) >= (int)size ||
        access(path, X_OK) < 0)
        return -ENOENT;
    return 0;
}

int spawn(const char *name, const struct spawn_fds *fds, pid_t *ret_pid, struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char path[PATH_MAX];
    sigset_t none;

    if (find_program(name, path, sizeof path) < 0)
        return err_set(err, -ENOENT,
                       "cannot find the program socle-%s beside socle or in " SOCLE_LIBEXECDIR,
                       name);
    char *argv[] = {path, NULL}, *envp[] = {NULL};
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawn_file_actions_init(&actions);
    int rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    for (int i = 0; i < VM_FD_END && rc == 0; i++)
        if (fds->fd[i] >= 0)
            rc = posix_spawn_file_actions_adddup2(&actions, fds->fd[i], i);
    if (rc == 0)
        rc = posix_spawn(ret_pid, path, &actions, &attr, argv, envp);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return rc ? err_sys(err, -rc, "cannot start %s", path) : 0;
}

int spawn_program(const char *name, const char *const *argv, int fd3, int error_fd, pid_t *ret_pid,
                  struct err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char path[PATH_MAX], *envp[] = {NULL};
    sigset_t none;

    if (find_program(name, path, sizeof path) < 0)
        return err_set(err, -ENOENT,
                       "cannot find the program socle-%s beside socle or in " SOCLE_LIBEXECDIR,
                       name);
    /* Out of the way of the numbers that are given out. */
    cleanup_fd int moved3 = fcntl(fd3, F_DUPFD_CLOEXEC, 10);
    cleanup_fd int moved2 = fcntl(error_fd, F_DUPFD_CLOEXEC, 10);
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawn_file_actions_init(&actions);
    int rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, moved2, STDERR_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, moved3, 3);
    if (rc == 0)
        rc = posix_spawn(ret_pid, path, &actions, &attr, (char *const *)argv, envp);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return rc ? err_sys(err, -rc, "cannot start %s", path) : 0;
}
