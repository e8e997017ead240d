/* SPDX-License-Identifier: Apache-2.0 */
/* Starts passt (the parent's half of the user-mode network). passt keeps to itself: as root it
 * becomes `nobody`, and either way it moves into an empty root and namespaces of its own and drops
 * every capability before it looks at a frame. It goes into the background once it is ready, so its
 * exit status says whether it is, and it ends when the VM's end of the socket closes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/loop.h"
#include "vm/backend/nic.h"

enum { PASST_FD = 3, START_MS = 10000, RESOLVERS_MAX = 3 };

extern char **environ;

/* Name servers for the guest. passt hands on those of /etc/resolv.conf, but a server on the host's
 * loopback can not be reached by a guest that we keep from there; then what systemd-resolved asks
 * itself is taken. Without either the guest has no name server. */
struct resolvers {
    char addr[RESOLVERS_MAX][INET6_ADDRSTRLEN];
    unsigned count;
};

static bool is_loopback(const char *addr)
{
    return !strncmp(addr, "127.", 4) || !strcmp(addr, "::1");
}

/* The address of a line "nameserver ADDRESS", or NULL; cuts the line. */
static const char *resolver_of(char *line)
{
    static const char word[] = "nameserver";
    uint8_t raw[16];
    char *save = NULL;
    const char *first = strtok_r(line, " \t\n", &save), *addr = strtok_r(NULL, " \t\n", &save);

    if (!first || strcmp(first, word) != 0 || !addr || is_loopback(addr))
        return NULL;
    return inet_pton(AF_INET, addr, raw) == 1 || inet_pton(AF_INET6, addr, raw) == 1 ? addr : NULL;
}

static void read_resolvers(const char *path, struct resolvers *r)
{
    FILE *file = fopen(path, "re");
    char line[256];

    r->count = 0;
    while (file && r->count < RESOLVERS_MAX && fgets(line, sizeof line, file)) {
        const char *addr = resolver_of(line);
        if (addr)
            (void)snprintf(r->addr[r->count++], sizeof r->addr[0], "%s", addr);
    }
    if (file)
        (void)fclose(file);
}

static int spawn(int sock, int out, pid_t *ret_pid)
{
    const char *argv[16 + 2 * RESOLVERS_MAX] = {"passt", "-q",   "-F",          "3",  "-t",  "none",
                                                "-u",    "none", "--no-map-gw", "-m", "1500"};
    unsigned argc = 11;
    struct resolvers own, upstream;

    read_resolvers("/etc/resolv.conf", &own);
    read_resolvers("/run/systemd/resolve/resolv.conf", &upstream);
    for (unsigned i = 0; !own.count && i < upstream.count; i++) {
        argv[argc++] = "-D";
        argv[argc++] = upstream.addr[i];
    }
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rc;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_init(&files))
        return -ENOMEM;
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&files, out, 1);
    (void)posix_spawn_file_actions_adddup2(&files, out, 2);
    (void)posix_spawn_file_actions_adddup2(&files, sock, PASST_FD);
    rc = posix_spawnp(ret_pid, argv[0], &files, &attr, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return -rc;
}

/* What it says until it is ready or has ended, when both ends of its output are closed. */
static int listen_to(int fd, char *text, size_t size)
{
    uint64_t end = clock_now() + UINT64_C(1000000) * START_MS, now;
    size_t used = 0;

    while ((now = clock_now()) < end) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (poll(&pfd, 1, (int)((end - now) / 1000000) + 1) <= 0)
            continue;
        char chunk[256];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return 0;
        if ((size_t)n > size - 1 - used)
            n = (ssize_t)(size - 1 - used);
        memcpy(text + used, chunk, (size_t)n);
        used += (size_t)n;
        text[used] = '\0';
    }
    return -ETIMEDOUT;
}

/* The lines that give the reason, as one; the others are about syslog and who it runs as. */
static void reason(char *text, size_t size)
{
    cleanup_buf struct buf lines = {0};
    char *save = NULL;
    char said[1024];

    (void)snprintf(said, sizeof said, "%s", text);
    for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, "to syslog") || strstr(line, "Don't run as root"))
            continue;
        buf_printf(&lines, "%s%s", lines.len ? "; " : "", line);
    }
    (void)snprintf(text, size, "%s", buf_cstr(&lines));
}

static int failed(char *text, size_t size, int status, struct err *err)
{
    reason(text, size);
    if (strstr(text, "namespace")) /* first: a missing IPv6 route is said, too, and harmless */
        return err_set(err, -EPERM,
                       "user-mode network: passt may not make its sandbox here (%s); user "
                       "namespaces must be allowed",
                       text);
    if (strstr(text, "External interface"))
        return err_set(err, -ENETUNREACH,
                       "user-mode network: this machine has no default route (passt: %s)", text);
    return err_set(err, -EIO, "user-mode network: passt ended with status %d%s%s",
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                   *text ? ": " : "", text);
}

int nic_user_start(int *ret_fd, struct err *err)
{
    cleanup_fd int near = -1, far = -1, said = -1, out = -1;
    int pair[2], status = 0, rc;
    char text[1024] = "";
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, -errno, "user-mode network");
    near = pair[0];
    far = pair[1];
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_sys(err, -errno, "user-mode network");
    said = pair[0];
    out = pair[1];
    rc = spawn(far, out, &pid);
    if (rc == -ENOENT)
        return err_set(err, rc, "user-mode network: the program passt is not installed");
    if (rc < 0)
        return err_sys(err, rc, "user-mode network: cannot start passt");
    far = close_fd(far);
    out = close_fd(out);
    rc = listen_to(said, text, sizeof text);
    if (rc < 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0)
        return err_set(err, rc, "user-mode network: passt is not ready after %d s",
                       START_MS / 1000);
    if (status)
        return failed(text, sizeof text, status, err);
    *ret_fd = TAKE_FD(near);
    return 0;
}
