/* SPDX-License-Identifier: Apache-2.0 */
/* Saved state of every device there is: save, restore into a fresh one, save again, the same bytes;
 * at power-on and after random register traffic; and bytes that were tampered with do no harm. */
#include <stdlib.h>

#include "base/range.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"
#include "vm/backend/blk_mem.h"
#include "vm/chipset/kbc8042.h"
#include "vm/chipset/rtc_cmos.h"
#include "vm/dev/ahci.h"
#include "vm/dev/device_table.h"
#include "vm/dev/uart16550.h"
#include "vm/dev/virtio_blk.h"
#include "vm/dev/virtio_console.h"
#include "vm/dev/virtio_net.h"

enum { RAM = VD_RAM, ROUNDS = 40, TRAFFIC = 400, TAMPERED = 300 };

/* Not in device_table: parts that every PC has and that need nothing around them here. */
static const struct dev_class *const chipset[] = {&kbc8042_class, &rtc_cmos_class, NULL};

static uint64_t seed;

static uint64_t rnd(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 24;
}

static struct harness *make(const struct dev_class *class)
{
    static const struct uart16550_params uart = {.base = 0x3f8, .irq = 4};
    static const struct rtc_cmos_params rtc = {.offset = 0};
    static const struct kbc8042_params kbc;

    if (class == &ahci_class) {
        struct ahci_params sata = {.drive[1] = {true, true, NULL}, .drive[4] = {true, false, NULL}};
        for (unsigned port = 1; port <= 4; port += 3) {
            struct blk_mem *mem;
            if (blk_mem_create(1 << 20, &mem))
                abort();
            sata.drive[port].blk = &mem->blk;
        }
        return harness_create(class, &sata, RAM);
    }
    if (class == &virtio_blk_class) {
        struct virtio_blk_params blk = {.queues = 3, .serial = "x"};
        struct blk_mem *mem;
        if (blk_mem_create(1 << 20, &mem))
            abort();
        blk.blk = &mem->blk;
        return harness_create(class, &blk, RAM);
    }
    if (class == &virtio_net_class) {
        const struct nic_params none = {.kind = NIC_NONE};
        struct virtio_net_params net = {0};
        if (nic_create(&none, &net.nic, NULL))
            abort();
        return harness_create(class, &net, RAM);
    }
    if (class == &virtio_console_class) {
        struct virtio_console_params console = {0};
        struct harness *h = harness_prepare(class, &console, RAM);
        if (chr_create(CHR_NONE, -1, h->loop, &console.chr, NULL) ||
            harness_start(h, &console, NULL))
            abort();
        return h;
    }
    return harness_create(class,
                          class == &uart16550_class  ? (const void *)&uart
                          : class == &rtc_cmos_class ? (const void *)&rtc
                          : class == &kbc8042_class  ? (const void *)&kbc
                                                     : NULL,
                          RAM);
}

static void quiesce(struct harness *h)
{
    if (h->class->quiesce)
        h->class->quiesce(h->dev);
}

static void resume(struct harness *h)
{
    if (h->class->resume)
        h->class->resume(h->dev);
}

static void save(struct harness *h, struct buf *out)
{
    state_save(h->class->state, h->dev, out);
}

/* Leaves the device quiesced. */
static bool round_trip(struct harness *h)
{
    struct harness *fresh = make(h->class);
    cleanup_buf struct buf one = {0}, two = {0};
    struct err err = ERR_INIT;

    quiesce(h);
    quiesce(fresh);
    save(h, &one);
    int rc = state_load(h->class->state, fresh->dev, one.data, one.len, NULL, &err);
    if (rc < 0)
        printf("# %s: %s\n", h->class->name, err.text);
    save(fresh, &two);
    bool same = !rc && one.len == two.len && !memcmp(one.data, two.data, one.len);
    resume(fresh); /* whatever it was in the middle of, on memory that is not its own */
    harness_run(fresh);
    harness_destroy(fresh);
    return CHECK(same);
}

/* Values that mean something to a virtio device now and then: its queues get addresses in RAM. */
static uint64_t interesting(void)
{
    switch (rnd() % 5) {
    case 0:
        return rnd() % 16;
    case 1:
        return (rnd() % RAM) & ~UINT64_C(0xfff);
    case 2:
        return UINT64_MAX;
    default:
        return rnd();
    }
}

/* A virtio device that works, on rings that hold anything. It stands still while they are written:
 * a thread sanitizer cannot know that guests race with devices by nature. */
static void start_virtio(struct harness *h)
{
    static struct virtio_driver d;
    unsigned queues = h->layout.doorbell.count;

    CHECK(vd_start(&d, h, UINT64_MAX, queues, 16));
    quiesce(h);
    for (unsigned i = 0; i < 40; i++) {
        unsigned q = (unsigned)(rnd() % queues);
        vd_desc(&d, q, rnd() % 16, VD_HEAP + rnd() % 4096, rnd() % 600, rnd() % 4, rnd() % 16);
        vd_offer(&d, q, rnd() % 16);
        if (rnd() % 4 == 0)
            vd_kick(&d, q);
    }
    resume(h);
    harness_run(h);
}

static void traffic(struct harness *h)
{
    unsigned regions = h->layout.region_count;

    if (h->layout.pci.vendor == VIRTIO_PCI_VENDOR && rnd() % 2)
        start_virtio(h);

    for (unsigned i = 0; i < TRAFFIC; i++) {
        unsigned region = (unsigned)(rnd() % regions), size = 1u << rnd() % 4;
        uint64_t span = MIN(h->layout.region[region].size, UINT64_C(64));
        uint64_t offset = rnd() % span & ~(uint64_t)(size - 1);

        if (rnd() % 4)
            harness_write(h, region, offset, size, interesting());
        else
            (void)harness_read(h, region, offset, size);
        if (h->layout.doorbell.count && rnd() % 8 == 0)
            harness_ring(h, (unsigned)(rnd() % h->layout.doorbell.count));
        if (rnd() % 8 == 0)
            harness_run(h);
    }
}

static void tamper(struct harness *h)
{
    cleanup_buf struct buf saved = {0};

    quiesce(h);
    save(h, &saved);
    for (unsigned i = 0; i < TAMPERED; i++) {
        size_t at = rnd() % saved.len;
        uint8_t was = saved.data[at];
        saved.data[at] = (uint8_t)rnd();
        if (state_load(h->class->state, h->dev, saved.data, saved.len, NULL, NULL) < 0)
            h->class->reset(h->dev);
        resume(h);
        harness_run(h);
        quiesce(h);
        saved.data[at] = was;
    }
    resume(h);
}

static void over(const struct dev_class *const *classes)
{
    for (; *classes; classes++) {
        const struct dev_class *class = *classes;
        struct harness *h = make(class);

        REQUIRE(class->state && class->reset);
        if (!round_trip(h))
            printf("# %s at power-on\n", class->name);
        resume(h);
        for (unsigned i = 0; i < ROUNDS; i++) {
            seed = i + 1;
            traffic(h);
            if (!round_trip(h)) {
                printf("# %s after traffic %u\n", class->name, i);
                break;
            }
            resume(h);
        }
        tamper(h);
        harness_destroy(h);
    }
}

static void parts(void)
{
    over(device_table);
}

static void chipset_parts(void)
{
    over(chipset);
}

static void found_by_name(void)
{
    for (const struct dev_class *const *entry = device_table; *entry; entry++)
        CHECK(device_find((*entry)->name) == *entry);
    CHECK(!device_find("virtio"));
}

TAP_MAIN(TAP_CASE(parts), TAP_CASE(chipset_parts), TAP_CASE(found_by_name))
