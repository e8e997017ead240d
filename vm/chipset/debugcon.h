/* SPDX-License-Identifier: Apache-2.0 */
/* Port 0x402: where SeaBIOS and OVMF write their debug log once they read 0xe9 there (Bochs, "port
 * e9 hack"; SeaBIOS, src/hw/serialio.c). Lives in `vmm`. Not part of a machine unless asked for:
 * each character is an exit. What the ring has no room for is dropped. */
#pragma once

#include "vm/machine/bytering.h"
#include "vm/machine/dev.h"

struct debugcon_params {
    struct bytering *out; /* borrowed; NULL: swallowed */
};

extern const struct dev_class debugcon_class;
