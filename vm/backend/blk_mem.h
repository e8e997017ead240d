/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory, for tests of disk controllers: content that a test can look at, requests that
 * it can hold back, fail and count. The functions here may be called from any thread. */
#pragma once

#include <pthread.h>

#include "vm/backend/blk.h"

struct blk_mem {
    struct blk blk;
    uint8_t *data; /* owned, blk.size bytes */
    pthread_mutex_t lock;
    struct disk_io *first, **last; /* waiting, in order */
    struct aio_watch wake;
    bool watched, hold;
    int fail[DISK_OP_MAX];       /* what requests of this kind end with */
    unsigned count[DISK_OP_MAX]; /* submitted so far */
    unsigned waiting;
};

/* With an aio of its own, of the plain engine. */
int blk_mem_create(uint64_t size, struct blk_mem **ret_mem);

/* While held, requests wait; letting go performs them. */
void blk_mem_hold(struct blk_mem *mem, bool hold);
void blk_mem_fail(struct blk_mem *mem, enum disk_op op, int error);
unsigned blk_mem_count(struct blk_mem *mem, enum disk_op op);
unsigned blk_mem_waiting(struct blk_mem *mem);
