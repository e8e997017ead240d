/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/virtio_balloon.h"

#include <sys/stat.h>

#include "base/bytes.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"

enum { INFLATE, DEFLATE, STATS, HINT, REPORT };
enum { CONFIG_TARGET = 0, CONFIG_ACTUAL = 4 };
#define F_STATS     BIT64(1)
#define F_HINT      BIT64(3)
#define F_REPORTING BIT64(5)

static uint64_t resident(const struct harness *h)
{
    struct stat st;

    return fstat(h->gmem->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

static void fill_ram(struct harness *h)
{
    (void)gmem_fill(h->gmem, gpa(0x200000), 0xaa, 0x100000);
}

static uint8_t peek8(struct harness *h, uint64_t addr)
{
    uint8_t v = 0xff;

    harness_peek(h, addr, &v, 1);
    return v;
}

static void offer_pfns(struct virtio_driver *d, unsigned q, const uint32_t *pfns, unsigned count)
{
    struct vd_used used;
    uint64_t list = vd_alloc(d, count * 4);

    harness_poke(d->h, list, pfns, count * 4);
    vd_desc(d, q, 0, list, count * 4, 0, 0);
    vd_offer(d, q, 0);
    vd_kick(d, q);
    CHECK(vd_wait(d, q, &used));
    CHECK_EQ(used.len, 0);
}

static void inflates_and_deflates(void)
{
    struct harness *h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    struct virtio_driver d;
    uint32_t pfns[] = {0x200, 0x201, 0x202, 0x2ff, 0x2fe, 0x280, 0xfffffff};

    REQUIRE(vd_start(&d, h, UINT64_MAX, 5, 128));
    fill_ram(h);
    (void)vd_alloc(&d, 4); /* the page of the lists */
    uint64_t before = resident(h);
    offer_pfns(&d, INFLATE, pfns, ARRAY_SIZE(pfns)); /* the last one is no RAM */
    CHECK_EQ(before - resident(h), 6 * 4096);
    CHECK_EQ(virtio_balloon_counts(h->dev).inflated, 6 * 4096);
    CHECK_EQ(peek8(h, 0x200000), 0);
    CHECK_EQ(peek8(h, 0x202fff), 0);
    CHECK_EQ(peek8(h, 0x203000), 0xaa);
    CHECK_EQ(peek8(h, 0x2fe000), 0);
    CHECK_EQ(peek8(h, 0x280000), 0);
    CHECK_EQ(peek8(h, 0x281000), 0xaa);
    offer_pfns(&d, DEFLATE, pfns, 3);
    CHECK_EQ(vd_status(&d) & VIRTIO_STATUS_NEEDS_RESET, 0);
    harness_destroy(h);
}

static void reports_free_pages(void)
{
    struct harness *h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    struct virtio_driver d;
    struct vd_used used;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 5, 128));
    fill_ram(h);
    uint64_t before = resident(h);
    vd_desc(&d, REPORT, 0, 0x210000, 0x10000, VD_WRITE | VD_NEXT, 1);
    vd_desc(&d, REPORT, 1, 0x240800, 0x1800, VD_WRITE, 0); /* one whole page of it */
    vd_offer(&d, REPORT, 0);
    vd_kick(&d, REPORT);
    REQUIRE(vd_wait(&d, REPORT, &used));
    CHECK_EQ(before - resident(h), 0x11000);
    CHECK_EQ(peek8(h, 0x210000), 0);
    CHECK_EQ(peek8(h, 0x240fff), 0xaa);
    CHECK_EQ(peek8(h, 0x241000), 0);
    CHECK_EQ(peek8(h, 0x242000), 0xaa);
    harness_destroy(h);
}

