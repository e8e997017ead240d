/* SPDX-License-Identifier: Apache-2.0 */
/* The SATA controller with its disk and its CD drive, on disks in memory, by a small driver: and a
 * driver that does it wrong. */
#include "vm/dev/ahci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/device/ahci_driver.h"
#include "tests/tap.h"
#include "vm/backend/blk_mem.h"

enum { DISK = 1 << 20, DISC = 256 * 2048, CD_PORT = 4 };

struct bench {
    struct ahci_driver d, cd;
    struct harness *h;
    struct blk_mem *disk, *disc;
};

static void fill(struct blk_mem *mem, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++)
        mem->data[i] = (uint8_t)(i / 512 * 7 + i);
}

static void start(struct bench *b)
{
    struct ahci_params params = {.controller = 1};

    if (blk_mem_create(DISK, &b->disk) || blk_mem_create(DISC, &b->disc))
        abort();
    fill(b->disk, DISK);
    fill(b->disc, DISC);
    b->disc->blk.readonly = true;
    params.drive[0] = (struct ahci_drive){.present = true, .blk = &b->disk->blk};
    params.drive[CD_PORT] =
        (struct ahci_drive){.present = true, .cdrom = true, .blk = &b->disc->blk};
    b->h = harness_create(&ahci_class, &params, AD_RAM);
    ahci_driver_start(&b->d, b->h, 0);
    ahci_driver_start(&b->cd, b->h, CD_PORT);
}

static void finish(struct bench *b)
{
    harness_destroy(b->h);
}

static const uint8_t *peek(struct bench *b, uint32_t length)
{
    static uint8_t data[1 << 16];

    harness_peek(b->h, AD_DATA, data, length);
    return data;
}

static void poison(struct bench *b, uint32_t length)
{
    static uint8_t data[1 << 16];

    memset(data, 0xee, sizeof data);
    harness_poke(b->h, AD_DATA, data, length);
}

/* --- registers --- */

static void registers(void)
{
    struct bench b;

    start(&b);
    CHECK_EQ(b.h->layout.pci.class_code, 0x010601);
    CHECK_EQ(ad_hba_in(&b.d, AHCI_PI), 1 | 1 << CD_PORT);
    CHECK_EQ(ad_hba_in(&b.d, AHCI_VS), 0x10301);
    CHECK_EQ(ad_hba_in(&b.d, AHCI_CAP) & 31, CD_PORT);
    CHECK_EQ(ad_hba_in(&b.d, AHCI_CAP) >> 8 & 31, 31);
    CHECK_EQ(ad_in(&b.d, PORT_SIG), 0x101);
    CHECK_EQ(ad_in(&b.cd, PORT_SIG), 0xeb140101);
    CHECK_EQ(ad_in(&b.d, PORT_SSTS), 0x133);
    CHECK_EQ(ad_in(&b.d, PORT_TFD) & 0xff, AD_OK);
    CHECK_EQ(harness_read(b.h, 0, AHCI_VS + 2, 1), 1);      /* parts of a register read */
    CHECK_EQ(harness_read(b.h, 0, AHCI_PORT + 0x80, 4), 0); /* no such port */
    CHECK_EQ(ad_in(&b.d, PORT_CMD) & (CMD_CR | CMD_FR), CMD_CR | CMD_FR);
    ad_out(&b.d, PORT_CLB, 0x5000); /* frozen while it runs */
    CHECK_EQ(ad_in(&b.d, PORT_CLB), AD_LIST);
    finish(&b);
}

/* --- the disk --- */

static void identify(void)
{
    struct bench b;
    uint8_t sum = 0, fis[20];

    start(&b);
    const struct ad_command c = {.code = 0xec, .data = AD_DATA, .length = 512};
    CHECK_EQ(ad_run(&b.d, &c), AD_OK);
    const uint8_t *id = peek(&b, 512);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + id[i]);
    CHECK_EQ(sum, 0);
    CHECK_EQ(le32_load(id + 120), DISK / 512);
    CHECK_EQ(le64_load(id + 200), DISK / 512);
    CHECK(!memcmp(id + 54, "oSlc eidks", 10));
    CHECK(!memcmp(id + 20 + 16, "0003", 4)); /* controller 1, port 0: 30 */
    CHECK_EQ(ad_moved(&b.d, 0), 512);
    ad_fis(&b.d, FIS_PIO_SETUP, fis);
    CHECK_EQ(fis[0], 0x5f);
    CHECK_EQ(fis[15], AD_OK);
    CHECK_EQ(le16_load(fis + 16), 512);
    finish(&b);
}

