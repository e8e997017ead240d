/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/diag/log_trim.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/loop.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/task/worker.h"

struct log_trim {
    struct hostd *hostd;
    struct loop_source timer;
    bool trimming;
};

static void old_name(const char *path, unsigned n, char name[PATH_MAX])
{
    (void)snprintf(name, PATH_MAX, "%.4000s.%u", path, n);
}

static int copy(int from, const char *to)
{
    cleanup_fd int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    ssize_t n;

    if (fd < 0)
        return -errno;
    while ((n = sendfile(fd, from, NULL, 1 << 20)) > 0)
        ;
    return n < 0 ? -errno : 0;
}

int log_trim_file(const char *path, uint64_t full)
{
    cleanup_fd int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size <= full)
        return 0;
    for (unsigned n = LOG_OLD; n > 1; n--) {
        old_name(path, n - 1, from);
        old_name(path, n, to);
        (void)rename(from, to);
    }
    old_name(path, 1, to);
    int rc = copy(fd, to);
    if (rc < 0)
        (void)unlink(to); /* no room: the file itself makes some */
    return ftruncate(fd, 0) < 0 ? -errno : rc;
}

static void trim_work(void *arg)
{
    glob_t found;

    (void)arg;
    if (glob("log/*.log", GLOB_NOSORT, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        (void)log_trim_file(found.gl_pathv[i], LOG_FULL);
    globfree(&found);
}

static void trimmed(void *arg)
{
    struct log_trim *trim = arg;

    trim->trimming = false;
}

/* "log/vm-7.log", "log/vm-7.log.2": of a VM that there is not. */
static bool is_strangers(struct hostd *hostd, const char *path)
{
    const char *id = path + strlen("log/vm-");
    char text[16];

    (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(id, "."), id);
    return !vm_by_id(hostd, text);
}

static void remove_old(struct hostd *hostd)
{
    time_t before = (time_t)(clock_realtime(&clock_host) / 1000000000) - LOG_DAYS * 86400;
    struct stat st;
    glob_t found;

    if (glob("log/vm-*.log*", GLOB_NOSORT, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (lstat(found.gl_pathv[i], &st) == 0 && st.st_mtime < before &&
            is_strangers(hostd, found.gl_pathv[i]))
            (void)unlink(found.gl_pathv[i]);
    globfree(&found);
}

static void arm(struct log_trim *trim)
{
    (void)loop_timer_arm(&trim->timer, clock_now() + (uint64_t)LOG_TRIM_S * 1000000000);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct log_trim *trim = ctx;

    (void)events;
    remove_old(trim->hostd);
    if (!trim->trimming)
        trim->trimming = worker_post(trim->hostd->worker, trim_work, trimmed, trim) == 0;
    arm(trim);
}

int log_trim_create(struct hostd *hostd, struct log_trim **ret_trim)
{
    struct log_trim *trim = calloc(1, sizeof *trim);

    if (!trim)
        return -ENOMEM;
    trim->hostd = hostd;
    int rc = loop_add_timer(hostd->loop, &trim->timer, on_timer, trim);
    if (rc < 0) {
        free(trim);
        return rc;
    }
    on_timer(trim, 0); /* what grew while nobody looked */
    *ret_trim = trim;
    return 0;
}

void log_trim_destroy(struct log_trim *trim)
{
    if (trim)
        loop_del(&trim->timer);
    free(trim);
}
