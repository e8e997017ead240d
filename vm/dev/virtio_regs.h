/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that all virtio devices share: Virtual I/O Device (VIRTIO) 1.2, sections 2 and 4.1. What
 * one device type alone has stands in its own file. */
#pragma once

#include <stdint.h>

#include "base/range.h"

/* 5: device types */
enum {
    VIRTIO_ID_NET = 1,
    VIRTIO_ID_BLK = 2,
    VIRTIO_ID_CONSOLE = 3,
    VIRTIO_ID_RNG = 4,
    VIRTIO_ID_BALLOON = 5,
    VIRTIO_ID_VSOCK = 19,
};

/* 4.1.2.1: PCI identity of a modern device is VIRTIO_PCI_DEVICE + its type */
enum { VIRTIO_PCI_VENDOR = 0x1af4, VIRTIO_PCI_DEVICE = 0x1040, VIRTIO_PCI_REVISION = 1 };

/* 2.1: device status */
enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128,
};

/* 6: feature bits of the transport and the rings */
#define VIRTIO_F_INDIRECT_DESC BIT64(28)
#define VIRTIO_F_EVENT_IDX     BIT64(29)
#define VIRTIO_F_VERSION_1     BIT64(32)

/* 4.1.4: capability types, and where each structure is in BAR 4 of ours */
enum {
    VIRTIO_PCI_CAP_COMMON_CFG = 1,
    VIRTIO_PCI_CAP_NOTIFY_CFG = 2,
    VIRTIO_PCI_CAP_ISR_CFG = 3,
    VIRTIO_PCI_CAP_DEVICE_CFG = 4,
    VIRTIO_PCI_CAP_PCI_CFG = 5,
};

/* 4.1.4.3: offsets in the common configuration structure */
enum {
    VIRTIO_COMMON_DEVICE_FEATURE_SELECT = 0x00,
    VIRTIO_COMMON_DEVICE_FEATURE = 0x04,
    VIRTIO_COMMON_DRIVER_FEATURE_SELECT = 0x08,
    VIRTIO_COMMON_DRIVER_FEATURE = 0x0c,
    VIRTIO_COMMON_CONFIG_VECTOR = 0x10,
    VIRTIO_COMMON_NUM_QUEUES = 0x12,
    VIRTIO_COMMON_STATUS = 0x14,
    VIRTIO_COMMON_CONFIG_GENERATION = 0x15,
    VIRTIO_COMMON_QUEUE_SELECT = 0x16,
    VIRTIO_COMMON_QUEUE_SIZE = 0x18,
    VIRTIO_COMMON_QUEUE_VECTOR = 0x1a,
    VIRTIO_COMMON_QUEUE_ENABLE = 0x1c,
    VIRTIO_COMMON_QUEUE_NOTIFY_OFF = 0x1e,
    VIRTIO_COMMON_QUEUE_DESC = 0x20,
    VIRTIO_COMMON_QUEUE_DRIVER = 0x28,
    VIRTIO_COMMON_QUEUE_DEVICE = 0x30,
    VIRTIO_COMMON_SIZE = 0x38,
};

enum { VIRTIO_NO_VECTOR = 0xffff };

/* 4.1.4.5: bits of the ISR status byte */
enum { VIRTIO_ISR_QUEUE = 1, VIRTIO_ISR_CONFIG = 2 };
