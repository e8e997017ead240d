/* SPDX-License-Identifier: Apache-2.0 */
/* An IOAPIC of 24 pins, Intel 82093AA data sheet, version 11h: no EOI register; a level-triggered
 * pin's remote IRR is cleared by the local APIC's broadcast, or by making the pin edge-triggered
 * for a moment. Pins are logical levels: the polarity bit is kept and means nothing.
 *
 * Deliberately missing: delivery as ExtINT (the PIC's wire is LINT0). Not locked: the irqchip's
 * lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/irqchip_state.h"

struct bt_message;

struct bt_ioapic {
    struct ioapic_state state; /* irr: the pins' levels */
    /* How many processors took the message. */
    unsigned (*deliver)(void *ctx, const struct bt_message *message);
    /* The guest has ended the level-triggered interrupt of a pin. May lower pins. */
    void (*eoi)(void *ctx, unsigned pin);
    void *ctx;
};

#define BT_IOAPIC_BASE UINT64_C(0xfec00000)
enum { BT_IOAPIC_SIZE = 0x100 };

void bt_ioapic_reset(struct bt_ioapic *ioapic);
void bt_ioapic_set_pin(struct bt_ioapic *ioapic, unsigned pin, bool level);
/* A local APIC has ended a level-triggered interrupt. */
void bt_ioapic_end(struct bt_ioapic *ioapic, uint8_t vector);

uint32_t bt_ioapic_read(struct bt_ioapic *ioapic, unsigned offset);
void bt_ioapic_write(struct bt_ioapic *ioapic, unsigned offset, uint32_t value);

/* Saved, irr has what is asserted and level-triggered: edges have been delivered. */
struct ioapic_state bt_ioapic_get_state(const struct bt_ioapic *ioapic);
void bt_ioapic_set_state(struct bt_ioapic *ioapic, const struct ioapic_state *state);
