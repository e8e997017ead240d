/* SPDX-License-Identifier: Apache-2.0 */
/* A port by which a guest ends its machine and says how it went: what a test kernel has instead of
 * an exit status (QEMU, hw/misc/debugexit.c, "isa-debug-exit"). A write of value v, of 1, 2 or 4
 * bytes, asks for the end with status (v << 1 | 1) & 0xff, which is never 0; reads are 0. Not part
 * of a machine unless asked for. Lives in `vmm`. */
#pragma once

#include "vm/machine/dev.h"

enum { DEBUG_EXIT_SIZE = 4 }; /* ports */

struct debug_exit_params {
    uint16_t port;
    void (*exit)(void *ctx, uint8_t status); /* on a vCPU's thread; may come again */
    void *ctx;
};

extern const struct dev_class debug_exit_class;
