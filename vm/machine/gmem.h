/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM: one memfd, mapped shared by `vmm` (which gives it to the engine) and `vmx` (whose
 * devices do DMA).
 *
 * Guest physical layout (q35): RAM from 0 up to GMEM_LOW_MAX, the rest from 4 GiB on. Device memory
 * (flash, VRAM) is not in here.
 *
 * Rules: a guest physical address is a `gpa_t` and nothing else. Every access states a length that
 * the host chose and is refused with -EFAULT unless all of it is RAM. The guest writes
 * concurrently: copy once, validate the copy, then act. All writes mark dirty pages, so migration
 * needs no help from devices. Ranges never move or shrink while a VM lives. Thread-safe. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

typedef struct {
    uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
    return (gpa_t){v};
}

enum { GMEM_PAGE_SIZE = 4096, GMEM_RANGES_MAX = 2 };
#define GMEM_LOW_MAX \
    UINT64_C(0x80000000) /* 2 GiB: below it RAM, above it the PCI hole up to 4 GiB */
#define GMEM_HIGH UINT64_C(0x100000000)

struct gmem_range {
    gpa_t base;
    uint64_t size;
    uint8_t *host; /* borrowed from the gmem */
};

/* Who wants to hear of writes by devices: bits of gmem_shared.watch. */
enum {
    GMEM_WATCH_DIRTY = 1, /* dirty pages are being recorded */
    GMEM_WATCH_CODE = 2,  /* a software engine keeps decoded instructions: code words count */
};

/* A code word's lowest bit: somebody keeps decoded instructions of the page. The rest counts: it
 * changes with each write to such a page, which clears the bit. */
enum { GMEM_CODE = 1, GMEM_CODE_LOG = 64 };

/* Behind the RAM in the same memfd, so that both processes see it: what the RAM is, the dirty
 * bitmap, and a code word for each page. */
struct gmem_shared {
    uint64_t magic;
    uint64_t size;                             /* RAM, bytes */
    _Atomic(uint32_t) watch;                   /* GMEM_WATCH_* */
    _Atomic(uint32_t) code_sequence;           /* how many code words have changed */
    _Atomic(uint64_t) code_log[GMEM_CODE_LOG]; /* the last of them: sequence << 32 | page */
};

struct gmem {
    int fd; /* owned; sealed against resizing */
    uint8_t *host;
    uint64_t size; /* RAM in all, bytes */
    unsigned range_count;
    struct gmem_range range[GMEM_RANGES_MAX];
    struct gmem_shared *shared;
    _Atomic(uint64_t) *dirty; /* one bit a page of `size`, in the order of the memfd */
    _Atomic(uint32_t) *code;  /* one word a page, likewise; the host gives it memory when touched */
};

enum gmem_pages {
    GMEM_PAGES_AUTO /* transparent huge pages where the host has them */,
    GMEM_PAGES_HUGE_2M
};

/* RAM of `size` bytes, all zero. -EINVAL: not a multiple of a page or over 16 TiB. */
int gmem_create(uint64_t size, enum gmem_pages pages, struct gmem **ret_gmem, struct err *err);
/* The other process's view of the same RAM. Takes the descriptor over on success. */
int gmem_attach(int fd, struct gmem **ret_gmem, struct err *err);
void gmem_destroy(struct gmem *gmem);

/* Copies. -EFAULT: some of it is not RAM (then nothing has been copied). */
int gmem_read(struct gmem *gmem, gpa_t addr, void *data, size_t len);
int gmem_write(struct gmem *gmem, gpa_t addr, const void *data, size_t len);
int gmem_fill(struct gmem *gmem, gpa_t addr, uint8_t byte, uint64_t len);

/* Bulk data: the host pages of [addr, addr + len) as at most `max` pieces, for one request's I/O.
 * Valid while the VM lives. `write`: the device will write there (marks dirty). Returns the number
 * of pieces, or -EFAULT, or -E2BIG. */
int gmem_iov(struct gmem *gmem, gpa_t addr, uint64_t len, bool write, struct iovec *iov, int max);