static void reads_and_writes(void)
{
    static const uint8_t reads[] = {0x20, 0x24, 0x25, 0x60, 0xc8};
    static const uint8_t writes[] = {0x30, 0x34, 0x35, 0x3d, 0x61, 0xca};
    struct bench b;
    uint8_t data[4096];

    start(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(reads); i++) {
        poison(&b, 4096);
        CHECK_EQ(ahci_dma(&b.d, reads[i], 8 + i, 8, AD_DATA, false), AD_OK);
        CHECK(!memcmp(peek(&b, 4096), b.disk->data + (8 + i) * 512, 4096));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
        memset(data, (int)(0x11 * i + 1), sizeof data);
        harness_poke(b.h, AD_DATA, data, sizeof data);
        CHECK_EQ(ahci_dma(&b.d, writes[i], 2040, 8, AD_DATA, true), AD_OK);
        CHECK(!memcmp(b.disk->data + 2040 * 512, data, sizeof data));
    }
    CHECK_EQ(blk_mem_count(b.disk, DISK_FLUSH), 1); /* of the one with FUA */
    CHECK_EQ(ahci_dma(&b.d, 0xea, 0, 0, 0, false), AD_OK);
    CHECK_EQ(blk_mem_count(b.disk, DISK_FLUSH), 2);
    /* Without its cache every write is on the disk. */
    CHECK_EQ(ad_run(&b.d, &(struct ad_command){.code = 0xef, .feature = 0x82}), AD_OK);
    CHECK_EQ(ahci_dma(&b.d, 0x61, 0, 8, AD_DATA, true), AD_OK);
    CHECK_EQ(blk_mem_count(b.disk, DISK_FLUSH), 3);
    finish(&b);
}

/* Pieces that are no sectors, more of them than one request to the disk takes. */
static void scattered(void)
{
    struct bench b;
    uint8_t prd[PRD_LEN] = {0}, header[2];
    uint64_t table = AD_LIST + 0x9000;

    start(&b);
    struct ad_command c = {.code = 0x25, .lba = 3, .count = 100, .data = AD_DATA};
    ad_put(&b.d, 0, &c);
    poison(&b, 100 * 512);
    /* 98, 100, 98, 100 ... bytes, one behind the other */
    uint32_t at = 0, entries = 0;
    for (; at < 100 * 512; entries++) {
        uint32_t size = MIN(entries % 2 ? 100u : 98u, 100 * 512 - at);
        le64_store(prd, AD_DATA + at);
        le32_store(prd + 12, size - 1);
        harness_poke(b.h, table + TABLE_PRDT + entries * (uint64_t)PRD_LEN, prd, sizeof prd);
        at += size;
    }
    CHECK(entries > 2 * 256);
    uint8_t fis[20];
    harness_peek(b.h, AD_LIST + AD_TABLE, fis, sizeof fis);
    harness_poke(b.h, table, fis, sizeof fis);
    le16_store(header, (uint16_t)entries);
    harness_poke(b.h, AD_LIST + 2, header, 2);
    le64_store(prd, table);
    harness_poke(b.h, AD_LIST + HEADER_TABLE, prd, 8);
    ad_issue(&b.d, 1, false);
    CHECK_EQ(ad_wait(&b.d, 1), AD_OK);
    CHECK(!memcmp(peek(&b, 100 * 512), b.disk->data + 3 * 512, 100 * 512));
    CHECK_EQ(ad_moved(&b.d, 0), 100 * 512);
    CHECK(blk_mem_count(b.disk, DISK_READ) >= 3);
    finish(&b);
}

