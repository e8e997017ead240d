/* SPDX-License-Identifier: Apache-2.0 */
/* Ports 0x80 (power-on self-test codes; Linux's delay) and 0xed (its alternative): whoever writes
 * there wants nothing but the time it takes. Claimed, so that they do not count as accesses that
 * found nobody; they do nothing, and the last code can be read back, which is what a memory test's
 * or firmware's port 0x80 is for. Lives in `vmm`. No parameters. */
#pragma once

#include "vm/machine/dev.h"

extern const struct dev_class post_port_class;

/* The last self-test code, for whoever wants to know where a machine hangs. */
uint8_t post_port_code(void *dev);
