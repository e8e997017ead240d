/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/virtio_ops.h"
enum { OPS_MAX = 400 };

static unsigned take_queue(struct virtio_ops *ops, struct input *in)
{
    return (unsigned)take(in, 1) % ops->h->layout.doorbell.count;
}

static void access_register(struct virtio_ops *ops, struct input *in, bool write)
{
    unsigned region = (unsigned)take(in, 1) % ops->h->layout.region_count;
    uint64_t offset = take(in, 2) % ops->h->layout.region[region].size;
    unsigned size = 1u << take(in, 1) % 4;

    if (write)
        harness_write(ops->h, region, offset, size, take(in, 8));
    else
        (void)harness_read(ops->h, region, offset, size);
}

static void start(struct virtio_ops *ops, struct input *in)
{
    uint64_t features = take(in, 8);
    uint16_t size = (uint16_t)(1u << take(in, 1) % 8);

    (void)vd_start(&ops->d, ops->h, features, MIN(ops->h->layout.doorbell.count, 8u), size);
}

static void poke(struct virtio_ops *ops, struct input *in)
{
    uint64_t addr = take(in, 4) % (VD_RAM - 256);
    size_t len = MIN((size_t)take(in, 1), in->left);

    harness_poke(ops->h, addr, in->data, len);
    in->data += len;
    in->left -= len;
}

static void desc(struct virtio_ops *ops, struct input *in)
{
    unsigned q = take_queue(ops, in), index = (unsigned)take(in, 1);
    uint64_t addr = take(in, 4);
    uint32_t len = (uint32_t)take(in, 4);
    uint16_t flags = (uint16_t)take(in, 2);

    if (ops->d.q[q].size)
        vd_desc(&ops->d, q, index, addr, len, flags, (uint16_t)take(in, 2));
}

static void offer(struct virtio_ops *ops, struct input *in)
{
    unsigned q = take_queue(ops, in);
    uint16_t head = (uint16_t)take(in, 2);

    if (ops->d.q[q].size)
        vd_offer(&ops->d, q, head);
}

static void perform(struct virtio_ops *ops, struct input *in)
{
    switch (take(in, 1) % 11) {
    case 0:
        access_register(ops, in, true);
        break;
    case 1:
        access_register(ops, in, false);
        break;
    case 2:
        harness_ring(ops->h, take_queue(ops, in));
        break;
    case 3:
        start(ops, in);
        break;
    case 4:
        poke(ops, in);
        break;
    case 5:
        desc(ops, in);
        break;
    case 6:
        offer(ops, in);
        break;
    case 7:
        ops->step(ops->h);
        break;
    case 8: {
        unsigned bits = (unsigned)take(in, 1);
        harness_bus_master(ops->h, bits & 1);
        harness_msix_enable(ops->h, bits & 2);
        break;
    }
    case 9:
        fuzz_save_and_restore(ops->h);
        break;
    default:
        ops->h->class->reset(ops->h->dev);
    }
}

void virtio_ops_run(struct virtio_ops *ops, const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    ops->d.h = ops->h;
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        perform(ops, &in);
    ops->step(ops->h);
}

void virtio_ops_mend(struct virtio_ops *ops)
{
    harness_bus_master(ops->h, true);
    FUZZ_CHECK(vd_start(&ops->d, ops->h, UINT64_MAX, ops->h->layout.doorbell.count, 16));
}

uint32_t virtio_ops_serve(struct virtio_ops *ops, unsigned queue)
{
    struct vd_used used;

    vd_offer(&ops->d, queue, 0);
    vd_kick(&ops->d, queue);
    ops->step(ops->h);
    FUZZ_CHECK(vd_used_count(&ops->d, queue) == 1);
    FUZZ_CHECK(vd_wait(&ops->d, queue, &used) && used.id == 0);
    return used.len;
}
