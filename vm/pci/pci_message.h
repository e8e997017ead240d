/* SPDX-License-Identifier: Apache-2.0 */
/* One interrupt message of a function, in `vmm`: an eventfd that the device writes, and the address
 * and data that the guest chose for it.
 *
 * While the guest wants it delivered the eventfd is bound to a route of the engine, and nobody of
 * ours is in the path. Masked, it is unbound and its count stays: that is the pending bit; binding
 * it again delivers it. The caller serialises. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/engine.h"

struct pci_message {
    const struct engine *engine; /* borrowed, as `vm` and `fd` */
    struct engine_vm *vm;
    int fd;
    int route; /* of the engine, or -1: none was needed yet */
    uint64_t address;
    uint32_t data; /* with `address`: what the route says */
    bool bound;
};

void pci_message_init(struct pci_message *m, const struct engine *engine, struct engine_vm *vm,
                      int fd);
void pci_message_fini(struct pci_message *m); /* unbinds, gives the route back */

/* Delivered as this message from now on. Without a route left it stays pending. */
void pci_message_bind(struct pci_message *m, uint64_t address, uint32_t data);
void pci_message_unbind(struct pci_message *m);
bool pci_message_pending(const struct pci_message *m);
