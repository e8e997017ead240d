/* SPDX-License-Identifier: Apache-2.0 */
/* Port 0x402: where SeaBIOS and debug builds of OVMF write their log once they read 0xe9 there
 * (Bochs, "port e9 hack"; SeaBIOS, src/hw/serialio.c). Lives in `vmx`, as files do. Not part of a
 * machine unless asked for: each character is an exit and a call to the other process. */
#pragma once

#include "vm/machine/dev.h"

struct debugcon_params {
    int fd; /* written line by line; borrowed; -1: swallowed */
};

extern const struct dev_class debugcon_class;
