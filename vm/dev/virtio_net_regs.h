/* SPDX-License-Identifier: Apache-2.0 */
/* VIRTIO 1.2, section 5.1: network device. */
#pragma once

#include "base/range.h"

/* 5.1.3 */
#define VIRTIO_NET_F_CSUM                BIT64(0)
#define VIRTIO_NET_F_GUEST_CSUM          BIT64(1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS BIT64(2)
#define VIRTIO_NET_F_MTU                 BIT64(3)
#define VIRTIO_NET_F_MAC                 BIT64(5)
#define VIRTIO_NET_F_GUEST_TSO4          BIT64(7)
#define VIRTIO_NET_F_GUEST_TSO6          BIT64(8)
#define VIRTIO_NET_F_GUEST_ECN           BIT64(9)
#define VIRTIO_NET_F_GUEST_UFO           BIT64(10)
#define VIRTIO_NET_F_HOST_TSO4           BIT64(11)
#define VIRTIO_NET_F_HOST_TSO6           BIT64(12)
#define VIRTIO_NET_F_HOST_ECN            BIT64(13)
#define VIRTIO_NET_F_HOST_UFO            BIT64(14)
#define VIRTIO_NET_F_MRG_RXBUF           BIT64(15)
#define VIRTIO_NET_F_STATUS              BIT64(16)
#define VIRTIO_NET_F_CTRL_VQ             BIT64(17)
#define VIRTIO_NET_F_CTRL_RX             BIT64(18)
#define VIRTIO_NET_F_CTRL_RX_EXTRA       BIT64(20)
#define VIRTIO_NET_F_MQ                  BIT64(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR       BIT64(23)

/* 5.1.4 */
enum {
    VIRTIO_NET_CONFIG_MAC = 0,
    VIRTIO_NET_CONFIG_STATUS = 6,
    VIRTIO_NET_CONFIG_MAX_PAIRS = 8,
    VIRTIO_NET_CONFIG_MTU = 10,
    VIRTIO_NET_CONFIG_SIZE = 12,
};
enum { VIRTIO_NET_S_LINK_UP = 1 };

/* 5.1.6: struct virtio_net_hdr */
enum {
    VIRTIO_NET_HDR_FLAGS = 0,
    VIRTIO_NET_HDR_GSO_TYPE = 1,
    VIRTIO_NET_HDR_HDR_LEN = 2,
    VIRTIO_NET_HDR_GSO_SIZE = 4,
    VIRTIO_NET_HDR_CSUM_START = 6,
    VIRTIO_NET_HDR_CSUM_OFFSET = 8,
    VIRTIO_NET_HDR_NUM_BUFFERS = 10,
    VIRTIO_NET_HDR_SIZE = 12,
};
enum { VIRTIO_NET_HDR_F_NEEDS_CSUM = 1 };
enum {
    VIRTIO_NET_HDR_GSO_NONE = 0,
    VIRTIO_NET_HDR_GSO_TCPV4 = 1,
    VIRTIO_NET_HDR_GSO_UDP = 3,
    VIRTIO_NET_HDR_GSO_TCPV6 = 4,
    VIRTIO_NET_HDR_GSO_ECN = 0x80,
};

/* 5.1.6.5: class and command of the control queue */
enum { VIRTIO_NET_OK = 0, VIRTIO_NET_ERR = 1 };
enum {
    VIRTIO_NET_CTRL_RX = 0,
    VIRTIO_NET_CTRL_MAC = 1,
    VIRTIO_NET_CTRL_MQ = 4,
    VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5,
};
enum { /* of CTRL_RX */
       VIRTIO_NET_CTRL_RX_PROMISC,
       VIRTIO_NET_CTRL_RX_ALLMULTI,
       VIRTIO_NET_CTRL_RX_ALLUNI,
       VIRTIO_NET_CTRL_RX_NOMULTI,
       VIRTIO_NET_CTRL_RX_NOUNI,
       VIRTIO_NET_CTRL_RX_NOBCAST,
       VIRTIO_NET_CTRL_RX_MAX,
};
enum { VIRTIO_NET_CTRL_MAC_TABLE_SET = 0, VIRTIO_NET_CTRL_MAC_ADDR_SET = 1 };
enum { VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0 };
enum { VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0 };
