/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk on a disk in memory, single-threaded. See virtio_ops.h. */
#include "vm/dev/virtio_blk.h"

#include "fuzz/virtio_ops.h"
#include "vm/backend/blk_mem.h"

enum { DISK = 1 << 18, STEPS = 12 };

static void step(struct harness *h)
{
    for (unsigned i = 0; i < STEPS; i++)
        virtio_blk_step(h->dev);
}

/* A read of sector 0 in the plainest form. */
static void check_works(struct virtio_ops *ops)
{
    static const uint8_t header[16];
    struct virtio_driver *d = &ops->d;

    virtio_ops_mend(ops);
    harness_poke(ops->h, VD_HEAP, header, sizeof header);
    vd_desc(d, 0, 0, VD_HEAP, sizeof header, VD_NEXT, 1);
    vd_desc(d, 0, 1, VD_HEAP + 512, 513, VD_WRITE, 0);
    FUZZ_CHECK(virtio_ops_serve(ops, 0) == 513);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_blk_params params = {.queues = 2, .serial = "fuzz", .unthreaded = true};
    struct virtio_ops ops = {.step = step};
    struct blk_mem *mem;

    if (!size || blk_mem_create(DISK, &mem))
        return 0;
    mem->blk.readonly = *data & 1;
    params.blk = &mem->blk;
    ops.h = harness_create(&virtio_blk_class, &params, VD_RAM);
    virtio_ops_run(&ops, data + 1, size - 1);
    check_works(&ops);
    harness_destroy(ops.h);
    return 0;
}
