/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/machine/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/range.h"

#define HUGE_PAGE   MIB(2)
#define HUGETLB_2MB (21u << 26) /* memfd_create(2): log2 of the page size; not in this libc */
#define SIZE_MAX_   (UINT64_C(16) << 40)
#define GMEM_MAGIC  UINT64_C(0x3147454d4d434f53) /* "SOCMMEG1" */
#define GMEM_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The memfd: RAM, the bitmap, the code words, then one page with struct gmem_shared at its very
 * end. */
static uint64_t bitmap_size(uint64_t ram)
{
    return align_up(ram / GMEM_PAGE_SIZE / 8 + 8, GMEM_PAGE_SIZE);
}

static uint64_t code_size(uint64_t ram)
{
    return align_up(ram / GMEM_PAGE_SIZE * sizeof(uint32_t), GMEM_PAGE_SIZE);
}

static uint64_t file_size(uint64_t ram, bool huge)
{
    return align_up(ram + bitmap_size(ram) + code_size(ram) + GMEM_PAGE_SIZE,
                    huge ? HUGE_PAGE : GMEM_PAGE_SIZE);
}

/* Maps the whole file at a multiple of 2 MiB, so that both page tables can use large pages. */
static int map_aligned(int fd, uint64_t size, uint8_t **ret_host)
{
    uint8_t *reserved =
        mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED)
        return -errno;
    uint8_t *host = (uint8_t *)align_up((uintptr_t)reserved, HUGE_PAGE);
    uint64_t head = (uint64_t)(host - reserved), tail = HUGE_PAGE - head;

    /* Without MAP_NORESERVE, so that huge pages which are not there are missed here, and not by a
     * SIGBUS later. */
    if (mmap(host, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        int rc = -errno;
        (void)munmap(reserved, size + HUGE_PAGE);
        return rc;
    }
    if (head)
        (void)munmap(reserved, head);
    if (align_down(tail, GMEM_PAGE_SIZE))
        (void)munmap(host + align_up(size, GMEM_PAGE_SIZE), align_down(tail, GMEM_PAGE_SIZE));
    (void)madvise(host, size, MADV_HUGEPAGE); /* where the host allows it for shared memory */
    (void)madvise(host, size, MADV_DONTDUMP);
    *ret_host = host;
    return 0;
}

static void lay_out(struct gmem *gmem)
{
    uint64_t low = MIN(gmem->size, GMEM_LOW_MAX);

    gmem->range[0] = (struct gmem_range){gpa(0), low, gmem->host};
    gmem->range_count = 1;
    if (gmem->size > low)
        gmem->range[gmem->range_count++] =
            (struct gmem_range){gpa(GMEM_HIGH), gmem->size - low, gmem->host + low};
    gmem->dirty = (void *)(gmem->host + gmem->size);
    gmem->code = (void *)(gmem->host + gmem->size + bitmap_size(gmem->size));
}

static struct gmem_shared *shared_of(uint8_t *host, uint64_t total)
{
    return (void *)(host + total - sizeof(struct gmem_shared));
}

int gmem_create(uint64_t size, enum gmem_pages pages, struct gmem **ret_gmem, struct err *err)
{
    bool huge = pages == GMEM_PAGES_HUGE_2M;
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | HUGETLB_2MB : 0);

    if (!size || size % GMEM_PAGE_SIZE || size > SIZE_MAX_)
        return err_set(err, -EINVAL, "memory of %llu bytes: not a multiple of a page up to 16 TiB",
                       (unsigned long long)size);
    uint64_t total = file_size(size, huge);
    cleanup_fd int fd = memfd_create("guest-ram", flags);
    if (fd < 0 || ftruncate(fd, (off_t)total) < 0 || fcntl(fd, F_ADD_SEALS, GMEM_SEALS) < 0)
        return err_sys(err, -errno, "cannot make %llu MiB of guest memory",
                       (unsigned long long)(size >> 20));
    uint8_t *host;
    int rc = map_aligned(fd, total, &host);
    if (rc < 0)
        return err_sys(err, rc, "cannot map %llu MiB of guest memory%s",
                       (unsigned long long)(size >> 20),
                       huge ? " in huge pages (see /proc/sys/vm/nr_hugepages)" : "");
    struct gmem *gmem = calloc(1, sizeof *gmem);
    if (!gmem) {
        (void)munmap(host, total);
        return err_set(err, -ENOMEM, "out of memory");
    }
    *gmem = (struct gmem){
        .fd = TAKE_FD(fd), .host = host, .size = size, .shared = shared_of(host, total)};
    gmem->shared->magic = GMEM_MAGIC;
    gmem->shared->size = size;
    lay_out(gmem);
    *ret_gmem = gmem;
    return 0;
}

