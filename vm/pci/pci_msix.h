/* SPDX-License-Identifier: Apache-2.0 */
/* The MSI-X table and pending bits of one function (PCI 3.0, 6.8.2), in `vmm`.
 *
 * What a vector is, and how it pends: pci_message.h. The caller serialises. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/machine/pci_port.h"
#include "vm/pci/pci_message.h"
#include "wire/state.h"

enum { PCI_MSIX_ENTRY_SIZE = 16, PCI_MSIX_PBA_OFFSET = 0x800, PCI_MSIX_BAR_SIZE = 0x1000 };

struct pci_msix_vector {
    uint64_t address;
    uint32_t data, control;     /* control bit 0: masked */
    struct pci_message message; /* not state */
};

struct pci_msix {
    unsigned count;
    bool enabled, masked;
    struct pci_msix_vector vector[PCI_MSIX_VECTORS_MAX];
};

void pci_msix_init(struct pci_msix *msix, const struct engine *engine, struct engine_vm *vm,
                   unsigned count, const int *fd /* borrowed eventfds */);
void pci_msix_fini(struct pci_msix *msix);
void pci_msix_reset(struct pci_msix *msix);
/* Message Control was written. */
void pci_msix_control(struct pci_msix *msix, bool enabled, bool masked);
/* Brings the engine to what the vectors say, after their state was loaded. */
void pci_msix_refresh(struct pci_msix *msix);
/* The table and the pending bits, offsets within their BAR. */
uint64_t pci_msix_read(struct pci_msix *msix, uint64_t offset, unsigned size);
void pci_msix_write(struct pci_msix *msix, uint64_t offset, unsigned size, uint64_t value);

extern const struct state_table pci_msix_state;
