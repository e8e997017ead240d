/* SPDX-License-Identifier: Apache-2.0 */
/* Inside virtio-net: the device and what its three files know of each other. virtio_net.c is the
 * transport's side and the thread, virtio_net_io.c moves frames, virtio_net_ctrl.c is the control
 * queue and the receive filter. */
#pragma once

#include "vm/backend/loop_thread.h"
#include "vm/backend/nic_vhost.h"
#include "vm/dev/virtio_net.h"
#include "vm/dev/virtio_net_regs.h"
#include "vm/dev/virtio_pci.h"

enum {
    NET_QUEUES_MAX = 2 * VIRTIO_NET_PAIRS_MAX + 1,
    NET_MACS_MAX = 64,     /* of each table; more are taken as "all of them" */
    NET_PIECES_MAX = 1022, /* with a header and the overflow: what readv and writev take */
    NET_CHAINS_MAX = 64,   /* for one frame */
    NET_BATCH = 256,       /* frames of one queue before the others have their turn */
};

#define NET_GUEST_OFFLOADS                                                         \
    (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | \
     VIRTIO_NET_F_GUEST_ECN | VIRTIO_NET_F_GUEST_UFO)

/* 5.1.6.5.1 and .2: which received frames the driver wants. */
struct net_filter {
    uint8_t mode[VIRTIO_NET_CTRL_RX_MAX]; /* by VIRTIO_NET_CTRL_RX_*; 0 or 1 */
    uint8_t all_unicast, all_multicast;   /* the table did not fit */
    uint16_t unicast_count, multicast_count;
    uint8_t unicast[6 * NET_MACS_MAX], multicast[6 * NET_MACS_MAX];
};

struct net_pair {
    struct virtio_net *net;
    unsigned index;
    struct virtqueue *rx, *tx;
    struct loop_source rx_bell, tx_bell, cable;
    uint32_t cable_events; /* that `cable` is in the loop with; 0: not in it */
    bool rx_starved;       /* the driver has no buffers for us */
    bool tx_held;          /* the back end takes nothing now */
    uint8_t rx_large;      /* gather for large frames that many more times */
    uint8_t rx_single;     /* take one frame and ask the loop, that many more times */
};

/* Chains that were taken for one frame; their pieces stand in virtio_net.iov from 1 on. */
struct net_room {
    unsigned chains, pieces;
    uint64_t bytes;
    uint16_t head[NET_CHAINS_MAX];
    uint32_t len[NET_CHAINS_MAX];
};

struct virtio_net {
    struct virtio_pci vp; /* first */
    struct virtqueue vq[NET_QUEUES_MAX];
    uint8_t config[VIRTIO_NET_CONFIG_SIZE];
    struct nic *nic; /* owned */
    unsigned max_pairs;
    struct loop_thread thread;
    struct loop_source link; /* on the process's loop */
    int link_fd;             /* owned eventfd: the link may have changed */
    const int *doorbell_fd;

    /* Registers of the control queue. */
    uint16_t pairs;        /* in use */
    uint64_t offloads_off; /* NET_GUEST_OFFLOADS that were negotiated, then switched off */
    struct net_filter filter;

    /* The thread's. */
    struct net_pair pair[VIRTIO_NET_PAIRS_MAX];
    struct loop_source ctrl_bell;
    struct iovec ctrl_iov[2 * VIRTIO_NET_QUEUE_SIZE]; /* a command may set frames moving */
    struct nic_vhost *vhost[VIRTIO_NET_PAIRS_MAX];    /* owned; all or none */
    bool vhost_running;
    struct virtio_net_stats stats;
    struct iovec iov[1 + NET_PIECES_MAX + 1]; /* a header, the guest's pieces, the overflow */
    struct net_room room;
    uint8_t overflow[NIC_HEADER_SIZE + NIC_FRAME_MAX];
};

/* virtio_net_io.c; on the thread. */
void net_pair_run(struct net_pair *pair);
void net_pair_park(struct net_pair *pair);

/* virtio_net.c; on the thread. How many pairs are in use, and which offloads, has changed. */
int net_set_pairs(struct virtio_net *net, unsigned pairs);
int net_set_offloads(struct virtio_net *net);

/* virtio_net_ctrl.c */
void net_control(struct virtio_net *net, struct virtqueue *vq);
void net_filter_reset(struct net_filter *filter);
bool net_filter_accepts(const struct net_filter *filter, const uint8_t *own, const uint8_t to[6]);

static inline void net_count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
