/* SPDX-License-Identifier: Apache-2.0 */
/* The data path of virtio-blk without a guest: random 4-KiB reads of a file through rings in
 * memory, doorbells and MSI-X eventfds as the real ones. For counting, not timing:
 *
 *     valgrind --tool=callgrind --separate-threads=yes bench-virtio-blk FILE plain 1 2000
 *     strace -c -f bench-virtio-blk FILE uring 16 20000
 *
 * bench-virtio-blk FILE auto|uring|plain DEPTH COUNT */
#include "vm/dev/virtio_blk.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "bench/blk_open.h"
#include "tests/device/virtio_driver.h"

enum { BLOCK = 4096, DEPTH_MAX = 64 };

/* Three descriptors a slot: header, data, status. */
static void prepare(struct virtio_driver *d, unsigned slot, uint64_t *ret_header)
{
    uint64_t header = vd_alloc(d, 32), data = vd_alloc(d, BLOCK);
    uint16_t at = (uint16_t)(slot * 3);

    vd_desc(d, 0, at, header, 16, VD_NEXT, (uint16_t)(at + 1));
    vd_desc(d, 0, at + 1u, data, BLOCK, VD_NEXT | VD_WRITE, (uint16_t)(at + 2));
    vd_desc(d, 0, at + 2u, header + 16, 1, VD_WRITE, 0);
    *ret_header = header;
}

static void offer(struct virtio_driver *d, const uint64_t *header, unsigned slot, uint64_t blocks)
{
    uint8_t raw[16] = {0};

    le64_store(raw + 8, (uint64_t)rand() % blocks * (BLOCK / 512));
    harness_poke(d->h, header[slot], raw, sizeof raw);
    vd_offer(d, 0, (uint16_t)(slot * 3));
}

/* Notifies as a driver with EVENT_IDX does: only when the device asked for it. */
static unsigned kick_if_wanted(struct virtio_driver *d, uint16_t before)
{
    struct vd_queue *q = &d->q[0];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint16_t event = vd_peek16(d, q->used + 4 + q->size * UINT64_C(8));
    if ((uint16_t)(q->avail_idx - event - 1) >= (uint16_t)(q->avail_idx - before))
        return 0;
    vd_kick(d, 0);
    return 1;
}

int main(int argc, char **argv)
{
    struct virtio_blk_params params = {.queues = 1};
    struct virtio_driver d;
    uint64_t header[DEPTH_MAX];

    if (argc != 5)
        bench_fail("usage: bench-virtio-blk FILE ENGINE DEPTH COUNT");
    unsigned depth = (unsigned)atoi(argv[3]), count = (unsigned)atoi(argv[4]);
    unsigned done = 0, kicks = 0, interrupts = 0;
    if (!depth || depth > DEPTH_MAX || count < depth)
        bench_fail("depth 1 to 64, count at least that");
    params.blk = bench_open_blk(argv[1], argv[2]);
    uint64_t blocks = params.blk->size / BLOCK;
    struct harness *h = harness_create(&virtio_blk_class, &params, VD_RAM);
    if (!blocks || !vd_start(&d, h, UINT64_MAX, 1, 256))
        bench_fail("cannot start the device");
    for (unsigned i = 0; i < depth; i++) {
        prepare(&d, i, &header[i]);
        offer(&d, header, i, blocks);
    }
    unsigned offered = depth;
    kicks += kick_if_wanted(&d, 0);
    while (done < count) {
        struct pollfd irq = {.fd = h->port.msix_fd[1], .events = POLLIN};
        struct vd_used used;
        uint16_t before = d.q[0].avail_idx;

        (void)poll(&irq, 1, -1);
        interrupts += (unsigned)harness_msix(h, 1);
        while (vd_used_count(&d, 0) && vd_wait(&d, 0, &used)) {
            done++;
            if (offered < count) {
                offer(&d, header, used.id / 3, blocks);
                offered++;
            }
            vd_poke16(&d, d.q[0].avail + 4 + d.q[0].size * UINT64_C(2), d.q[0].used_idx);
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
        }
        kicks += kick_if_wanted(&d, before);
    }
    (void)printf("%u reads, %u doorbells, %u interrupts\n", done, kicks, interrupts);
    harness_destroy(h);
    return 0;
}
