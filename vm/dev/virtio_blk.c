/* SPDX-License-Identifier: Apache-2.0 */
/* virtio block device: VIRTIO 1.2, section 5.2.
 *
 * Data path. The I/O thread sleeps in the aio, which watches the doorbells. When it wakes it takes
 * all chains of the queues that rang, hands them to the disk as pieces of guest memory, and turns
 * the aio again without sleeping; completions are collected in the used ring and published once a
 * turn with at most one interrupt a queue. Notifications are armed only when a turn has brought
 * nothing new. So a burst costs one doorbell, one interrupt, and no system call of its own but the
 * disk's. On a processor that it shares with the guest the thread may wait until the guest
 * pauses, where that gains (vq_pace.h).
 *
 * Memory: a request is taken from a pool as large as the queue and lives until its status is
 * written. The pool is a stack, so only as many are ever touched as were in flight at once.
 *
 * Without FLUSH negotiated (or with the write cache switched off) the device is write-through: a
 * write completes after a flush of its own (5.2.5.2, 5.2.6.2).
 *
 * Deliberately missing: SIZE_MAX, geometry, lifetime, secure erase, zoned devices. */
#include "vm/dev/virtio_blk.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/lock.h"
#include "base/range.h"
#include "vm/backend/io_thread.h"
#include "vm/dev/virtio_blk_regs.h"
#include "vm/dev/virtio_pci.h"
#include "vm/dev/vq_pace.h"

enum { RANGES_MAX = 16, SECTORS_MAX = 1 << 22 /* of a discard or write-zeroes range: 2 GiB */ };
enum { PIECES_MAX = VIRTIO_BLK_QUEUE_SIZE };

struct blk_request {
    struct disk_io io;
    struct virtio_blk *dev;
    struct blk_request *next_free;
    uint32_t type;
    uint16_t queue, head;
    uint32_t written; /* bytes of the data part that a read will have written */
    uint8_t *status;  /* guest memory */
    struct iovec *in; /* the writable pieces, for dirty marking */
    uint16_t in_count;
    uint8_t range, range_count; /* the next of `ranges` to be done */
    uint8_t ranges[RANGES_MAX * VIRTIO_BLK_RANGE_SIZE];
    struct iovec iov[PIECES_MAX];
};

struct blk_queue {
    struct blk_request *pool; /* owned, VIRTIO_BLK_QUEUE_SIZE of them */
    struct blk_request *free;
    unsigned fresh; /* never used ones begin here */
    struct aio_watch doorbell;
    struct virtio_blk *dev;
};

struct virtio_blk {
    struct virtio_pci vp; /* first */
    struct virtqueue vq[VIRTIO_BLK_QUEUES_MAX];
    uint8_t config[VIRTIO_BLK_CONFIG_SIZE];
    char id[VIRTIO_BLK_ID_SIZE];
    struct blk *blk; /* owned */
    struct io_thread thread;

    /* The I/O thread's. */
    struct blk_queue queue[VIRTIO_BLK_QUEUES_MAX];
    uint32_t rung;    /* bit n: queue n is to be looked at */
    uint32_t starved; /* waits for a free request; only a guest that uses heads twice gets there */
    uint32_t pushed;  /* has unpublished entries */
    unsigned in_flight;
    bool write_through;
    bool paced;   /* the thread's priority is ours to choose */
    bool patient; /* it is SCHED_BATCH */
    struct vq_pace pace;
};

/* -- The pool ------------------------------------------------------------------------------------
 */

static void on_done(struct disk_io *io, int result);

static struct blk_request *request_get(struct blk_queue *q)
{
    struct blk_request *r = q->free;

    if (r) {
        q->free = r->next_free;
    } else if (q->fresh < VIRTIO_BLK_QUEUE_SIZE) {
        r = &q->pool[q->fresh++];
        r->dev = q->dev;
        r->queue = (uint16_t)(q - q->dev->queue);
        r->io.done = on_done;
        r->io.ctx = r;
    }
    return r;
}

static void request_put(struct blk_queue *q, struct blk_request *r)
{
    r->next_free = q->free;
    q->free = r;
}

