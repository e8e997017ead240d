/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor of a host in hosted mode. On an appliance systemd has this place. */
#include "hostd/up/up.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/program.h"
#include "base/range.h"
#include "hostd/session/account.h"
#include "hostd/up/front.h"
#include "hostd/up/ready.h"
#include "hostd/up/rootdir.h"
#include "hostd/up/web_files.h"

enum {
    HOSTD_FD_HTTP = 3, /* hostd/main.c has the same */
    HOSTD_FD_LOCAL = 4,
    READY_S = 60,
    SHORT_LIFE_S = 10, /* a process that ended sooner is started again less eagerly */
    FAILURES_MAX = 8,
    STOP_S = 20,
};
#define SECONDS(n) ((uint64_t)(n)*1000000000)

struct up {
    struct front_config front;
    int signals, http, local; /* descriptors */
    struct helper {
        const char *name;
        pid_t pid;               /* 0: does not run */
        uint64_t started, again; /* ns; when to start it the next time */
        unsigned failures;       /* short lives in a row */
    } hostd, nginx;
};

/* --- sockets --- */

static int listen_at(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    (void)unlink(path); /* we have the lock: nobody listens there */
    mode_t before = umask(0177);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    (void)umask(before);
    if (!ok || listen(fd, 1024) < 0 || chmod(path, mode) < 0)
        return err_sys(err, -errno, "cannot listen at \"%s\"", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int open_sockets(struct up *up, struct err *err)
{
    gid_t group = front_group();
    int rc = listen_at(ROOTDIR_LOCAL, 0600, &up->local, err);

    if (rc == 0)
        rc = listen_at(ROOTDIR_HTTP, group == (gid_t)-1 ? 0600 : 0660, &up->http, err);
    if (rc == 0 && group != (gid_t)-1 && chown(ROOTDIR_HTTP, (uid_t)-1, group) < 0)
        rc = err_sys(err, -errno, "cannot let the front use \"%s\"", ROOTDIR_HTTP);
    return rc;
}

/* --- processes --- */

/* In the child, after fork: only async-signal-safe calls. */
static void exec_hostd(const struct up *up, const char *path, char *port)
{
    char *argv[] = {(char *)(uintptr_t) "socle-hostd", port, NULL};
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)setpgid(0, 0); /* the terminal's Ctrl-C is for us alone */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int http = fcntl(up->http, F_DUPFD, 16), local = fcntl(up->local, F_DUPFD, 16);
    (void)dup2(http, HOSTD_FD_HTTP);
    (void)dup2(local, HOSTD_FD_LOCAL);
    (void)close(http);
    (void)close(local);
    (void)execv(path, argv);
    _exit(127);
}

static int start_hostd(struct up *up, struct err *err)
{
    char path[4096], port[8];
    int rc = program_find("socle-hostd", path, sizeof path, err);

    if (rc < 0)
        return rc;
    (void)snprintf(port, sizeof port, "%u", up->front.port);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, -errno, "cannot start hostd");
    if (pid == 0)
        exec_hostd(up, path, port);
    up->hostd.pid = pid;
    up->hostd.started = clock_now();
    return 0;
}

static int start_front(struct up *up, struct err *err)
{
    unsigned files = 0;

    front_sweep();
    int rc = web_files_install(&files, err);

    up->front.web = files > 0;
    rc = rc ? rc : front_start(&up->front, &up->nginx.pid, err);

    up->nginx.started = clock_now();
    return rc;
}

/* At once the first time; ever later after short lives in a row. One that was killed (SIGKILL comes
 * from outside: a person, the kernel out of memory) has not failed: almost at once, each time. */
static void plan_restart(struct helper *helper, int status)
{
    uint64_t now = clock_now();
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool short_life = now - helper->started < SECONDS(SHORT_LIFE_S);

    helper->failures = short_life ? helper->failures + !killed : !killed;
    helper->again = now + (helper->failures > 1   ? SECONDS(1) << MIN(helper->failures / 2, 4u)
                           : killed && short_life ? SECONDS(1) / 5
                                                  : 0);
    (void)fprintf(stderr, "socle up: %s ended (%s %d); starting it again\n", helper->name,
                  WIFSIGNALED(status) ? "signal" : "status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void reap(struct up *up)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct helper *helper = pid == up->hostd.pid   ? &up->hostd
                                : pid == up->nginx.pid ? &up->nginx
                                                       : NULL;
        if (!helper)
            continue;
        helper->pid = 0;
        plan_restart(helper, status);
    }
}

static int start_missing(struct up *up, struct err *err)
{
    uint64_t now = clock_now();
    int rc = 0;

    if (!up->hostd.pid && now >= up->hostd.again)
        rc = start_hostd(up, err);
    if (rc == 0 && !up->nginx.pid && now >= up->nginx.again)
        rc = start_front(up, err);
    if (rc == 0 && (up->hostd.failures > FAILURES_MAX || up->nginx.failures > FAILURES_MAX))
        rc = err_set(err, -EIO, "%s ends again and again; log/ in the host's folder says why",
                     up->hostd.failures > FAILURES_MAX ? up->hostd.name : up->nginx.name);
    return rc;
}

static void stop(struct helper *helper)
{
    if (helper->pid <= 0)
        return;
    (void)kill(helper->pid, SIGTERM);
    for (unsigned i = 0; i < STOP_S * 100; i++) {
        if (waitpid(helper->pid, NULL, WNOHANG) != 0)
            return;
        (void)usleep(10000);
    }
    (void)kill(helper->pid, SIGKILL);
    (void)waitpid(helper->pid, NULL, 0);
}

