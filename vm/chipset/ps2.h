/* SPDX-License-Identifier: Apache-2.0 */
/* The two PS/2 devices behind the 8042: keyboard and mouse (IBM PS/2 Hardware Interface Technical
 * Reference, 1991, keyboard and mouse sections; Microsoft's IntelliMouse extension). Each takes
 * bytes from the controller and has bytes for it; replies to commands come before what keys and
 * movements have produced. Plain state without locks: the controller's lock covers them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/state.h"

enum { PS2_QUEUE_SIZE = 256, PS2_REPLIES = 16 };

/* Bytes on their way to the controller. What does not fit as a whole is dropped. */
struct ps2_queue {
    uint16_t head, len;
    uint8_t data[PS2_QUEUE_SIZE];
};

struct ps2_keyboard {
    struct ps2_queue replies, codes;
    uint8_t set; /* scan code set: 1, 2, 3 */
    uint8_t leds, typematic;
    uint8_t expects; /* command whose parameter comes next, or 0 */
    uint8_t last;    /* byte sent last, for the resend command */
    bool scanning;
};

struct ps2_mouse {
    struct ps2_queue replies, packets;
    int32_t dx, dy, wheel; /* movement not yet reported */
    uint8_t buttons, reported_buttons;
    uint8_t id; /* 0 plain, 3 with wheel, 4 with wheel and five buttons */
    uint8_t rate, resolution, expects, last;
    uint8_t knock[2]; /* the last two sample rates: the sequence that reveals the wheel */
    bool scale21, remote, wrap, reporting;
};

void ps2_keyboard_reset(struct ps2_keyboard *k);
void ps2_keyboard_write(struct ps2_keyboard *k, uint8_t byte);
void ps2_keyboard_key(struct ps2_keyboard *k, uint8_t usage, bool down);
bool ps2_keyboard_has(const struct ps2_keyboard *k);
uint8_t ps2_keyboard_take(struct ps2_keyboard *k); /* only when it has */

/* Set 2 to set 1, as the controller does it for XLATE. `in_break`: an 0xf0 went before. */
bool ps2_translate(bool *in_break, uint8_t byte, uint8_t *ret_byte);

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t byte);
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons);
bool ps2_mouse_has(const struct ps2_mouse *m);
uint8_t ps2_mouse_take(struct ps2_mouse *m);

void ps2_queue_clear(struct ps2_queue *q);
bool ps2_queue_put(struct ps2_queue *q, const uint8_t *bytes, unsigned count);
uint8_t ps2_queue_take(struct ps2_queue *q); /* only when len > 0 */

extern const struct state_table ps2_keyboard_state, ps2_mouse_state;
/* For the controller's own queue and its post_load. */
extern const struct state_table ps2_queue_state;
