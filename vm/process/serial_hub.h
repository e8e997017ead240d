/* SPDX-License-Identifier: Apache-2.0 */
/* The far end of a serial port that any number of people may look at (SERIAL_HUB_WATCHERS at a
 * time), now or later: a ring of the last SERIAL_HUB_RING bytes that the VM has sent, and watchers,
 * each with a stream socket and a place of his own in what was sent.
 *
 * A new watcher first gets what the ring has, then what comes. The VM never waits for one: who is
 * further behind than the ring is long goes on at its oldest byte. What watchers type reaches the
 * VM in the order in which it arrives here, whoever typed it; while the VM takes nothing, nothing
 * is read from them.
 *
 * One thread: the loop's. */
#pragma once

#include "base/loop.h"

enum { SERIAL_HUB_RING = 65536, SERIAL_HUB_WATCHERS = 8 };

struct serial_hub;

/* *ret_vm_fd: the VM's end of a stream socket pair, the caller's. */
int serial_hub_create(struct loop *loop, struct serial_hub **ret_hub, int *ret_vm_fd);

/* A new watcher's end of his socket, the caller's. -EUSERS: there are SERIAL_HUB_WATCHERS. */
int serial_hub_attach(struct serial_hub *hub, int *ret_fd);

/* Gives watchers what the VM still sent, as far as they take it at once, and hangs up. Accepts
 * NULL. */
void serial_hub_destroy(struct serial_hub *hub);
