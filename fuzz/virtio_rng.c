/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng, for the transport and the rings. See virtio_ops.h. */
#include "vm/dev/virtio_rng.h"

#include "fuzz/virtio_ops.h"

/* Not harness_run: a ring that is always full would keep the loop busy for ever. */
static void step(struct harness *h)
{
    for (unsigned i = 0; i < 4; i++)
        (void)loop_run_once(h->loop, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_ops ops = {.step = step};

    ops.h = harness_create(&virtio_rng_class, NULL, VD_RAM);
    virtio_ops_run(&ops, data, size);
    virtio_ops_mend(&ops);
    vd_desc(&ops.d, 0, 0, VD_HEAP, 100, VD_WRITE, 0);
    FUZZ_CHECK(virtio_ops_serve(&ops, 0) == 100);
    harness_destroy(ops.h);
    return 0;
}
