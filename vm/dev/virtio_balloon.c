/* SPDX-License-Identifier: Apache-2.0 */
/* virtio memory balloon: VIRTIO 1.2, section 5.5.
 *
 * Giving memory back is a hole punched into the memfd of guest RAM, so it works for both processes
 * that map it. It happens in whole host pages; of memory in 2-MiB pages only whole ones of these.
 *
 * Queues. The specification numbers them 0 to 4, present or not; Linux numbers only those whose
 * feature was negotiated. With all features the two are the same; otherwise a queue that is enabled
 * although its feature was not negotiated gives the second kind away.
 *
 * Deflation needs no action: the guest touches the page. DEFLATE_ON_OOM is offered, MUST_TELL_HOST
 * not needed. Free page hinting is offered for the numbering's sake and never started.
 * Deliberately missing: page poisoning. */
#include "vm/dev/virtio_balloon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/dev/virtio_pci.h"

/* 5.5.3 */
#define BALLOON_F_STATS_VQ       BIT64(1)
#define BALLOON_F_DEFLATE_ON_OOM BIT64(2)
#define BALLOON_F_FREE_PAGE_HINT BIT64(3)
#define BALLOON_F_REPORTING      BIT64(5)

/* 5.5.2 */
enum role { INFLATE, DEFLATE, STATS, HINT, REPORT, ROLE_MAX };

/* 5.5.4 */
enum { CONFIG_TARGET = 0, CONFIG_ACTUAL = 4, CONFIG_HINT_ID = 8, CONFIG_SIZE = 12 };

enum { QUEUE_SIZE = 128, PIECES_MAX = QUEUE_SIZE, PAGE_SHIFT = 12, STAT_SIZE = 10 };
enum { PAGES_MAX = 1024, STATS_MAX = 64 }; /* of one buffer that are looked at */

struct virtio_balloon {
    struct virtio_pci vp; /* first */
    struct virtqueue vq[ROLE_MAX];
    uint8_t config[CONFIG_SIZE];
    uint64_t page_size; /* what the host can give back: 4 KiB or 2 MiB */

    /* The stats buffer is kept until the next answer is wanted (5.5.6.3). */
    bool stats_held;
    uint16_t stats_head;
    struct virtio_balloon_stats stats;
    struct virtio_balloon_counts counts;
};

/* -- Giving memory back --------------------------------------------------------------------------
 */

/* Host address range within guest RAM; returns the bytes given back. */
static uint64_t give_back(struct virtio_balloon *dev, const struct iovec *iov)
{
    const struct gmem *gmem = dev->vp.gmem;
    uint64_t start = (uint64_t)((uint8_t *)iov->iov_base - gmem->host);
    uint64_t from = align_up(start, dev->page_size);
    uint64_t to = align_down(start + iov->iov_len, dev->page_size);

    if (from >= to || fallocate(gmem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                                (off_t)(to - from)) < 0)
        return 0;
    return to - from;
}

/* Pages next to each other, in either direction, are one hole. */
struct run {
    uint64_t first, count; /* page frame numbers */
};

static void flush_run(struct virtio_balloon *dev, struct run *run)
{
    struct iovec iov;

    if (run->count && gmem_iov(dev->vp.gmem, gpa(run->first << PAGE_SHIFT),
                               run->count << PAGE_SHIFT, true, &iov, 1) == 1)
        dev->counts.inflated += give_back(dev, &iov);
    run->count = 0;
}

static void add_page(struct virtio_balloon *dev, struct run *run, uint64_t pfn)
{
    if (run->count && pfn == run->first + run->count) {
        run->count++;
    } else if (run->count && pfn + 1 == run->first) {
        run->first--;
        run->count++;
    } else {
        flush_run(dev, run);
        *run = (struct run){pfn, 1};
    }
}

/* 5.5.6: a list of page frame numbers. What is not RAM is skipped. */
static void inflate(struct virtio_balloon *dev, const struct vq_chain *chain)
{
    uint32_t pfns[64];
    struct run run = {0};
    uint64_t offset = 0;

    while (offset < PAGES_MAX * sizeof *pfns) {
        uint64_t got = vq_iov_read(chain->iov, chain->out, offset, pfns, sizeof pfns);

        for (unsigned i = 0; i < got / sizeof *pfns; i++)
            add_page(dev, &run, le32toh(pfns[i]));
        offset += got;
        if (got < sizeof pfns)
            break;
    }
    flush_run(dev, &run);
}

static void report(struct virtio_balloon *dev, const struct virtqueue *vq,
                   const struct vq_chain *chain)
{
    for (unsigned i = 0; i < chain->in; i++)
        dev->counts.reported += give_back(dev, &chain->iov[chain->out + i]);
    virtqueue_mark_written(vq, chain->iov + chain->out, chain->in);
}

/* -- Statistics ----------------------------------------------------------------------------------
 */