/* -- Ending requests -----------------------------------------------------------------------------
 */

/* The function lost its right to do DMA while the request was under way: nothing more is written
 * to guest memory, and the driver, which cannot expect an answer, has to reset. */
static void request_end(struct blk_request *r, uint8_t status)
{
    struct virtio_blk *dev = r->dev;
    struct virtqueue *vq = &dev->vq[r->queue];

    if (pci_port_bus_master(dev->vp.port)) {
        *r->status = status;
        r->in[r->in_count - 1].iov_len++; /* the status byte, behind the data */
        virtqueue_mark_written(vq, r->in, r->in_count);
        virtqueue_push(vq, r->head, r->written + 1);
        dev->pushed |= BIT(r->queue);
    }
    dev->rung |= dev->starved & BIT(r->queue);
    dev->starved &= ~BIT(r->queue);
    request_put(&dev->queue[r->queue], r);
}

static void submit(struct blk_request *r, enum disk_op op, uint64_t offset, uint64_t length)
{
    r->io.op = op;
    r->io.offset = offset;
    r->io.length = length;
    r->dev->in_flight++;
    blk_submit(r->dev->blk, &r->io);
}

static void submit_range(struct blk_request *r)
{
    const uint8_t *range = r->ranges + r->range * VIRTIO_BLK_RANGE_SIZE;
    bool discard = r->type == VIRTIO_BLK_T_DISCARD;

    r->range++;
    submit(r, discard ? DISK_DISCARD : DISK_WRITE_ZEROES, le64_load(range) * DISK_SECTOR,
           (uint64_t)le32_load(range + 8) * DISK_SECTOR);
}

