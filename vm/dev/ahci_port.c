/* SPDX-License-Identifier: Apache-2.0 */
/* A port and its I/O thread: AHCI 1.3.1, sections 4.2 and 5.3; Serial ATA 3.x, 10.5 (FISes).
 *
 * Data path. The thread sleeps in the aio. A write to PxCI rings it if it sleeps; awake, it takes
 * all commands there are, turns the aio without sleeping, and tells of all queued commands that a
 * turn has ended by one FIS and one interrupt. A command that is not queued runs alone, as devices
 * have it: it waits for the queued ones before it, and those behind it wait.
 *
 * The command's memory is given to the disk in parts of as many regions as a request takes, so a
 * table of any length costs the same. Only even lengths are possible (4.2.3.3), and a part is whole
 * sectors.
 *
 * After an error the port takes no commands (PxCMD.CR stays set): what is under way ends untold, as
 * the driver resets the port and asks for all of it again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/lock.h"
#include "vm/dev/ahci_core.h"

/* --- received FISes; with `lock` --- */

static void put_fis(struct ahci_port *p, unsigned at, const void *fis, unsigned length)
{
    if ((p->cmd & CMD_FRE) && pci_port_bus_master(p->hba->env.pci))
        (void)gmem_write(p->hba->env.gmem, gpa(p->fb + at), fis, length);
}

static void fill_registers(uint8_t *fis, const struct ata_result *result)
{
    fis[2] = result->status;
    fis[3] = result->error;
    le32_store(fis + 4, (uint32_t)(result->lba & 0xffffff));
    fis[7] = result->device;
    le32_store(fis + 8, (uint32_t)(result->lba >> 24));
    le16_store(fis + 12, result->count);
}

static void put_d2h(struct ahci_port *p, const struct ata_result *result, uint8_t flags)
{
    uint8_t fis[20] = {FIS_TYPE_D2H, flags};

    fill_registers(fis, result);
    put_fis(p, FIS_D2H, fis, sizeof fis);
    p->tfd = result->status | (uint32_t)result->error << 8;
}

void ahci_port_listen(struct ahci_port *p)
{
    struct ata_result signature = {.status = p->is_cdrom ? 0 : ATA_OK,
                                   .error = 1, /* it is well */
                                   .count = 1,
                                   .lba = p->is_cdrom ? 0xeb1401 : 0x000001};
    if (!p->signature_due || !(p->cmd & CMD_FRE))
        return;
    p->signature_due = 0;
    p->sig = p->is_cdrom ? (uint32_t)SIGNATURE_PACKET : SIGNATURE_DISK;
    signature.lba = p->sig >> 8;
    put_d2h(p, &signature, 0);
}

void ahci_port_ring(struct ahci_port *p)
{
    const uint64_t one = 1;

    if (p->asleep)
        (void)!write(p->doorbell.fd, &one, sizeof one);
    p->asleep = false;
}

/* --- ending commands --- */

static uint32_t bit(const struct ahci_command *c)
{
    return BIT(c->slot);
}

/* How many bytes were moved goes into the command's header (4.2.2). */
static void tell_moved(const struct ahci_command *c)
{
    uint8_t count[4];

    le32_store(count, (uint32_t)c->moved);
    if (pci_port_bus_master(c->port->hba->env.pci))
        (void)gmem_write(c->port->hba->env.gmem, gpa(c->header + HEADER_PRDBC), count,
                         sizeof count);
}

/* With `lock`: the driver asks which command it was that failed. */
static void note_slot(struct ahci_port *p)
{
    p->cmd = (p->cmd & ~CMD_CCS_MASK) | CMD_CCS(p->last_slot);
}

static void end_queued(struct ahci_command *c, const struct ata_result *result)
{
    struct ahci_port *p = c->port;

    p->taken &= ~bit(c);
    if (!(result->status & ATA_ERR)) {
        p->done |= bit(c);
    } else if (!p->queue_failed) {
        p->queue_failed = true;
        p->disk.failed_slot = c->slot;
        p->disk.failed_status = result->status;
        p->disk.failed_error = result->error;
        p->disk.failed_lba = result->lba;
    }
}

