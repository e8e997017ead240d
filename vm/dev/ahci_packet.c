/* SPDX-License-Identifier: Apache-2.0 */
/* A CD drive at a port: the ATA commands that such a device has (ACS-3, 7), and PACKET, which
 * carries what cdrom.h answers. Data move the same whether the driver calls them DMA or PIO: by the
 * command's memory, and a register FIS at the end. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/ahci_core.h"

/* Interrupt reasons, in the count register. */
enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };

static void end(struct ahci_command *c, bool failed)
{
    const struct cdrom *cd = &c->port->cdrom;
    struct ata_result result = {.status = ATA_OK, .count = REASON_COMMAND | REASON_TO_HOST};

    if (failed) {
        result.status = ATA_FAILED;
        result.error = (uint8_t)(cd->key << 4 | (cd->key == 5 ? ATA_ABRT : 0));
    }
    ahci_end(c, &result);
}

static void refuse(struct ahci_command *c)
{
    const struct ata_result result = {.status = ATA_FAILED, .error = ATA_ABRT};

    ahci_end(c, &result);
}

static void answer(struct ahci_command *c, uint32_t length)
{
    struct ahci_port *p = c->port;

    if (ahci_copy(c, true, p->buffer, length) < 0)
        ahci_fatal(p, IS_HBFS);
    else
        end(c, false);
}

static void on_read(struct ahci_command *c, int result)
{
    if (result == -EFAULT) {
        ahci_fatal(c->port, IS_HBFS);
        return;
    }
    if (result < 0)
        cdrom_read_failed(&c->port->cdrom, result);
    end(c, result < 0);
}

static void packet(struct ahci_command *c)
{
    struct ahci_port *p = c->port;
    struct cdrom_reply reply;

    switch (cdrom_command(&p->cdrom, p->blk->size, c->packet, p->buffer, &reply)) {
    case CDROM_DATA:
        answer(c, reply.length);
        return;
    case CDROM_READ:
        c->finish = on_read;
        ahci_move(c, DISK_READ, (uint64_t)reply.lba * CDROM_BLOCK,
                  (uint64_t)reply.blocks * CDROM_BLOCK);
        return;
    case CDROM_CHECK:
        end(c, true);
        return;
    }
}

/* IDENTIFY PACKET DEVICE: ACS-3, 7.13. */
static void identify(struct ahci_command *c)
{
    static const uint16_t words[][2] = {
        {0, 0x85c0},  /* a CD drive, removable, packets of 12 bytes */
        {49, 0x0f00}, /* LBA, DMA, IORDY */
        {53, 0x0006}, {63, 0x0007}, {64, 0x0003}, {65, 120},    {66, 120},
        {67, 120},    {68, 120},    {76, 0x000e}, {80, 0x01f0}, {82, 0x4218},
        {83, 0x4000}, {84, 0x4000}, {85, 0x4218}, {87, 0x4000}, {222, 0x107f},
    };
    uint8_t *data = c->port->buffer;

    memset(data, 0, 512);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        ata_word(data, words[i][0], words[i][1]);
    ata_word(data, 88, 0x003f | 1u << (8 + (c->port->disk.transfer_mode & 7)));
    ata_string(data, 10, 10, c->port->serial);
    ata_string(data, 23, 4, "1.0");
    ata_string(data, 27, 20, "Socle CD-ROM");
    if (ahci_copy(c, true, data, 512) < 0)
        ahci_fatal(c->port, IS_HBFS);
    else
        ahci_end_data(c);
}

/* As after a reset on the wire, and it answers with its signature at once. */
static void reset(struct ahci_command *c, uint8_t status)
{
    const struct ata_result result = {.status = status, .error = 1, .count = 1, .lba = 0xeb1401};

    cdrom_reset(&c->port->cdrom);
    ahci_end(c, &result);
}

void ahci_packet_start(struct ahci_command *c)
{
    const struct ata_result done = {.status = ATA_OK}, awake = {.status = ATA_OK, .count = 0xff};

    switch (c->fis[2]) {
    case 0x08: /* DEVICE RESET */
        reset(c, 0);
        return;
    case 0x90: /* EXECUTE DEVICE DIAGNOSTIC */
        reset(c, ATA_OK);
        return;
    case 0xa0:
        packet(c);
        return;
    case 0xa1:
        identify(c);
        return;
    case 0xef: /* SET FEATURES: the transfer mode is all that there is to set */
        if (c->fis[3] != 0x03) {
            refuse(c);
            return;
        }
        c->port->disk.transfer_mode = c->fis[12];
        ahci_end(c, &done);
        return;
    case 0xe0: /* STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP */
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
        ahci_end(c, &done);
        return;
    case 0xe5: /* CHECK POWER MODE */
        ahci_end(c, &awake);
        return;
    default: /* IDENTIFY DEVICE among them: by that a driver knows what it has before it */
        refuse(c);
        return;
    }
}
