/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk, driven as a guest would, on a disk in memory. */
#include "vm/dev/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/device/virtio_driver.h"
#include "tests/tap.h"
#include "vm/backend/blk_mem.h"
#include "vm/dev/virtio_blk_regs.h"

enum { DISK = 1 << 20 };

struct bench {
    struct virtio_driver d;
    struct harness *h;
    struct blk_mem *mem;
};

static void bench_make(struct bench *b, unsigned queues, bool readonly)
{
    struct virtio_blk_params params = {.queues = queues, .serial = "SOCLE-0001"};

    if (blk_mem_create(DISK, &b->mem))
        abort();
    b->mem->blk.readonly = readonly;
    for (unsigned i = 0; i < DISK; i++)
        b->mem->data[i] = (uint8_t)(i / 512 * 7 + i);
    params.blk = &b->mem->blk;
    b->h = harness_create(&virtio_blk_class, &params, VD_RAM);
}

static void bench_start(struct bench *b, unsigned queues, uint64_t features)
{
    bench_make(b, queues, false);
    CHECK(vd_start(&b->d, b->h, features, queues, 64));
}

static void bench_end(struct bench *b)
{
    harness_destroy(b->h);
}

/* A request in three descriptors (two without data), from descriptor `at` on. Returns the address
 * of the status byte, which is 0xee until the device writes it. */
static uint64_t put_request(struct bench *b, unsigned q, uint16_t at, uint32_t type,
                            uint64_t sector, uint64_t data, uint32_t len, bool device_writes)
{
    uint64_t header = vd_alloc(&b->d, 16), status = vd_alloc(&b->d, 1);
    uint8_t raw[16] = {0}, poison = 0xee;
    uint16_t next = at;

    le32_store(raw, type);
    le64_store(raw + 8, sector);
    harness_poke(b->h, header, raw, sizeof raw);
    harness_poke(b->h, status, &poison, 1);
    vd_desc(&b->d, q, next, header, 16, VD_NEXT, (uint16_t)(next + 1));
    next++;
    if (len) {
        vd_desc(&b->d, q, next, data, len, VD_NEXT | (device_writes ? VD_WRITE : 0),
                (uint16_t)(next + 1));
        next++;
    }
    vd_desc(&b->d, q, next, status, 1, VD_WRITE, 0);
    vd_offer(&b->d, q, at);
    return status;
}

static uint8_t peek8(struct bench *b, uint64_t addr)
{
    uint8_t v;

    harness_peek(b->h, addr, &v, 1);
    return v;
}

/* One request from start to end; returns its status byte, or 0xff when it did not come. */
static uint8_t request(struct bench *b, uint32_t type, uint64_t sector, uint64_t data, uint32_t len,
                       bool device_writes, uint32_t *ret_len)
{
    struct vd_used used;
    uint64_t status = put_request(b, 0, 0, type, sector, data, len, device_writes);

    vd_kick(&b->d, 0);
    if (!vd_wait(&b->d, 0, &used))
        return 0xff;
    CHECK_EQ(used.id, 0);
    if (ret_len)
        *ret_len = used.len;
    return peek8(b, status);
}

static void config_space(void)
{
    struct bench b;
    bench_make(&b, 4, false);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 0, 8), DISK / 512);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 0, 4), DISK / 512);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_SEG_MAX, 4), 254);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_BLK_SIZE, 4), 512);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_NUM_QUEUES, 2), 4);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_WRITEBACK, 1), 1);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 0x3c, 4), 0xffffffff);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, 1, 4), 0xffffffff);
    b.d.h = b.h;
    CHECK_EQ(vd_get(&b.d, VIRTIO_COMMON_NUM_QUEUES, 2), 4);
    CHECK(vd_offered(&b.d) & VIRTIO_BLK_F_MQ);
    CHECK(!(vd_offered(&b.d) & VIRTIO_BLK_F_RO));
    CHECK_EQ(b.h->layout.pci.device, 0x1042);
    CHECK_EQ(b.h->layout.pci.msix_vectors, 5);
    CHECK_EQ(b.h->layout.doorbell.count, 4);
    bench_end(&b);
}