/* All slots at once; the disk holds them back, so the order and the number are seen. */
static void queueing(void)
{
    struct bench b;
    uint8_t fis[20];

    start(&b);
    blk_mem_hold(b.disk, true);
    for (unsigned slot = 0; slot < 32; slot++)
        ad_put(&b.d, slot,
               &(struct ad_command){.code = 0x60,
                                    .queued = true,
                                    .lba = 31 - slot,
                                    .count = 1,
                                    .data = AD_DATA + slot * 512u,
                                    .length = 512});
    ad_issue(&b.d, UINT32_MAX, true);
    for (unsigned i = 0; i < 5000 && blk_mem_waiting(b.disk) < 32; i++)
        (void)ad_in(&b.d, PORT_CI), usleep(1000);
    CHECK_EQ(blk_mem_waiting(b.disk), 32);
    CHECK_EQ(ad_in(&b.d, PORT_CI), 0);
    CHECK_EQ(ad_in(&b.d, PORT_SACT), UINT32_MAX);
    blk_mem_hold(b.disk, false);
    CHECK_EQ(ad_wait(&b.d, UINT32_MAX), AD_OK);
    for (unsigned slot = 0; slot < 32; slot++)
        CHECK(!memcmp(peek(&b, 32 * 512) + slot * 512, b.disk->data + (31 - slot) * 512, 512));
    ad_fis(&b.d, FIS_DEVICE_BITS, fis);
    CHECK_EQ(fis[0], 0xa1);
    CHECK(ad_in(&b.d, PORT_IS) == 0 || ad_in(&b.d, PORT_IS) == IS_SDBS);
    finish(&b);
}

/* What is not queued waits for what is, and is alone. */
static void one_alone(void)
{
    struct bench b;

    start(&b);
    blk_mem_hold(b.disk, true);
    struct ad_command c = {
        .code = 0x60, .queued = true, .count = 1, .data = AD_DATA, .length = 512};
    ad_put(&b.d, 3, &c);
    ad_put(&b.d, 4, &(struct ad_command){.code = 0xea});
    ad_put(&b.d, 5, &c);
    ad_issue(&b.d, 1 << 3, true);
    ad_out(&b.d, PORT_SACT, 1 << 5);
    ad_issue(&b.d, 1 << 4 | 1 << 5, false);
    usleep(20000);
    CHECK_EQ(blk_mem_waiting(b.disk), 1);
    CHECK_EQ(ad_in(&b.d, PORT_CI), 1 << 4 | 1 << 5);
    blk_mem_hold(b.disk, false);
    CHECK_EQ(ad_wait(&b.d, 7 << 3), AD_OK);
    CHECK_EQ(blk_mem_count(b.disk, DISK_FLUSH), 1);
    CHECK_EQ(blk_mem_count(b.disk, DISK_READ), 2);
    finish(&b);
}

static void trim(void)
{
    struct bench b;
    uint8_t ranges[512] = {0};
    struct ad_command c = {
        .code = 0x06, .feature = 1, .count = 1, .data = AD_DATA, .length = 512, .write = true};

    start(&b);
    le64_store(ranges, 16 | UINT64_C(8) << 48);
    le64_store(ranges + 16, 64 | UINT64_C(100) << 48);
    harness_poke(b.h, AD_DATA, ranges, sizeof ranges);
    CHECK_EQ(ad_run(&b.d, &c), AD_OK);
    CHECK_EQ(blk_mem_count(b.disk, DISK_DISCARD), 2);
    CHECK_EQ(b.disk->data[16 * 512] | b.disk->data[24 * 512 - 1], 0);
    CHECK(b.disk->data[24 * 512 + 1] != 0);
    le64_store(ranges + 24, (DISK / 512 - 1) | UINT64_C(2) << 48); /* nothing of it is done */
    harness_poke(b.h, AD_DATA, ranges, sizeof ranges);
    CHECK_EQ(ad_run(&b.d, &c), AD_FAILED);
    CHECK_EQ(blk_mem_count(b.disk, DISK_DISCARD), 2);
    ad_restart(&b.d);
    c.length = 256; /* less memory than it says */
    CHECK_EQ(ad_run(&b.d, &c), AD_FAILED);
    finish(&b);
}

