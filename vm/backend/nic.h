/* SPDX-License-Identifier: Apache-2.0 */
/* Where a virtual network card's cable goes on the host. Frames go both ways over descriptors that
 * somebody else opened (this runs in `vmx`, which opens nothing):
 *
 *   NIC_TAP   a tap interface with IFF_VNET_HDR, one descriptor per queue: frames may be as large
 *             as a segmentation offload makes them, nothing is copied
 *   NIC_USER  a stream socket to a user-mode network (passt), one queue, plain frames, each behind
 *             its length in 32 big-endian bits: what QEMU calls a stream netdev
 *   NIC_NONE  nobody: the link is down
 *
 * A frame always has the 12 bytes of struct virtio_net_hdr_v1 in front (VIRTIO 1.2, 5.1.6),
 * in a piece of its own on sending. What is sent has been validated by the device.
 *
 * Each queue belongs to one thread. Nothing blocks: -EAGAIN is "wait for nic_fd". -ENOLINK is the
 * end: the other side is gone or breaks the protocol; the link is down and the queue's descriptor
 * must not be polled any more. Other errors are this frame's; it has been counted and dropped. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

enum {
    NIC_HEADER_SIZE = 12,
    NIC_FRAME_MIN = 14,    /* an Ethernet header */
    NIC_FRAME_MAX = 65550, /* 64 KiB of IP, an Ethernet header, and what tap may add */
    NIC_QUEUES_MAX = 8,
};

enum nic_kind { NIC_NONE, NIC_TAP, NIC_USER, NIC_KIND_MAX };

/* What the host may hand us (nic_set_offloads) and take from us. */
enum {
    NIC_CSUM = 1,
    NIC_TSO4 = 2,
    NIC_TSO6 = 4,
    NIC_TSO_ECN = 8,
    NIC_UFO = 16,
};

struct nic_params {
    enum nic_kind kind;
    int fd[NIC_QUEUES_MAX]; /* taken over on success */
    unsigned queues;
    uint8_t mac[6];
    uint16_t mtu;                 /* told to the guest; 0: not */
    int vhost_fd[NIC_QUEUES_MAX]; /* of /dev/vhost-net, one a queue, if vhost; taken over */
    bool vhost;
};

struct nic_stats {
    atomic_uint_fast64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    atomic_uint_fast64_t tx_dropped; /* the host did not take it */
    atomic_uint_fast64_t rx_hostile; /* broken protocol of the stream */
};

struct nic;

struct nic_ops {
    ssize_t (*recv)(struct nic *nic, unsigned queue, struct iovec *iov, int count);
    ssize_t (*send)(struct nic *nic, unsigned queue, struct iovec *iov, int count);
    int (*flush)(struct nic *nic, unsigned queue);
    int (*set_offloads)(struct nic *nic, unsigned offloads);
    int (*set_queues)(struct nic *nic, unsigned queues);
    void (*plugged)(struct nic *nic); /* at another network: nothing is on its way. NULL: never is */
    void (*destroy)(struct nic *nic);
};

/* The common part; each back end's struct begins with it. */
struct nic {
    const struct nic_ops *ops;
    enum nic_kind kind;
    unsigned queues, offloads; /* that it has */
    bool fd_tells;             /* the descriptor is readable as long as a frame waits */
    int fd[NIC_QUEUES_MAX];    /* owned */
    int vhost_fd[NIC_QUEUES_MAX];
    uint8_t mac[6];
    uint16_t mtu;
    atomic_bool broken; /* -ENOLINK was returned */
    atomic_bool pulled; /* somebody took the cable out */
    void (*_Atomic notify)(void *ctx);
    void *_Atomic notify_ctx;
    struct nic_stats own_stats, *stats; /* its own, unless nic_count_into */
};

int nic_create(const struct nic_params *params, struct nic **ret_nic, struct err *err);
void nic_destroy(struct nic *nic);
DEFINE_CLEANUP(struct nic *, nic_destroy)
#define cleanup_nic CLEANUP(nic_destroy_cleanup_)

static inline int nic_fd(const struct nic *nic, unsigned queue)
{
    return nic->fd[queue];
}

/* -ENOLINK was returned: nothing will ever come again. */
static inline bool nic_gone(const struct nic *nic)
{
    return atomic_load_explicit(&nic->broken, memory_order_relaxed);
}

/* Receives one frame: the number of bytes, header included. The last piece must be room that the
 * guest does not see: a frame that reaches into it, or past it, was too large for the others. A
 * frame may be waiting without the descriptor saying so, unless fd_tells: call until -EAGAIN.
 * num_buffers is the device's to fill in. */
ssize_t nic_recv(struct nic *nic, unsigned queue, struct iovec *iov, int count);
/* Sends one frame: 0, or -EAGAIN: not taken. iov[0] is the header; `iov` may be scribbled on. */
int nic_send(struct nic *nic, unsigned queue, struct iovec *iov, int count);
/* Pushes on what was taken but could not be written whole: 0 when all is out, -EAGAIN: call again
 * when the descriptor is writable. */
int nic_flush(struct nic *nic, unsigned queue);

/* NIC_* the guest understands: all that the host hands over from now on keeps to it. */
int nic_set_offloads(struct nic *nic, unsigned offloads);
/* How many queues receive: the host spreads over the first `queues`. */
int nic_set_queues(struct nic *nic, unsigned queues);

/* Counts there from now on; borrowed. */
void nic_count_into(struct nic *nic, struct nic_stats *stats);

/* A user-mode card that is let go of its network, and put to another, with another address. While
 * the device stands still; nic_unplug also for a card that has none yet. */
void nic_unplug(struct nic *nic);
int nic_plug(struct nic *nic, int fd, const uint8_t mac[6]); /* takes fd, whatever happens */

bool nic_link(const struct nic *nic);
/* Takes the cable out or puts it back; any thread. While it is out nothing passes. */
void nic_set_link(struct nic *nic, bool up);
/* Called on any thread after the link may have changed. NULL: nobody. */
void nic_set_notify(struct nic *nic, void (*notify)(void *ctx), void *ctx);

/* For the parent, which does open things.
 *
 * Opens `queues` descriptors of the existing tap interface `ifname`. -ENODEV: there is none;
 * -EBUSY: in use; -EINVAL: not a tap, or it has one queue only (err says which). */
int nic_tap_open(const char *ifname, unsigned queues, int *ret_fds, struct err *err);

/* Starts a passt of its own for one card; it ends by itself when the returned socket closes. No
 * port of the host is forwarded to the guest, and the guest does not reach the host's loopback. */
int nic_user_start(int *ret_fd, struct err *err);

/* For the constructors in here. */
int nic_tap_create(const struct nic_params *params, struct nic **ret_nic, struct err *err);
int nic_user_create(const struct nic_params *params, struct nic **ret_nic, struct err *err);
/* Marks the end and says so; returns -ENOLINK. */
int nic_break(struct nic *nic);