/* A driver that counts only the queues it knows: reporting is its fourth one without hinting. */
static void dense_numbering(void)
{
    struct harness *h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    struct virtio_driver d;
    struct vd_used used;

    REQUIRE(vd_start(&d, h, ~F_HINT, 4, 128));
    fill_ram(h);
    vd_desc(&d, 3, 0, 0x210000, 0x1000, VD_WRITE, 0);
    vd_offer(&d, 3, 0);
    vd_kick(&d, 3);
    REQUIRE(vd_wait(&d, 3, &used));
    CHECK_EQ(virtio_balloon_counts(h->dev).reported, 0x1000);
    CHECK_EQ(peek8(h, 0x210000), 0);

    /* By the book the hinting queue is left out and reporting is queue 4. */
    REQUIRE(vd_begin(&d, h, ~F_HINT));
    vd_queue_setup(&d, 0, 128);
    vd_queue_setup(&d, 1, 128);
    vd_queue_setup(&d, 2, 128);
    vd_queue_setup(&d, 4, 128);
    vd_set_status(&d, VIRTIO_STATUS_DRIVER_OK);
    vd_desc(&d, 4, 0, 0x220000, 0x2000, VD_WRITE, 0);
    vd_offer(&d, 4, 0);
    vd_kick(&d, 4);
    REQUIRE(vd_wait(&d, 4, &used));
    CHECK_EQ(virtio_balloon_counts(h->dev).reported, 0x3000);
    harness_destroy(h);
}

static void target_and_actual(void)
{
    struct harness *h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    struct virtio_driver d;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 5, 128));
    uint64_t generation = vd_get(&d, VIRTIO_COMMON_CONFIG_GENERATION, 1);
    virtio_balloon_set_target(h->dev, 100);
    CHECK_EQ(harness_wait_msix(h, 0), 1);
    CHECK_EQ(harness_read(h, VIRTIO_REGION_DEVICE, CONFIG_TARGET, 4), 100);
    CHECK(vd_get(&d, VIRTIO_COMMON_CONFIG_GENERATION, 1) != generation);
    virtio_balloon_set_target(h->dev, 100);
    CHECK_EQ(harness_msix(h, 0), 0);
    harness_write(h, VIRTIO_REGION_DEVICE, CONFIG_ACTUAL, 4, 77);
    CHECK_EQ(virtio_balloon_actual(h->dev), 77);
    harness_write(h, VIRTIO_REGION_DEVICE, CONFIG_TARGET, 4, 5);
    CHECK_EQ(harness_read(h, VIRTIO_REGION_DEVICE, CONFIG_TARGET, 4), 100);
    vd_set(&d, VIRTIO_COMMON_STATUS, 1, 0);
    CHECK_EQ(virtio_balloon_actual(h->dev), 0);
    CHECK_EQ(harness_read(h, VIRTIO_REGION_DEVICE, CONFIG_TARGET, 4), 100);
    harness_destroy(h);
}

static void put_stat(uint8_t *raw, unsigned tag, uint64_t value)
{
    le16_store(raw, (uint16_t)tag);
    le64_store(raw + 2, value);
}

static void statistics(void)
{
    struct harness *h = harness_create(&virtio_balloon_class, NULL, VD_RAM);
    struct virtio_driver d;
    struct virtio_balloon_stats stats;
    struct vd_used used;
    uint8_t raw[30];

    REQUIRE(vd_start(&d, h, UINT64_MAX, 5, 128));
    put_stat(raw, VIRTIO_BALLOON_FREE, 12345);
    put_stat(raw + 10, 999, 1);
    put_stat(raw + 20, VIRTIO_BALLOON_TOTAL, 1 << 20);
    uint64_t data = vd_alloc(&d, sizeof raw);
    harness_poke(h, data, raw, sizeof raw);
    vd_desc(&d, STATS, 0, data, sizeof raw, 0, 0);
    vd_offer(&d, STATS, 0);
    vd_kick(&d, STATS);
    harness_run(h);
    CHECK_EQ(vd_used_count(&d, STATS), 0); /* kept */
    virtio_balloon_stats(h->dev, true, &stats);
    CHECK_EQ(stats.updates, 1);
    CHECK_EQ(stats.valid, BIT(VIRTIO_BALLOON_FREE) | BIT(VIRTIO_BALLOON_TOTAL));
    CHECK_EQ(stats.value[VIRTIO_BALLOON_FREE], 12345);
    REQUIRE(vd_wait(&d, STATS, &used)); /* and asked for again */
    virtio_balloon_stats(h->dev, true, &stats);
    CHECK_EQ(vd_used_count(&d, STATS), 0);
    harness_destroy(h);
}

TAP_MAIN(TAP_CASE(inflates_and_deflates), TAP_CASE(reports_free_pages), TAP_CASE(dense_numbering),
         TAP_CASE(target_and_actual), TAP_CASE(statistics))