static void small_commands(void)
{
    static const struct {
        struct ad_command c;
        unsigned status;
    } cases[] = {
        {{.code = 0xe0}, AD_OK},
        {{.code = 0xe3}, AD_OK},
        {{.code = 0xe5}, AD_OK},
        {{.code = 0x40, .lba = 5, .count = 1}, AD_OK},
        {{.code = 0x42, .lba = DISK / 512, .count = 1}, AD_FAILED},
        {{.code = 0xc6, .count = 16}, AD_OK},
        {{.code = 0xc6, .count = 3}, AD_FAILED},
        {{.code = 0xef, .feature = 0x03, .count = 0x45}, AD_OK},
        {{.code = 0xef, .feature = 0x05, .count = 1}, AD_FAILED},
        {{.code = 0xb0, .feature = 0xda, .lba = 0xc24f00}, AD_OK},
        {{.code = 0xb0, .feature = 0xd0, .lba = 0xc24f00, .data = AD_DATA, .length = 512}, AD_OK},
        {{.code = 0xb0, .feature = 0xda}, AD_FAILED},
        {{.code = 0xa0}, AD_FAILED},
        {{.code = 0xa1}, AD_FAILED},
        {{.code = 0x00}, AD_FAILED},
        {{.code = 0xf5}, AD_FAILED},
        {{.code = 0x2f, .count = 1, .data = AD_DATA, .length = 512}, AD_OK},
        {{.code = 0x2f, .lba = 0x30, .count = 1, .data = AD_DATA, .length = 512}, AD_FAILED},
        {{.code = 0xc8, .device = 0xa0, .count = 1, .data = AD_DATA, .length = 512}, AD_FAILED},
    };
    struct bench b;
    uint8_t fis[20];

    start(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned status = ad_run(&b.d, &cases[i].c);
        if (!CHECK_EQ(status, cases[i].status))
            printf("# case %u\n", i);
        if (cases[i].c.code == 0xb0 && cases[i].c.feature == 0xda && status == AD_OK) {
            ad_fis(&b.d, FIS_D2H, fis);
            CHECK_EQ(fis[5], 0x4f); /* it is well */
            CHECK_EQ(fis[6], 0xc2);
        }
        ad_restart(&b.d);
    }
    CHECK_EQ(ad_run(&b.d, &(struct ad_command){.code = 0x27}), AD_OK);
    ad_fis(&b.d, FIS_D2H, fis);
    CHECK_EQ(le32_load(fis + 4) & 0xffffff, DISK / 512 - 1);
    finish(&b);
}

/* --- errors --- */

static void failed_read(void)
{
    struct bench b;

    start(&b);
    blk_mem_fail(b.disk, DISK_READ, -EIO);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_FAILED);
    CHECK_EQ(ad_in(&b.d, PORT_TFD) >> 8, 0x40); /* uncorrectable */
    CHECK(ad_in(&b.d, PORT_IS) & IS_TFES);
    CHECK_EQ(ad_in(&b.d, PORT_CI), 1); /* which one it was */
    CHECK_EQ(ad_in(&b.d, PORT_CMD) >> 8 & 31, 0);
    /* It takes nothing until it is restarted. */
    blk_mem_fail(b.disk, DISK_READ, 0);
    unsigned reads = blk_mem_count(b.disk, DISK_READ);
    ad_put(&b.d, 1,
           &(struct ad_command){.code = 0x25, .count = 8, .data = AD_DATA, .length = 4096});
    ad_issue(&b.d, 2, false);
    usleep(20000);
    CHECK_EQ(blk_mem_count(b.disk, DISK_READ), reads);
    ad_restart(&b.d);
    CHECK_EQ(ad_in(&b.d, PORT_CI), 0);
    CHECK_EQ(ad_in(&b.d, PORT_TFD), 0x4051); /* it has said nothing since */
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_OK);
    finish(&b);
}

/* Of a queue: the log says which one, and what had ended is told. */
static void failed_in_queue(void)
{
    struct bench b;
    struct ad_command c = {
        .code = 0x60, .queued = true, .lba = 7, .count = 1, .data = AD_DATA, .length = 512};

    start(&b);
    ad_put(&b.d, 9, &c);
    c.lba = DISK / 512;
    ad_put(&b.d, 17, &c);
    ad_issue(&b.d, 1 << 9, true);
    CHECK_EQ(ad_wait(&b.d, 1 << 9), AD_OK);
    ad_issue(&b.d, 1 << 17, true);
    CHECK_EQ(ad_wait(&b.d, 1 << 17) & 0x77, AD_FAILED);
    CHECK_EQ(ad_in(&b.d, PORT_SACT), 1 << 17);
    CHECK(ad_in(&b.d, PORT_IS) & IS_TFES);
    ad_restart(&b.d);
    CHECK_EQ(ad_in(&b.d, PORT_SACT), 0);
    const struct ad_command log = {
        .code = 0x2f, .lba = 0x10, .count = 1, .data = AD_DATA, .length = 512};
    CHECK_EQ(ad_run(&b.d, &log), AD_OK);
    const uint8_t *page = peek(&b, 512);
    CHECK_EQ(page[0], 17);
    CHECK_EQ(page[2], AD_FAILED);
    CHECK_EQ(page[3], 0x10); /* no such sector */
    CHECK_EQ(le32_load(page + 4) & 0xffffff, DISK / 512);
    finish(&b);
}

