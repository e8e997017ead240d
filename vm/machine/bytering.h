/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of bytes in memory shared by two processes: one writes, the other reads, neither waits.
 * The UART in `vmm` talks to its back end in `vmx` through two of them.
 *
 * Each side keeps its own position private and publishes a copy; the other side's copy is foreign
 * data: a position that cannot be makes the ring look full (to the writer) or empty (to the reader)
 * and is counted, never followed.
 *
 * Two eventfds carry the only news that matters: `data_fd` rings when the ring stops being empty,
 * `space_fd` when it stops being full. So whoever was told "nothing there" or "no room" by a call
 * here may sleep on the descriptor; whoever stopped for another reason gets no wake-up and comes
 * back by itself. A wake-up may be spurious, never missing. The waiter empties its eventfd
 * (bytering_clear) before it looks at the ring.
 *
 * One thread at a time per side. Nothing here blocks or allocates. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { BYTERING_SIZE_MIN = 64, BYTERING_SIZE_MAX = 1 << 20 };

/* What lies in the shared memory; all zero is an empty ring. Positions count bytes modulo 2^32. */
struct bytering_shared {
    _Alignas(64) _Atomic uint32_t written;
    _Alignas(64) _Atomic uint32_t taken;
    _Alignas(64) uint8_t data[];
};

/* One side's handle. All descriptors and memory are borrowed. */
struct bytering {
    struct bytering_shared *shared;
    uint32_t size;
    uint32_t pos;    /* own position */
    int wait_fd;     /* what this side may sleep on */
    int signal_fd;   /* what wakes the other side */
    uint64_t broken; /* times the other side's position was nonsense */
};

static inline size_t bytering_shared_size(uint32_t size)
{
    return sizeof(struct bytering_shared) + size;
}

/* `size`: a power of two within the limits above, the same on both sides. Attaching goes on where
 * the side's published position is. -EINVAL: size. */
int bytering_init_writer(struct bytering *ring, struct bytering_shared *shared, uint32_t size,
                         int data_fd, int space_fd);
int bytering_init_reader(struct bytering *ring, struct bytering_shared *shared, uint32_t size,
                         int data_fd, int space_fd);

/* The writer's: bytes that fit now, and as much of `data` as fits (returned; may be 0). */
uint32_t bytering_space(struct bytering *ring);
size_t bytering_write(struct bytering *ring, const void *data, size_t len);

/* The reader's: bytes that are there; copy some out; or see them in place (1 or 2 pieces, 0 when
 * empty) and then take `len` of them. The writer may still change what is seen in place: for bytes
 * that are passed on, not parsed. */
uint32_t bytering_used(struct bytering *ring);
size_t bytering_read(struct bytering *ring, void *data, size_t len);
int bytering_peek(struct bytering *ring, struct iovec iov[2]);
void bytering_take(struct bytering *ring, uint32_t len); /* at most bytering_used */

/* Empties the eventfd that this side sleeps on. */
void bytering_clear(struct bytering *ring);