static void read_and_write(void)
{
    struct bench b;
    uint8_t want[4096], got[4096];
    uint32_t len;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, sizeof want);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 8, data, 4096, true, &len), VIRTIO_BLK_S_OK);
    CHECK_EQ(len, 4097);
    CHECK_EQ(harness_wait_msix(b.h, 1), 1);
    harness_peek(b.h, data, got, sizeof got);
    CHECK(!memcmp(got, b.mem->data + 8 * 512, sizeof got));

    for (unsigned i = 0; i < sizeof want; i++)
        want[i] = (uint8_t)(i * 13 + 5);
    harness_poke(b.h, data, want, sizeof want);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 2040, data, 4096, false, &len), VIRTIO_BLK_S_OK);
    CHECK_EQ(len, 1);
    CHECK(!memcmp(want, b.mem->data + 2040 * 512, sizeof want));
    CHECK_EQ(blk_mem_count(b.mem, DISK_FLUSH), 0);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_FLUSH, 0, 0, 0, false, &len), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_FLUSH), 1);
    bench_end(&b);
}

static void id_and_unknown(void)
{
    struct bench b;
    char id[21] = "";
    uint32_t len;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 64);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_GET_ID, 0, data, 20, true, &len), VIRTIO_BLK_S_OK);
    CHECK_EQ(len, 21);
    harness_peek(b.h, data, id, 20);
    CHECK_STR(id, "SOCLE-0001");
    CHECK_EQ(request(&b, VIRTIO_BLK_T_GET_ID, 0, data, 4, true, &len), VIRTIO_BLK_S_OK);
    CHECK_EQ(len, 5);
    CHECK_EQ(request(&b, 77, 0, data, 16, true, &len), VIRTIO_BLK_S_UNSUPP);
    CHECK_EQ(len, 1);
    bench_end(&b);
}

static uint8_t ranges(struct bench *b, uint32_t type, uint64_t sector, uint32_t sectors,
                      uint32_t flags, uint32_t bytes)
{
    uint64_t data = vd_alloc(&b->d, 512);
    uint8_t raw[32];

    le64_store(raw, sector);
    le32_store(raw + 8, sectors);
    le32_store(raw + 12, flags);
    le64_store(raw + 16, sector + 100);
    le32_store(raw + 24, 1);
    le32_store(raw + 28, flags);
    harness_poke(b->h, data, raw, sizeof raw);
    return request(b, type, 0, data, bytes, false, NULL);
}

static void discard_and_zero(void)
{
    static const uint8_t zero[512];
    struct bench b;
    const uint32_t D = VIRTIO_BLK_T_DISCARD, Z = VIRTIO_BLK_T_WRITE_ZEROES;

    bench_start(&b, 1, UINT64_MAX);
    CHECK_EQ(ranges(&b, D, 10, 2, 0, 32), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_DISCARD), 2);
    CHECK(!memcmp(b.mem->data + 11 * 512, zero, 512));
    CHECK(memcmp(b.mem->data + 12 * 512, zero, 512));
    CHECK(!memcmp(b.mem->data + 110 * 512, zero, 512));
    CHECK_EQ(ranges(&b, Z, 20, 1, 1, 16), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_WRITE_ZEROES), 1);
    CHECK(!memcmp(b.mem->data + 20 * 512, zero, 512));
    CHECK_EQ(ranges(&b, D, 30, 1, 1, 16), VIRTIO_BLK_S_UNSUPP);
    CHECK_EQ(ranges(&b, Z, 30, 1, 2, 16), VIRTIO_BLK_S_UNSUPP);
    CHECK_EQ(ranges(&b, D, 2047, 2, 0, 16), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(ranges(&b, D, UINT64_MAX, 2, 0, 16), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(ranges(&b, D, 1949, 1, 0, 32), VIRTIO_BLK_S_IOERR); /* the second one is outside */
    CHECK_EQ(ranges(&b, D, 30, 1, 0, 17), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(ranges(&b, D, 30, 1, 0, 512), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(blk_mem_count(b.mem, DISK_DISCARD), 2);
    bench_end(&b);
}

static void bounds(void)
{
    struct bench b;
    uint32_t len;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 4096);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 2041, data, 4096, true, &len), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(len, 1);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, data, 512, true, &len),
             VIRTIO_BLK_S_IOERR);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 511, true, &len), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, UINT64_MAX, data, 512, false, &len), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(blk_mem_count(b.mem, DISK_READ) + blk_mem_count(b.mem, DISK_WRITE), 0);
    blk_mem_fail(b.mem, DISK_READ, -EIO);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 512, true, &len), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(len, 1);
    blk_mem_fail(b.mem, DISK_WRITE_ZEROES, -ENOTSUP);
    CHECK_EQ(ranges(&b, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0, 16), VIRTIO_BLK_S_UNSUPP);
    bench_end(&b);
}

