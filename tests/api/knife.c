/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a host's processes: counts what socle-hostd is about to change on datastores, in
 * its settings and records, and kills it before the step whose turn it is. The count is the
 * little-endian 64-bit number in the file that SOCLE_KNIFE names, shared with the test: 0 is
 * unarmed, N lets N - 1 steps happen. So a hostd that comes back is not cut again. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <signal.h>

#pragma GCC visibility push(default) /* what is interposed is seen */

static _Atomic(uint64_t) *left;

__attribute__((constructor)) static void open_knife(void)
{
    const char *path = getenv("SOCLE_KNIFE");
    int fd = path && !strcmp(program_invocation_short_name, "socle-hostd")
                 ? open(path, O_RDWR | O_CLOEXEC)
                 : -1;
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    left = at == MAP_FAILED ? NULL : at;
    if (fd >= 0)
        (void)close(fd);
}

static bool is_kept(const char *path)
{
    return strstr(path, "/datastores") || strstr(path, "/unfinished") || strstr(path, "/config");
}

static bool is_kept_fd(int fd)
{
    char name[40], path[4096];

    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(name, path, sizeof path - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    return is_kept(path) || strstr(path, "/outside/");
}

static void step(void)
{
    uint64_t now = atomic_load(left);

    while (now && !atomic_compare_exchange_weak(left, &now, now - 1))
        ;
    if (now == 1)
        (void)kill(getpid(), SIGKILL);
}

static void step_fd(int fd)
{
    if (left && atomic_load(left) && is_kept_fd(fd))
        step();
}

/* Names relative to the working directory are of the host's folder. */
static void step_at(int fd, const char *name)
{
    char path[4200];

    if (!left || !atomic_load(left))
        return;
    if (fd != AT_FDCWD && *name != '/') {
        step_fd(fd);
        return;
    }
    (void)snprintf(path, sizeof path, "/%s", name);
    if (is_kept(path) || strstr(path, "/proc/self/fd"))
        step();
}

#define REAL(name)                        \
    static __typeof__(&name) real = NULL; \
    real = real ? real : (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define ON_FD(result, name, params, args, fd) \
    result name params;                       \
    result name params                        \
    {                                         \
        REAL(name);                           \
        step_fd(fd);                          \
        return real args;                     \
    }
#define ON_NAME(result, name, params, args, fd, path) \
    result name params;                               \
    result name params                                \
    {                                                 \
        REAL(name);                                   \
        step_at(fd, path);                            \
        return real args;                             \
    }

ON_FD(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len), fd)
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t len, off64_t at), (fd, data, len, at),
      fd)
ON_FD(ssize_t, pwritev64, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at),
      fd)
ON_FD(int, ftruncate64, (int fd, off64_t len), (fd, len), fd)
ON_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t len), (fd, mode, at, len), fd)
ON_FD(ssize_t, copy_file_range,
      (int from, off64_t *at, int to, off64_t *to_at, size_t len, unsigned flags),
      (from, at, to, to_at, len, flags), to)
ON_NAME(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_NAME(int, renameat, (int dir, const char *from, int to_dir, const char *to),
        (dir, from, to_dir, to), to_dir, to)
ON_NAME(int, renameat2, (int dir, const char *from, int to_dir, const char *to, unsigned flags),
        (dir, from, to_dir, to, flags), to_dir, to)
ON_NAME(int, unlink, (const char *name), (name), AT_FDCWD, name)
ON_NAME(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags), dir, name)
ON_NAME(int, linkat, (int dir, const char *from, int to_dir, const char *to, int flags),
        (dir, from, to_dir, to, flags), to_dir, to)
ON_NAME(int, symlinkat, (const char *target, int dir, const char *name), (target, dir, name), dir,
        name)
ON_NAME(int, mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode), dir, name)

int openat64(int dir, const char *name, int flags, ...);
int openat64(int dir, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (flags & O_CREAT)
        step_at(dir, name);
    return (int)syscall(SYS_openat, dir, name, flags | O_LARGEFILE, mode);
}