/* --- life --- */

/* True: an end is wanted. */
static bool wait_for_signal(const struct up *up, int timeout_ms)
{
    struct pollfd p = {.fd = up->signals, .events = POLLIN};
    struct signalfd_siginfo info;

    if (poll(&p, 1, timeout_ms) != 1 || read(up->signals, &info, sizeof info) != sizeof info)
        return false;
    return info.ssi_signo != SIGCHLD;
}

/* 0: ready; 1: an end is wanted first. */
static int wait_until_ready(struct up *up, struct err *err)
{
    uint64_t deadline = clock_now() + SECONDS(READY_S);

    while (clock_now() < deadline) {
        if (wait_for_signal(up, 50))
            return 1;
        reap(up);
        if (up->nginx.failures)
            return err_set(err, -EIO, "nginx does not start: log/front.log says why");
        if (up->hostd.failures > 3)
            return err_set(err, -EIO, "hostd does not start: log/hostd.log says why");
        int rc = start_missing(up, err);
        if (rc < 0)
            return rc;
        if (ready_check(up->front.address, up->front.port) == 0)
            return 0;
    }
    return err_set(err, -ETIMEDOUT, "hostd does not answer: log/hostd.log may say why");
}

static int serve(struct up *up, struct err *err)
{
    int rc = 0;

    while (rc == 0 && !wait_for_signal(up, up->hostd.pid && up->nginx.pid ? -1 : 20)) {
        reap(up);
        rc = start_missing(up, err);
    }
    return rc;
}

static int catch_signals(struct up *up)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (signal(SIGHUP, SIG_DFL) != SIG_IGN) /* nohup(1) */
        (void)sigaddset(&set, SIGHUP);
    else
        (void)signal(SIGHUP, SIG_IGN);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    up->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return up->signals < 0 ? -errno : 0;
}

/* The first line of a file. */
static int read_password(const char *path, char *password, size_t size, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_load(AT_FDCWD, path, 4096, &text, err);

    if (rc < 0)
        return err && err->code ? rc : err_sys(err, rc, "cannot read \"%s\"", path);
    const char *line = buf_cstr(&text);
    size_t len = strcspn(line, "\r\n");
    if (len == 0)
        return err_set(err, -EINVAL, "\"%s\": no password in its first line", path);
    (void)snprintf(password, size, "%.*s", (int)len, line);
    rc = line[len] == '\0' && len < text.len
             ? err_set(err, -EINVAL, "a password has no control characters")
             : account_password_ok(password, err);
    return rc < 0 ? err_prefix(err, rc, "\"%s\"", path) : 0;
}

static void say_ready(const struct up *up, const char *root, bool fresh, bool generated)
{
    const char *open = strchr(up->front.address, ':') ? "[" : "";

    if (fresh && generated)
        (void)printf("The password of user root is in %s/" ROOTDIR_PASSWORD "\n", root);
    (void)printf("Socle is ready: https://%s%s%s:%u/\n", open, up->front.address, *open ? "]" : "",
                 up->front.port);
    (void)fflush(stdout);
}

static int check_port(const struct up *up, struct err *err)
{
    int rc = ready_port_free(up->front.address, up->front.port);

    if (rc == -EADDRINUSE)
        return err_set(err, rc,
                       "port %u of %s is in use by another process; --listen ADDR:PORT "
                       "takes another one",
                       up->front.port, up->front.address);
    return rc < 0
               ? err_sys(err, rc, "cannot listen at %s port %u", up->front.address, up->front.port)
               : 0;
}

static int run(struct up *up, const struct up_config *config, const char *password, struct err *err)
{
    bool fresh;
    int rc = rootdir_open(config->root, password, &fresh, err);

    if (rc == 0) {
        front_sweep(); /* of an `up` that was killed */
        rc = check_port(up, err);
    }
    if (rc == 0)
        rc = catch_signals(up);
    if (rc == 0)
        rc = open_sockets(up, err);
    if (rc == 0)
        rc = wait_until_ready(up, err);
    if (rc == 0) {
        rootdir_keep_reserve();
        say_ready(up, config->root, fresh, !password);
        if (password && !fresh && !rootdir_password_is(password))
            (void)fprintf(stderr, "socle up: root keeps the password it has; --password-file is "
                                  "for the first use\n");
        rc = serve(up, err);
    }
    stop(&up->nginx);
    stop(&up->hostd);
    return MIN(rc, 0);
}

int up_run(const struct up_config *config, struct err *err)
{
    char password[ACCOUNT_PASSWORD_MAX + 2] = "";
    struct up up = {.front = {.address = config->address ? config->address : "127.0.0.1",
                              .port = config->port ? config->port
                                      : geteuid()  ? 8443
                                                   : 443},
                    .signals = -1,
                    .http = -1,
                    .local = -1,
                    .hostd.name = "hostd",
                    .nginx.name = "nginx"};
    int rc = 0;

    if (config->password_file)
        rc = read_password(config->password_file, password, sizeof password, err);
    if (rc == 0)
        rc = run(&up, config, config->password_file ? password : NULL, err);
    explicit_bzero(password, sizeof password);
    (void)close_fd(up.signals);
    (void)close_fd(up.http);
    (void)close_fd(up.local);
    return rc;
}
