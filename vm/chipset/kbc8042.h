/* SPDX-License-Identifier: Apache-2.0 */
/* The PC's keyboard controller, an Intel 8042 with the PS/2 firmware: ports 0x60 and 0x64,
 * interrupts 1 (keyboard) and 12 (mouse), the A20 gate's register and the reset pulse (IBM PS/2
 * Hardware Interface Technical Reference, 1991, "Keyboard and auxiliary device controller").
 * Lives in `vmm`; keyboard and mouse are ps2.h. Commands complete before the write returns, so no
 * driver ever waits. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vm/backend/input.h"
#include "vm/machine/dev.h"

enum { KBC8042_IRQ_KEYBOARD = 1, KBC8042_IRQ_MOUSE = 12 };

struct kbc8042_params {
    struct bytering *input; /* events (backend/input.h) to read; borrowed; NULL: none come */
    _Atomic uint32_t *leds; /* kept as the guest sets them; borrowed; NULL: nobody looks */
};

extern const struct dev_class kbc8042_class;

/* An event from within this process. Thread-safe. */
void kbc8042_input(void *dev, const struct input_event *event);
/* Bits 0-2: scroll, num, caps lock. Thread-safe. */
uint8_t kbc8042_leds(void *dev);
