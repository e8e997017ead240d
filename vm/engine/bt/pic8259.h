/* SPDX-License-Identifier: Apache-2.0 */
/* The two cascaded 8259A of a PC, with the edge/level registers of the chip sets (4D0h, 4D1h).
 * Intel 8259A data sheet. A pin that is edge-triggered latches its request until it is
 * acknowledged, as KVM's does: sources may give short pulses.
 *
 * Deliberately missing: MCS-80 mode, single mode (ICW1 always goes on to ICW3), the buffered modes.
 * Not locked: the irqchip's lock. After each call the owner looks at bt_pic_output. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/irqchip_state.h"

enum { BT_PIC_PINS = 16 };

struct bt_pic {
    struct pic_state chip[IRQCHIP_PICS]; /* pin 2 of the first is the second's output */
    /* The guest has ended the interrupt of a pin. May lower pins. */
    void (*eoi)(void *ctx, unsigned pin);
    void *ctx;
};

void bt_pic_reset(struct bt_pic *pic);
void bt_pic_set_pin(struct bt_pic *pic, unsigned pin, bool level);
bool bt_pic_output(const struct bt_pic *pic);
/* The processor's acknowledge cycle: a vector, spurious if nothing is requested any more. */
uint8_t bt_pic_acknowledge(struct bt_pic *pic);

/* Ports 20h, 21h, A0h, A1h, 4D0h, 4D1h. */
uint8_t bt_pic_read(struct bt_pic *pic, unsigned port);
void bt_pic_write(struct bt_pic *pic, unsigned port, uint8_t value);

void bt_pic_set_state(struct bt_pic *pic, const struct pic_state state[IRQCHIP_PICS]);
