/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/dev/virtio_rng.h"

#include "tests/device/virtio_driver.h"
#include "tests/tap.h"

static void fills_buffers(void)
{
    struct harness *h = harness_create(&virtio_rng_class, NULL, VD_RAM);
    struct virtio_driver d;
    struct vd_used used;
    uint8_t got[3][64];
    unsigned zeroes = 0;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 1, 64));
    uint64_t data = vd_alloc(&d, 256);
    for (uint16_t i = 0; i < 3; i++) {
        vd_desc(&d, 0, i, data + i * 64u, 64, VD_WRITE, 0);
        vd_offer(&d, 0, i);
    }
    vd_kick(&d, 0);
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(vd_wait(&d, 0, &used));
        CHECK_EQ(used.len, 64);
        harness_peek(h, data + used.id * 64, got[i], 64);
        for (unsigned k = 0; k < 64; k++)
            zeroes += !got[i][k];
    }
    CHECK(memcmp(got[0], got[1], 64) && memcmp(got[1], got[2], 64));
    CHECK(zeroes < 20); /* 192 bytes of noise have more than that once in 10^20 */
    CHECK_EQ(harness_wait_msix(h, 1), 1);
    harness_destroy(h);
}

/* The specification lets the device return less: no buffer keeps it busy for long. */
static void large_buffer_is_bounded(void)
{
    struct harness *h = harness_create(&virtio_rng_class, NULL, VD_RAM);
    struct virtio_driver d;
    struct vd_used used;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 1, 64));
    vd_desc(&d, 0, 0, VD_HEAP, 1 << 20, VD_WRITE, 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    REQUIRE(vd_wait(&d, 0, &used));
    CHECK_EQ(used.len, 4096);
    harness_destroy(h);
}

/* A guest that always offers the whole ring again does not keep the loop for itself. */
static void yields(void)
{
    struct harness *h = harness_create(&virtio_rng_class, NULL, VD_RAM);
    struct virtio_driver d;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 1, 64));
    vd_desc(&d, 0, 0, VD_HEAP, 4, VD_WRITE, 0);
    for (unsigned i = 0; i < 64; i++)
        vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    CHECK(loop_run_once(h->loop, 0) == 1);
    CHECK_EQ(vd_used_count(&d, 0), 64);
    CHECK(loop_run_once(h->loop, 0) == 1); /* it looks once more */
    CHECK(loop_run_once(h->loop, 0) == 0);
    harness_destroy(h);
}

static void readable_buffer_breaks_it(void)
{
    struct harness *h = harness_create(&virtio_rng_class, NULL, VD_RAM);
    struct virtio_driver d;

    REQUIRE(vd_start(&d, h, UINT64_MAX, 1, 64));
    vd_desc(&d, 0, 0, VD_HEAP, 16, 0, 0);
    vd_offer(&d, 0, 0);
    vd_kick(&d, 0);
    CHECK(vd_wait_broken(&d));
    CHECK_EQ(vd_used_count(&d, 0), 0);
    harness_destroy(h);
}

TAP_MAIN(TAP_CASE(fills_buffers), TAP_CASE(large_buffer_is_bounded), TAP_CASE(yields),
         TAP_CASE(readable_buffer_breaks_it))
