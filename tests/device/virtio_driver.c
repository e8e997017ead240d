/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/device/virtio_driver.h"

#include <unistd.h>

#include "base/bytes.h"

uint64_t vd_get(struct virtio_driver *d, uint64_t offset, unsigned size)
{
    return harness_read(d->h, VIRTIO_REGION_COMMON, offset, size);
}

void vd_set(struct virtio_driver *d, uint64_t offset, unsigned size, uint64_t value)
{
    harness_write(d->h, VIRTIO_REGION_COMMON, offset, size, value);
}

uint8_t vd_status(struct virtio_driver *d)
{
    return (uint8_t)vd_get(d, VIRTIO_COMMON_STATUS, 1);
}

void vd_set_status(struct virtio_driver *d, uint8_t bits)
{
    vd_set(d, VIRTIO_COMMON_STATUS, 1, vd_status(d) | bits);
}

uint64_t vd_offered(struct virtio_driver *d)
{
    vd_set(d, VIRTIO_COMMON_DEVICE_FEATURE_SELECT, 4, 0);
    uint64_t low = vd_get(d, VIRTIO_COMMON_DEVICE_FEATURE, 4);
    vd_set(d, VIRTIO_COMMON_DEVICE_FEATURE_SELECT, 4, 1);
    return low | vd_get(d, VIRTIO_COMMON_DEVICE_FEATURE, 4) << 32;
}

void vd_set_features(struct virtio_driver *d, uint64_t features)
{
    for (unsigned i = 0; i < 2; i++) {
        vd_set(d, VIRTIO_COMMON_DRIVER_FEATURE_SELECT, 4, i);
        vd_set(d, VIRTIO_COMMON_DRIVER_FEATURE, 4, (uint32_t)(features >> (i * 32)));
    }
}

bool vd_begin(struct virtio_driver *d, struct harness *h, uint64_t wanted)
{
    *d = (struct virtio_driver){.h = h, .heap = VD_HEAP};
    harness_msix_enable(h, true);
    vd_set(d, VIRTIO_COMMON_STATUS, 1, 0);
    vd_set_status(d, VIRTIO_STATUS_ACKNOWLEDGE);
    vd_set_status(d, VIRTIO_STATUS_DRIVER);
    d->features = (vd_offered(d) & wanted) | VIRTIO_F_VERSION_1;
    vd_set_features(d, d->features);
    vd_set_status(d, VIRTIO_STATUS_FEATURES_OK);
    vd_set(d, VIRTIO_COMMON_CONFIG_VECTOR, 2, 0);
    return vd_status(d) & VIRTIO_STATUS_FEATURES_OK;
}

void vd_queue_setup(struct virtio_driver *d, unsigned q, uint16_t size)
{
    struct vd_queue *vq = &d->q[q];
    uint64_t base = VD_RINGS + q * UINT64_C(0x4000);

    *vq = (struct vd_queue){
        .size = size, .desc = base, .avail = base + 0x1000, .used = base + 0x2000};
    (void)gmem_fill(d->h->gmem, gpa(base), 0, 0x4000);
    vd_set(d, VIRTIO_COMMON_QUEUE_SELECT, 2, q);
    vd_set(d, VIRTIO_COMMON_QUEUE_SIZE, 2, size);
    vd_set(d, VIRTIO_COMMON_QUEUE_VECTOR, 2, q + 1);
    vd_set(d, VIRTIO_COMMON_QUEUE_DESC, 8, vq->desc);
    vd_set(d, VIRTIO_COMMON_QUEUE_DRIVER, 8, vq->avail);
    vd_set(d, VIRTIO_COMMON_QUEUE_DEVICE, 8, vq->used);
    vd_set(d, VIRTIO_COMMON_QUEUE_ENABLE, 2, 1);
}

bool vd_start(struct virtio_driver *d, struct harness *h, uint64_t wanted, unsigned queues,
              uint16_t size)
{
    if (!vd_begin(d, h, wanted))
        return false;
    for (unsigned q = 0; q < queues; q++)
        vd_queue_setup(d, q, size);
    vd_set_status(d, VIRTIO_STATUS_DRIVER_OK);
    return vd_status(d) == (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
                            VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK);
}

uint64_t vd_alloc(struct virtio_driver *d, uint64_t size)
{
    uint64_t at = d->heap;

    d->heap = align_up(d->heap + size, 16);
    (void)gmem_fill(d->h->gmem, gpa(at), 0, size);
    return at;
}

void vd_table_desc(struct virtio_driver *d, uint64_t table, unsigned index, uint64_t addr,
                   uint32_t len, uint16_t flags, uint16_t next)
{
    uint8_t raw[16];

    le64_store(raw, addr);
    le32_store(raw + 8, len);
    le16_store(raw + 12, flags);
    le16_store(raw + 14, next);
    harness_poke(d->h, table + index * UINT64_C(16), raw, sizeof raw);
}

void vd_desc(struct virtio_driver *d, unsigned q, unsigned index, uint64_t addr, uint32_t len,
             uint16_t flags, uint16_t next)
{
    vd_table_desc(d, d->q[q].desc, index, addr, len, flags, next);
}

uint16_t vd_peek16(struct virtio_driver *d, uint64_t addr)
{
    struct gmem_view view;

    return gmem_view_map(d->h->gmem, gpa(addr), 2, 2, &view) ? 0 : gmem_view_load16(&view, 0);
}

void vd_poke16(struct virtio_driver *d, uint64_t addr, uint16_t value)
{
    struct gmem_view view;

    if (!gmem_view_map(d->h->gmem, gpa(addr), 2, 2, &view))
        gmem_view_store16(&view, 0, value);
}

void vd_offer(struct virtio_driver *d, unsigned q, uint16_t head)
{
    struct vd_queue *vq = &d->q[q];

    vd_poke16(d, vq->avail + 4 + (vq->avail_idx & (vq->size - 1u)) * UINT64_C(2), head);
    vq->avail_idx++;
    vd_poke16(d, vq->avail + 2, vq->avail_idx);
}

void vd_kick(struct virtio_driver *d, unsigned q)
{
    harness_ring(d->h, q);
}

uint16_t vd_used_count(struct virtio_driver *d, unsigned q)
{
    return (uint16_t)(vd_peek16(d, d->q[q].used + 2) - d->q[q].used_idx);
}

bool vd_wait(struct virtio_driver *d, unsigned q, struct vd_used *ret_used)
{
    struct vd_queue *vq = &d->q[q];
    uint64_t end = clock_now() + HARNESS_WAIT_MS * UINT64_C(1000000);
    struct gmem_view view;

    for (harness_run(d->h); !vd_used_count(d, q); harness_run(d->h)) {
        if (clock_now() > end)
            return false;
        (void)usleep(50);
    }
    if (gmem_view_map(d->h->gmem, gpa(vq->used), 4 + vq->size * UINT64_C(8), 4, &view))
        return false;
    uint64_t at = 4 + (vq->used_idx & (vq->size - 1u)) * UINT64_C(8);
    *ret_used = (struct vd_used){gmem_view_load32(&view, at), gmem_view_load32(&view, at + 4)};
    vq->used_idx++;
    return true;
}

bool vd_wait_broken(struct virtio_driver *d)
{
    uint64_t end = clock_now() + HARNESS_WAIT_MS * UINT64_C(1000000);

    for (harness_run(d->h); !(vd_status(d) & VIRTIO_STATUS_NEEDS_RESET); harness_run(d->h)) {
        if (clock_now() > end)
            return false;
        (void)usleep(50);
    }
    return true;
}
