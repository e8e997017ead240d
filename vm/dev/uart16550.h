/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550A serial port (National Semiconductor PC16550D, 1995), wired as a PC wires it: OUT2 gates
 * the interrupt. Lives in `vmm`.
 *
 * Characters travel over two byte rings in shared memory. Baud rate and frame are stored and
 * ignored: a character is transmitted as soon as it is written, so the transmitter is empty again
 * before the write returns. When the ring has no room the transmitter stays busy (THRE clear) and
 * the guest waits, its vCPU running; that somebody empties the ring, or throws away what nobody
 * wants to see, is the ring's reader's part. */
#pragma once

#include <stdint.h>

#include "vm/machine/bytering.h"
#include "vm/machine/dev.h"

struct uart16550_params {
    uint16_t base; /* first of eight ports; COM1 is 0x3f8 */
    uint8_t irq;   /* COM1: 4 */
    /* Borrowed; NULL: nothing is connected (sends into the void, receives nothing). */
    struct bytering *tx, *rx;
};

extern const struct dev_class uart16550_class;
