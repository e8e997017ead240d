/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-net: the host's kernel moves the frames between one pair of queues and a tap. It takes the
 * driver's doorbell and the message eventfd of the pair's MSI-X vectors directly, so neither of our
 * processes runs for a frame; a masked vector keeps its message in the eventfd as always.
 *
 * One descriptor of /dev/vhost-net a pair. The kernel checks the rings, headers and addresses; it
 * sees guest RAM only. Not here: the dirty log (live migration stops vhost before it looks), and
 * bus mastering switched off under way. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/machine/gmem.h"

struct nic_vhost;

/* For the parent, which may open things: /dev/vhost-net, or a negative errno where there is none.
 */
int nic_vhost_open(void);

/* `fd` is borrowed. By the process in which guest RAM is mapped. -ENOTSUP: the host's vhost lacks
 * one of `features`, which may all be negotiated later. */
int nic_vhost_create(int fd, struct gmem *gmem, uint64_t features, struct nic_vhost **ret_vhost,
                     struct err *err);
void nic_vhost_destroy(struct nic_vhost *vhost); /* stopped; accepts NULL */

/* 0 is the queue on which the guest receives. */
struct nic_vhost_ring {
    uint16_t size, base; /* base: the next available entry */
    void *desc, *avail, *used;
    int kick_fd, call_fd; /* call_fd -1: the driver polls */
};

/* Features other than those of create are left out. On failure everything is as before. */
int nic_vhost_start(struct nic_vhost *vhost, uint64_t features, const struct nic_vhost_ring ring[2],
                    int tap_fd);
/* Returns when the kernel has let go of the rings; where it stopped in them. */
void nic_vhost_stop(struct nic_vhost *vhost, uint16_t ret_base[2]);
