/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the controller: what its files share.
 *
 *   ahci.c         registers, interrupts, resets, life, state
 *   ahci_port.c    a port's I/O thread: command list, memory of commands, received FISes
 *   ahci_disk.c    what a disk makes of ATA commands
 *   ahci_packet.c  what a CD drive makes of them (cdrom.h has the drive itself)
 *
 * Two locks. `control` is held by whoever starts or stops ports, and over the waiting that this
 * costs; `lock` covers the registers of all ports for some instructions. A port's thread takes only
 * `lock`. What a command is made of belongs to the port's thread while it runs, and to the holder
 * of `control` while it is parked. */
#pragma once

#include <pthread.h>

#include "vm/backend/io_thread.h"
#include "vm/dev/ahci.h"
#include "vm/dev/ahci_regs.h"
#include "vm/dev/cdrom.h"

enum { AHCI_PIECES = 256 /* regions of memory that one request to the disk has */ };
enum { AHCI_BUFFER = 4096, AHCI_SERIAL = 20 };

/* Status and error as the device's registers have them (ACS-3, 6). */
enum { ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_DSC = 0x10, ATA_DRDY = 0x40, ATA_BSY = 0x80 };
enum { ATA_OK = ATA_DRDY | ATA_DSC, ATA_FAILED = ATA_OK | ATA_ERR };
enum { ATA_ABRT = 0x04, ATA_IDNF = 0x10, ATA_UNC = 0x40 };

/* What stands in the registers when a command has ended. */
struct ata_result {
    uint8_t status, error, device;
    uint16_t count;
    uint64_t lba;
};

/* A command under way. */
struct ahci_command {
    struct disk_io io;
    struct ahci_port *port;
    uint8_t slot;
    bool queued;
    /* As the guest has it: */
    uint64_t header, table; /* addresses */
    uint32_t prd_count;
    uint8_t fis[20], packet[CDROM_PACKET];
    /* Where it is in its memory: region and bytes of that. */
    uint32_t prd, prd_used;
    uint64_t at, left, moved; /* bytes on the disk, yet to move, moved */
    unsigned range, ranges;   /* of a trim, in the port's buffer */
    bool flush_after;
    /* On the thread, with 0 or a negative errno, when everything has been moved. */
    void (*finish)(struct ahci_command *c, int result);
    struct iovec iov[AHCI_PIECES];
};

struct ata_disk {
    uint8_t multiple; /* sectors a block, 0: not set */
    uint8_t write_cache, smart;
    uint8_t transfer_mode;
    /* The queued command that failed last, as log 10h has it. */
    uint8_t failed_slot;
    uint8_t failed_status, failed_error;
    uint64_t failed_lba;
};

struct ahci_port {
    struct ahci *hba;
    unsigned number;
    struct blk *blk; /* owned; NULL: nothing there, and the port is not implemented */
    bool is_cdrom;
    char serial[AHCI_SERIAL + 1];
    bool running;     /* the thread may take commands; `control` */
    unsigned changes; /* of blk, as last seen */

    /* Registers; `lock`. */
    uint64_t clb, fb;
    uint32_t is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
    uint8_t failed;        /* no commands until the driver has restarted the port */
    uint8_t signature_due; /* the device has something to say once it is listened to */
    uint8_t in_reset;      /* by a control FIS */
    bool asleep;           /* the thread waits: ring when there is something */

    /* The thread's. */
    struct io_thread thread;
    struct aio_watch doorbell;
    struct ahci_command *command; /* owned, AHCI_SLOTS of them */
    uint8_t *buffer;              /* owned, AHCI_BUFFER; of the one command that is not queued */
    uint32_t taken;               /* slots under way */
    uint32_t accepted;            /* of these, queued ones whose bit of CI is to go */
    uint32_t done;                /* queued ones that have ended and are not told yet */
    bool queue_failed;            /* one of them failed: disk.failed_* */
    unsigned in_flight;           /* requests at the blk */
    uint8_t last_slot;
    struct ata_disk disk;
    struct cdrom cdrom;
};

struct ahci {
    struct dev_env env;
    bool threaded;
    bool abandoned; /* create failed: the disks stay the caller's */
    pthread_mutex_t control, lock;
    bool quiesced; /* `control` */
    uint32_t ghc, is, implemented;
    struct ahci_port port[AHCI_PORTS_MAX];
};

/* --- ahci.c --- */

/* Something has happened at the port; with `lock` held. */
void ahci_interrupt(struct ahci_port *p, uint32_t cause);

/* --- ahci_port.c --- */

int ahci_port_init(struct ahci_port *p, struct ahci *hba, const struct ahci_drive *drive,
                   struct err *err);
void ahci_port_fini(struct ahci_port *p); /* accepts a zeroed one */
/* With `control` held. Park: nothing of the port's moves afterwards. Run: it takes commands, if the
 * driver has started it. */
void ahci_port_park(struct ahci_port *p);
void ahci_port_run(struct ahci_port *p);
/* A driver's restart: parked, its commands are gone. */
void ahci_port_clear(struct ahci_port *p);
/* The device as after power-on, or after a reset on the wire: it will send its signature. */
void ahci_port_reset_device(struct ahci_port *p);
/* With `lock` held: it sends what it has to say, if the driver listens. */
void ahci_port_listen(struct ahci_port *p);
/* With `lock` held: there may be commands. */
void ahci_port_ring(struct ahci_port *p);

/* For what a drive makes of a command; on the thread. Each command ends by exactly one of these
 * three. */
void ahci_end(struct ahci_command *c, const struct ata_result *result);
void ahci_end_data(struct ahci_command *c);           /* the data was all (PIO in) */
void ahci_fatal(struct ahci_port *p, uint32_t cause); /* the port stops with the command in it */

/* Moves `length` bytes, whole sectors, between the disk and the command's memory, then `finish`. */
void ahci_move(struct ahci_command *c, enum disk_op op, uint64_t at, uint64_t length);
/* A request without memory: flush, discard. */
void ahci_request(struct ahci_command *c, enum disk_op op, uint64_t at, uint64_t length);
/* Between the command's memory and `data`. 0: as much of it as there is memory, c->moved says how
 * much; -EFAULT: there is no such memory. */
int ahci_copy(struct ahci_command *c, bool to_guest, void *data, uint32_t length);

/* --- the drives --- */

void ahci_disk_reset(struct ahci_port *p);
void ahci_disk_start(struct ahci_command *c);
void ahci_packet_start(struct ahci_command *c);

static inline uint64_t ata_fis_lba(const uint8_t *fis)
{
    return (uint64_t)fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 |
           (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
}
static inline void ata_word(uint8_t *data, unsigned n, unsigned value)
{
    data[2 * n] = (uint8_t)value;
    data[2 * n + 1] = (uint8_t)(value >> 8);
}
/* A string as IDENTIFY has it: padded with blanks, two characters a word, the first one high. */
void ata_string(uint8_t *data, unsigned word, unsigned words, const char *text);
