/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the virtio block device: VIRTIO 1.2, section 5.2. */
#pragma once

#include "base/range.h"

/* 5.2.3 */
#define VIRTIO_BLK_F_SEG_MAX      BIT64(2)
#define VIRTIO_BLK_F_RO           BIT64(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT64(6)
#define VIRTIO_BLK_F_FLUSH        BIT64(9)
#define VIRTIO_BLK_F_TOPOLOGY     BIT64(10)
#define VIRTIO_BLK_F_CONFIG_WCE   BIT64(11)
#define VIRTIO_BLK_F_MQ           BIT64(12)
#define VIRTIO_BLK_F_DISCARD      BIT64(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT64(14)

/* 5.2.4: offsets in the configuration */
enum {
    VIRTIO_BLK_CONFIG_CAPACITY = 0x00,
    VIRTIO_BLK_CONFIG_SEG_MAX = 0x0c,
    VIRTIO_BLK_CONFIG_BLK_SIZE = 0x14,
    VIRTIO_BLK_CONFIG_PHYSICAL_EXP = 0x18,
    VIRTIO_BLK_CONFIG_MIN_IO = 0x1a,
    VIRTIO_BLK_CONFIG_OPT_IO = 0x1c,
    VIRTIO_BLK_CONFIG_WRITEBACK = 0x20,
    VIRTIO_BLK_CONFIG_NUM_QUEUES = 0x22,
    VIRTIO_BLK_CONFIG_MAX_DISCARD = 0x24,
    VIRTIO_BLK_CONFIG_MAX_DISCARD_SEG = 0x28,
    VIRTIO_BLK_CONFIG_DISCARD_ALIGN = 0x2c,
    VIRTIO_BLK_CONFIG_MAX_ZEROES = 0x30,
    VIRTIO_BLK_CONFIG_MAX_ZEROES_SEG = 0x34,
    VIRTIO_BLK_CONFIG_ZEROES_UNMAP = 0x38,
    VIRTIO_BLK_CONFIG_SIZE = 0x3c,
};

/* 5.2.6: request types and status */
enum {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
};
enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };

/* struct virtio_blk_req begins with: type le32, reserved le32, sector le64; a discard or
 * write-zeroes segment is: sector le64, sectors le32, flags le32 */
enum { VIRTIO_BLK_HEADER_SIZE = 16, VIRTIO_BLK_RANGE_SIZE = 16, VIRTIO_BLK_RANGE_UNMAP = 1 };
