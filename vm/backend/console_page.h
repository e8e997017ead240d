/* SPDX-License-Identifier: Apache-2.0 */
/* The page that a VM shares with the process that shows it (socle-rfb): what the display shows on
 * the way out, keys and pointer on the way in. With the display's video memory, which has a memfd
 * of its own, this is all that process sees of a VM.
 *
 * The surface is under a sequence count: odd while it is being written, and a reader that finds it
 * changed reads again. Writer is the display's device (`vmx`), readers are any. Nobody waits for
 * anybody; what a reader gets is foreign data, for a writer that its guest has taken over may leave
 * anything there.
 *
 * Two byte rings of input events (input.h), with two eventfds each (bytering.h): CONSOLE_KEYS to
 * the PS/2 devices in `vmm`, CONSOLE_TABLET to the USB tablet in `vmx`. socle-rfb writes both. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vm/backend/display.h"
#include "vm/machine/bytering.h"

enum { CONSOLE_RING_SIZE = 4096 };
enum console_ring { CONSOLE_KEYS, CONSOLE_TABLET, CONSOLE_RINGS };

struct console_page {
    _Alignas(64) _Atomic uint32_t sequence;
    struct display_surface surface; /* but for `memory` and `size`, which each side has its own */
    _Alignas(64) _Atomic uint32_t leds; /* of the keyboard: bit 0 scroll, 1 num, 2 caps lock */
    _Atomic uint32_t tablet;            /* 1: the guest listens to the tablet */
    _Alignas(64) uint8_t ring[CONSOLE_RINGS][sizeof(struct bytering_shared) + CONSOLE_RING_SIZE];
};

/* A sealed memfd. */
int console_page_create(int *ret_fd, struct err *err);
int console_page_map(int fd, struct console_page **ret_page, struct err *err); /* fd: borrowed */

/* One writer. */
void console_page_publish(struct console_page *page, const struct display_surface *surface);
/* False: it is being written all the time. `memory` and `size` are left for the caller. */
bool console_page_read(struct console_page *page, struct display_surface *ret_surface);

/* `fds`: the ring's eventfds, data and space. */
int console_page_writer(struct console_page *page, enum console_ring which, const int fds[2],
                        struct bytering *ret_ring);
int console_page_reader(struct console_page *page, enum console_ring which, const int fds[2],
                        struct bytering *ret_ring);