static void foreign_memory(void)
{
    struct bench b;
    uint8_t address[8];

    start(&b);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_RAM - 2048, false), AD_FATAL);
    ad_restart(&b.d);
    le64_store(address, UINT64_C(0xfffffffffffff000)); /* the table */
    ad_put(&b.d, 0, &(struct ad_command){.code = 0x25});
    harness_poke(b.h, AD_LIST + HEADER_TABLE, address, sizeof address);
    ad_issue(&b.d, 1, false);
    CHECK_EQ(ad_wait(&b.d, 1), AD_FATAL);
    ad_restart(&b.d);
    /* Less memory than sectors. */
    CHECK_EQ(
        ad_run(&b.d,
               &(struct ad_command){.code = 0x25, .count = 8, .data = AD_DATA, .length = 2048}),
        AD_FAILED);
    ad_restart(&b.d);
    harness_bus_master(b.h, false);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_FATAL);
    harness_bus_master(b.h, true);
    ad_restart(&b.d);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_OK);
    finish(&b);
}

static void readonly_disk(void)
{
    struct bench b;

    start(&b);
    b.disk->blk.readonly = true;
    CHECK_EQ(ahci_dma(&b.d, 0x35, 0, 8, AD_DATA, true), AD_FAILED);
    CHECK_EQ(blk_mem_count(b.disk, DISK_WRITE), 0);
    finish(&b);
}

/* --- resets --- */

static void port_reset(void)
{
    struct bench b;

    start(&b);
    CHECK_EQ(ad_run(&b.d, &(struct ad_command){.code = 0xef, .feature = 0x82}), AD_OK);
    ad_out(&b.d, PORT_CMD, CMD_FRE);
    ad_out(&b.d, PORT_SERR, UINT32_MAX);
    ad_out(&b.d, PORT_SCTL, 0x301);
    CHECK_EQ(ad_in(&b.d, PORT_SSTS) & 15, 0);
    ad_out(&b.d, PORT_SCTL, 0x310); /* and at most the first generation */
    CHECK_EQ(ad_in(&b.d, PORT_SSTS), 0x113);
    CHECK_EQ(ad_in(&b.d, PORT_TFD), 0x150);
    CHECK_EQ(ad_in(&b.d, PORT_SIG), 0x101);
    CHECK(ad_in(&b.d, PORT_SERR) & SERR_DIAG_X);
    CHECK(ad_in(&b.d, PORT_IS) & IS_PCS);
    ad_restart(&b.d);
    CHECK(!(ad_in(&b.d, PORT_IS) & IS_PCS));
    CHECK_EQ(ahci_dma(&b.d, 0x35, 0, 8, AD_DATA, true), AD_OK);
    CHECK_EQ(blk_mem_count(b.disk, DISK_FLUSH), 0); /* the cache is on again */
    finish(&b);
}

static void hba_reset(void)
{
    struct bench b;

    start(&b);
    ad_hba_out(&b.d, AHCI_GHC, GHC_HR);
    CHECK_EQ(ad_hba_in(&b.d, AHCI_GHC), GHC_AE);
    CHECK_EQ(ad_in(&b.d, PORT_CMD) & (CMD_ST | CMD_FRE | CMD_CR), 0);
    CHECK_EQ(ad_in(&b.d, PORT_CLB), AD_LIST);     /* kept: 10.4.3 */
    CHECK_EQ(ad_in(&b.d, PORT_TFD) & 0x80, 0x80); /* busy until somebody listens */
    ahci_driver_start(&b.d, b.h, 0);
    CHECK_EQ(ad_in(&b.d, PORT_TFD), 0x150);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_OK);
    finish(&b);
}

static void software_reset(void)
{
    struct bench b;
    uint8_t fis[20] = {FIS_TYPE_H2D};

    start(&b);
    ad_put(&b.d, 0, &(struct ad_command){.code = 0});
    fis[15] = CONTROL_SRST;
    harness_poke(b.h, AD_LIST + AD_TABLE, fis, sizeof fis);
    ad_issue(&b.d, 1, false);
    CHECK_EQ(ad_wait(&b.d, 1) & ~0xffu, 0);
    fis[15] = 0;
    harness_poke(b.h, AD_LIST + AD_TABLE, fis, sizeof fis);
    ad_issue(&b.d, 1, false);
    CHECK_EQ(ad_wait(&b.d, 1), AD_OK);
    CHECK_EQ(ad_in(&b.d, PORT_TFD), 0x150);
    ad_fis(&b.d, FIS_D2H, fis);
    CHECK_EQ(le32_load(fis + 4) & 0xffffff, 1);
    finish(&b);
}

