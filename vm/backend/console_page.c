/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/backend/console_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

enum { READ_TRIES = 100 };

int console_page_create(int *ret_fd, struct err *err)
{
    cleanup_fd int fd = memfd_create("vm-console", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, sizeof(struct console_page)) < 0 ||
        fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return err_sys(err, -errno, "cannot make the console's shared memory");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int console_page_map(int fd, struct console_page **ret_page, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size != sizeof(struct console_page) ||
        fcntl(fd, F_GET_SEALS) != SEALS)
        return err_set(err, -EINVAL, "the console's shared memory is not what it should be");
    void *at = mmap(NULL, sizeof(struct console_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return err_sys(err, -errno, "cannot map the console's shared memory");
    *ret_page = at;
    return 0;
}

void console_page_publish(struct console_page *page, const struct display_surface *surface)
{
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed) | 1;

    atomic_store_explicit(&page->sequence, sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    page->surface = *surface;
    page->surface.memory = NULL; /* an address of this process is nobody else's business */
    page->surface.size = 0;
    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_release);
}

bool console_page_read(struct console_page *page, struct display_surface *ret_surface)
{
    struct display_surface copy;

    for (unsigned i = 0; i < READ_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&page->sequence, memory_order_acquire);
        copy = page->surface;
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) &&
            atomic_load_explicit(&page->sequence, memory_order_relaxed) == before) {
            *ret_surface = copy;
            return true;
        }
    }
    return false;
}

int console_page_writer(struct console_page *page, enum console_ring which, const int fds[2],
                        struct bytering *ret_ring)
{
    return bytering_init_writer(ret_ring, (void *)page->ring[which], CONSOLE_RING_SIZE, fds[0],
                                fds[1]);
}

int console_page_reader(struct console_page *page, enum console_ring which, const int fds[2],
                        struct bytering *ret_ring)
{
    return bytering_init_reader(ret_ring, (void *)page->ring[which], CONSOLE_RING_SIZE, fds[0],
                                fds[1]);
}
