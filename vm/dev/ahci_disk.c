/* SPDX-License-Identifier: Apache-2.0 */
/* A disk at a port: ATA/ATAPI Command Set 3 (ACS-3), section 7.
 *
 * Deliberately missing: CHS addresses, security, host protected areas, streaming, tagged TRIM,
 * power management of what needs no power, self-tests and logs of SMART (its health is "good"). */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "vm/dev/ahci_core.h"

enum { TRIM_BLOCKS_MAX = 8, TRIM_ENTRY = 8, MULTIPLE_MAX = 16, QUEUE_DEPTH = AHCI_SLOTS };

void ata_string(uint8_t *data, unsigned word, unsigned words, const char *text)
{
    size_t length = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++)
        data[2 * word + (i ^ 1)] = (uint8_t)(i < length ? text[i] : ' ');
}

/* --- ends --- */

static void end(struct ahci_command *c, uint8_t error)
{
    const struct ata_result result = {.status = error ? ATA_FAILED : ATA_OK,
                                      .error = error,
                                      .device = c->fis[7],
                                      .lba = ata_fis_lba(c->fis)};

    ahci_end(c, &result);
}

/* What was asked for has been moved, or not. */
static void on_moved(struct ahci_command *c, int result)
{
    struct ahci_port *p = c->port;

    if (result == 0 && c->flush_after) {
        c->flush_after = false;
        ahci_request(c, DISK_FLUSH, 0, 0);
    } else if (result == -EFAULT) {
        ahci_fatal(p, IS_HBFS);
    } else if (result == -EOVERFLOW) {
        end(c, ATA_ABRT);
    } else {
        end(c, !result ? 0 : c->io.op == DISK_READ ? ATA_UNC : ATA_ABRT);
    }
}

/* --- reading and writing --- */

enum kind { READ, WRITE, VERIFY };
enum flags { WIDE = 1 /* 48 bits */, PIO = 2, FUA = 4, QUEUED = 8, MULTIPLE = 16 };

static const struct transfer {
    uint8_t code, kind, flags;
} transfers[] = {
    {0x20, READ, PIO},
    {0x24, READ, PIO | WIDE},
    {0x25, READ, WIDE},
    {0x29, READ, PIO | WIDE | MULTIPLE},
    {0x30, WRITE, PIO},
    {0x34, WRITE, PIO | WIDE},
    {0x35, WRITE, WIDE},
    {0x39, WRITE, PIO | WIDE | MULTIPLE},
    {0x3d, WRITE, WIDE | FUA},
    {0x40, VERIFY, 0},
    {0x42, VERIFY, WIDE},
    {0x60, READ, WIDE | QUEUED},
    {0x61, WRITE, WIDE | QUEUED},
    {0xc4, READ, PIO | MULTIPLE},
    {0xc5, WRITE, PIO | MULTIPLE},
    {0xc8, READ, 0},
    {0xca, WRITE, 0},
    {0xce, WRITE, PIO | WIDE | FUA | MULTIPLE},
};

static const struct transfer *find(uint8_t code)
{
    for (unsigned i = 0; i < ARRAY_SIZE(transfers); i++)
        if (transfers[i].code == code)
            return &transfers[i];
    return NULL;
}

/* Sectors from where on, and how many: 0 of them are all that the register can not say. */
static void read_place(const uint8_t *fis, unsigned flags, uint64_t *ret_lba, uint32_t *ret_count)
{
    uint32_t count = flags & QUEUED ? fis[3] | (uint32_t)fis[11] << 8
                     : flags & WIDE ? le16_load(fis + 12)
                                    : fis[12];

    *ret_count = count ? count : flags & WIDE ? 65536 : 256;
    *ret_lba = flags & WIDE ? ata_fis_lba(fis)
                            : (le32_load(fis + 4) & 0xffffff) | (uint64_t)(fis[7] & 15) << 24;
}

/* What has been read by PIO ends by its data. */
static void on_read_pio(struct ahci_command *c, int result)
{
    if (result == 0)
        ahci_end_data(c);
    else
        on_moved(c, result);
}

static void transfer(struct ahci_command *c, const struct transfer *t)
{
    struct ahci_port *p = c->port;
    bool fua = t->flags & QUEUED ? c->fis[7] & 0x80 : t->flags & FUA;
    uint32_t count;
    uint64_t lba;

    read_place(c->fis, t->flags, &lba, &count);
    if (!(c->fis[7] & 0x40) || ((t->flags & MULTIPLE) && !p->disk.multiple) ||
        (t->kind == WRITE && p->blk->readonly)) {
        end(c, ATA_ABRT); /* no LBA; no block size was set */
    } else if (!range_within(lba, count, p->blk->size / DISK_SECTOR)) {
        end(c, ATA_IDNF | (t->flags & QUEUED ? 0 : ATA_ABRT));
    } else if (t->kind == VERIFY) {
        end(c, 0);
    } else {
        c->flush_after = t->kind == WRITE && (fua || !p->disk.write_cache);
        c->finish = t->kind == READ && t->flags & PIO ? on_read_pio : on_moved;
        ahci_move(c, t->kind == READ ? DISK_READ : DISK_WRITE, lba * DISK_SECTOR,
                  (uint64_t)count * DISK_SECTOR);
    }
}

