/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio transport and the rings, against their rules, on a device that takes every chain and
 * says how many bytes it could have written. */
#include "vm/dev/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"

enum { ACK = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 };

static struct virtio_driver d;

/* -- The device --- */

struct taker {
    struct virtio_pci vp;
    struct virtqueue vq;
};

static void taker_kick(struct virtio_pci *vp, unsigned queue)
{
    struct taker *dev = (struct taker *)vp;
    struct iovec iov[64];
    struct vq_chain chain = {.iov = iov, .iov_max = 64};
    int rc;

    do {
        while ((rc = virtqueue_pop(&dev->vq, &chain)) > 0)
            virtqueue_push(&dev->vq, chain.head, (uint32_t)chain.in_len);
        if (rc < 0)
            virtio_pci_fail(vp);
    } while (!rc && virtqueue_arm(&dev->vq));
    virtio_pci_publish(vp, &dev->vq);
}

static const struct virtio_pci_type taker_type = {
    .id = VIRTIO_ID_RNG, .class_code = 0x00ff00, .kick = taker_kick};

static int taker_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    virtio_pci_layout(&taker_type, 1, ret_layout);
    return 0;
}

static void taker_destroy(void *dev)
{
    virtio_pci_deinit(dev);
    free(dev);
}

static int taker_create(const struct dev_env *env, const void *params, void **ret_dev,
                        struct err *err)
{
    struct taker *dev = calloc(1, sizeof *dev);

    if (!dev)
        return -ENOMEM;
    struct virtio_pci_config config = {.type = &taker_type, .vq = &dev->vq, .queue_count = 1};
    virtqueue_init(&dev->vq, 64);
    *ret_dev = dev;
    return virtio_pci_init(&dev->vp, env, &config, err);
}

static int taker_post_load(void *dev, struct err *err)
{
    return virtio_pci_post_load(dev, err);
}

static const struct state_field taker_fields[] = {
    STATE_SUB(struct taker, vp, &virtio_pci_state, 1),
    STATE_SUB(struct taker, vq, &virtqueue_state, 1),
};

static const struct state_table taker_state = {
    .name = "taker",
    .version = 1,
    .size = sizeof(struct taker),
    .fields = taker_fields,
    .field_count = ARRAY_SIZE(taker_fields),
    .post_load = taker_post_load,
};

static const struct dev_class taker_class = {
    .name = "taker",
    .place = DEV_IN_VMX,
    .layout = taker_layout,
    .create = taker_create,
    .destroy = taker_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = virtio_pci_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &taker_state,
};

static struct harness *start(uint64_t features)
{
    struct harness *h = harness_create(&taker_class, NULL, VD_RAM);

    CHECK(vd_start(&d, h, features, 1, 8));
    return h;
}

static struct harness *idle(void)
{
    struct harness *h = harness_create(&taker_class, NULL, VD_RAM);

    d = (struct virtio_driver){.h = h, .heap = VD_HEAP};
    return h;
}

static bool serves(void)
{
    struct vd_used used;

    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    return vd_wait(&d, 0, &used) && used.len == 4;
}

/* -- Registers --- */

static void capabilities(void)
{
    struct harness *h = idle();
    const struct pci_layout *pci = &h->layout.pci;
    const uint8_t *cap = pci->caps;
    unsigned seen = 0;

    CHECK_EQ(pci->vendor, 0x1af4);
    CHECK_EQ(pci->device, 0x1044);
    CHECK_EQ(pci->revision, 1);
    for (unsigned i = 0; i < pci->cap_count; cap += pci->cap_len[i++]) {
        CHECK_EQ(cap[0], 9);
        CHECK_EQ(cap[2], pci->cap_len[i]);
        seen |= BIT(cap[3]);
        if (cap[3] == VIRTIO_PCI_CAP_NOTIFY_CFG) {
            CHECK_EQ(le32_load(cap + 8), h->layout.doorbell.offset);
            CHECK_EQ(le32_load(cap + 16), h->layout.doorbell.stride);
        }
        if (cap[3] == VIRTIO_PCI_CAP_PCI_CFG)
            CHECK_EQ(pci->window_cap, i + 1);
        else
            CHECK(range_within(le32_load(cap + 8), le32_load(cap + 12), pci->bar[cap[4]].size));
    }
    CHECK_EQ(seen, 0x3e & ~BIT(VIRTIO_PCI_CAP_DEVICE_CFG)); /* this one has no registers */
    harness_destroy(h);
}