static void readonly_disk(void)
{
    struct bench b;

    bench_make(&b, 1, true);
    CHECK(vd_start(&b.d, b.h, UINT64_MAX, 1, 64));
    CHECK(b.d.features & VIRTIO_BLK_F_RO);
    uint64_t data = vd_alloc(&b.d, 512);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 0, data, 512, false, NULL), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(ranges(&b, VIRTIO_BLK_T_DISCARD, 0, 1, 0, 16), VIRTIO_BLK_S_IOERR);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 512, true, NULL), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_WRITE), 0);
    bench_end(&b);
}

/* A driver that knows no flush gets a device without a volatile cache. */
static void write_through(void)
{
    struct bench b;

    bench_start(&b, 1, 0);
    uint64_t data = vd_alloc(&b.d, 512);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 0, data, 512, false, NULL), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_FLUSH), 1);
    blk_mem_fail(b.mem, DISK_FLUSH, -EIO);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 0, data, 512, false, NULL), VIRTIO_BLK_S_IOERR);
    bench_end(&b);

    bench_start(&b, 1, VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_CONFIG_WCE);
    data = vd_alloc(&b.d, 512);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 0, data, 512, false, NULL), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_FLUSH), 0);
    harness_write(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_WRITEBACK, 1, 0);
    CHECK_EQ(harness_read(b.h, VIRTIO_REGION_DEVICE, VIRTIO_BLK_CONFIG_WRITEBACK, 1), 0);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_OUT, 0, data, 512, false, NULL), VIRTIO_BLK_S_OK);
    CHECK_EQ(blk_mem_count(b.mem, DISK_FLUSH), 1);
    bench_end(&b);
}

static void on_full(void *ctx)
{
    (void)atomic_fetch_add((_Atomic(unsigned) *)ctx, 1);
}

static void try_again(struct bench *b)
{
    virtio_blk_class.quiesce(b->h->dev);
    virtio_blk_class.resume(b->h->dev);
}

static bool comes_to(const _Atomic(unsigned) *count, unsigned want)
{
    for (int i = 0; i < 5000 && atomic_load(count) < want; i++)
        (void)usleep(1000);
    return atomic_load(count) == want;
}

/* No room on the host: the guest hears nothing until there is some, or gives up. */
static void waits_for_room(void)
{
    struct bench b;
    struct vd_used used;
    _Atomic(unsigned) full = 0;
    uint8_t bytes[512];

    bench_start(&b, 1, UINT64_MAX);
    b.mem->blk.full = on_full;
    b.mem->blk.full_ctx = &full;
    blk_mem_fail(b.mem, DISK_WRITE, -ENOSPC);
    memset(bytes, 0x5a, sizeof bytes);
    uint64_t data = vd_alloc(&b.d, 512);
    harness_poke(b.h, data, bytes, sizeof bytes);
    uint64_t status = put_request(&b, 0, 0, VIRTIO_BLK_T_OUT, 3, data, 512, false);
    vd_kick(&b.d, 0);
    CHECK(comes_to(&full, 1));
    CHECK_EQ(peek8(&b, status), 0xee);
    try_again(&b);
    CHECK(comes_to(&full, 2)); /* in vain */
    CHECK_EQ(peek8(&b, status), 0xee);
    blk_mem_fail(b.mem, DISK_WRITE, 0);
    try_again(&b);
    REQUIRE(vd_wait(&b.d, 0, &used));
    CHECK_EQ(peek8(&b, status), VIRTIO_BLK_S_OK);
    CHECK(!memcmp(b.mem->data + 3 * 512, bytes, sizeof bytes));

    blk_mem_fail(b.mem, DISK_WRITE, -EDQUOT);
    (void)put_request(&b, 0, 0, VIRTIO_BLK_T_OUT, 4, data, 512, false);
    vd_kick(&b.d, 0);
    CHECK(comes_to(&full, 3));
    virtio_blk_class.reset(b.h->dev);
    CHECK_EQ(b.mem->blk.held_count, 0);
    bench_end(&b);
}

