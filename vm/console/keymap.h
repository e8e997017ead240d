/* SPDX-License-Identifier: Apache-2.0 */
/* What viewers call a key, as a USB HID usage (vm/backend/input.h), which is a place on the
 * keyboard. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    USAGE_LEFT_CONTROL = 0xe0,
    USAGE_LEFT_SHIFT = 0xe1,
    USAGE_RIGHT_SHIFT = 0xe5,
    USAGE_MODIFIERS_END = 0xe8,
};

/* Scan code set 1 with bit 7 for the prefix e0: what QEMU's extended key event carries. 0: no such
 * key. */
uint8_t keymap_from_xt(uint32_t code);

/* A character or a key by its X11 keysym, on a keyboard with the US layout: all that is known when
 * the viewer does not say which key it was. */
struct keymap_key {
    uint8_t usage;  /* 0: none */
    bool character; /* the shift keys belong to it: */
    bool shift;
    bool letter; /* caps lock does, too */
};
struct keymap_key keymap_from_keysym(uint32_t keysym);