static void registers(void)
{
    struct harness *h = idle();

    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_NUM_QUEUES, 2), 1);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_CONFIG_VECTOR, 2), 0xffff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 64);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_NOTIFY_OFF, 2), 0);
    CHECK_EQ(vd_offered(&d), VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
    vd_set(&d, VIRTIO_COMMON_DEVICE_FEATURE_SELECT, 4, 2);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_DEVICE_FEATURE, 4), 0);
    vd_set(&d, VIRTIO_COMMON_QUEUE_DESC, 8, 0x123456789abcd000);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_DESC, 8), 0x123456789abcd000);
    vd_set(&d, VIRTIO_COMMON_QUEUE_DESC + 4, 4, 7);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_DESC, 8), 0x79abcd000);
    vd_set(&d, VIRTIO_COMMON_CONFIG_VECTOR, 2, 1);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_CONFIG_VECTOR, 2), 1);
    vd_set(&d, VIRTIO_COMMON_CONFIG_VECTOR, 2, 2); /* there are two: 0 and 1 */
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_CONFIG_VECTOR, 2), 0xffff);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SELECT, 2, 1); /* none */
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 0);
    vd_set(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2, 1);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2), 0);
    harness_destroy(h);
}

static void wrong_widths(void)
{
    struct harness *h = idle();

    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_STATUS, 2), 0xffff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_STATUS, 4), 0xffffffff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 1), 0xff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_DEVICE_FEATURE, 2), 0xffff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_DESC + 2, 4), 0xffffffff);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_SIZE, 4), 0xffffffff);
    CHECK_EQ(vd_get(&d, 0x800, 1), 0xff);
    vd_set(&d, VIRTIO_COMMON_STATUS, 4, 1);
    CHECK_EQ(vd_status(&d), 0);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 4, 16);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 64);
    CHECK_EQ(harness_read(h, VIRTIO_REGION_DEVICE, 0, 4), 0xffffffff);
    harness_destroy(h);
}

static void negotiation(void)
{
    struct harness *h = idle();

    vd_set(&d, VIRTIO_COMMON_STATUS, 1, FEATURES_OK); /* nobody there yet */
    CHECK_EQ(vd_status(&d), 0);
    vd_set_status(&d, ACK);
    vd_set_status(&d, DRIVER);
    vd_set_features(&d, 0); /* legacy */
    vd_set_status(&d, FEATURES_OK);
    CHECK_EQ(vd_status(&d), ACK | DRIVER);
    vd_set_features(&d, VIRTIO_F_VERSION_1 | 1); /* not offered */
    vd_set_status(&d, FEATURES_OK);
    CHECK_EQ(vd_status(&d), ACK | DRIVER);
    vd_set_status(&d, DRIVER_OK);
    CHECK_EQ(vd_status(&d), ACK | DRIVER);
    vd_set_features(&d, VIRTIO_F_VERSION_1);
    vd_set_status(&d, FEATURES_OK);
    CHECK_EQ(vd_status(&d), ACK | DRIVER | FEATURES_OK);
    vd_set_features(&d, VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX); /* too late */
    vd_set(&d, VIRTIO_COMMON_DRIVER_FEATURE_SELECT, 4, 0);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_DRIVER_FEATURE, 4), 0);
    vd_set(&d, VIRTIO_COMMON_STATUS, 1, ACK); /* bits are not taken back */
    CHECK_EQ(vd_status(&d), ACK | DRIVER | FEATURES_OK);
    vd_set_status(&d, FAILED);
    CHECK_EQ(vd_status(&d), ACK | DRIVER | FEATURES_OK | FAILED);
    vd_set(&d, VIRTIO_COMMON_STATUS, 1, 0);
    CHECK_EQ(vd_status(&d), 0);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_DRIVER_FEATURE, 4), 0);
    harness_destroy(h);
}

static void frozen_when_active(void)
{
    struct harness *h = idle();

    CHECK(vd_begin(&d, h, UINT64_MAX));
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 24); /* no power of two */
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 64);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 128); /* too large */
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 64);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 0);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 64);
    vd_queue_setup(&d, 0, 8);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 16);
    vd_set(&d, VIRTIO_COMMON_QUEUE_DESC, 8, 0x5000);
    vd_set(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2, 0);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 8);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_DESC, 8), d.q[0].desc);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2), 1);
    vd_set_status(&d, DRIVER_OK);
    vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 16);
    vd_set(&d, VIRTIO_COMMON_QUEUE_DEVICE, 8, 0x5000);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_SIZE, 2), 8);
    CHECK(serves());
    harness_destroy(h);
}

