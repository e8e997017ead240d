/* SPDX-License-Identifier: Apache-2.0 */
/* virtio block device: VIRTIO 1.2, section 5.2. An I/O thread of its own runs the disk, the queues
 * and nothing else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/backend/blk.h"
#include "vm/machine/dev.h"

enum { VIRTIO_BLK_QUEUES_MAX = 16, VIRTIO_BLK_QUEUE_SIZE = 256, VIRTIO_BLK_ID_SIZE = 20 };

struct virtio_blk_params {
    struct blk *blk; /* taken over by create on success; NULL where only the layout is asked for */
    unsigned queues; /* 1 .. VIRTIO_BLK_QUEUES_MAX; one a vCPU is best */
    const char *serial; /* what GET_ID returns, cut at VIRTIO_BLK_ID_SIZE; NULL: empty */
    bool unthreaded;    /* for fuzzing: the caller runs it with virtio_blk_step */
};

extern const struct dev_class virtio_blk_class;

void virtio_blk_step(void *dev);