/* 5.5.6.3: tag le16 and value le64, unknown tags skipped. */
static void take_stats(struct virtio_balloon *dev, const struct vq_chain *chain)
{
    uint8_t raw[STATS_MAX * STAT_SIZE];
    uint64_t got = vq_iov_read(chain->iov, chain->out, 0, raw, sizeof raw);

    if (got >= STAT_SIZE) {
        dev->stats.valid = 0;
        dev->stats.updates++;
    }
    for (unsigned at = 0; at + STAT_SIZE <= got; at += STAT_SIZE) {
        unsigned tag = le16_load(raw + at);

        if (tag < VIRTIO_BALLOON_STAT_MAX) {
            dev->stats.value[tag] = le64_load(raw + at + 2);
            dev->stats.valid |= BIT(tag);
        }
    }
    dev->stats_head = chain->head;
    dev->stats_held = true;
}

/* -- Queues --------------------------------------------------------------------------------------
 */

static uint64_t feature_of(enum role role)
{
    static const uint64_t features[ROLE_MAX] = {
        [STATS] = BALLOON_F_STATS_VQ,
        [HINT] = BALLOON_F_FREE_PAGE_HINT,
        [REPORT] = BALLOON_F_REPORTING,
    };

    return features[role];
}

static bool present(const struct virtio_balloon *dev, enum role role)
{
    return !feature_of(role) || virtio_pci_has(&dev->vp, feature_of(role));
}

static bool numbered_densely(const struct virtio_balloon *dev)
{
    for (unsigned i = 0; i < ROLE_MAX; i++)
        if (dev->vq[i].enabled && !present(dev, (enum role)i))
            return true;
    return false;
}

/* Role of a queue, or queue of a role: ROLE_MAX for none. */
static enum role role_of(const struct virtio_balloon *dev, unsigned queue)
{
    if (!numbered_densely(dev))
        return (enum role)queue;
    for (unsigned role = 0, n = 0; role < ROLE_MAX; role++)
        if (present(dev, (enum role)role) && n++ == queue)
            return (enum role)role;
    return ROLE_MAX;
}

/* Returns whether the chain is given back at once. */
static bool handle(struct virtio_balloon *dev, const struct virtqueue *vq, enum role role,
                   const struct vq_chain *chain)
{
    switch (role) {
    case INFLATE:
        inflate(dev, chain);
        return true;
    case STATS:
        if (dev->stats_held)
            return true; /* a second buffer is the driver's mistake */
        take_stats(dev, chain);
        return false;
    case REPORT:
        report(dev, vq, chain);
        return true;
    default:
        return true;
    }
}

static bool serve(struct virtio_balloon *dev, unsigned queue)
{
    struct virtqueue *vq = &dev->vq[queue];
    struct iovec iov[PIECES_MAX];
    struct vq_chain chain = {.iov = iov, .iov_max = PIECES_MAX};
    int rc = virtqueue_pop(vq, &chain);

    if (rc < 0)
        virtio_pci_fail(&dev->vp);
    if (rc <= 0)
        return false;
    if (handle(dev, vq, role_of(dev, queue), &chain))
        virtqueue_push(vq, chain.head, 0);
    return true;
}

static void balloon_kick(struct virtio_pci *vp, unsigned queue)
{
    struct virtio_balloon *dev = (struct virtio_balloon *)vp;
    struct virtqueue *vq = &dev->vq[queue];
    unsigned budget = QUEUE_SIZE;

    do {
        virtqueue_disarm(vq);
        while (budget && serve(dev, queue))
            budget--;
    } while (virtqueue_arm(vq) && budget && virtio_pci_dma(vp));
    virtio_pci_publish(vp, vq);
    if (!budget)
        virtio_pci_ring_again(vp, queue);
}

/* -- The transport's side ------------------------------------------------------------------------
 */

static void balloon_config_write(struct virtio_pci *vp, unsigned offset, unsigned size,
                                 uint64_t value)
{
    struct virtio_balloon *dev = (struct virtio_balloon *)vp;

    if (offset == CONFIG_ACTUAL && size == 4)
        le32_store(dev->config + CONFIG_ACTUAL, (uint32_t)value);
}

static void balloon_reset(struct virtio_pci *vp)
{
    struct virtio_balloon *dev = (struct virtio_balloon *)vp;

    le32_store(dev->config + CONFIG_ACTUAL, 0);
    dev->stats_held = false;
    dev->stats = (struct virtio_balloon_stats){0};
}

static const struct virtio_pci_type balloon_type = {
    .id = VIRTIO_ID_BALLOON,
    .class_code = 0x00ff00, /* unclassified */
    .config_size = CONFIG_SIZE,
    .reset = balloon_reset,
    .kick = balloon_kick,
    .config_write = balloon_config_write,
};

/* -- What the host asks --------------------------------------------------------------------------
 */

void virtio_balloon_set_target(void *ptr, uint32_t pages)
{
    struct virtio_balloon *dev = ptr;

    (void)pthread_mutex_lock(&dev->vp.lock);
    bool changed = le32_load(dev->config + CONFIG_TARGET) != pages;
    le32_store(dev->config + CONFIG_TARGET, pages);
    if (changed)
        virtio_pci_config_changed(&dev->vp);
    (void)pthread_mutex_unlock(&dev->vp.lock);
}

