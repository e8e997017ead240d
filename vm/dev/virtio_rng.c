/* SPDX-License-Identifier: Apache-2.0 */
/* virtio entropy device: VIRTIO 1.2, section 5.4. A buffer gets at most BYTES_MAX bytes, which the
 * specification allows, so that one look at the queue is bounded. Deliberately missing: leak
 * detection. */
#include "vm/dev/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/range.h"
#include "vm/dev/virtio_pci.h"

enum { QUEUE_SIZE = 64, PIECES_MAX = QUEUE_SIZE, BYTES_MAX = 4096 };

struct virtio_rng {
    struct virtio_pci vp; /* first */
    struct virtqueue vq;
};

/* Right into guest memory; getrandom(2) of up to 256 bytes is never cut short. */
static uint32_t fill(const struct iovec *iov, unsigned count)
{
    uint32_t done = 0;

    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < iov[i].iov_len && done < BYTES_MAX;) {
            size_t n = MIN(MIN(iov[i].iov_len - at, (size_t)256), (size_t)(BYTES_MAX - done));

            if (getrandom((uint8_t *)iov[i].iov_base + at, n, 0) != (ssize_t)n)
                return done;
            at += n;
            done += (uint32_t)n;
        }
    return done;
}

/* 5.4.6.1: a buffer that the driver wants to be read from is its mistake. */
static bool serve(struct virtio_rng *dev)
{
    struct iovec iov[PIECES_MAX];
    struct vq_chain chain = {.iov = iov, .iov_max = PIECES_MAX};
    int rc = virtqueue_pop(&dev->vq, &chain);

    if (rc < 0 || (rc && chain.out)) {
        virtio_pci_fail(&dev->vp);
        return false;
    }
    if (!rc)
        return false;
    uint32_t done = fill(iov, chain.in);
    virtqueue_mark_written(&dev->vq, iov, chain.in);
    virtqueue_push(&dev->vq, chain.head, done);
    return true;
}

/* At most one ring's worth; whoever has more waits for the loop to come round again. */
static void rng_kick(struct virtio_pci *vp, unsigned queue)
{
    struct virtio_rng *dev = (struct virtio_rng *)vp;
    unsigned budget = QUEUE_SIZE;

    do {
        virtqueue_disarm(&dev->vq);
        while (budget && serve(dev))
            budget--;
    } while (virtqueue_arm(&dev->vq) && budget && virtio_pci_dma(vp));
    virtio_pci_publish(vp, &dev->vq);
    if (!budget)
        virtio_pci_ring_again(vp, queue);
}

static const struct virtio_pci_type rng_type = {
    .id = VIRTIO_ID_RNG,
    .class_code = 0x00ff00, /* unclassified */
    .kick = rng_kick,
};

static int rng_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    virtio_pci_layout(&rng_type, 1, ret_layout);
    return 0;
}

static void rng_destroy(void *ptr)
{
    struct virtio_rng *dev = ptr;

    if (!dev)
        return;
    virtio_pci_deinit(&dev->vp);
    free(dev);
}

static int rng_create(const struct dev_env *env, const void *params, void **ret_dev,
                      struct err *err)
{
    struct virtio_rng *dev = calloc(1, sizeof *dev);

    if (!dev)
        return err_set(err, -ENOMEM, "%s: out of memory", env->name);
    struct virtio_pci_config config = {.type = &rng_type, .vq = &dev->vq, .queue_count = 1};
    virtqueue_init(&dev->vq, QUEUE_SIZE);
    int rc = virtio_pci_init(&dev->vp, env, &config, err);
    if (rc < 0) {
        free(dev);
        return rc;
    }
    *ret_dev = dev;
    return 0;
}

static int rng_post_load(void *object, struct err *err)
{
    return virtio_pci_post_load(object, err);
}

static const struct state_field rng_fields[] = {
    STATE_SUB(struct virtio_rng, vp, &virtio_pci_state, 1),
    STATE_SUB(struct virtio_rng, vq, &virtqueue_state, 1),
};

static const struct state_table rng_state = {
    .name = "virtio-rng",
    .version = 1,
    .size = sizeof(struct virtio_rng),
    .fields = rng_fields,
    .field_count = ARRAY_SIZE(rng_fields),
    .post_load = rng_post_load,
};

const struct dev_class virtio_rng_class = {
    .name = "virtio-rng",
    .place = DEV_IN_VMX,
    .layout = rng_layout,
    .create = rng_create,
    .destroy = rng_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = virtio_pci_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &rng_state,
};