void ahci_end(struct ahci_command *c, const struct ata_result *result)
{
    struct ahci_port *p = c->port;
    bool bad = result->status & ATA_ERR;

    if (c->queued) {
        end_queued(c, result);
        return;
    }
    p->taken &= ~bit(c);
    tell_moved(c);
    LOCK_SCOPE(&p->hba->lock);
    put_d2h(p, result, FIS_INTERRUPT);
    if (!bad)
        p->ci &= ~bit(c);
    p->failed = bad;
    note_slot(p);
    ahci_interrupt(p, bad ? IS_DHRS | IS_TFES : IS_DHRS);
}

void ahci_end_data(struct ahci_command *c)
{
    struct ahci_port *p = c->port;
    struct ata_result result = {
        .status = ATA_OK | ATA_DRQ, .device = c->fis[7], .lba = ata_fis_lba(c->fis)};
    uint8_t fis[20] = {FIS_TYPE_PIO, FIS_INTERRUPT | 0x20 /* to the host */};

    p->taken &= ~bit(c);
    tell_moved(c);
    fill_registers(fis, &result);
    fis[15] = ATA_OK; /* the status behind the data */
    le16_store(fis + 16, (uint16_t)c->moved);
    LOCK_SCOPE(&p->hba->lock);
    put_fis(p, FIS_PIO_SETUP, fis, sizeof fis);
    p->tfd = ATA_OK;
    p->ci &= ~bit(c);
    ahci_interrupt(p, IS_PSS);
}

/* A control FIS ends without a word. */
static void end_silently(struct ahci_command *c)
{
    c->port->taken &= ~bit(c);
    LOCK_SCOPE(&c->port->hba->lock);
    c->port->ci &= ~bit(c);
}

void ahci_fatal(struct ahci_port *p, uint32_t cause)
{
    LOCK_SCOPE(&p->hba->lock);
    p->failed = 1;
    note_slot(p);
    ahci_interrupt(p, cause);
}

/* Queued commands of this turn: one FIS says which have ended, and whether one failed. */
static void tell_done(struct ahci_port *p)
{
    bool bad = p->queue_failed;
    uint8_t fis[8] = {FIS_TYPE_BITS, FIS_INTERRUPT, ATA_OK & 0x77};

    if (!p->done && !bad)
        return;
    if (bad) {
        fis[2] = p->disk.failed_status & 0x77;
        fis[3] = p->disk.failed_error;
    }
    le32_store(fis + 4, p->done);
    LOCK_SCOPE(&p->hba->lock);
    if (!p->failed) {
        put_fis(p, FIS_DEVICE_BITS, fis, sizeof fis);
        p->sact &= ~p->done;
        p->tfd = (p->tfd & (ATA_BSY | ATA_DRQ)) | fis[2] | (uint32_t)fis[3] << 8;
        p->failed = bad;
        ahci_interrupt(p, bad ? IS_SDBS | IS_TFES : IS_SDBS);
    }
    p->done = 0;
    p->queue_failed = false;
}

/* --- the memory of a command: 4.2.3.3 --- */

static uint32_t prd_size(const uint8_t *prd)
{
    return ((le32_load(prd + 12) & 0x3fffff) | 1) + 1;
}

/* Drops what is behind the last whole `unit`. */
static unsigned trim(struct iovec *iov, unsigned n, uint64_t excess)
{
    while (n && excess >= iov[n - 1].iov_len)
        excess -= iov[--n].iov_len;
    if (n)
        iov[n - 1].iov_len -= excess;
    return n;
}

