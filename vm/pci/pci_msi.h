/* SPDX-License-Identifier: Apache-2.0 */
/* Message signalled interrupts of one function (PCI 3.0, 6.8.1), in `vmm`, for functions that need
 * no table of their own as MSI-X has. 64-bit addresses and per-vector masking are offered.
 *
 * All registers are in the capability's bytes, which the caller (pci_shell.c) keeps as part of
 * configuration space and whose state they are; this side only follows them. The caller serialises.
 */
#pragma once

#include "vm/machine/pci_port.h"
#include "vm/pci/pci_message.h"

struct pci_msi {
    unsigned count; /* vectors, a power of two up to PCI_MSI_VECTORS_MAX; 0: no MSI */
    struct pci_message vector[PCI_MSI_VECTORS_MAX];
};

void pci_msi_init(struct pci_msi *msi, const struct engine *engine, struct engine_vm *vm,
                  unsigned count, const int *fd);
void pci_msi_fini(struct pci_msi *msi);

/* The capability [PCI_MSI_CAP_SIZE] at power-on, and which of its bits the guest may write. */
void pci_msi_cap(unsigned count, uint8_t *cap, uint8_t *writable);

/* Brings the engine to what the capability says. Returns how many vectors the guest has enabled; 0:
 * MSI is off. */
unsigned pci_msi_update(struct pci_msi *msi, const uint8_t *cap);
/* The Pending Bits register. */
uint32_t pci_msi_pending(const struct pci_msi *msi, const uint8_t *cap);