/* Waits for what is under way, and is not started by what nobody asks for any more. */
static void stop_under_way(void)
{
    struct bench b;

    start(&b);
    CHECK_EQ(ahci_dma(&b.d, 0x25, 0, 8, AD_DATA, false), AD_OK);
    ad_out(&b.d, PORT_CMD, CMD_FRE);
    CHECK_EQ(ad_in(&b.d, PORT_CMD) & CMD_CR, 0);
    ad_out(&b.d, PORT_CI, 1);
    CHECK_EQ(ad_in(&b.d, PORT_CI), 0);
    ad_restart(&b.d);
    CHECK_EQ(blk_mem_count(b.disk, DISK_READ), 1);
    finish(&b);
}

/* --- interrupts --- */

static void interrupts(void)
{
    struct bench b;

    start(&b);
    CHECK(!harness_intx(b.h));
    ad_put(&b.d, 0, &(struct ad_command){.code = 0xe5});
    ad_issue(&b.d, 1, false);
    for (unsigned i = 0; i < 5000 && !harness_intx(b.h); i++)
        usleep(1000);
    CHECK(harness_intx(b.h));
    CHECK_EQ(ad_hba_in(&b.d, AHCI_IS), 1);
    ad_hba_out(&b.d, AHCI_IS, 1); /* the port still says so */
    CHECK_EQ(ad_hba_in(&b.d, AHCI_IS), 1);
    ad_out(&b.d, PORT_IS, IS_DHRS);
    ad_hba_out(&b.d, AHCI_IS, 1);
    CHECK(!harness_intx(b.h));

    harness_msi_enable(b.h, 1);
    CHECK_EQ(ad_run(&b.cd, &(struct ad_command){.code = 0xe5}), AD_OK);
    CHECK(harness_msi(b.h, 0) >= 1);
    CHECK(!harness_intx(b.h));
    CHECK_EQ(harness_msi(b.h, 0), 0);
    ad_out(&b.cd, PORT_IE, 0);
    CHECK_EQ(ad_run(&b.cd, &(struct ad_command){.code = 0xe5}), AD_OK);
    CHECK_EQ(harness_msi(b.h, 0), 0);
    finish(&b);
}

/* --- the CD drive --- */

/* Sense key and code of what failed. */
static unsigned sense(struct bench *b)
{
    static const uint8_t request[12] = {0x03, 0, 0, 0, 18};

    ad_restart(&b->cd);
    CHECK_EQ(ahci_packet(&b->cd, request, AD_DATA, 18), AD_OK);
    const uint8_t *data = peek(b, 18);
    return (unsigned)data[2] << 16 | (unsigned)data[12] << 8 | data[13];
}

static unsigned packet(struct bench *b, uint8_t a, uint8_t c1, uint8_t c2, uint8_t c4, uint8_t c7,
                       uint8_t c8, uint32_t length)
{
    const uint8_t cdb[12] = {a, c1, c2, 0, c4, 0, 0, c7, c8};

    return ahci_packet(&b->cd, cdb, AD_DATA, length);
}