/* A queue that was not enabled before DRIVER_OK stays off. */
static void late_enable(void)
{
    struct harness *h = idle();

    CHECK(vd_begin(&d, h, UINT64_MAX));
    vd_set_status(&d, DRIVER_OK);
    vd_queue_setup(&d, 0, 8);
    CHECK_EQ(vd_get(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2), 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 0);
    CHECK(!(vd_status(&d) & NEEDS_RESET));
    harness_destroy(h);
}

static void nothing_before_driver_ok(void)
{
    struct harness *h = idle();

    CHECK(vd_begin(&d, h, UINT64_MAX));
    vd_queue_setup(&d, 0, 8);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 0);
    vd_set_status(&d, DRIVER_OK); /* what is waiting is taken without another doorbell */
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 1);
    harness_destroy(h);
}

/* -- Interrupts --- */

static void intx_and_isr(void)
{
    struct harness *h = start(UINT64_MAX);

    harness_msix_enable(h, false);
    CHECK(serves());
    CHECK(harness_intx(h));
    CHECK_EQ(harness_intx_count(h), 1);
    CHECK_EQ(harness_msix(h, 1), 0);
    CHECK_EQ(harness_read(h, VIRTIO_REGION_ISR, 0, 1), 1);
    CHECK(!harness_intx(h)); /* reading takes it back */
    CHECK_EQ(harness_read(h, VIRTIO_REGION_ISR, 0, 1), 0);
    virtio_pci_config_changed(h->dev);
    CHECK(harness_intx(h));
    CHECK_EQ(harness_read(h, VIRTIO_REGION_ISR, 0, 1), 2);
    virtio_pci_config_changed(h->dev);
    vd_set(&d, VIRTIO_COMMON_STATUS, 1, 0);
    CHECK(!harness_intx(h));
    CHECK_EQ(harness_read(h, VIRTIO_REGION_ISR, 0, 1), 0);
    harness_destroy(h);
}

static void no_vector_no_message(void)
{
    struct harness *h = start(UINT64_MAX);

    vd_set(&d, VIRTIO_COMMON_QUEUE_VECTOR, 2, 0xffff);
    CHECK(serves());
    CHECK_EQ(harness_msix(h, 0) + harness_msix(h, 1), 0);
    CHECK(!harness_intx(h));
    harness_destroy(h);
}

static void event_index(void)
{
    struct harness *h = start(UINT64_MAX);

    CHECK(serves());
    CHECK_EQ(harness_msix(h, 1), 1); /* used_event 0: the first */
    CHECK(serves());
    CHECK_EQ(harness_msix(h, 1), 0);
    vd_poke16(&d, d.q[0].avail + 4 + 8 * 2, 2);
    CHECK(serves());
    CHECK_EQ(harness_msix(h, 1), 1);
    CHECK_EQ(vd_peek16(&d, d.q[0].used + 4 + 8 * 8), 3); /* avail_event: ring for the next one */
    harness_destroy(h);
}

static void wraps(void)
{
    struct harness *h = start(UINT64_MAX);

    for (unsigned i = 0; i < 70000; i++)
        if (!CHECK(serves()))
            break;
    CHECK_EQ(vd_peek16(&d, d.q[0].used + 2), 70000 & 0xffff);
    harness_destroy(h);
}

static void bus_master_off(void)
{
    struct harness *h = start(UINT64_MAX);

    harness_bus_master(h, false);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 0);
    harness_bus_master(h, true);
    vd_kick(&d, 0);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 1);
    harness_destroy(h);
}

/* -- Hostile rings: each breaks the device, none the host, and a reset mends it --- */

static void expect_broken(struct harness *h)
{
    vd_kick(&d, 0);
    harness_run(h);
    CHECK(vd_status(&d) & NEEDS_RESET);
    CHECK_EQ(harness_msix(h, 0), 1); /* the driver is told */
    CHECK_EQ(vd_used_count(&d, 0), 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, 0), 0);
    CHECK_EQ(harness_msix(h, 0), 0);
    CHECK(vd_start(&d, h, UINT64_MAX, 1, 8));
    CHECK(serves());
    harness_destroy(h);
}

static void head_out_of_ring(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_offer(&d, 0, 8);
    expect_broken(h);
}

