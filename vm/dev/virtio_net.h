/* SPDX-License-Identifier: Apache-2.0 */
/* virtio network device: VIRTIO 1.2, section 5.1. One thread of its own moves the frames between
 * the queues and the back end (backend/nic.h); with vhost-net the host's kernel does, and the
 * thread only serves the control queue. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/backend/nic.h"
#include "vm/machine/dev.h"

enum { VIRTIO_NET_PAIRS_MAX = NIC_QUEUES_MAX, VIRTIO_NET_QUEUE_SIZE = 256 };

struct virtio_net_params {
    struct nic *nic; /* taken over by create on success; NULL where only the layout is asked for */
    unsigned pairs;  /* of queues, as many as the nic has; 0 means 1 */
    bool unthreaded; /* for fuzzing: the caller runs it with virtio_net_step */
};

extern const struct dev_class virtio_net_class;

void virtio_net_step(void *dev);

/* What the guest's frames met in here; the back end has its own (nic_stats). */
struct virtio_net_stats {
    atomic_uint_fast64_t tx_invalid;   /* refused: header or length */
    atomic_uint_fast64_t rx_too_large; /* did not fit into the driver's buffers */
    atomic_uint_fast64_t rx_filtered;
    atomic_uint_fast64_t control_refused;
};
const struct virtio_net_stats *virtio_net_stats(const void *dev);