/* The table's next entries, from where the command stands. */
static int read_table(const struct ahci_command *c, uint8_t *raw, unsigned *ret_count)
{
    unsigned count = MIN(c->prd_count - c->prd, (uint32_t)AHCI_PIECES);
    uint64_t at = c->table + TABLE_PRDT + (uint64_t)c->prd * PRD_LEN;

    if (!pci_port_bus_master(c->port->hba->env.pci))
        return -EFAULT;
    *ret_count = count;
    return gmem_read(c->port->hba->env.gmem, gpa(at), raw, (size_t)count * PRD_LEN);
}

/* Memory for the next part of `want` bytes, as much as one request takes, in whole units. Returns
 * the number of pieces, 0: the command has no more; or -EFAULT. *ret_total are its bytes; the
 * command then stands behind them. */
static int map(struct ahci_command *c, uint64_t want, unsigned unit, uint64_t *ret_total)
{
    uint8_t raw[AHCI_PIECES * PRD_LEN];
    uint64_t total = 0;
    unsigned count, n = 0, first = 0;
    int rc = read_table(c, raw, &count);

    if (rc < 0)
        return rc;
    if (count && c->prd_used >= prd_size(raw)) { /* the last part ended where this entry does */
        c->prd_used = 0;
        c->prd++;
        first = 1;
    }
    for (uint32_t used = c->prd_used; total < want && first + n < count; used = 0, n++) {
        const uint8_t *prd = raw + (size_t)(first + n) * PRD_LEN;
        uint64_t base = (le64_load(prd) & ~UINT64_C(1)) + used;
        uint64_t length = MIN((uint64_t)prd_size(prd) - used, want - total);
        rc = gmem_iov(c->port->hba->env.gmem, gpa(base), length, false, &c->iov[n], 1);
        if (rc < 0)
            return rc;
        total += length;
    }
    uint64_t excess = total % unit;
    n = trim(c->iov, n, excess);
    if (n) {
        c->prd_used = (n == 1 ? c->prd_used : 0) + (uint32_t)c->iov[n - 1].iov_len;
        c->prd += n - 1;
    }
    *ret_total = total - excess;
    return (int)n;
}

/* --- moving data --- */

static void submit(struct ahci_command *c, enum disk_op op, uint64_t at, uint64_t length)
{
    c->io.op = op;
    c->io.offset = at;
    c->io.length = length;
    c->port->in_flight++;
    blk_submit(c->port->blk, &c->io);
}

static void move_part(struct ahci_command *c, enum disk_op op)
{
    uint64_t total;
    int n = map(c, c->left, DISK_SECTOR, &total);

    if (n <= 0) {
        c->finish(c, n < 0 ? n : -EOVERFLOW);
        return;
    }
    c->io.iov = c->iov;
    c->io.niov = (unsigned)n;
    submit(c, op, c->at, total);
}

static void on_done(struct disk_io *io, int result)
{
    struct ahci_command *c = io->ctx;

    if (blk_hold(c->port->blk, io, result))
        return;
    c->port->in_flight--;
    if (result < 0 || io->op == DISK_FLUSH || io->op == DISK_DISCARD) {
        c->finish(c, result);
        return;
    }
    if (io->op == DISK_READ)
        gmem_mark_written(c->port->hba->env.gmem, c->iov, io->niov);
    c->at += io->length;
    c->left -= io->length;
    c->moved += io->length;
    if (c->left)
        move_part(c, io->op);
    else
        c->finish(c, 0);
}

void ahci_move(struct ahci_command *c, enum disk_op op, uint64_t at, uint64_t length)
{
    c->at = at;
    c->left = length;
    move_part(c, op);
}

void ahci_request(struct ahci_command *c, enum disk_op op, uint64_t at, uint64_t length)
{
    submit(c, op, at, length);
}

int ahci_copy(struct ahci_command *c, bool to_guest, void *data, uint32_t length)
{
    uint8_t *bytes = data;
    uint64_t total;
    int n = length ? map(c, length, 1, &total) : 0;

    for (int i = 0; i < n; i++) {
        if (to_guest)
            memcpy(c->iov[i].iov_base, bytes, c->iov[i].iov_len);
        else
            memcpy(bytes, c->iov[i].iov_base, c->iov[i].iov_len);
        bytes += c->iov[i].iov_len;
    }
    if (n > 0 && to_guest)
        gmem_mark_written(c->port->hba->env.gmem, c->iov, (unsigned)n);
    c->moved += (uint64_t)(bytes - (uint8_t *)data);
    return MIN(n, 0);
}