static void next_out_of_ring(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_NEXT, 8); /* where nothing is: an empty one, if it counted */
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void cycle(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE | VD_NEXT, 1);
    vd_desc(&d, 0, 1, VD_HEAP, 4, VD_WRITE | VD_NEXT, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void empty_cycle(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_HEAP, 0, VD_WRITE | VD_NEXT, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void buffer_outside_ram(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_RAM - 2, 4, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void buffer_wraps_around(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, UINT64_MAX - 1, 4, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void too_many_available(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE, 0);
    for (unsigned i = 0; i < 9; i++)
        vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void readable_after_writable(void)
{
    struct harness *h = start(UINT64_MAX);
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE | VD_NEXT, 1);
    vd_desc(&d, 0, 1, VD_HEAP, 4, 0, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void more_than_4_gib(void)
{
    struct harness *h = harness_create(&taker_class, NULL, GIB(1));

    CHECK(vd_start(&d, h, UINT64_MAX, 1, 8));
    for (unsigned i = 0; i < 8; i++)
        vd_desc(&d, 0, i, 0, 0x30000000, VD_WRITE | (i < 7 ? VD_NEXT : 0), (uint16_t)(i + 1));
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void indirect_is_checked(void)
{
    static const struct {
        uint64_t table;
        uint32_t len;
        uint16_t flags;
    } bad[] = {
        {VD_HEAP, 0, VD_INDIRECT},
        {VD_HEAP, 24, VD_INDIRECT},
        {VD_HEAP, 16 * 65, VD_INDIRECT}, /* longer than the largest ring */
        {VD_HEAP, 0xfffffff0, VD_INDIRECT},
        {VD_RAM - 16, 32, VD_INDIRECT},
        {VD_HEAP, 16, VD_INDIRECT | VD_NEXT},
        {VD_HEAP, 16, VD_INDIRECT | VD_WRITE},
        {VD_HEAP + 16, 16, VD_INDIRECT}, /* a table in a table */
        {VD_HEAP + 32, 32, VD_INDIRECT}, /* a cycle in it */
        {VD_HEAP + 64, 32, VD_INDIRECT}, /* leaves it */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct harness *h = start(UINT64_MAX);
        vd_table_desc(&d, VD_HEAP, 0, VD_HEAP + 256, 4, VD_WRITE, 0);
        vd_table_desc(&d, VD_HEAP, 1, VD_HEAP, 16, VD_INDIRECT, 0);
        vd_table_desc(&d, VD_HEAP, 2, VD_HEAP + 256, 4, VD_WRITE | VD_NEXT, 1);
        vd_table_desc(&d, VD_HEAP, 3, VD_HEAP + 256, 4, VD_WRITE | VD_NEXT, 0);
        vd_table_desc(&d, VD_HEAP, 4, VD_HEAP + 256, 4, VD_WRITE | VD_NEXT, 2);
        vd_table_desc(&d, VD_HEAP, 6, VD_HEAP + 256, 4, VD_WRITE, 0);
        vd_desc(&d, 0, 0, bad[i].table, bad[i].len, bad[i].flags, 1);
        vd_offer(&d, 0, 0);
        expect_broken(h);
    }
}

static void indirect_not_negotiated(void)
{
    struct harness *h = start(~VIRTIO_F_INDIRECT_DESC);
    vd_table_desc(&d, VD_HEAP, 0, VD_HEAP + 256, 4, VD_WRITE, 0);
    vd_desc(&d, 0, 0, VD_HEAP, 16, VD_INDIRECT, 0);
    vd_offer(&d, 0, 0);
    expect_broken(h);
}

static void ring_addresses(void)
{
    static const struct {
        uint64_t reg, value;
    } bad[] = {
        {VIRTIO_COMMON_QUEUE_DESC, VD_RAM - 64},
        {VIRTIO_COMMON_QUEUE_DESC, VD_RINGS + 8}, /* not aligned */
        {VIRTIO_COMMON_QUEUE_DRIVER, VD_RAM - 20},
        {VIRTIO_COMMON_QUEUE_DRIVER, VD_RINGS + 1},
        {VIRTIO_COMMON_QUEUE_DEVICE, UINT64_MAX - 3},
        {VIRTIO_COMMON_QUEUE_DEVICE, VD_RINGS + 2},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        struct harness *h = idle();
        CHECK(vd_begin(&d, h, UINT64_MAX));
        vd_queue_setup(&d, 0, 8);
        vd_set(&d, VIRTIO_COMMON_STATUS, 1, 0);
        CHECK(vd_begin(&d, h, UINT64_MAX));
        vd_set(&d, VIRTIO_COMMON_QUEUE_SIZE, 2, 8);
        vd_set(&d, VIRTIO_COMMON_QUEUE_DESC, 8, VD_RINGS);
        vd_set(&d, VIRTIO_COMMON_QUEUE_DRIVER, 8, VD_RINGS + 0x1000);
        vd_set(&d, VIRTIO_COMMON_QUEUE_DEVICE, 8, VD_RINGS + 0x2000);
        vd_set(&d, bad[i].reg, 8, bad[i].value);
        vd_set(&d, VIRTIO_COMMON_QUEUE_ENABLE, 2, 1);
        vd_set_status(&d, DRIVER_OK);
        CHECK(vd_status(&d) & NEEDS_RESET);
        CHECK_EQ(harness_msix(h, 0), 1);
        vd_kick(&d, 0);
        harness_run(h);
        CHECK(vd_start(&d, h, UINT64_MAX, 1, 8));
        CHECK(serves());
        harness_destroy(h);
    }
}

/* Readable, empty and writable pieces, direct and behind a table: all is legal. */
static void legal_chains(void)
{
    struct harness *h = start(UINT64_MAX);
    struct vd_used used;

    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_NEXT, 1);
    vd_desc(&d, 0, 1, 0, 0, VD_NEXT, 2);
    vd_desc(&d, 0, 2, VD_HEAP, 5, VD_WRITE | VD_NEXT, 3);
    vd_desc(&d, 0, 3, VD_HEAP, 6, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    vd_table_desc(&d, VD_HEAP, 0, VD_HEAP + 256, 4, VD_NEXT, 1);
    vd_table_desc(&d, VD_HEAP, 1, VD_HEAP + 256, 7, VD_WRITE, 0);
    vd_desc(&d, 0, 4, VD_HEAP, 64, VD_NEXT, 5);
    vd_desc(&d, 0, 5, VD_HEAP, 32, VD_INDIRECT, 0);
    vd_offer(&d, 0, 4);
    vd_kick(&d, 0);
    CHECK(vd_wait(&d, 0, &used) && used.id == 0 && used.len == 11);
    CHECK(vd_wait(&d, 0, &used) && used.id == 4 && used.len == 7);
    CHECK_EQ(vd_status(&d) & NEEDS_RESET, 0);
    harness_destroy(h);
}

/* What another process's guest saved is foreign, too. */
static void state_is_checked(void)
{
    struct harness *h = start(UINT64_MAX), *other = idle();
    struct virtio_pci *vp = h->dev;
    struct err err;
    static const struct {
        uint8_t status;
        uint64_t features;
        uint16_t size, vector;
    } bad[] = {
        {0x10, VIRTIO_F_VERSION_1, 8, 0},   {DRIVER_OK, VIRTIO_F_VERSION_1, 8, 0},
        {15, VIRTIO_F_VERSION_1 | 1, 8, 0}, {15, 0, 8, 0},
        {15, VIRTIO_F_VERSION_1, 0, 0},     {15, VIRTIO_F_VERSION_1, 9, 0},
        {15, VIRTIO_F_VERSION_1, 128, 0},   {15, VIRTIO_F_VERSION_1, 8, 2},
    };

    harness_run(h);
    h->class->quiesce(h->dev);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        cleanup_buf struct buf saved = {0};
        err = ERR_INIT;
        atomic_store(&vp->status, bad[i].status);
        vp->driver_features = bad[i].features;
        vp->vq[0].size = bad[i].size;
        vp->vq[0].vector = bad[i].vector;
        state_save(h->class->state, h->dev, &saved);
        CHECK_EQ(harness_load(other, &saved, &err), -EINVAL);
        CHECK(strlen(err.text) > 20);
    }
    harness_destroy(h);
    harness_destroy(other);
}

TAP_MAIN(TAP_CASE(capabilities), TAP_CASE(registers), TAP_CASE(wrong_widths), TAP_CASE(negotiation),
         TAP_CASE(frozen_when_active), TAP_CASE(late_enable), TAP_CASE(nothing_before_driver_ok),
         TAP_CASE(intx_and_isr), TAP_CASE(no_vector_no_message), TAP_CASE(event_index),
         TAP_CASE(wraps), TAP_CASE(bus_master_off), TAP_CASE(head_out_of_ring),
         TAP_CASE(next_out_of_ring), TAP_CASE(cycle), TAP_CASE(empty_cycle),
         TAP_CASE(buffer_outside_ram), TAP_CASE(buffer_wraps_around), TAP_CASE(too_many_available),
         TAP_CASE(readable_after_writable), TAP_CASE(more_than_4_gib),
         TAP_CASE(indirect_is_checked), TAP_CASE(indirect_not_negotiated), TAP_CASE(ring_addresses),
         TAP_CASE(legal_chains), TAP_CASE(state_is_checked))
