/* SPDX-License-Identifier: Apache-2.0 */
/* The SATA controller, by registers and guest memory: a disk at port 0, a CD drive at port 1, both
 * started with their lists in place, so that most of what comes goes on from there. Operations, a
 * byte each, then operands:
 *
 *     0 write    offset u16, value u32
 *     1 read     offset u16
 *     2 poke     address u16, length u8, bytes
 *     3 command  port u8, slot u8, then 20 bytes of FIS, 12 of packet, address u16, length u16
 *                (of memory); issued, and queued if the code says so
 *
 *     4 state    saves and restores into itself
 *
 *     5 disc     another one, of u8 blocks
 *
 *     6 restart  of a port u8
 *
 *     7 reset    of the machine
 *
 * Afterwards a reset by the driver has to bring it back. */
#include "vm/dev/ahci.h"

#include <string.h>

#include "base/bytes.h"
#include "fuzz/device.h"
#include "tests/device/ahci_driver.h"
#include "vm/backend/blk_mem.h"

enum { RAM = 64 << 10, OPERATIONS_MAX = 300, DISK = 64 << 10, DISC = 32 << 10 };
enum { LIST = 0x400, FIS = 0x800, TABLE = 0x1000, STRIDE = 0x4000 /* of port 1's */ };

static void prepare(struct harness *h)
{
    for (unsigned port = 0; port < 2; port++) {
        struct ahci_driver d = {h, port};
        ad_out(&d, PORT_CLB, LIST + port * STRIDE);
        ad_out(&d, PORT_CLBU, 0);
        ad_out(&d, PORT_FB, FIS + port * STRIDE);
        ad_out(&d, PORT_FBU, 0);
        ad_out(&d, PORT_IE, UINT32_MAX);
        ad_out(&d, PORT_CMD, CMD_FRE | CMD_ST);
    }
    harness_write(h, 0, AHCI_GHC, 4, GHC_IE);
}

static void command(struct harness *h, struct input *in)
{
    struct ahci_driver d = {h, (unsigned)take(in, 1) & 1};
    unsigned slot = (unsigned)take(in, 1) % AHCI_SLOTS;
    uint64_t at = d.port * STRIDE, table = TABLE + at + slot * 0x100u;
    uint8_t header[HEADER_LEN] = {5, 0, 1}, fis[20], packet[12], prd[PRD_LEN] = {0};

    take_bytes(in, fis, sizeof fis);
    take_bytes(in, packet, sizeof packet);
    le16_store(prd, (uint16_t)take(in, 2));
    le32_store(prd + 12, (uint32_t)take(in, 2));
    le64_store(header + HEADER_TABLE, table);
    harness_poke(h, table, fis, sizeof fis);
    harness_poke(h, table + TABLE_PACKET, packet, sizeof packet);
    harness_poke(h, table + TABLE_PRDT, prd, sizeof prd);
    harness_poke(h, LIST + at + slot * HEADER_LEN, header, sizeof header);
    ad_issue(&d, BIT(slot), (fis[2] & 0xfe) == 0x60);
}

static void operate(struct harness *h, struct blk_mem *disc, struct input *in)
{
    struct ahci_driver d = {.h = h};
    uint64_t at;

    switch (take(in, 1) % 8) {
    case 0:
        at = take(in, 2);
        harness_write(h, 0, at % AHCI_BAR_SIZE & ~3u, 4, take(in, 4));
        break;
    case 1:
        (void)harness_read(h, 0, take(in, 2) % AHCI_BAR_SIZE & ~3u, 4);
        break;
    case 2:
        fuzz_poke(h, in, RAM);
        break;
    case 3:
        command(h, in);
        break;
    case 4:
        fuzz_save_and_restore(h);
        break;
    case 5:
        h->class->quiesce(h->dev);
        disc->blk.size = MIN(take(in, 1) * 2048, (uint64_t)DISC);
        disc->blk.changes++;
        h->class->resume(h->dev);
        break;
    case 6:
        d.port = (unsigned)take(in, 1) & 1;
        ad_restart(&d);
        break;
    default:
        h->class->reset(h->dev);
        prepare(h);
        break;
    }
}

/* What is sound is served afterwards, whatever came before. */
static void check_alive(struct harness *h)
{
    struct ahci_driver d = {.h = h};

    harness_bus_master(h, true);
    harness_write(h, 0, AHCI_GHC, 4, GHC_HR);
    FUZZ_CHECK(harness_read(h, 0, AHCI_IS, 4) == 0);
    prepare(h);
    uint8_t header[HEADER_LEN] = {5}, fis[20] = {FIS_TYPE_H2D, FIS_COMMAND, 0xe5};
    le64_store(header + HEADER_TABLE, TABLE);
    harness_poke(h, LIST, header, sizeof header);
    harness_poke(h, TABLE, fis, sizeof fis);
    ad_issue(&d, 1, false);
    for (unsigned i = 0; i < 4; i++)
        ahci_step(h->dev);
    FUZZ_CHECK(ad_in(&d, PORT_CI) == 0 && (ad_in(&d, PORT_TFD) & 0xff) == AD_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct ahci_params params = {.unthreaded = true};
    struct blk_mem *disk, *disc;

    FUZZ_CHECK(blk_mem_create(DISK, &disk) == 0 && blk_mem_create(DISC, &disc) == 0);
    params.drive[0] = (struct ahci_drive){.present = true, .blk = &disk->blk};
    params.drive[1] = (struct ahci_drive){.present = true, .cdrom = true, .blk = &disc->blk};
    struct harness *h = harness_create(&ahci_class, &params, RAM);
    prepare(h);
    for (unsigned i = 0; i < OPERATIONS_MAX && in.left; i++) {
        operate(h, disc, &in);
        ahci_step(h->dev);
    }
    check_alive(h);
    harness_destroy(h);
    return 0;
}