/* The specification gives descriptor boundaries no meaning: header in three pieces, data in odd
 * ones, the status byte behind the data in the same one. */
static void any_framing(void)
{
    struct bench b;
    struct vd_used used;
    uint8_t raw[16] = {0}, got[1025];

    bench_start(&b, 1, UINT64_MAX);
    uint64_t header = vd_alloc(&b.d, 16), data = vd_alloc(&b.d, 1025);
    le64_store(raw + 8, 3);
    harness_poke(b.h, header, raw, 16);
    vd_desc(&b.d, 0, 0, header, 1, VD_NEXT, 1);
    vd_desc(&b.d, 0, 1, header + 1, 0, VD_NEXT, 2);
    vd_desc(&b.d, 0, 2, header + 1, 10, VD_NEXT, 3);
    vd_desc(&b.d, 0, 3, header + 11, 5, VD_NEXT, 4);
    vd_desc(&b.d, 0, 4, data, 700, VD_WRITE | VD_NEXT, 5);
    vd_desc(&b.d, 0, 5, data + 700, 325, VD_WRITE, 0);
    vd_offer(&b.d, 0, 0);
    vd_kick(&b.d, 0);
    REQUIRE(vd_wait(&b.d, 0, &used));
    CHECK_EQ(used.len, 1025);
    harness_peek(b.h, data, got, sizeof got);
    CHECK(!memcmp(got, b.mem->data + 3 * 512, 1024));
    CHECK_EQ(got[1024], VIRTIO_BLK_S_OK);
    bench_end(&b);
}

static void indirect(void)
{
    struct bench b;
    struct vd_used used;
    uint8_t raw[16] = {0}, got[512];

    bench_start(&b, 1, UINT64_MAX);
    uint64_t table = vd_alloc(&b.d, 16 * 256), header = vd_alloc(&b.d, 16);
    uint64_t data = vd_alloc(&b.d, 512), status = vd_alloc(&b.d, 1);
    le64_store(raw + 8, 9);
    harness_poke(b.h, header, raw, 16);
    /* More descriptors in the table than the ring has. */
    vd_table_desc(&b.d, table, 0, header, 16, VD_NEXT, 1);
    for (uint16_t i = 0; i < 128; i++)
        vd_table_desc(&b.d, table, 1u + i, data + 4u * i, 4, VD_NEXT | VD_WRITE, (uint16_t)(2 + i));
    vd_table_desc(&b.d, table, 129, status, 1, VD_WRITE, 0);
    vd_desc(&b.d, 0, 5, table, 130 * 16, VD_INDIRECT, 0);
    vd_offer(&b.d, 0, 5);
    vd_kick(&b.d, 0);
    REQUIRE(vd_wait(&b.d, 0, &used));
    CHECK_EQ(used.id, 5);
    CHECK_EQ(used.len, 513);
    harness_peek(b.h, data, got, sizeof got);
    CHECK(!memcmp(got, b.mem->data + 9 * 512, 512));
    CHECK_EQ(vd_status(&b.d) & VIRTIO_STATUS_NEEDS_RESET, 0);
    bench_end(&b);
}

/* Sixteen requests on one doorbell: one interrupt, and with EVENT_IDX only when it was asked for.
 */
static void batch(void)
{
    struct bench b;
    struct vd_used used;
    unsigned seen = 0;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 16 * 512);
    vd_poke16(&b.d, b.d.q[0].avail + 4 + 64 * 2, 15); /* used_event: the sixteenth */
    blk_mem_hold(b.mem, true);
    for (uint16_t i = 0; i < 16; i++)
        (void)put_request(&b, 0, (uint16_t)(i * 3), VIRTIO_BLK_T_IN, i, data + i * 512u, 512, true);
    vd_kick(&b.d, 0);
    while (blk_mem_waiting(b.mem) < 16)
        (void)usleep(100);
    blk_mem_hold(b.mem, false);
    for (unsigned i = 0; i < 16; i++) {
        REQUIRE(vd_wait(&b.d, 0, &used));
        seen |= BIT(used.id / 3);
    }
    CHECK_EQ(seen, 0xffff);
    CHECK_EQ(harness_wait_msix(b.h, 1), 1);
    CHECK(harness_quiet_msix(b.h, 1));
    /* The device looks for the next one after these. */
    CHECK_EQ(vd_peek16(&b.d, b.d.q[0].used + 4 + 64 * 8), 16);

    (void)put_request(&b, 0, 0, VIRTIO_BLK_T_IN, 0, data, 512, true);
    vd_poke16(&b.d, b.d.q[0].avail + 4 + 64 * 2, 20); /* not this one */
    vd_kick(&b.d, 0);
    REQUIRE(vd_wait(&b.d, 0, &used));
    CHECK(harness_quiet_msix(b.h, 1));
    bench_end(&b);
}

