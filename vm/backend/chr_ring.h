/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a byte stream of the host to the two rings over which a device in the other process (the
 * UART in `vmm`) speaks: `out` carries what the guest says, `in` what it hears.
 *
 * The guest writes single bytes. What it says is collected for CHR_RING_COLLECT_NS before it is
 * passed on, which turns a wake-up per byte into one per line. A full `out` ring holds the device
 * back, a full `in` ring the host's side; see chr.h for readers that are dead. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "vm/backend/chr.h"
#include "vm/machine/bytering.h"

#define CHR_RING_COLLECT_NS UINT64_C(2000000)

struct chr_ring;

/* `chr` is borrowed and becomes this one's; the rings (out: reader, in: writer) are copied, what
 * they point to is borrowed. */
int chr_ring_create(struct chr *chr, const struct bytering *out, const struct bytering *in,
                    struct loop *loop, struct chr_ring **ret_ring, struct err *err);
void chr_ring_destroy(struct chr_ring *ring);
/* Passes on what is in `out` now, as far as the reader takes it: the last words of a VM. Returns
 * the number of bytes. */
size_t chr_ring_drain(struct chr_ring *ring);