/* --- trim: 7.5 --- */

static void next_range(struct ahci_command *c, int result)
{
    struct ahci_port *p = c->port;

    while (result == 0 && c->range < c->ranges) {
        uint64_t entry = le64_load(p->buffer + (size_t)c->range++ * TRIM_ENTRY);
        if (entry >> 48) {
            ahci_request(c, DISK_DISCARD, (entry & (BIT64(48) - 1)) * DISK_SECTOR,
                         (entry >> 48) * DISK_SECTOR);
            return;
        }
    }
    end(c, result && result != -ENOTSUP ? ATA_ABRT : 0);
}

static bool ranges_valid(const struct ahci_command *c)
{
    uint64_t sectors = c->port->blk->size / DISK_SECTOR;

    for (unsigned i = 0; i < c->ranges; i++) {
        uint64_t entry = le64_load(c->port->buffer + (size_t)i * TRIM_ENTRY);
        if (!range_within(entry & (BIT64(48) - 1), entry >> 48, sectors))
            return false;
    }
    return true;
}

static void trim(struct ahci_command *c)
{
    uint32_t blocks = le16_load(c->fis + 12), length = blocks * 512;
    int rc = 0;

    if (c->fis[3] != 1 || !blocks || blocks > TRIM_BLOCKS_MAX || c->port->blk->readonly) {
        end(c, ATA_ABRT);
        return;
    }
    rc = ahci_copy(c, false, c->port->buffer, length);
    c->ranges = (unsigned)(c->moved / TRIM_ENTRY);
    if (rc < 0) {
        ahci_fatal(c->port, IS_HBFS);
    } else if (c->moved < length || !ranges_valid(c)) {
        end(c, ATA_ABRT);
    } else {
        c->finish = next_range;
        next_range(c, 0);
    }
}

/* --- what it says of itself --- */

/* The first bytes of the port's buffer, which are PIO data. */
static void give(struct ahci_command *c, uint32_t length)
{
    if (ahci_copy(c, true, c->port->buffer, length) < 0)
        ahci_fatal(c->port, IS_HBFS);
    else
        ahci_end_data(c);
}

/* So that all bytes sum to zero. */
static void put_checksum(uint8_t data[512])
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + data[i]);
    data[511] = (uint8_t)-sum;
}

/* IDENTIFY DEVICE: 7.12. */
static void identify(struct ahci_command *c)
{
    static const uint16_t words[][2] = {
        {0, 0x0040},
        {3, 16},
        {6, 63},
        {47, 0x8000 | MULTIPLE_MAX},
        {49, 0x2f00}, /* LBA, DMA, IORDY, standby timer */
        {50, 0x4000},
        {53, 0x0006},
        {63, 0x0007},
        {64, 0x0003},
        {65, 120},
        {66, 120},
        {67, 120},
        {68, 120},
        {75, QUEUE_DEPTH - 1},
        {76, 0x010e}, /* queueing; 1.5, 3 and 6 Gbit/s */
        {80, 0x03f0}, /* up to ACS-2 */
        {82, 0x4069}, /* NOP, read-ahead, write cache, power management, SMART */
        {83, 0x7400}, /* flushes, 48 bits */
        {84, 0x4060}, /* FUA, logs */
        {86, 0x3400},
        {87, 0x4060},
        {105, TRIM_BLOCKS_MAX},
        {106, 0x6003}, /* 2^3 sectors a physical one */
        {169, 1},      /* TRIM */
        {209, 0x4000},
        {217, 1}, /* no disc turns */
        {222, 0x107f},
    };
    const struct ahci_port *p = c->port;
    uint64_t sectors = p->blk->size / DISK_SECTOR, small = MIN(sectors, UINT64_C(0x0fffffff));
    uint8_t *data = p->buffer;

    memset(data, 0, 512);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        ata_word(data, words[i][0], words[i][1]);
    ata_word(data, 1, (unsigned)MIN(sectors / (16 * 63), UINT64_C(16383)));
    ata_string(data, 10, 10, p->serial);
    ata_string(data, 23, 4, "1.0");
    ata_string(data, 27, 20, "Socle disk");
    if (p->disk.multiple)
        ata_word(data, 59, 0x0100u | p->disk.multiple);
    le32_store(data + 2 * 60, (uint32_t)small);
    ata_word(data, 85, 0x4048u | (p->disk.write_cache ? 0x20 : 0) | (p->disk.smart ? 1 : 0));
    ata_word(data, 88, 0x007f | 1u << (8 + (p->disk.transfer_mode & 7)));
    le64_store(data + 2 * 100, sectors);
    data[510] = 0xa5;
    put_checksum(data);
    give(c, 512);
}

