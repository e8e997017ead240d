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
#include "tests/device/virtio_driver.h"

enum { BLOCK = 4096, DEPTH_MAX = 64 };

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "bench-virtio-blk: %s\n", what);
    exit(1);
}

static struct blk *open_blk(const char *path, const char *engine_name)
{
    static struct disk_dir dir; /* as long as the process */
    struct disk_options options = {.flags = DISK_READONLY, .format = "raw"};
    struct err err = ERR_INIT;
    enum aio_engine engine;
    struct disk *disk;
    struct aio *aio;
    struct blk *blk;
    const char *name;

    if (!aio_engine_parse(engine_name, &engine))
        fail("engine: auto, uring or plain");
    if (disk_dir_open_for(&dir, path, &name, &err) || aio_create(engine, &aio, &err) ||
        disk_open(&dir.host, name, &options, aio, &disk, &err) || blk_disk_open(disk, &blk, &err))
        fail(err.text);
    return blk;
}

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
        fail("usage: bench-virtio-blk FILE ENGINE DEPTH COUNT");
    unsigned depth = (unsigned)atoi(argv[3]), count = (unsigned)atoi(argv[4]);
    unsigned done = 0, kicks = 0, interrupts = 0;
    if (!depth || depth > DEPTH_MAX || count < depth)
        fail("depth 1 to 64, count at least that");
    params.blk = open_blk(argv[1], argv[2]);
    uint64_t blocks = params.blk->size / BLOCK;
    struct harness *h = harness_create(&virtio_blk_class, &params, VD_RAM);
    if (!blocks || !vd_start(&d, h, UINT64_MAX, 1, 256))
        fail("cannot start the device");
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
