/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of virtio devices share: bytes become operations on one device, by
 * registers, doorbells and guest memory. One operation is a byte that says which, then its operands
 * (little-endian; what is missing at the end is 0):
 *
 *     0 write     region u8, offset u16, size u8, value u64
 *     1 read      region u8, offset u16, size u8
 *     2 doorbell  number u8
 *     3 start     features u64, size u8: negotiates what is offered of them, queues of 2^(size % 8)
 *     4 poke      address u32, length u8, bytes
 *     5 desc      queue u8, index u8, address u32, length u32, flags u16, next u16
 *     6 offer     queue u8, head u16
 *     7 step      lets the device run
 *     8 lines     bits u8: 0 bus master, 1 MSI-X
 *     9 state     saves and restores into itself, which must be possible and change nothing
 *    10 reset     of the machine
 *
 * At the end the device must still be of use to a driver that resets it. */
#pragma once

#include "fuzz/device.h"
#include "tests/device/virtio_driver.h"

struct virtio_ops {
    struct harness *h;
    struct virtio_driver d;
    void (*step)(struct harness *h);
};

void virtio_ops_run(struct virtio_ops *ops, const uint8_t *data, size_t size);
/* Resets and starts the device; queues of 16. */
void virtio_ops_mend(struct virtio_ops *ops);
/* Rings, lets it run, checks that exactly one chain came back; returns its length. */
uint32_t virtio_ops_serve(struct virtio_ops *ops, unsigned queue);