static void cd_answers(void)
{
    struct bench b;

    start(&b);
    CHECK_EQ(ad_run(&b.cd, &(struct ad_command){.code = 0xec}), AD_FAILED); /* by this it is told */
    ad_restart(&b.cd);
    CHECK_EQ(ad_run(&b.cd, &(struct ad_command){.code = 0xa1, .data = AD_DATA, .length = 512}),
             AD_OK);
    CHECK_EQ(le16_load(peek(&b, 512)), 0x85c0);
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_OK);
    CHECK_EQ(packet(&b, 0x12, 0, 0, 36, 0, 0, 36), AD_OK);
    CHECK_EQ(peek(&b, 36)[0], 5);
    CHECK_EQ(ad_moved(&b.cd, 0), 36);
    CHECK_EQ(packet(&b, 0x25, 0, 0, 0, 0, 0, 8), AD_OK);
    CHECK_EQ(be32_load(peek(&b, 8)), DISC / 2048 - 1);
    CHECK_EQ(be32_load(peek(&b, 8) + 4), 2048);
    CHECK_EQ(packet(&b, 0x43, 0, 0, 0, 0, 255, 20), AD_OK); /* contents */
    CHECK_EQ(be16_load(peek(&b, 20)), 18);
    CHECK_EQ(peek(&b, 20)[14], 0xaa);
    CHECK_EQ(be32_load(peek(&b, 20) + 16), DISC / 2048);
    CHECK_EQ(packet(&b, 0x46, 0, 0, 0, 1, 0, 256), AD_OK); /* configuration */
    CHECK_EQ(be16_load(peek(&b, 8) + 6), 0x08);
    CHECK_EQ(be32_load(peek(&b, 256)) + 4, ad_moved(&b.cd, 0));
    CHECK_EQ(packet(&b, 0x5a, 0, 0x2a, 0, 0, 255, 64), AD_OK); /* capabilities */
    CHECK_EQ(peek(&b, 64)[8], 0x2a);
    CHECK_EQ(packet(&b, 0x51, 0, 0, 0, 0, 34, 34), AD_OK); /* the disc */
    CHECK_EQ(peek(&b, 34)[2], 0x0e);
    CHECK_EQ(packet(&b, 0x4a, 1, 0, 0x10, 0, 8, 8), AD_OK); /* events: none, a medium is in */
    CHECK_EQ(peek(&b, 8)[4], 0);
    CHECK_EQ(peek(&b, 8)[5], 2);
    CHECK_EQ(packet(&b, 0xa3, 0, 0, 0, 0, 0, 0), AD_FAILED); /* keys */
    CHECK_EQ(ad_in(&b.cd, PORT_TFD) >> 12, 5);
    CHECK_EQ(sense(&b), 0x052000);
    CHECK_EQ(sense(&b), 0);
    finish(&b);
}

static void cd_reads(void)
{
    struct bench b;
    uint8_t cdb[12] = {0x28, 0, 0, 0, 0, 9, 0, 0, 4};

    start(&b);
    poison(&b, 8192);
    CHECK_EQ(ahci_packet(&b.cd, cdb, AD_DATA, 8192), AD_OK);
    CHECK(!memcmp(peek(&b, 8192), b.disc->data + 9 * 2048, 8192));
    CHECK_EQ(ad_moved(&b.cd, 0), 8192);
    memcpy(cdb, (const uint8_t[]){0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 2}, 10);
    CHECK_EQ(ahci_packet(&b.cd, cdb, AD_DATA, 4096), AD_OK);
    CHECK(!memcmp(peek(&b, 4096), b.disc->data + 3 * 2048, 4096));
    memcpy(cdb, (const uint8_t[]){0xbe, 0, 0, 0, 0, 5, 0, 0, 1, 0x10}, 10);
    CHECK_EQ(ahci_packet(&b.cd, cdb, AD_DATA, 2048), AD_OK);
    CHECK(!memcmp(peek(&b, 2048), b.disc->data + 5 * 2048, 2048));
    memcpy(cdb, (const uint8_t[]){0x28, 0, 0, 0, 0, 255, 0, 0, 2, 0}, 10);
    CHECK_EQ(ahci_packet(&b.cd, cdb, AD_DATA, 4096), AD_FAILED);
    CHECK_EQ(sense(&b), 0x052100);
    blk_mem_fail(b.disc, DISK_READ, -EIO);
    CHECK_EQ(packet(&b, 0x28, 0, 0, 0, 0, 1, 2048), AD_FAILED);
    CHECK_EQ(sense(&b), 0x031100);
    blk_mem_fail(b.disc, DISK_READ, 0);
    CHECK_EQ(packet(&b, 0x28, 0, 0, 0, 0, 1, 1024), AD_FAILED); /* less memory than blocks */
    finish(&b);
}