/* --- taking commands: 5.3 --- */

/* The command as the guest has it, copied; false: it is not where the port was told. */
static bool fetch(struct ahci_command *c)
{
    struct ahci_port *p = c->port;
    struct gmem *gmem = p->hba->env.gmem;
    uint8_t header[HEADER_LEN], table[TABLE_LEN];

    c->header = p->clb + (uint64_t)c->slot * HEADER_LEN;
    if (!pci_port_bus_master(p->hba->env.pci) ||
        gmem_read(gmem, gpa(c->header), header, sizeof header) < 0)
        return false;
    c->table = le64_load(header + HEADER_TABLE) & ~UINT64_C(127);
    if (gmem_read(gmem, gpa(c->table), table, sizeof table) < 0)
        return false;
    c->prd_count = le16_load(header + 2);
    c->prd = c->prd_used = 0;
    c->at = c->left = c->moved = 0;
    c->range = c->ranges = 0;
    c->flush_after = false;
    memcpy(c->fis, table, sizeof c->fis);
    memcpy(c->packet, table + TABLE_PACKET, sizeof c->packet);
    c->queued = !p->is_cdrom && c->fis[1] & FIS_COMMAND &&
                (c->fis[2] == 0x60 || c->fis[2] == 0x61); /* READ and WRITE FPDMA QUEUED */
    return true;
}

/* A reset of the device by control FISes: 10.4.1.2. The first sets SRST, the second clears it. */
static void control(struct ahci_command *c)
{
    struct ahci_port *p = c->port;
    bool set = c->fis[15] & CONTROL_SRST, done = p->in_reset && !set;

    p->in_reset = set;
    if (done)
        ahci_port_reset_device(p);
    end_silently(c);
    if (done) {
        LOCK_SCOPE(&p->hba->lock);
        ahci_port_listen(p);
    }
}

static void start(struct ahci_command *c)
{
    struct ahci_port *p = c->port;

    p->last_slot = c->slot;
    p->taken |= bit(c);
    if (c->queued)
        p->accepted |= bit(c);
    if (c->fis[0] != FIS_TYPE_H2D)
        ahci_fatal(p, IS_IFS);
    else if (!(c->fis[1] & FIS_COMMAND))
        control(c);
    else if (p->is_cdrom)
        ahci_packet_start(c);
    else
        ahci_disk_start(c);
}

/* The driver's slots that are not under way; none is taken while one that runs alone does. */
static uint32_t waiting(struct ahci_port *p)
{
    LOCK_SCOPE(&p->hba->lock);
    uint32_t slots = p->failed || !(p->cmd & CMD_ST) ? 0 : p->ci & ~p->taken;

    p->asleep = !slots;
    return slots;
}

/* The queued ones are the device's now (their bits stay in PxSACT). */
static void accept(struct ahci_port *p)
{
    if (!p->accepted)
        return;
    LOCK_SCOPE(&p->hba->lock);
    p->ci &= ~p->accepted;
    p->accepted = 0;
}

/* One that is not queued has nobody beside it. */
static bool alone(const struct ahci_port *p)
{
    return p->taken && !p->command[__builtin_ctz(p->taken)].queued;
}

/* From behind the last one on, round (5.3.2.3: pSlotLoc). Returns whether anything was begun. */
static bool take(struct ahci_port *p, uint32_t slots)
{
    unsigned from = p->last_slot + 1;
    bool begun = false;

    for (unsigned i = 0; i < AHCI_SLOTS && !p->failed; i++) {
        struct ahci_command *c = &p->command[(from + i) % AHCI_SLOTS];
        if (!(slots & bit(c)))
            continue;
        if (!fetch(c)) {
            ahci_fatal(p, IS_HBFS);
            break;
        }
        if (!c->queued && p->taken)
            break;
        start(c);
        begun = true;
        if (alone(p))
            break;
    }
    accept(p);
    return begun;
}

