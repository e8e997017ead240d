/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/device/ahci_driver.h"

#include <poll.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"

static unsigned at(const struct ahci_driver *d, unsigned reg)
{
    return AHCI_PORT + d->port * AHCI_PORT_SIZE + reg;
}

uint32_t ad_in(struct ahci_driver *d, unsigned reg)
{
    return (uint32_t)harness_read(d->h, 0, at(d, reg), 4);
}

void ad_out(struct ahci_driver *d, unsigned reg, uint32_t value)
{
    harness_write(d->h, 0, at(d, reg), 4, value);
}

uint32_t ad_hba_in(struct ahci_driver *d, unsigned reg)
{
    return (uint32_t)harness_read(d->h, 0, reg, 4);
}

void ad_hba_out(struct ahci_driver *d, unsigned reg, uint32_t value)
{
    harness_write(d->h, 0, reg, 4, value);
}

static uint64_t area(const struct ahci_driver *d)
{
    return AD_LIST + (uint64_t)d->port % 8 * AD_AREA;
}

void ahci_driver_start(struct ahci_driver *d, struct harness *h, unsigned port)
{
    *d = (struct ahci_driver){h, port};
    ad_out(d, PORT_CLB, (uint32_t)area(d));
    ad_out(d, PORT_CLBU, 0);
    ad_out(d, PORT_FB, (uint32_t)area(d) + AD_FIS);
    ad_out(d, PORT_FBU, 0);
    ad_out(d, PORT_CMD, CMD_FRE | CMD_SUD | CMD_POD);
    ad_out(d, PORT_SERR, UINT32_MAX);
    ad_out(d, PORT_IS, UINT32_MAX);
    ad_out(d, PORT_IE, IS_DHRS | IS_PSS | IS_SDBS | IS_TFES | IS_HBFS | IS_OFS);
    ad_hba_out(d, AHCI_GHC, GHC_AE | GHC_IE);
    ad_out(d, PORT_CMD, CMD_FRE | CMD_SUD | CMD_POD | CMD_ST);
}

void ad_restart(struct ahci_driver *d)
{
    ad_out(d, PORT_CMD, CMD_FRE | CMD_SUD | CMD_POD);
    ad_out(d, PORT_SERR, UINT32_MAX);
    ad_out(d, PORT_IS, UINT32_MAX);
    ad_hba_out(d, AHCI_IS, UINT32_MAX);
    ad_out(d, PORT_CMD, CMD_FRE | CMD_SUD | CMD_POD | CMD_ST);
}

static uint32_t put_table(struct ahci_driver *d, uint64_t table, const struct ad_command *c)
{
    uint32_t piece = c->piece ? c->piece : c->length, entries = 0;
    uint8_t prd[PRD_LEN] = {0};

    for (uint32_t done = 0; done < c->length; entries++) {
        uint32_t size = piece < c->length - done ? piece : c->length - done;
        le64_store(prd, c->data + done);
        le32_store(prd + 12, size - 1);
        harness_poke(d->h, table + TABLE_PRDT + entries * (uint64_t)PRD_LEN, prd, sizeof prd);
        done += size;
    }
    return entries;
}

void ad_put(struct ahci_driver *d, unsigned slot, const struct ad_command *c)
{
    uint64_t table = area(d) + AD_TABLE + slot * (uint64_t)AD_TABLE_SIZE;
    uint8_t header[HEADER_LEN] = {0}, fis[20] = {FIS_TYPE_H2D, FIS_COMMAND};

    fis[2] = c->code;
    fis[3] = c->queued ? (uint8_t)c->count : c->feature;
    fis[11] = c->queued ? (uint8_t)(c->count >> 8) : 0;
    le32_store(fis + 4, (uint32_t)(c->lba & 0xffffff));
    fis[7] = c->device ? c->device : 0x40;
    le32_store(fis + 8, (uint32_t)(c->lba >> 24 & 0xffffff) | (uint32_t)fis[11] << 24);
    le16_store(fis + 12, c->queued ? (uint16_t)(slot << 3) : c->count);
    harness_poke(d->h, table, fis, sizeof fis);
    if (c->packet)
        harness_poke(d->h, table + TABLE_PACKET, c->packet, 12);
    le16_store(header, (uint16_t)(5 | (c->packet ? 0x20 : 0) | (c->write ? 0x40 : 0)));
    le16_store(header + 2, (uint16_t)put_table(d, table, c));
    le64_store(header + HEADER_TABLE, table);
    harness_poke(d->h, area(d) + slot * (uint64_t)HEADER_LEN, header, sizeof header);
}

void ad_issue(struct ahci_driver *d, uint32_t slots, bool queued)
{
    if (queued)
        ad_out(d, PORT_SACT, slots);
    ad_out(d, PORT_CI, slots);
}

unsigned ad_wait(struct ahci_driver *d, uint32_t slots)
{
    uint64_t end = clock_now() + HARNESS_WAIT_MS * UINT64_C(1000000);

    do {
        uint32_t is = ad_in(d, PORT_IS);
        if (is & (IS_HBFS | IS_IFS))
            return AD_FATAL;
        if ((is & IS_TFES) || !((ad_in(d, PORT_CI) | ad_in(d, PORT_SACT)) & slots)) {
            ad_out(d, PORT_IS, is & ~IS_TFES);
            ad_hba_out(d, AHCI_IS, BIT(d->port));
            return ad_in(d, PORT_TFD) & 0xff;
        }
        (void)poll(NULL, 0, 1);
    } while (clock_now() < end);
    return AD_SILENCE;
}

unsigned ad_run(struct ahci_driver *d, const struct ad_command *c)
{
    ad_put(d, 0, c);
    ad_issue(d, 1, c->queued);
    return ad_wait(d, 1);
}

unsigned ahci_dma(struct ahci_driver *d, uint8_t code, uint64_t lba, uint16_t count, uint64_t data,
                  bool write)
{
    return ad_run(d, &(struct ad_command){.code = code,
                                          .lba = lba,
                                          .count = count,
                                          .data = data,
                                          .length = count * 512u,
                                          .queued = code == 0x60 || code == 0x61,
                                          .write = write});
}

unsigned ahci_packet(struct ahci_driver *d, const uint8_t *packet, uint64_t data, uint32_t length)
{
    return ad_run(
        d, &(struct ad_command){
               .code = 0xa0, .feature = 1, .packet = packet, .data = data, .length = length});
}

uint32_t ad_moved(struct ahci_driver *d, unsigned slot)
{
    uint8_t count[4];

    harness_peek(d->h, area(d) + slot * (uint64_t)HEADER_LEN + HEADER_PRDBC, count, sizeof count);
    return le32_load(count);
}

void ad_fis(struct ahci_driver *d, unsigned where, uint8_t fis[20])
{
    harness_peek(d->h, area(d) + AD_FIS + where, fis, 20);
}