static void flags_without_event_idx(void)
{
    struct bench b;

    bench_start(&b, 1, ~VIRTIO_F_EVENT_IDX);
    uint64_t data = vd_alloc(&b.d, 512);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 512, true, NULL), VIRTIO_BLK_S_OK);
    CHECK_EQ(harness_wait_msix(b.h, 1), 1);
    vd_poke16(&b.d, b.d.q[0].avail, 1); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 512, true, NULL), VIRTIO_BLK_S_OK);
    CHECK(harness_quiet_msix(b.h, 1));
    CHECK_EQ(vd_peek16(&b.d, b.d.q[0].used), 0); /* idle: wants doorbells */
    bench_end(&b);
}

static void many_queues(void)
{
    struct bench b;
    struct vd_used used;

    bench_start(&b, 16, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    for (unsigned q = 0; q < 16; q++) {
        uint64_t status = put_request(&b, q, 1, VIRTIO_BLK_T_IN, q, data, 512, true);
        vd_kick(&b.d, q);
        REQUIRE(vd_wait(&b.d, q, &used));
        CHECK_EQ(used.id, 1);
        CHECK_EQ(peek8(&b, status), 0);
        CHECK_EQ(harness_wait_msix(b.h, q + 1), 1);
    }
    bench_end(&b);
}

/* A reset waits for what is in flight, and nothing of it shows afterwards. */
static void reset_in_flight(void)
{
    struct bench b;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    for (unsigned round = 0; round < 20; round++) {
        for (uint16_t i = 0; i < 8; i++)
            (void)put_request(&b, 0, (uint16_t)(i * 3), VIRTIO_BLK_T_IN, i, data, 512, true);
        vd_kick(&b.d, 0);
        if (round & 1)
            (void)usleep(200);
        vd_set(&b.d, VIRTIO_COMMON_STATUS, 1, 0);
        CHECK_EQ(vd_status(&b.d), 0);
        CHECK_EQ(blk_mem_waiting(b.mem), 0);
        uint16_t used = vd_peek16(&b.d, b.d.q[0].used + 2);
        vd_kick(&b.d, 0);
        (void)usleep(500);
        CHECK_EQ(vd_peek16(&b.d, b.d.q[0].used + 2), used);
        CHECK(vd_start(&b.d, b.h, UINT64_MAX, 1, 64));
    }
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 1, data, 512, true, NULL), VIRTIO_BLK_S_OK);
    bench_end(&b);
}

static void *let_go(void *mem)
{
    (void)usleep(30000);
    blk_mem_hold(mem, false);
    return NULL;
}

/* The disk takes its time: the reset has to wait for it. */
static void reset_waits(void)
{
    struct bench b;
    pthread_t thread;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    blk_mem_hold(b.mem, true);
    (void)put_request(&b, 0, 0, VIRTIO_BLK_T_IN, 1, data, 512, true);
    vd_kick(&b.d, 0);
    while (!blk_mem_waiting(b.mem))
        (void)usleep(100);
    REQUIRE(pthread_create(&thread, NULL, let_go, b.mem) == 0);
    vd_set(&b.d, VIRTIO_COMMON_STATUS, 1, 0);
    CHECK_EQ(blk_mem_waiting(b.mem), 0);
    (void)pthread_join(thread, NULL);
    bench_end(&b);
}

static void no_dma_without_bus_master(void)
{
    struct bench b;
    struct vd_used used;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    harness_bus_master(b.h, false);
    (void)put_request(&b, 0, 0, VIRTIO_BLK_T_IN, 0, data, 512, true);
    vd_kick(&b.d, 0);
    (void)usleep(20000);
    CHECK_EQ(vd_used_count(&b.d, 0), 0);
    CHECK_EQ(blk_mem_count(b.mem, DISK_READ), 0);
    harness_bus_master(b.h, true);
    vd_kick(&b.d, 0);
    CHECK(vd_wait(&b.d, 0, &used));
    bench_end(&b);
}