static bool port_work(void *ctx, bool fresh)
{
    struct ahci_port *p = ctx;

    if (fresh)
        blk_retry(p->blk);
    tell_done(p);
    if (!io_thread_wanted(&p->thread) || alone(p))
        return true;
    uint32_t slots = waiting(p);
    bool begun = slots && take(p, slots);
    tell_done(p); /* what was refused at once */
    return !begun;
}

static bool port_busy(void *ctx)
{
    const struct ahci_port *p = ctx;

    return p->in_flight > p->blk->held_count;
}

/* --- life --- */

static void on_doorbell(struct aio_watch *watch) {}

static void port_begin(void *ctx)
{
    struct ahci_port *p = ctx;

    aio_watch(p->blk->aio, &p->doorbell);
}

static void port_end(void *ctx)
{
    struct ahci_port *p = ctx;

    aio_unwatch(p->blk->aio, &p->doorbell);
    if (!p->hba->abandoned)
        blk_close(TAKE_PTR(p->blk));
}

static const struct io_thread_ops thread_ops = {
    .begin = port_begin, .end = port_end, .work = port_work, .busy = port_busy};

void ahci_port_park(struct ahci_port *p)
{
    if (p->running)
        io_thread_park(&p->thread);
    p->running = false;
}

void ahci_port_run(struct ahci_port *p)
{
    if (!p->blk || p->running || p->hba->quiesced || !(p->cmd & CMD_ST))
        return;
    p->running = true;
    io_thread_run(&p->thread);
}

void ahci_port_clear(struct ahci_port *p)
{
    while (p->blk && blk_release(p->blk))
        p->in_flight--;
    LOCK_SCOPE(&p->hba->lock);
    p->taken = p->accepted = p->done = 0;
    p->queue_failed = false;
    p->last_slot = AHCI_SLOTS - 1;
    p->ci = p->sact = 0;
    p->failed = 0;
    p->cmd &= ~CMD_CCS_MASK;
}

void ahci_port_reset_device(struct ahci_port *p)
{
    ahci_disk_reset(p);
    cdrom_reset(&p->cdrom);
    LOCK_SCOPE(&p->hba->lock);
    p->signature_due = 1;
    p->tfd = ATA_BSY;
}

static int alloc(struct ahci_port *p)
{
    p->doorbell = (struct aio_watch){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_doorbell, .ctx = p};
    p->command = calloc(AHCI_SLOTS, sizeof *p->command); /* touched as needed */
    p->buffer = calloc(1, AHCI_BUFFER);
    if (p->doorbell.fd < 0)
        return -errno;
    if (!p->command || !p->buffer)
        return -ENOMEM;
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        struct ahci_command *c = &p->command[i];
        c->port = p;
        c->slot = (uint8_t)i;
        c->io.done = on_done;
        c->io.ctx = c;
    }
    return 0;
}

int ahci_port_init(struct ahci_port *p, struct ahci *hba, const struct ahci_drive *drive,
                   struct err *err)
{
    char name[32];
    int rc = alloc(p);

    (void)snprintf(name, sizeof name, "%s.%u", hba->env.name, p->number);
    if (rc < 0)
        return err_sys(err, rc, "%s", name);
    p->is_cdrom = drive->cdrom;
    p->blk = drive->blk;
    p->changes = p->blk->changes;
    return io_thread_create(&p->thread, name, p->blk->aio, hba->threaded, &thread_ops, p, err);
}

void ahci_port_fini(struct ahci_port *p)
{
    io_thread_destroy(&p->thread);
    if (p->command)
        (void)close_fd(p->doorbell.fd);
    free(p->command);
    free(p->buffer);
}
