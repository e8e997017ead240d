/* SPDX-License-Identifier: Apache-2.0 */
/* The wake-up rule is Dekker's: a side publishes its position, then (sequentially consistent) looks
 * at the other's. If the writer sees the reader exactly where the ring was empty before this write,
 * the reader may be asleep: ring it. If not, the reader has yet to publish a later position, and
 * looks at the writer's after it did. The same the other way round for a full ring. */
#include "vm/machine/bytering.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/range.h"

static int init(struct bytering *ring, struct bytering_shared *shared, uint32_t size, uint32_t pos,
                int wait_fd, int signal_fd)
{
    if (!is_power_of_two(size) || size < BYTERING_SIZE_MIN || size > BYTERING_SIZE_MAX)
        return -EINVAL;
    *ring = (struct bytering){
        .shared = shared, .size = size, .pos = pos, .wait_fd = wait_fd, .signal_fd = signal_fd};
    return 0;
}

int bytering_init_writer(struct bytering *ring, struct bytering_shared *shared, uint32_t size,
                         int data_fd, int space_fd)
{
    return init(ring, shared, size, atomic_load(&shared->written), space_fd, data_fd);
}

int bytering_init_reader(struct bytering *ring, struct bytering_shared *shared, uint32_t size,
                         int data_fd, int space_fd)
{
    return init(ring, shared, size, atomic_load(&shared->taken), data_fd, space_fd);
}

static void signal_other(const struct bytering *ring)
{
    const uint64_t one = 1;

    (void)!write(ring->signal_fd, &one, sizeof one); /* EAGAIN: it is awake many times over */
}

uint32_t bytering_space(struct bytering *ring)
{
    uint32_t used = ring->pos - atomic_load(&ring->shared->taken);

    if (used > ring->size) {
        ring->broken++;
        return 0;
    }
    return ring->size - used;
}

size_t bytering_write(struct bytering *ring, const void *data, size_t len)
{
    uint32_t before = ring->pos, at = before & (ring->size - 1);
    uint32_t n = (uint32_t)MIN(len, (size_t)bytering_space(ring));
    uint32_t first = MIN(n, ring->size - at);

    if (!n)
        return 0;
    memcpy(ring->shared->data + at, data, first);
    memcpy(ring->shared->data, (const uint8_t *)data + first, n - first);
    ring->pos = before + n;
    atomic_store(&ring->shared->written, ring->pos);
    if (atomic_load(&ring->shared->taken) == before)
        signal_other(ring);
    return n;
}

uint32_t bytering_used(struct bytering *ring)
{
    uint32_t used = atomic_load(&ring->shared->written) - ring->pos;

    if (used > ring->size) {
        ring->broken++;
        return 0;
    }
    return used;
}

int bytering_peek(struct bytering *ring, struct iovec iov[2])
{
    uint32_t n = bytering_used(ring), at = ring->pos & (ring->size - 1);
    uint32_t first = MIN(n, ring->size - at);

    iov[0] = (struct iovec){.iov_base = ring->shared->data + at, .iov_len = first};
    iov[1] = (struct iovec){.iov_base = ring->shared->data, .iov_len = n - first};
    return n > first ? 2 : n > 0;
}

void bytering_take(struct bytering *ring, uint32_t len)
{
    uint32_t before = ring->pos;

    if (!len)
        return;
    ring->pos = before + len;
    atomic_store(&ring->shared->taken, ring->pos);
    if (atomic_load(&ring->shared->written) - before == ring->size)
        signal_other(ring);
}

size_t bytering_read(struct bytering *ring, void *data, size_t len)
{
    struct iovec iov[2];
    size_t done = 0;
    int pieces = bytering_peek(ring, iov);

    for (int i = 0; i < pieces; i++) {
        size_t n = MIN(len - done, iov[i].iov_len);
        memcpy((uint8_t *)data + done, iov[i].iov_base, n);
        done += n;
    }
    bytering_take(ring, (uint32_t)done);
    return done;
}

void bytering_clear(struct bytering *ring)
{
    uint64_t count;

    (void)!read(ring->wait_fd, &count, sizeof count);
}