/* Requests that leave the driver in the dark end the conversation; others get a status. */
static void malformed(void)
{
    struct bench b;
    struct vd_used used;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t page = vd_alloc(&b.d, 4096);
    vd_desc(&b.d, 0, 0, page, 15, VD_NEXT, 1); /* short header */
    vd_desc(&b.d, 0, 1, page + 512, 513, VD_WRITE, 0);
    vd_offer(&b.d, 0, 0);
    vd_kick(&b.d, 0);
    REQUIRE(vd_wait(&b.d, 0, &used));
    CHECK_EQ(used.len, 1);
    CHECK_EQ(peek8(&b, page + 1024), VIRTIO_BLK_S_IOERR);
    vd_desc(&b.d, 0, 0, page, 16, 0, 0); /* nowhere to put a status */
    vd_offer(&b.d, 0, 0);
    vd_kick(&b.d, 0);
    CHECK(vd_wait_broken(&b.d));
    CHECK_EQ(harness_wait_msix(b.h, 0), 1);
    CHECK(vd_start(&b.d, b.h, UINT64_MAX, 1, 64));
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 1, page, 512, true, NULL), VIRTIO_BLK_S_OK);
    bench_end(&b);
}

/* The same head offered again and again while it is in flight. */
static void head_twice(void)
{
    struct bench b;
    struct vd_used used;

    bench_start(&b, 1, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    blk_mem_hold(b.mem, true);
    (void)put_request(&b, 0, 0, VIRTIO_BLK_T_IN, 0, data, 512, true);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 60; i++)
            vd_offer(&b.d, 0, 0);
        vd_kick(&b.d, 0);
        (void)usleep(5000);
    }
    CHECK(blk_mem_waiting(b.mem) <= VIRTIO_BLK_QUEUE_SIZE);
    blk_mem_hold(b.mem, false);
    for (unsigned i = 0; i < 361; i++)
        REQUIRE(vd_wait(&b.d, 0, &used));
    bench_end(&b);
}

static void saved_state(void)
{
    struct bench b, c;
    cleanup_buf struct buf one = {0}, two = {0};
    struct err err = ERR_INIT;
    struct vd_used used;

    bench_start(&b, 2, UINT64_MAX);
    uint64_t data = vd_alloc(&b.d, 512);
    CHECK_EQ(request(&b, VIRTIO_BLK_T_IN, 0, data, 512, true, NULL), VIRTIO_BLK_S_OK);
    harness_save(b.h, &one);
    bench_make(&c, 2, false);
    b.h->class->quiesce(b.h->dev);
    memcpy(c.h->gmem->host, b.h->gmem->host, VD_RAM);
    CHECK_EQ(harness_load(c.h, &one, &err), 0);
    harness_save(c.h, &two);
    CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len));

    /* It goes on where it was: a request offered before the move is served after it. */
    c.d = b.d;
    c.d.h = c.h;
    harness_msix_enable(c.h, true);
    vd_poke16(&c.d, c.d.q[0].avail + 4 + 64 * 2, 1);
    c.h->class->quiesce(c.h->dev);
    uint64_t status = put_request(&c, 0, 3, VIRTIO_BLK_T_IN, 4, data, 512, true);
    c.h->class->resume(c.h->dev);
    REQUIRE(vd_wait(&c.d, 0, &used));
    CHECK_EQ(used.id, 3);
    CHECK_EQ(peek8(&c, status), VIRTIO_BLK_S_OK);
    CHECK(harness_wait_msix(c.h, 1) > 0);
    bench_end(&b);
    bench_end(&c);
}

TAP_MAIN(TAP_CASE(config_space), TAP_CASE(read_and_write), TAP_CASE(id_and_unknown),
         TAP_CASE(discard_and_zero), TAP_CASE(bounds), TAP_CASE(readonly_disk),
         TAP_CASE(write_through), TAP_CASE(waits_for_room), TAP_CASE(any_framing),
         TAP_CASE(indirect), TAP_CASE(batch), TAP_CASE(flags_without_event_idx),
         TAP_CASE(many_queues), TAP_CASE(reset_in_flight), TAP_CASE(reset_waits),
         TAP_CASE(no_dma_without_bus_master), TAP_CASE(malformed), TAP_CASE(head_twice),
         TAP_CASE(saved_state))
