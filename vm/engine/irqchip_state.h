/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers and the timer that live with the engine, as modelled state: two 8259A,
 * one IOAPIC (82093AA, 24 pins), one 8254. Belongs to the VM, not to a processor; local APICs are
 * in struct cpu_state. `irqchip_state_table` saves and restores it.
 *
 * Time: 8254 counters are saved with the moment they were loaded, as nanoseconds before the save,
 * so that a restored counter goes on from where it stood. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/state.h"

enum { PIT_MODE_NONE = 0xff }; /* the channel has not been programmed */

enum { IRQCHIP_PICS = 2, IRQCHIP_IOAPIC_PINS = 24, IRQCHIP_PIT_CHANNELS = 3 };

/* Intel 8259A data sheet. */
struct pic_state {
    uint8_t irr, imr, isr;
    uint8_t last_lines;      /* levels seen, for edge detection */
    uint8_t elcr, elcr_mask; /* ports 4D0h, 4D1h */
    uint8_t irq_base;        /* ICW2 */
    uint8_t init_state;      /* ICW expected next; 0: initialised */
    uint8_t priority_add;    /* rotation */
    bool read_isr, poll;     /* OCW3 */
    bool special_mask;       /* OCW3 */
    bool auto_eoi, rotate_on_auto_eoi;
    bool special_fully_nested, init4;
};

/* Intel 82093AA data sheet. */
struct ioapic_state {
    uint64_t base;
    uint32_t select, id, irr;
    uint64_t redirection[IRQCHIP_IOAPIC_PINS];
};

/* Intel 8254 data sheet. */
struct pit_channel_state {
    uint32_t count; /* 1 to 65536 */
    uint16_t latched_count;
    uint8_t count_latched, status_latched, status;
    uint8_t read_state, write_state, write_latch;
    uint8_t rw_mode, mode, bcd, gate;
    uint64_t loaded_ago_ns;
};

struct irqchip_state {
    struct pic_state pic[IRQCHIP_PICS];
    struct ioapic_state ioapic;
    struct pit_channel_state pit[IRQCHIP_PIT_CHANNELS];
    bool pit_disabled; /* the HPET has taken over interrupt 0 (legacy replacement) */
    uint64_t clock_ns; /* the paravirtual clock (kvmclock) */
};

extern const struct state_table irqchip_state_table;
