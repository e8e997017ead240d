/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-balloon. See virtio_ops.h. */
#include "vm/dev/virtio_balloon.h"

#include "fuzz/virtio_ops.h"

static void step(struct harness *h)
{
    struct virtio_balloon_stats stats;

    for (unsigned i = 0; i < 4; i++)
        (void)loop_run_once(h->loop, 0);
    virtio_balloon_stats(h->dev, true, &stats);
    virtio_balloon_set_target(h->dev, (uint32_t)stats.updates);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_ops ops = {.step = step};
    uint64_t before;

    ops.h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    virtio_ops_run(&ops, data, size);
    virtio_ops_mend(&ops);
    before = virtio_balloon_counts(ops.h->dev).reported;
    vd_desc(&ops.d, 4, 0, VD_HEAP, 8192, VD_WRITE, 0);
    FUZZ_CHECK(virtio_ops_serve(&ops, 4) == 0);
    FUZZ_CHECK(virtio_balloon_counts(ops.h->dev).reported == before + 8192);
    harness_destroy(ops.h);
    return 0;
}
