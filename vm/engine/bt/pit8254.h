/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254 of a PC: three counters of 1.193182 MHz at ports 40h-43h, and port 61h, which gates the
 * third one and shows its output. Intel 8254 data sheet. Counting is arithmetic on the clock;
 * only channel 0 needs a timer, while its mode gives edges, and only one deadline at a time.
 *
 * Channel 0's output gives a pulse for each rising edge. Edges closer than 100 us apart, and those
 * that a late host missed, are left out. Deliberately missing: sound; a count written in modes 1
 * and 5 ends the one-shot under way. Not locked: the irqchip's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/bt/timer.h"
#include "vm/engine/irqchip_state.h"

struct bt_pit_channel {
    struct pit_channel_state state; /* but for loaded_ago_ns: */
    uint64_t loaded;                /* ns: when counting began */
    uint64_t held;                  /* ns counted so far while the gate holds the counter */
    bool null_count;                /* programmed, but no count yet */
};

struct bt_pit {
    struct bt_pit_channel channel[IRQCHIP_PIT_CHANNELS];
    bool disabled; /* channel 0 gives no interrupts: the HPET does */
    uint8_t speaker;
    struct bt_timers *timers; /* borrowed */
    struct bt_timer timer;    /* channel 0's next edge */
    void (*pulse)(void *ctx); /* an edge of channel 0 */
    void *ctx;
};

void bt_pit_init(struct bt_pit *pit, struct bt_timers *timers, void (*pulse)(void *ctx), void *ctx);
uint8_t bt_pit_read(struct bt_pit *pit, unsigned port);
void bt_pit_write(struct bt_pit *pit, unsigned port, uint8_t value);
void bt_pit_disable(struct bt_pit *pit, bool on);

void bt_pit_get_state(const struct bt_pit *pit,
                      struct pit_channel_state ret_state[IRQCHIP_PIT_CHANNELS]);
void bt_pit_set_state(struct bt_pit *pit,
                      const struct pit_channel_state state[IRQCHIP_PIT_CHANNELS], bool disabled);