/* A window on a structure that the guest and a device share for long, such as a ring: looked up
 * once, bounds checked at each access by the accessors below (an offset past the end reads 0 and
 * drops writes; it is the device's own mistake). */
struct gmem_view {
    uint8_t *host; /* NULL: not mapped */
    uint64_t len;
    gpa_t base;
    struct gmem *gmem;
};

/* -EFAULT when the range is not all in one RAM range; -EINVAL when `addr` is not a multiple of
 * `alignment`. */
int gmem_view_map(struct gmem *gmem, gpa_t addr, uint64_t len, unsigned alignment,
                  struct gmem_view *ret_view);

/* Records the pages of [addr, addr + len) as written, if anybody watches. gmem_dirty_log turns
 * recording on (with a clean bitmap) or off; gmem_dirty_fetch moves the bits of range `index` since
 * the last fetch into `bitmap` (OR). */
void gmem_mark_dirty(struct gmem *gmem, gpa_t addr, uint64_t len);
/* The same of host memory that gmem_iov gave: by a device, once it has written there. */
void gmem_mark_written(struct gmem *gmem, const struct iovec *iov, unsigned count);
void gmem_dirty_log(struct gmem *gmem, bool on);
void gmem_dirty_fetch(struct gmem *gmem, unsigned index, uint64_t *bitmap);
/* From now on writes change code words (never taken back). gmem_code_written is that change alone,
 * of one page's word, after the write; false: nobody keeps anything of the page. gmem_code_log then
 * says so to those who do not look at words; who has seen `sequence` asks which page came next
 * (gmem_code_logged; false: that is not known any more). */
void gmem_code_watch(struct gmem *gmem);
bool gmem_code_written(_Atomic(uint32_t) *word);
void gmem_code_log(struct gmem *gmem, uint32_t page);
bool gmem_code_logged(const struct gmem *gmem, uint32_t sequence, uint32_t *ret_page);

static inline uint32_t gmem_code_sequence(const struct gmem *gmem)
{
    return atomic_load_explicit(&gmem->shared->code_sequence, memory_order_acquire);
}

static inline void gmem_view_dirty_(const struct gmem_view *v, uint64_t off, unsigned len)
{
    if (__builtin_expect(atomic_load_explicit(&v->gmem->shared->watch, memory_order_relaxed), 0))
        gmem_mark_dirty(v->gmem, gpa(v->base.v + off), len);
}

#define GMEM_VIEW_ACCESSORS_(bits)                                                             \
    static inline uint##bits##_t gmem_view_load##bits(const struct gmem_view *v, uint64_t off) \
    {                                                                                          \
        if (off > v->len || v->len - off < sizeof(uint##bits##_t))                             \
            return 0;                                                                          \
        return __atomic_load_n((uint##bits##_t *)(void *)(v->host + off), __ATOMIC_ACQUIRE);   \
    }                                                                                          \
    static inline void gmem_view_store##bits(const struct gmem_view *v, uint64_t off,          \
                                             uint##bits##_t val)                               \
    {                                                                                          \
        if (off > v->len || v->len - off < sizeof(uint##bits##_t))                             \
            return;                                                                            \
        __atomic_store_n((uint##bits##_t *)(void *)(v->host + off), val, __ATOMIC_RELEASE);    \
        gmem_view_dirty_(v, off, sizeof(uint##bits##_t));                                      \
    }

/* Little-endian machines only (x86-64, aarch64): the accessors are plain acquire loads and release
 * stores. */
GMEM_VIEW_ACCESSORS_(16)
GMEM_VIEW_ACCESSORS_(32)
GMEM_VIEW_ACCESSORS_(64)
#undef GMEM_VIEW_ACCESSORS_

/* Copies out of / into a view (bounds as above: 0-filled, or dropped). */
void gmem_view_read(const struct gmem_view *v, uint64_t off, void *data, size_t len);
void gmem_view_write(const struct gmem_view *v, uint64_t off, const void *data, size_t len);
