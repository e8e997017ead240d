/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI transport of virtio devices, modern interface only: VIRTIO 1.2, section 4.1. A library
 * that every virtio device embeds as its first member, so that the functions of its dev_class that
 * are the same for all (read, write, reset, quiesce, resume) stand in the class directly.
 *
 * Life. A device is idle until the driver sets DRIVER_OK; then its enabled queues are looked up,
 * their registers and the features are frozen, and `start` is called. It runs until a reset or
 * quiesce calls `stop`, which returns when nothing of it touches queues or guest memory any more.
 *
 * Threads. `lock` guards the registers; all functions of virtio_pci_type are called with it held.
 * There are two kinds of devices. One with `kick` lives on the process's loop: its kick runs there,
 * under the lock, and it needs no start and stop. One without has a thread of its own that watches
 * the doorbells and uses the queues between start and stop without the lock; virtio_pci_interrupt,
 * virtio_pci_fail and virtio_pci_dma take no lock that it could wait for.
 *
 * The guest's mistakes: writes out of order, of the wrong width or to frozen registers are dropped,
 * wrong reads are all ones; what the device cannot go on from is virtio_pci_fail. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "vm/dev/virtio_regs.h"
#include "vm/dev/virtqueue.h"
#include "vm/machine/dev.h"

/* Where the structures are in BAR 4; the region numbers of read and write. */
enum { VIRTIO_REGION_COMMON, VIRTIO_REGION_ISR, VIRTIO_REGION_DEVICE, VIRTIO_REGION_MAX };
enum {
    VIRTIO_BAR = 4,
    VIRTIO_MSIX_BAR = 1,
    VIRTIO_BAR_COMMON = 0x0000,
    VIRTIO_BAR_ISR = 0x1000,
    VIRTIO_BAR_DEVICE = 0x2000,
    VIRTIO_BAR_NOTIFY = 0x3000,
    VIRTIO_BAR_SIZE = 0x4000,
    VIRTIO_NOTIFY_STRIDE = 4,
    VIRTIO_QUEUES_MAX = PCI_MSIX_VECTORS_MAX - 1,
};

struct virtio_pci;

struct virtio_pci_type {
    uint16_t id; /* VIRTIO_ID_* */
    uint32_t class_code;
    uint16_t config_size;                                        /* of the device's own registers */
    bool (*features_ok)(struct virtio_pci *vp, uint64_t chosen); /* may be NULL */
    void (*start)(struct virtio_pci *vp);                        /* may be NULL */
    void (*stop)(struct virtio_pci *vp);                         /* may be NULL */
    void (*reset)(struct virtio_pci *vp); /* own registers to their defaults; may be NULL */
    void (*kick)(struct virtio_pci *vp, unsigned queue); /* see above; also after start */
    /* Reads are served from vp->config; NULL drops writes. */
    void (*config_write)(struct virtio_pci *vp, unsigned offset, unsigned size, uint64_t value);
};

struct virtio_doorbell {
    struct loop_source src;
    struct virtio_pci *vp;
    unsigned queue;
};

struct virtio_pci {
    const struct virtio_pci_type *type;
    const char *name;
    struct gmem *gmem;     /* borrowed */
    struct pci_port *port; /* borrowed */
    pthread_mutex_t lock, isr_lock;
    struct virtqueue *vq; /* borrowed from the device that embeds this */
    unsigned queue_count;
    uint64_t device_features;
    uint8_t *config; /* borrowed, config_size bytes */
    bool running, quiesced;
    struct virtio_doorbell *doorbells; /* owned; with `kick` only */

    /* Registers, 4.1.4.3 and 4.1.4.5. */
    uint32_t device_feature_select, driver_feature_select;
    uint64_t driver_features;
    uint16_t config_vector, queue_select;
    _Atomic(uint8_t) status, config_generation;
    uint8_t isr; /* under isr_lock */

    _Atomic(uint64_t) failures; /* times that the guest broke the rules beyond repair */
};

/* The layout of a device with `queues` queues. */
void virtio_pci_layout(const struct virtio_pci_type *type, unsigned queues,
                       struct dev_layout *ret_layout);

struct virtio_pci_config {
    const struct virtio_pci_type *type;
    struct virtqueue *vq; /* initialised; as long as the device lives */
    unsigned queue_count;
    uint64_t features; /* offered, beyond VERSION_1, INDIRECT_DESC and EVENT_IDX */
    uint8_t *config;
};
/* In a zeroed struct. On failure nothing is left to undo. */
int virtio_pci_init(struct virtio_pci *vp, const struct dev_env *env,
                    const struct virtio_pci_config *config, struct err *err);
/* Other features than at init, under the lock. False: the guest has begun with those that there
 * were, and they stay. */
bool virtio_pci_offer(struct virtio_pci *vp, uint64_t features);
/* After everything that uses the queues has stopped; accepts a zeroed one. */
void virtio_pci_deinit(struct virtio_pci *vp);

/* For the class; `dev` begins with a struct virtio_pci. */
void virtio_pci_reset(void *dev);
void virtio_pci_quiesce(void *dev);
void virtio_pci_resume(void *dev);
uint64_t virtio_pci_read(void *dev, unsigned region, uint64_t offset, unsigned size);
void virtio_pci_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value);

/* May the device touch guest memory now? Asked once a batch; what was started before goes on. */
static inline bool virtio_pci_dma(const struct virtio_pci *vp)
{
    return pci_port_bus_master(vp->port) &&
           !(atomic_load_explicit(&vp->status, memory_order_relaxed) & VIRTIO_STATUS_NEEDS_RESET);
}

static inline bool virtio_pci_has(const struct virtio_pci *vp, uint64_t feature)
{
    return vp->driver_features & feature;
}

/* For a kick that stops before the queue is empty, so that others get their turn: kicks again. */
void virtio_pci_ring_again(struct virtio_pci *vp, unsigned queue);
/* Publishes what was pushed and interrupts if the driver wants it. */
void virtio_pci_publish(struct virtio_pci *vp, struct virtqueue *vq);
/* The used buffer notification of one queue (2.3). */
void virtio_pci_interrupt(struct virtio_pci *vp, const struct virtqueue *vq);
/* The device's own registers have changed (2.5): new generation, interrupt. */
void virtio_pci_config_changed(struct virtio_pci *vp);
/* DEVICE_NEEDS_RESET, 2.1.2: nothing is taken from the queues until the driver resets. */
void virtio_pci_fail(struct virtio_pci *vp);

/* State: the transport's table, to be put beside that of the queues, and its post_load. */
extern const struct state_table virtio_pci_state;
int virtio_pci_post_load(struct virtio_pci *vp, struct err *err);