static void eject(void)
{
    struct bench b;

    start(&b);
    CHECK_EQ(packet(&b, 0x1e, 0, 0, 1, 0, 0, 0), AD_OK);     /* locked */
    CHECK_EQ(packet(&b, 0x1b, 0, 0, 2, 0, 0, 0), AD_FAILED); /* so it stays */
    CHECK_EQ(sense(&b), 0x055302);
    CHECK_EQ(packet(&b, 0x1e, 0, 0, 0, 0, 0, 0), AD_OK);
    CHECK_EQ(packet(&b, 0x1b, 0, 0, 2, 0, 0, 0), AD_OK);
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_FAILED);
    CHECK_EQ(sense(&b), 0x023a02); /* the tray is open */
    CHECK_EQ(packet(&b, 0x4a, 1, 0, 0x10, 0, 8, 8), AD_OK);
    CHECK_EQ(peek(&b, 8)[4], 3); /* removed */
    CHECK_EQ(peek(&b, 8)[5], 1);
    b.h->class->reset(b.h->dev); /* of the machine: it is still open */
    ahci_driver_start(&b.cd, b.h, CD_PORT);
    CHECK_EQ(packet(&b, 0x28, 0, 0, 0, 0, 1, 2048), AD_FAILED);
    CHECK_EQ(sense(&b), 0x023a02);
    CHECK_EQ(packet(&b, 0x1b, 0, 0, 3, 0, 0, 0), AD_OK); /* loaded again */
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_FAILED);
    CHECK_EQ(sense(&b), 0x062800);
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_OK);
    finish(&b);
}

/* The host puts another disc in, and takes it out. */
static void another_disc(void)
{
    struct bench b;

    start(&b);
    b.h->class->quiesce(b.h->dev);
    b.disc->blk.size = DISC / 2;
    b.disc->blk.changes++;
    b.h->class->resume(b.h->dev);
    CHECK_EQ(packet(&b, 0x12, 0, 0, 36, 0, 0, 36), AD_OK); /* that is not told of it */
    CHECK_EQ(packet(&b, 0x25, 0, 0, 0, 0, 0, 8), AD_FAILED);
    CHECK_EQ(sense(&b), 0x062800);
    CHECK_EQ(packet(&b, 0x25, 0, 0, 0, 0, 0, 8), AD_OK);
    CHECK_EQ(be32_load(peek(&b, 8)), DISC / 2 / 2048 - 1);
    CHECK_EQ(packet(&b, 0x4a, 1, 0, 0x10, 0, 8, 8), AD_OK);
    CHECK_EQ(peek(&b, 8)[4], 2); /* new */
    b.h->class->quiesce(b.h->dev);
    b.disc->blk.size = 0;
    b.disc->blk.changes++;
    b.h->class->resume(b.h->dev);
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_FAILED);
    CHECK_EQ(sense(&b), 0x023a01);
    finish(&b);
}

/* --- state --- */

/* In the middle of things, into another one, which goes on. */
static void moves_on(void)
{
    struct bench a, b;
    cleanup_buf struct buf saved = {0};
    struct err err = ERR_INIT;

    start(&a);
    start(&b);
    CHECK_EQ(packet(&a, 0x1b, 0, 0, 2, 0, 0, 0), AD_OK);
    harness_bus_master(a.h, true);
    a.h->class->quiesce(a.h->dev);
    struct ad_command c = {
        .code = 0x60, .queued = true, .lba = 4, .count = 1, .data = AD_DATA, .length = 512};
    ad_put(&a.d, 6, &c);
    ad_issue(&a.d, 1 << 6, true);
    harness_save(a.h, &saved);
    b.h->class->quiesce(b.h->dev);
    ad_put(&b.d, 6, &c);
    CHECK_EQ(harness_load(b.h, &saved, &err), 0);
    CHECK_STR(err.text, "");
    CHECK_EQ(ad_wait(&b.d, 1 << 6), AD_OK);
    CHECK(!memcmp(peek(&b, 512), b.disk->data + 4 * 512, 512));
    CHECK_EQ(packet(&b, 0x00, 0, 0, 0, 0, 0, 0), AD_FAILED);
    CHECK_EQ(sense(&b), 0x023a02);
    finish(&a);
    finish(&b);
}

TAP_MAIN(TAP_CASE(registers), TAP_CASE(identify), TAP_CASE(reads_and_writes), TAP_CASE(scattered),
         TAP_CASE(queueing), TAP_CASE(one_alone), TAP_CASE(trim), TAP_CASE(small_commands),
         TAP_CASE(failed_read), TAP_CASE(failed_in_queue), TAP_CASE(foreign_memory),
         TAP_CASE(readonly_disk), TAP_CASE(port_reset), TAP_CASE(hba_reset),
         TAP_CASE(software_reset), TAP_CASE(stop_under_way), TAP_CASE(interrupts),
         TAP_CASE(cd_answers), TAP_CASE(cd_reads), TAP_CASE(eject), TAP_CASE(another_disc),
         TAP_CASE(moves_on))