/* READ LOG EXT: 7.24. Which logs there are, and the queued command that failed (9.14). */
static void read_log(struct ahci_command *c, bool dma)
{
    const struct ata_disk *d = &c->port->disk;
    uint8_t *data = c->port->buffer;

    if ((c->fis[4] != 0x00 && c->fis[4] != 0x10) || le16_load(c->fis + 12) != 1 || c->fis[5]) {
        end(c, ATA_ABRT);
        return;
    }
    memset(data, 0, 512);
    if (c->fis[4] == 0x00) {
        ata_word(data, 0, 1);
        ata_word(data, 0x10, 1);
    } else {
        data[0] = d->failed_status ? d->failed_slot : 0x80;
        data[2] = d->failed_status;
        data[3] = d->failed_error;
        le32_store(data + 4, (uint32_t)(d->failed_lba & 0xffffff) | 0x40000000u);
        le32_store(data + 8, (uint32_t)(d->failed_lba >> 24));
        put_checksum(data);
    }
    if (!dma)
        give(c, 512);
    else if (ahci_copy(c, true, data, 512) < 0)
        ahci_fatal(c->port, IS_HBFS);
    else
        end(c, 0);
}

/* SMART: on, off, attributes (none), and "how are you": well. */
static void smart(struct ahci_command *c)
{
    static const struct ata_result well = {.status = ATA_OK, .lba = 0xc24f00};
    struct ata_disk *d = &c->port->disk;
    uint8_t what = c->fis[3];

    if (c->fis[5] != 0x4f || c->fis[6] != 0xc2 || (!d->smart && what != 0xd8)) {
        end(c, ATA_ABRT);
    } else if (what == 0xd8 || what == 0xd9) {
        d->smart = what == 0xd8;
        end(c, 0);
    } else if (what == 0xda) {
        ahci_end(c, &well);
    } else if (what == 0xd0 || what == 0xd1) {
        memset(c->port->buffer, 0, 512);
        c->port->buffer[0] = 1; /* version of the structure */
        put_checksum(c->port->buffer);
        give(c, 512);
    } else {
        end(c, ATA_ABRT);
    }
}

static void set_features(struct ahci_command *c)
{
    struct ata_disk *d = &c->port->disk;

    switch (c->fis[3]) {
    case 0x02:
    case 0x82:
        d->write_cache = c->fis[3] == 0x02;
        break;
    case 0x03:
        d->transfer_mode = c->fis[12];
        break;
    case 0x55: /* read-ahead off and on; power-on defaults kept and not kept */
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    default:
        end(c, ATA_ABRT);
        return;
    }
    end(c, 0);
}

static void set_multiple(struct ahci_command *c)
{
    unsigned count = c->fis[12];

    if (count > MULTIPLE_MAX || (count & (count - 1))) {
        end(c, ATA_ABRT);
        return;
    }
    c->port->disk.multiple = (uint8_t)count;
    end(c, 0);
}

static void native_max(struct ahci_command *c, bool wide)
{
    uint64_t last = MAX(c->port->blk->size / DISK_SECTOR, UINT64_C(1)) - 1;
    struct ata_result result = {.status = ATA_OK, .device = 0x40, .lba = last};

    if (!wide) {
        result.lba = MIN(last, UINT64_C(0x0ffffffe));
        result.device = (uint8_t)(0x40 | result.lba >> 24);
        result.lba &= 0xffffff;
    }
    ahci_end(c, &result);
}

static void other(struct ahci_command *c)
{
    static const struct ata_result awake = {.status = ATA_OK, .count = 0xff},
                                   well = {.status = ATA_OK, .error = 1, .count = 1, .lba = 1};

    switch (c->fis[2]) {
    case 0x10: /* RECALIBRATE, INITIALIZE DEVICE PARAMETERS: nothing to be done */
    case 0x91:
    case 0xe0: /* STANDBY IMMEDIATE, IDLE IMMEDIATE, STANDBY, IDLE, SLEEP */
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
        end(c, 0);
        return;
    case 0xe5: /* CHECK POWER MODE */
        ahci_end(c, &awake);
        return;
    case 0x90: /* EXECUTE DEVICE DIAGNOSTIC */
        ahci_end(c, &well);
        return;
    default:
        end(c, ATA_ABRT);
        return;
    }
}

void ahci_disk_start(struct ahci_command *c)
{
    const struct transfer *t = find(c->fis[2]);

    if (t) {
        transfer(c, t);
        return;
    }
    switch (c->fis[2]) {
    case 0x06:
        trim(c);
        return;
    case 0x27:
    case 0xf8:
        native_max(c, c->fis[2] == 0x27);
        return;
    case 0x2f:
    case 0x47:
        read_log(c, c->fis[2] == 0x47);
        return;
    case 0xb0:
        smart(c);
        return;
    case 0xc6:
        set_multiple(c);
        return;
    case 0xe7: /* FLUSH CACHE [EXT] */
    case 0xea:
        c->finish = on_moved;
        ahci_request(c, DISK_FLUSH, 0, 0);
        return;
    case 0xec:
        identify(c);
        return;
    case 0xef:
        set_features(c);
        return;
    default:
        other(c);
        return;
    }
}

void ahci_disk_reset(struct ahci_port *p)
{
    p->disk = (struct ata_disk){.write_cache = 1, .smart = 1};
}
