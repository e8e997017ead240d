/* SPDX-License-Identifier: Apache-2.0 */
/* What a person does with keyboard and mouse, on its way from whoever sees it (a console, in `vmx`)
 * to the emulated device (PS/2 in `vmm`, later USB): records of eight bytes in a byte ring.
 *
 * Keys are named by their USB HID usage (HID Usage Tables 1.3, page 7): the position on the
 * keyboard, whatever is printed on it. A repeated press without release is a typematic repeat.
 * Mouse movement is relative: x to the right, y down, wheel towards the user is positive;
 * `buttons` is the whole state. A tablet's is absolute: 0 to INPUT_RANGE across the screen. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vm/machine/bytering.h"

enum input_kind { INPUT_KEY, INPUT_POINTER, INPUT_ABSOLUTE };
enum { INPUT_RANGE = 0x7fff };

enum { INPUT_LEFT = 1, INPUT_RIGHT = 2, INPUT_MIDDLE = 4, INPUT_SIDE = 8, INPUT_EXTRA = 16 };

struct input_event {
    uint8_t kind;
    uint8_t usage; /* INPUT_KEY */
    union {
        uint8_t down; /* INPUT_KEY */
        int8_t wheel; /* INPUT_POINTER, INPUT_ABSOLUTE */
    };
    uint8_t buttons; /* low five bits; not of a key, as the rest */
    union {
        struct {
            int16_t dx, dy; /* INPUT_POINTER */
        };
        struct {
            uint16_t x, y; /* INPUT_ABSOLUTE */
        };
    };
};
_Static_assert(sizeof(struct input_event) == 8, "goes through shared memory");

/* False: no room, the event is lost. */
static inline bool input_send(struct bytering *ring, const struct input_event *event)
{
    return bytering_space(ring) >= sizeof *event &&
           bytering_write(ring, event, sizeof *event) == sizeof *event;
}

/* False: nothing there. The writer is not trusted: any value may stand in any field. */
static inline bool input_receive(struct bytering *ring, struct input_event *ret_event)
{
    struct input_event event;

    if (bytering_used(ring) < sizeof event ||
        bytering_read(ring, &event, sizeof event) != sizeof event)
        return false;
    *ret_event = event;
    return true;
}
