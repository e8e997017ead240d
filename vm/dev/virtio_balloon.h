/* SPDX-License-Identifier: Apache-2.0 */
/* virtio memory balloon: VIRTIO 1.2, section 5.5, with free page reporting. Pages in the balloon
 * and pages reported free are given back to the host at once; touching them again brings fresh zero
 * pages.
 *
 * The functions below may be called from any thread while the device lives. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/machine/dev.h"

/* Takes no parameters. */
extern const struct dev_class virtio_balloon_class;

/* How large the balloon should be, and how large the driver says it is; pages of 4 KiB. */
void virtio_balloon_set_target(void *dev, uint32_t pages);
uint32_t virtio_balloon_actual(void *dev);

/* 5.5.6.3: what the guest says of its memory. */
enum virtio_balloon_stat {
    VIRTIO_BALLOON_SWAP_IN,
    VIRTIO_BALLOON_SWAP_OUT,
    VIRTIO_BALLOON_MAJOR_FAULTS,
    VIRTIO_BALLOON_MINOR_FAULTS,
    VIRTIO_BALLOON_FREE,
    VIRTIO_BALLOON_TOTAL,
    VIRTIO_BALLOON_AVAILABLE,
    VIRTIO_BALLOON_CACHES,
    VIRTIO_BALLOON_HUGE_ALLOCATED,
    VIRTIO_BALLOON_HUGE_FAILED,
    VIRTIO_BALLOON_STAT_MAX
};

struct virtio_balloon_stats {
    uint32_t valid; /* bit n: value[n] was given */
    uint64_t value[VIRTIO_BALLOON_STAT_MAX];
    uint64_t updates; /* answers since the driver started */
};
/* The last answer; `ask` requests a new one, which comes when the guest gets to it. */
void virtio_balloon_stats(void *dev, bool ask, struct virtio_balloon_stats *ret_stats);

/* Bytes given back to the host so far, by inflation and by reporting. */
struct virtio_balloon_counts {
    uint64_t inflated, reported;
};
struct virtio_balloon_counts virtio_balloon_counts(void *dev);
