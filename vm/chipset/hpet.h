/* SPDX-License-Identifier: Apache-2.0 */
/* High precision event timers (IA-PC HPET specification 1.0a): a 64-bit counter of 100 MHz and
 * three timers at 0xfed00000. Lives in `vmm`. The counter is the host's clock; one host timer runs,
 * for the earliest comparator, and only while an enabled one is to come: unused, it costs nothing.
 *
 * Interrupts go to IOAPIC lines 11 and 20-23, or as messages; with legacy replacement timer 0 takes
 * the PIT's place (line 0) and timer 1 the RTC's (line 8). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/machine/dev.h"

enum {
    HPET_SIZE = 0x400,
    HPET_TIMERS = 3,
    HPET_PERIOD_FS = 10000000,
    /* What the ACPI table's Event Timer Block ID says: low half of the capabilities register,
     * with legacy replacement; without, HPET_ID & ~HPET_ID_LEGACY. */
    HPET_ID_LEGACY = 1 << 15,
};
#define HPET_BASE UINT64_C(0xfed00000)
#define HPET_ID   0x8086a201u

struct hpet_params {
    /* Told when the guest turns legacy replacement on and off: the PIT's channel 0 must then keep
     * still. NULL: not offered. */
    void (*legacy)(void *ctx, bool on);
    /* Sends a message. NULL: not offered. */
    void (*msi)(void *ctx, uint64_t address, uint32_t data);
    void *ctx;
};

extern const struct dev_class hpet_class;