static void on_done(struct disk_io *io, int result)
{
    struct blk_request *r = io->ctx;

    if (blk_hold(r->dev->blk, io, result))
        return;
    r->dev->in_flight--;
    if (result < 0) {
        r->written = 0;
        request_end(r, result == -ENOTSUP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
    } else if (r->range < r->range_count) {
        submit_range(r);
    } else if (r->dev->write_through && io->op != DISK_READ && io->op != DISK_FLUSH) {
        submit(r, DISK_FLUSH, 0, 0);
    } else {
        request_end(r, VIRTIO_BLK_S_OK);
    }
}

/* -- Starting them -------------------------------------------------------------------------------
 */

static bool sectors_valid(const struct virtio_blk *dev, uint64_t sector, uint64_t length)
{
    return sector <= dev->blk->size / DISK_SECTOR && length % DISK_SECTOR == 0 &&
           range_within(sector * DISK_SECTOR, length, dev->blk->size);
}

/* 5.2.6.2: one range at a time, all of them valid before the first is begun. */
static uint8_t check_ranges(const struct blk_request *r)
{
    for (unsigned i = 0; i < r->range_count; i++) {
        const uint8_t *range = r->ranges + i * VIRTIO_BLK_RANGE_SIZE;
        uint32_t sectors = le32_load(range + 8), flags = le32_load(range + 12);

        if ((flags & ~(uint32_t)VIRTIO_BLK_RANGE_UNMAP) ||
            (r->type == VIRTIO_BLK_T_DISCARD && flags))
            return VIRTIO_BLK_S_UNSUPP;
        if (sectors > SECTORS_MAX ||
            !sectors_valid(r->dev, le64_load(range), (uint64_t)sectors * DISK_SECTOR))
            return VIRTIO_BLK_S_IOERR;
    }
    return VIRTIO_BLK_S_OK;
}

static void start_ranges(struct blk_request *r, const struct iovec *out, unsigned count,
                         uint64_t length)
{
    uint8_t status;

    if (!length || length % VIRTIO_BLK_RANGE_SIZE || length > sizeof r->ranges ||
        r->dev->blk->readonly) {
        request_end(r, VIRTIO_BLK_S_IOERR);
        return;
    }
    (void)vq_iov_read(out, count, 0, r->ranges, length);
    r->range_count = (uint8_t)(length / VIRTIO_BLK_RANGE_SIZE);
    status = check_ranges(r);
    if (status == VIRTIO_BLK_S_OK)
        submit_range(r);
    else
        request_end(r, status);
}

static void start_transfer(struct blk_request *r, enum disk_op op, uint64_t sector,
                           struct iovec *iov, unsigned count, uint64_t length)
{
    bool denied = op == DISK_WRITE && r->dev->blk->readonly;

    if (denied || !sectors_valid(r->dev, sector, length)) {
        request_end(r, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (op == DISK_READ)
        r->written = (uint32_t)length;
    if (!length) {
        request_end(r, VIRTIO_BLK_S_OK);
        return;
    }
    r->io.iov = iov;
    r->io.niov = count;
    submit(r, op, sector * DISK_SECTOR, length);
}

static void get_id(struct blk_request *r, unsigned in_count)
{
    r->written = (uint32_t)vq_iov_write(r->in, in_count, 0, r->dev->id, sizeof r->dev->id);
    request_end(r, VIRTIO_BLK_S_OK);
}

/* 5.2.6: the last writable byte is the status, the first readable ones are the header; how they are
 * divided into descriptors means nothing (2.7.4). False: there is no room for a status. */
static bool start_request(struct blk_request *r, struct vq_chain *chain)
{
    struct iovec *out = chain->iov, *in = chain->iov + chain->out, *last;
    unsigned out_count = chain->out, in_count = chain->in;
    uint8_t header[VIRTIO_BLK_HEADER_SIZE];
    uint64_t sector;

    if (!in_count)
        return false;
    last = &in[in_count - 1];
    r->status = (uint8_t *)last->iov_base + --last->iov_len;
    in_count -= !last->iov_len;
    r->in = in;
    r->in_count = chain->in;
    if (chain->out_len < sizeof header) {
        request_end(r, VIRTIO_BLK_S_IOERR);
        return true;
    }
    (void)vq_iov_read(out, out_count, 0, header, sizeof header);
    vq_iov_drop(&out, &out_count, sizeof header);
    r->type = le32_load(header);
    sector = le64_load(header + 8);
    switch (r->type) {
    case VIRTIO_BLK_T_IN:
        start_transfer(r, DISK_READ, sector, in, in_count, chain->in_len - 1);
        return true;
    case VIRTIO_BLK_T_OUT:
        start_transfer(r, DISK_WRITE, sector, out, out_count, chain->out_len - sizeof header);
        return true;
    case VIRTIO_BLK_T_FLUSH:
        submit(r, DISK_FLUSH, 0, 0);
        return true;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        start_ranges(r, out, out_count, chain->out_len - sizeof header);
        return true;
    case VIRTIO_BLK_T_GET_ID:
        get_id(r, in_count);
        return true;
    default:
        request_end(r, VIRTIO_BLK_S_UNSUPP);
        return true;
    }
}

/* Takes all chains of a queue and returns how many. What is put back while this runs waits for the
 * next look, so one queue cannot keep the thread for itself. */
static unsigned take_chains(struct virtio_blk *dev, unsigned index)
{
    struct blk_queue *q = &dev->queue[index];
    struct virtqueue *vq = &dev->vq[index];

    unsigned taken;

    for (taken = 0; taken < vq->size; taken++) {
        struct blk_request *r = request_get(q);
        if (!r) {
            dev->starved |= BIT(index);
            return taken;
        }
        struct vq_chain chain = {.iov = r->iov, .iov_max = PIECES_MAX};
        int rc = virtqueue_pop(vq, &chain);
        if (rc > 0) {
            r->head = chain.head;
            r->written = 0;
            r->range = r->range_count = 0;
            if (start_request(r, &chain))
                continue;
        }
        request_put(q, r);
        if (rc)
            virtio_pci_fail(&dev->vp);
        return taken;
    }
    return taken;
}

/* -- The I/O thread ------------------------------------------------------------------------------
 */

static void publish(struct virtio_blk *dev)
{
    while (dev->pushed) {
        unsigned index = (unsigned)__builtin_ctz(dev->pushed);
        dev->pushed &= dev->pushed - 1;
        virtio_pci_publish(&dev->vp, &dev->vq[index]);
    }
}

static void set_pace(struct virtio_blk *dev, unsigned taken)
{
    const struct sched_param none = {0};
    bool patient = vq_pace_took(&dev->pace, taken, &clock_host);

    if (patient == dev->patient)
        return;
    dev->patient = patient;
    (void)sched_setscheduler(0, patient ? SCHED_BATCH : SCHED_OTHER, &none);
}

/* Returns whether anything was there. A queue with nothing new is armed, which is the last look. */
static bool look_at(struct virtio_blk *dev, uint32_t queues)
{
    unsigned taken = 0;
    bool found = false;

    for (; queues; queues &= queues - 1) {
        unsigned index = (unsigned)__builtin_ctz(queues);
        struct virtqueue *vq = &dev->vq[index];

        if (!virtqueue_pending(vq) && !virtqueue_arm(vq))
            continue;
        virtqueue_disarm(vq);
        dev->rung |= BIT(index);
        taken += take_chains(dev, index);
        found = true;
    }
    if (taken && dev->paced)
        set_pace(dev, taken);
    return found;
}

/* A queue stays rung while looking at it finds something, and the thread does not sleep then. */
static bool blk_work(void *ctx, bool fresh)
{
    struct virtio_blk *dev = ctx;
    uint32_t queues;

    if (fresh) {
        dev->rung = UINT32_MAX >> (32 - dev->vp.queue_count);
        blk_retry(dev->blk);
    }
    publish(dev);
    if (!io_thread_wanted(&dev->thread) || !virtio_pci_dma(&dev->vp)) {
        dev->rung = 0;
        return true;
    }
    queues = dev->rung & ~dev->starved;
    dev->rung = 0;
    bool found = look_at(dev, queues);
    publish(dev); /* what was answered at once */
    return !found;
}

static bool blk_busy(void *ctx)
{
    const struct virtio_blk *dev = ctx;

    return dev->in_flight > dev->blk->held_count;
}

static void on_doorbell(struct aio_watch *watch)
{
    struct blk_queue *q = watch->ctx;

    q->dev->rung |= BIT((unsigned)(q - q->dev->queue));
}

static void blk_begin(void *ctx)
{
    struct virtio_blk *dev = ctx;

    for (unsigned i = 0; i < dev->vp.queue_count; i++)
        aio_watch(dev->blk->aio, &dev->queue[i].doorbell);
}

static void blk_end(void *ctx)
{
    struct virtio_blk *dev = ctx;

    for (unsigned i = 0; i < dev->vp.queue_count; i++)
        aio_unwatch(dev->blk->aio, &dev->queue[i].doorbell);
    blk_close(TAKE_PTR(dev->blk));
}

static const struct io_thread_ops blk_thread_ops = {
    .begin = blk_begin, .end = blk_end, .work = blk_work, .busy = blk_busy};

void virtio_blk_step(void *dev)
{
    io_thread_step(&((struct virtio_blk *)dev)->thread);
}

/* -- The transport's side ------------------------------------------------------------------------
 */

static void set_write_through(struct virtio_blk *dev)
{
    if (virtio_pci_has(&dev->vp, VIRTIO_BLK_F_CONFIG_WCE))
        dev->write_through = !dev->config[VIRTIO_BLK_CONFIG_WRITEBACK];
    else
        dev->write_through = !virtio_pci_has(&dev->vp, VIRTIO_BLK_F_FLUSH);
}

static void blk_start(struct virtio_pci *vp)
{
    struct virtio_blk *dev = (struct virtio_blk *)vp;

    set_write_through(dev);
    io_thread_run(&dev->thread);
}

static void blk_stop(struct virtio_pci *vp)
{
    io_thread_park(&((struct virtio_blk *)vp)->thread);
}

static void blk_reset(struct virtio_pci *vp)
{
    struct virtio_blk *dev = (struct virtio_blk *)vp;
    struct disk_io *io;

    while ((io = blk_release(dev->blk))) {
        struct blk_request *r = io->ctx;
        dev->in_flight--;
        request_put(&dev->queue[r->queue], r);
    }
    dev->config[VIRTIO_BLK_CONFIG_WRITEBACK] = 1;
}

/* 5.2.5.2: the only writable register. What is in flight ends under the old rule. */
static void blk_config_write(struct virtio_pci *vp, unsigned offset, unsigned size, uint64_t value)
{
    struct virtio_blk *dev = (struct virtio_blk *)vp;

    if (offset != VIRTIO_BLK_CONFIG_WRITEBACK || size != 1 || value > 1 ||
        !virtio_pci_has(vp, VIRTIO_BLK_F_CONFIG_WCE))
        return;
    if (vp->running)
        io_thread_park(&dev->thread);
    dev->config[offset] = (uint8_t)value;
    set_write_through(dev);
    if (vp->running)
        io_thread_run(&dev->thread);
}

static const struct virtio_pci_type blk_type = {
    .id = VIRTIO_ID_BLK,
    .class_code = 0x010000, /* mass storage, SCSI: what systems show disks as */
    .config_size = VIRTIO_BLK_CONFIG_SIZE,
    .start = blk_start,
    .stop = blk_stop,
    .reset = blk_reset,
    .config_write = blk_config_write,
};

/* -- Life ----------------------------------------------------------------------------------------
 */

static int blk_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct virtio_blk_params *p = params;

    if (p->queues < 1 || p->queues > VIRTIO_BLK_QUEUES_MAX)
        return err_set(err, -EINVAL, "virtio-blk with %u queues: 1 to %u are possible", p->queues,
                       VIRTIO_BLK_QUEUES_MAX);
    virtio_pci_layout(&blk_type, p->queues, ret_layout);
    return 0;
}

static void fill_config(struct virtio_blk *dev, unsigned queues)
{
    uint8_t *c = dev->config;
    uint32_t align = dev->blk->grain ? dev->blk->grain / DISK_SECTOR : 1;

    le64_store(c + VIRTIO_BLK_CONFIG_CAPACITY, dev->blk->size / DISK_SECTOR);
    le32_store(c + VIRTIO_BLK_CONFIG_SEG_MAX, PIECES_MAX - 2);
    le32_store(c + VIRTIO_BLK_CONFIG_BLK_SIZE, DISK_SECTOR);
    c[VIRTIO_BLK_CONFIG_PHYSICAL_EXP] = 3; /* 4 KiB */
    le16_store(c + VIRTIO_BLK_CONFIG_MIN_IO, 8);
    c[VIRTIO_BLK_CONFIG_WRITEBACK] = 1;
    le16_store(c + VIRTIO_BLK_CONFIG_NUM_QUEUES, (uint16_t)queues);
    le32_store(c + VIRTIO_BLK_CONFIG_MAX_DISCARD, SECTORS_MAX);
    le32_store(c + VIRTIO_BLK_CONFIG_MAX_DISCARD_SEG, RANGES_MAX);
    le32_store(c + VIRTIO_BLK_CONFIG_DISCARD_ALIGN, align);
    le32_store(c + VIRTIO_BLK_CONFIG_MAX_ZEROES, SECTORS_MAX);
    le32_store(c + VIRTIO_BLK_CONFIG_MAX_ZEROES_SEG, RANGES_MAX);
    c[VIRTIO_BLK_CONFIG_ZEROES_UNMAP] = 1;
}

static uint64_t features_of(const struct blk *blk, unsigned queues)
{
    uint64_t features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH |
                        VIRTIO_BLK_F_TOPOLOGY | VIRTIO_BLK_F_CONFIG_WCE;

    features |= blk->readonly ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
    return queues > 1 ? features | VIRTIO_BLK_F_MQ : features;
}

static int init_queues(struct virtio_blk *dev, const struct dev_env *env, unsigned queues)
{
    for (unsigned i = 0; i < queues; i++) {
        struct blk_queue *q = &dev->queue[i];

        virtqueue_init(&dev->vq[i], VIRTIO_BLK_QUEUE_SIZE);
        q->dev = dev;
        q->doorbell = (struct aio_watch){.fd = env->doorbell_fd[i], .ready = on_doorbell, .ctx = q};
        q->pool = calloc(VIRTIO_BLK_QUEUE_SIZE, sizeof *q->pool); /* touched as needed */
        if (!q->pool)
            return -ENOMEM;
    }
    return 0;
}

static void blk_destroy(void *ptr)
{
    struct virtio_blk *dev = ptr;

    if (!dev)
        return;
    io_thread_destroy(&dev->thread);
    virtio_pci_deinit(&dev->vp);
    for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++)
        free(dev->queue[i].pool);
    free(dev);
}

static int blk_create(const struct dev_env *env, const void *params, void **ret_dev,
                      struct err *err)
{
    const struct virtio_blk_params *p = params;
    struct virtio_blk *dev = calloc(1, sizeof *dev);
    struct virtio_pci_config config = {.type = &blk_type, .queue_count = p->queues};
    int rc = dev ? init_queues(dev, env, p->queues) : -ENOMEM;

    if (rc) {
        blk_destroy(dev);
        return err_sys(err, rc, "%s", env->name);
    }
    dev->blk = p->blk;
    dev->paced = !p->unthreaded && sched_getscheduler(0) == SCHED_OTHER;
    if (p->serial)
        memcpy(dev->id, p->serial, strnlen(p->serial, sizeof dev->id));
    fill_config(dev, p->queues);
    config.vq = dev->vq;
    config.config = dev->config;
    config.features = features_of(p->blk, p->queues);
    rc = virtio_pci_init(&dev->vp, env, &config, err);
    if (!rc)
        rc = io_thread_create(&dev->thread, env->name, p->blk->aio, !p->unthreaded, &blk_thread_ops,
                              dev, err);
    if (rc) {
        blk_destroy(dev);
        return rc;
    }
    *ret_dev = dev;
    return 0;
}

/* The disk behind it may have become another while the device stood still (blk.h): the guest is
 * told of another capacity, and one that has not begun with the device sees what the disk is. */
static void blk_resume(void *ptr)
{
    struct virtio_blk *dev = ptr;

    unsigned queues = le16_load(dev->config + VIRTIO_BLK_CONFIG_NUM_QUEUES);
    uint64_t sectors = dev->blk->size / DISK_SECTOR;
    bool changed = le64_load(dev->config + VIRTIO_BLK_CONFIG_CAPACITY) != sectors;

    if (changed) {
        LOCK_SCOPE(&dev->vp.lock);
        le64_store(dev->config + VIRTIO_BLK_CONFIG_CAPACITY, sectors);
        if (virtio_pci_offer(&dev->vp, features_of(dev->blk, queues)))
            fill_config(dev, queues);
    }
    virtio_pci_resume(dev);
    if (changed)
        virtio_pci_config_changed(&dev->vp);
}

/* -- State ---------------------------------------------------------------------------------------
 */

static int blk_post_load(void *object, struct err *err)
{
    struct virtio_blk *dev = object;
    unsigned writeback = dev->config[VIRTIO_BLK_CONFIG_WRITEBACK];

    if (writeback > 1)
        return err_set(err, -EINVAL, "write cache mode %u", writeback);
    return virtio_pci_post_load(&dev->vp, err);
}

static const struct state_field blk_fields[] = {
    STATE_SUB(struct virtio_blk, vp, &virtio_pci_state, 1),
    STATE_SUB(struct virtio_blk, vq, &virtqueue_state, VIRTIO_BLK_QUEUES_MAX),
    {.name = "writeback",
     .type = STATE_U8,
     .offset = offsetof(struct virtio_blk, config) + VIRTIO_BLK_CONFIG_WRITEBACK,
     .count = 1,
     .since = 1},
};

static const struct state_table blk_state = {
    .name = "virtio-blk",
    .version = 1,
    .size = sizeof(struct virtio_blk),
    .fields = blk_fields,
    .field_count = ARRAY_SIZE(blk_fields),
    .post_load = blk_post_load,
};

const struct dev_class virtio_blk_class = {
    .name = "virtio-blk",
    .place = DEV_IN_VMX,
    .layout = blk_layout,
    .create = blk_create,
    .destroy = blk_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = blk_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &blk_state,
};