int gmem_attach(int fd, struct gmem **ret_gmem, struct err *err)
{
    struct stat st;
    uint8_t *host;

    if (fstat(fd, &st) < 0)
        return err_sys(err, -errno, "guest memory");
    uint64_t total = (uint64_t)st.st_size;
    if (total < 2 * GMEM_PAGE_SIZE || fcntl(fd, F_GET_SEALS) != GMEM_SEALS)
        return err_set(err, -EINVAL, "guest memory: not a sealed memfd of ours");
    int rc = map_aligned(fd, total, &host);
    if (rc < 0)
        return err_sys(err, rc, "cannot map guest memory");
    const struct gmem_shared *shared = shared_of(host, total);
    struct gmem *gmem = NULL;
    if (shared->magic != GMEM_MAGIC || shared->size > total ||
        (file_size(shared->size, false) != total && file_size(shared->size, true) != total))
        rc = err_set(err, -EINVAL, "guest memory: no header");
    else if (!(gmem = calloc(1, sizeof *gmem)))
        rc = err_set(err, -ENOMEM, "out of memory");
    if (rc < 0) {
        (void)munmap(host, total);
        return rc;
    }
    *gmem = (struct gmem){
        .fd = fd, .host = host, .size = shared->size, .shared = shared_of(host, total)};
    lay_out(gmem);
    *ret_gmem = gmem;
    return 0;
}

void gmem_destroy(struct gmem *gmem)
{
    if (!gmem)
        return;
    uint64_t total = (uint64_t)((uint8_t *)(gmem->shared + 1) - gmem->host);
    (void)munmap(gmem->host, total);
    (void)close_fd(gmem->fd);
    free(gmem);
}

/* The range that holds `addr` and how much of it is left from there on. */
static const struct gmem_range *find(const struct gmem *gmem, gpa_t addr, uint64_t *ret_left)
{
    for (unsigned i = 0; i < gmem->range_count; i++) {
        const struct gmem_range *r = &gmem->range[i];
        if (addr.v >= r->base.v && addr.v - r->base.v < r->size) {
            *ret_left = r->size - (addr.v - r->base.v);
            return r;
        }
    }
    return NULL;
}

/* RAM ranges never touch (the hole is between them), so a legal access lies within one. */
static uint8_t *host_of(const struct gmem *gmem, gpa_t addr, uint64_t len)
{
    uint64_t left;
    const struct gmem_range *r = find(gmem, addr, &left);

    return r && len <= left ? r->host + (addr.v - r->base.v) : NULL;
}

int gmem_read(struct gmem *gmem, gpa_t addr, void *data, size_t len)
{
    const uint8_t *host = host_of(gmem, addr, len);

    if (!host)
        return len ? -EFAULT : 0;
    memcpy(data, host, len);
    return 0;
}

int gmem_write(struct gmem *gmem, gpa_t addr, const void *data, size_t len)
{
    uint8_t *host = host_of(gmem, addr, len);

    if (!host)
        return len ? -EFAULT : 0;
    memcpy(host, data, len);
    gmem_mark_dirty(gmem, addr, len);
    return 0;
}

int gmem_fill(struct gmem *gmem, gpa_t addr, uint8_t byte, uint64_t len)
{
    uint8_t *host = host_of(gmem, addr, len);

    if (!host)
        return len ? -EFAULT : 0;
    memset(host, byte, len);
    gmem_mark_dirty(gmem, addr, len);
    return 0;
}

int gmem_iov(struct gmem *gmem, gpa_t addr, uint64_t len, bool write, struct iovec *iov, int max)
{
    uint8_t *host = host_of(gmem, addr, len);

    if (!len)
        return 0;
    if (!host)
        return -EFAULT;
    if (max < 1)
        return -E2BIG;
    iov[0] = (struct iovec){host, len};
    if (write)
        gmem_mark_dirty(gmem, addr, len);
    return 1;
}

static gpa_t gpa_of(const struct gmem *gmem, const uint8_t *host)
{
    const struct gmem_range *r = &gmem->range[gmem->range_count - 1];

    if (host < r->host)
        r = &gmem->range[0];
    return gpa(r->base.v + (uint64_t)(host - r->host));
}

