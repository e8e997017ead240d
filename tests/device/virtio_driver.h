/* SPDX-License-Identifier: Apache-2.0 */
/* A small guest driver for tests of virtio devices: negotiation, split rings in guest memory,
 * chains. It can do everything right, and lets a test do any single thing wrong. */
#pragma once

#include "tests/device/harness.h"
#include "vm/dev/virtio_pci.h"

enum { VD_QUEUES_MAX = 20, VD_RAM = 4 << 20, VD_RINGS = 0x10000, VD_HEAP = 0x100000 };
enum { VD_NEXT = 1, VD_WRITE = 2, VD_INDIRECT = 4 };

struct vd_queue {
    uint16_t size, avail_idx, used_idx; /* used_idx: what the driver has consumed */
    uint64_t desc, avail, used;
};

struct virtio_driver {
    struct harness *h;
    uint64_t features;
    struct vd_queue q[VD_QUEUES_MAX];
    uint64_t heap;
};

/* Registers of the common structure. */
uint64_t vd_get(struct virtio_driver *d, uint64_t offset, unsigned size);
void vd_set(struct virtio_driver *d, uint64_t offset, unsigned size, uint64_t value);
uint8_t vd_status(struct virtio_driver *d);
void vd_set_status(struct virtio_driver *d, uint8_t bits); /* adds bits */
uint64_t vd_offered(struct virtio_driver *d);

/* Reset and negotiate down to `wanted` of what is offered (VERSION_1 always); with MSI-X, queue n
 * on vector n + 1, configuration on 0. False: FEATURES_OK refused. */
bool vd_begin(struct virtio_driver *d, struct harness *h, uint64_t wanted);
void vd_set_features(struct virtio_driver *d, uint64_t features);
void vd_queue_setup(struct virtio_driver *d, unsigned q, uint16_t size);
/* The usual start: begin, all of `queues` with `size` entries, DRIVER_OK. */
bool vd_start(struct virtio_driver *d, struct harness *h, uint64_t wanted, unsigned queues,
              uint16_t size);

uint64_t vd_alloc(struct virtio_driver *d, uint64_t size); /* 16-aligned, zeroed */
void vd_desc(struct virtio_driver *d, unsigned q, unsigned index, uint64_t addr, uint32_t len,
             uint16_t flags, uint16_t next);
void vd_table_desc(struct virtio_driver *d, uint64_t table, unsigned index, uint64_t addr,
                   uint32_t len, uint16_t flags, uint16_t next);
void vd_offer(struct virtio_driver *d, unsigned q, uint16_t head);
void vd_kick(struct virtio_driver *d, unsigned q);

struct vd_used {
    uint32_t id, len;
};
uint16_t vd_used_count(struct virtio_driver *d, unsigned q); /* not yet consumed */
/* Waits (running the loop) for one and consumes it; false after HARNESS_WAIT_MS. */
bool vd_wait(struct virtio_driver *d, unsigned q, struct vd_used *ret_used);

/* Waits until the device says NEEDS_RESET. */
bool vd_wait_broken(struct virtio_driver *d);

uint16_t vd_peek16(struct virtio_driver *d, uint64_t addr);
void vd_poke16(struct virtio_driver *d, uint64_t addr, uint16_t value);
