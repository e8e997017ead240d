/* SPDX-License-Identifier: Apache-2.0 */
/* Split virtqueues, the device's side: VIRTIO 1.2, section 2.7, with indirect descriptors and
 * EVENT_IDX.
 *
 * A queue has registers, which the guest sets while it is not active, and a position, which is all
 * else that is saved. virtqueue_start freezes the registers and looks the rings up in guest memory;
 * from then on one thread at a time uses it, with no lock of its own.
 *
 * Everything in the rings is the guest's and may change at any time: a descriptor is copied once
 * and then validated. A chain has at most `size` descriptors (`max_size` of them in an indirect
 * table), readable ones first, all of them RAM. What breaks these rules is a negative errno of
 * virtqueue_pop: the device then needs a reset (2.1.2) and takes nothing more from its queues. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vm/machine/gmem.h"
#include "wire/state.h"

enum { VIRTQUEUE_SIZE_MAX = 1024 };

struct virtqueue {
    /* Registers, section 4.1.4.3. */
    uint16_t size, max_size; /* powers of two */
    uint16_t vector;
    bool enabled;
    uint64_t desc_addr, driver_addr, device_addr;

    uint16_t last_avail; /* entries of the available ring taken so far */
    uint16_t used_idx;   /* entries of the used ring filled so far */

    /* While active. */
    bool active, event_idx, indirect;
    uint16_t avail_idx; /* as last seen */
    uint16_t published; /* used_idx as the guest sees it */
    struct gmem *gmem;  /* borrowed */
    struct gmem_view desc, avail, used;
};

/* One request of the driver: its buffers as host memory, readable ones in iov[0 .. out), then
 * writable ones in iov[out .. out + in). Empty descriptors leave nothing behind. */
struct vq_chain {
    struct iovec *iov; /* the caller's room, `iov_max` pieces */
    uint16_t iov_max;
    uint16_t head;
    uint16_t out, in;
    uint64_t out_len, in_len; /* bytes; both together less than 4 GiB (2.7.5) */
};

void virtqueue_init(struct virtqueue *vq, uint16_t max_size);
void virtqueue_reset(struct virtqueue *vq);

/* -EFAULT, -EINVAL: a ring is not RAM or not aligned. The position is kept: a fresh queue starts at
 * 0, a restored one where it was. */
int virtqueue_start(struct virtqueue *vq, struct gmem *gmem, uint64_t features);
void virtqueue_stop(struct virtqueue *vq);
/* After somebody else (vhost) worked on the rings: goes on with entry `last_avail`, and where the
 * guest sees the used ring. Between start and stop. */
void virtqueue_seek(struct virtqueue *vq, uint16_t last_avail);

/* Takes the next chain: 1, or 0 when there is none, or a negative errno when the guest broke the
 * rules (-E2BIG: more pieces than iov_max). */
int virtqueue_pop(struct virtqueue *vq, struct vq_chain *chain);
/* Gives back the `count` last chains popped, to be popped again. */
void virtqueue_unpop(struct virtqueue *vq, uint16_t count);

/* Returns a chain of which the first `written` bytes of its writable part were written. The guest
 * sees it with the next virtqueue_publish, which says whether the guest wants to be interrupted. */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written);
bool virtqueue_publish(struct virtqueue *vq);

/* Notifications. While a device looks at the ring anyway it needs none; before it sleeps it arms
 * them and looks again: true means that something has arrived in between. */
void virtqueue_disarm(struct virtqueue *vq);
bool virtqueue_arm(struct virtqueue *vq);

/* Something to pop? */
bool virtqueue_pending(struct virtqueue *vq);

/* Marks pieces that were written as dirty. virtqueue_pop does it too, but what a kernel writes
 * between the two may miss a pass of live migration. */
void virtqueue_mark_written(const struct virtqueue *vq, const struct iovec *iov, unsigned count);

/* Bytes to and from a chain, wherever its pieces begin; return how many there were. */
uint64_t vq_iov_read(const struct iovec *iov, unsigned count, uint64_t offset, void *data,
                     uint64_t len);
uint64_t vq_iov_write(const struct iovec *iov, unsigned count, uint64_t offset, const void *data,
                      uint64_t len);
/* Drops the first `bytes` of the pieces: moves *iov and *count on and shortens the first one. */
void vq_iov_drop(struct iovec **iov, unsigned *count, uint64_t bytes);

/* Is what was restored possible? `vectors`: how many the function has. */
int virtqueue_post_load(const struct virtqueue *vq, unsigned index, unsigned vectors,
                        struct err *err);
extern const struct state_table virtqueue_state;