void gmem_mark_written(struct gmem *gmem, const struct iovec *iov, unsigned count)
{
    if (!atomic_load_explicit(&gmem->shared->watch, memory_order_relaxed))
        return;
    for (unsigned i = 0; i < count; i++)
        gmem_mark_dirty(gmem, gpa_of(gmem, iov[i].iov_base), iov[i].iov_len);
}

int gmem_view_map(struct gmem *gmem, gpa_t addr, uint64_t len, unsigned alignment,
                  struct gmem_view *ret_view)
{
    if (addr.v & (alignment - 1))
        return -EINVAL;
    uint8_t *host = len ? host_of(gmem, addr, len) : NULL;
    if (!host)
        return -EFAULT;
    *ret_view = (struct gmem_view){.host = host, .len = len, .base = addr, .gmem = gmem};
    return 0;
}

void gmem_view_read(const struct gmem_view *v, uint64_t off, void *data, size_t len)
{
    if (range_within(off, len, v->len))
        memcpy(data, v->host + off, len);
    else
        memset(data, 0, len);
}

void gmem_view_write(const struct gmem_view *v, uint64_t off, const void *data, size_t len)
{
    if (!range_within(off, len, v->len))
        return;
    memcpy(v->host + off, data, len);
    gmem_mark_dirty(v->gmem, gpa(v->base.v + off), len);
}

bool gmem_code_written(_Atomic(uint32_t) *word)
{
    uint32_t old = atomic_load_explicit(word, memory_order_seq_cst);

    while (old & GMEM_CODE)
        if (atomic_compare_exchange_weak(word, &old, old + GMEM_CODE))
            return true;
    return false;
}

void gmem_code_log(struct gmem *gmem, uint32_t page)
{
    uint32_t at = atomic_fetch_add(&gmem->shared->code_sequence, 1);

    atomic_store(&gmem->shared->code_log[at % GMEM_CODE_LOG], (uint64_t)at << 32 | page);
}

bool gmem_code_logged(const struct gmem *gmem, uint32_t sequence, uint32_t *ret_page)
{
    uint64_t entry = atomic_load(&gmem->shared->code_log[sequence % GMEM_CODE_LOG]);

    *ret_page = (uint32_t)entry;
    return entry >> 32 == sequence && sequence; /* 0 is also what was never written */
}

void gmem_mark_dirty(struct gmem *gmem, gpa_t addr, uint64_t len)
{
    uint32_t watch = atomic_load_explicit(&gmem->shared->watch, memory_order_acquire);

    if (!watch || !len)
        return;
    const uint8_t *host = host_of(gmem, addr, len);
    if (!host)
        return;
    uint64_t first = (uint64_t)(host - gmem->host) / GMEM_PAGE_SIZE;
    uint64_t last = ((uint64_t)(host - gmem->host) + len - 1) / GMEM_PAGE_SIZE;
    for (uint64_t page = first; page <= last; page++) {
        if (watch & GMEM_WATCH_DIRTY)
            atomic_fetch_or_explicit(&gmem->dirty[page / 64], BIT64(page % 64),
                                     memory_order_release);
        if (watch & GMEM_WATCH_CODE && gmem_code_written(&gmem->code[page]))
            gmem_code_log(gmem, (uint32_t)page);
    }
}

void gmem_code_watch(struct gmem *gmem)
{
    atomic_fetch_or(&gmem->shared->watch, GMEM_WATCH_CODE);
}

void gmem_dirty_log(struct gmem *gmem, bool on)
{
    if (!on) {
        atomic_fetch_and(&gmem->shared->watch, ~(uint32_t)GMEM_WATCH_DIRTY);
        return;
    }
    for (uint64_t i = 0; i <= gmem->size / GMEM_PAGE_SIZE / 64; i++)
        atomic_store_explicit(&gmem->dirty[i], 0, memory_order_relaxed);
    atomic_fetch_or(&gmem->shared->watch, GMEM_WATCH_DIRTY);
}

void gmem_dirty_fetch(struct gmem *gmem, unsigned index, uint64_t *bitmap)
{
    const struct gmem_range *r = &gmem->range[index];
    uint64_t first = (uint64_t)(r->host - gmem->host) / GMEM_PAGE_SIZE;

    /* Both ranges begin at a multiple of 64 pages of the memfd, or the second one is absent. */
    for (uint64_t i = 0; i < (r->size / GMEM_PAGE_SIZE + 63) / 64; i++)
        bitmap[i] |=
            atomic_exchange_explicit(&gmem->dirty[first / 64 + i], 0, memory_order_acq_rel);
}
