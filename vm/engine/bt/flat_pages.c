/* SPDX-License-Identifier: Apache-2.0 */
/* See flat_pages.h. A range is readable and writable only while userfaultfd watches it: first there
 * is a fresh mapping without access, then the watch, then the access. */
#include "vm/engine/bt/flat_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* userfaultfd(2) of Linux 5.11: no privilege is needed for faults of user code. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* A range's mapping anew, without memory or access. */
static int clear(void *at, uint64_t size)
{
    void *got =
        mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

    if (got == MAP_FAILED)
        return -errno;
    (void)madvise(at, size, MADV_DONTDUMP);
    return 0;
}

static int watch(int fd, void *at, uint64_t size)
{
    struct uffdio_register range = {.range = {.start = (uintptr_t)at, .len = size},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};

    if (ioctl(fd, UFFDIO_REGISTER, &range) < 0 || mprotect(at, size, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    return 0;
}

/* -1: the host has none, or not for us. */
static int open_watch(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS};
    cleanup_fd int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
        return -1;
    return TAKE_FD(fd);
}

int flat_pages_create(struct flat_pages *pages, uint64_t size, bool split)
{
    void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED)
        return -errno;
    *pages = (struct flat_pages){.at = at, .size = size, .fd = split ? -1 : open_watch()};
    if (pages->fd >= 0 && watch(pages->fd, at, size))
        pages->fd = close_fd(pages->fd);
    return pages->fd < 0 ? clear(at, size) : 0;
}

void flat_pages_destroy(struct flat_pages *pages)
{
    if (!pages->at)
        return;
    (void)munmap(pages->at, pages->size);
    (void)close_fd(pages->fd);
    pages->at = NULL;
}

int flat_pages_give(struct flat_pages *pages, uint64_t *page, const uint64_t contents[512])
{
    if (pages->fd < 0) {
        if (mprotect(page, FLAT_PAGE, PROT_READ | PROT_WRITE) < 0)
            return -errno;
        memcpy(page, contents, FLAT_PAGE);
        return 0;
    }
    struct uffdio_copy copy = {
        .dst = (uintptr_t)page, .src = (uintptr_t)contents, .len = FLAT_PAGE};
    int rc;
    do
        rc = ioctl(pages->fd, UFFDIO_COPY, &copy) < 0 ? -errno : 0;
    while (rc == -EAGAIN); /* the process's mappings are being changed */
    return rc;
}

int flat_pages_take(struct flat_pages *pages, void *at, uint64_t size)
{
    int rc = clear(at, size);

    return rc || pages->fd < 0 ? rc : watch(pages->fd, at, size);
}