uint32_t virtio_balloon_actual(void *ptr)
{
    struct virtio_balloon *dev = ptr;

    (void)pthread_mutex_lock(&dev->vp.lock);
    uint32_t pages = le32_load(dev->config + CONFIG_ACTUAL);
    (void)pthread_mutex_unlock(&dev->vp.lock);
    return pages;
}

/* Returning the held buffer is the question. */
static void ask_for_stats(struct virtio_balloon *dev)
{
    struct virtqueue *vq = &dev->vq[STATS];

    if (!dev->stats_held || !dev->vp.running || !vq->active || !virtio_pci_dma(&dev->vp))
        return;
    dev->stats_held = false;
    virtqueue_push(vq, dev->stats_head, 0);
    virtio_pci_publish(&dev->vp, vq);
}

void virtio_balloon_stats(void *ptr, bool ask, struct virtio_balloon_stats *ret_stats)
{
    struct virtio_balloon *dev = ptr;

    (void)pthread_mutex_lock(&dev->vp.lock);
    *ret_stats = dev->stats;
    if (ask)
        ask_for_stats(dev);
    (void)pthread_mutex_unlock(&dev->vp.lock);
}

struct virtio_balloon_counts virtio_balloon_counts(void *ptr)
{
    struct virtio_balloon *dev = ptr;

    (void)pthread_mutex_lock(&dev->vp.lock);
    struct virtio_balloon_counts counts = dev->counts;
    (void)pthread_mutex_unlock(&dev->vp.lock);
    return counts;
}

/* A hole that covers a part of a 2-MiB page clears it and gives back nothing. */
static uint64_t page_size_of(const struct gmem *gmem)
{
    struct statfs fs;

    return fstatfs(gmem->fd, &fs) || fs.f_type == HUGETLBFS_MAGIC ? MIB(2) : GMEM_PAGE_SIZE;
}

/* -- Life ----------------------------------------------------------------------------------------
 */

static int balloon_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    virtio_pci_layout(&balloon_type, ROLE_MAX, ret_layout);
    return 0;
}

static void balloon_destroy(void *ptr)
{
    struct virtio_balloon *dev = ptr;

    if (!dev)
        return;
    virtio_pci_deinit(&dev->vp);
    free(dev);
}

static int balloon_create(const struct dev_env *env, const void *params, void **ret_dev,
                          struct err *err)
{
    struct virtio_balloon *dev = calloc(1, sizeof *dev);

    if (!dev)
        return err_set(err, -ENOMEM, "%s: out of memory", env->name);
    struct virtio_pci_config config = {
        .type = &balloon_type,
        .vq = dev->vq,
        .queue_count = ROLE_MAX,
        .features = BALLOON_F_STATS_VQ | BALLOON_F_DEFLATE_ON_OOM | BALLOON_F_FREE_PAGE_HINT |
                    BALLOON_F_REPORTING,
        .config = dev->config,
    };
    for (unsigned i = 0; i < ROLE_MAX; i++)
        virtqueue_init(&dev->vq[i], QUEUE_SIZE);
    dev->page_size = page_size_of(env->gmem);
    int rc = virtio_pci_init(&dev->vp, env, &config, err);
    if (rc < 0) {
        free(dev);
        return rc;
    }
    *ret_dev = dev;
    return 0;
}

/* -- State ---------------------------------------------------------------------------------------
 */

static int balloon_post_load(void *object, struct err *err)
{
    struct virtio_balloon *dev = object;

    if (dev->stats_held && dev->stats_head >= dev->vq[STATS].size)
        return err_set(err, -EINVAL, "stats buffer %u of %u", dev->stats_head, dev->vq[STATS].size);
    return virtio_pci_post_load(&dev->vp, err);
}

static const struct state_field balloon_fields[] = {
    STATE_SUB(struct virtio_balloon, vp, &virtio_pci_state, 1),
    STATE_SUB(struct virtio_balloon, vq, &virtqueue_state, ROLE_MAX),
    STATE_FIELD(struct virtio_balloon, config, STATE_U8),
    STATE_FIELD(struct virtio_balloon, stats_held, STATE_BOOL),
    STATE_FIELD(struct virtio_balloon, stats_head, STATE_U16),
};

static const struct state_table balloon_state = {
    .name = "virtio-balloon",
    .version = 1,
    .size = sizeof(struct virtio_balloon),
    .fields = balloon_fields,
    .field_count = ARRAY_SIZE(balloon_fields),
    .post_load = balloon_post_load,
};

const struct dev_class virtio_balloon_class = {
    .name = "virtio-balloon",
    .place = DEV_IN_VMX,
    .layout = balloon_layout,
    .create = balloon_create,
    .destroy = balloon_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = virtio_pci_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &balloon_state,
};
