/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI function as its device sees it: may it do DMA, and how does it interrupt. The function's
 * configuration space, BARs and MSI-X table are the shell's (pci_shell.h, always in `vmm`); the two
 * halves share one small page and some eventfds, so neither waits for the other. A device does not
 * know in which process it lives.
 *
 * MSI-X and MSI: one eventfd a vector; writing it is the message. A masked vector keeps its count
 * pending in the eventfd, and the shell shows that as the pending bit. INTx: an eventfd that
 * asserts the wire until the guest's end-of-interrupt, and a second by which the shell says
 * "resample": if the device still wants it, it is asserted again. Thread-safe. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

enum { PCI_MSIX_VECTORS_MAX = 64, PCI_MSI_VECTORS_MAX = 32 };

/* In memory shared by both processes; written by the shell only. */
struct pci_shared {
    _Atomic uint32_t command; /* the Command register: PCI 3.0, 6.2.2 */
    _Atomic uint32_t msix_enabled;
    _Atomic uint32_t msi_enabled; /* vectors that the guest has enabled; 0: none */
};

struct pci_port {
    struct pci_shared *shared; /* borrowed */
    unsigned msix_count;
    int msix_fd[PCI_MSIX_VECTORS_MAX]; /* borrowed eventfds */
    int msi_fd[PCI_MSI_VECTORS_MAX];   /* borrowed; of shared->msi_enabled vectors at most */
    int intx_fd, resample_fd;          /* borrowed eventfds, or -1 */
    atomic_bool intx_level;
    struct loop_source resample;
};

static inline bool pci_port_bus_master(const struct pci_port *port)
{
    return atomic_load_explicit(&port->shared->command, memory_order_acquire) & 4;
}

static inline bool pci_port_msix_enabled(const struct pci_port *port)
{
    return atomic_load_explicit(&port->shared->msix_enabled, memory_order_acquire);
}

/* With how many vectors the guest has enabled MSI. */
static inline unsigned pci_port_msi_enabled(const struct pci_port *port)
{
    return atomic_load_explicit(&port->shared->msi_enabled, memory_order_acquire);
}

/* Sends an MSI. A device that got fewer vectors than it asked for sends several events as one. */
void pci_port_msi(struct pci_port *port, unsigned vector);
/* Sends the vector's message; a vector that does not exist is dropped. */
void pci_port_msix(struct pci_port *port, unsigned vector);
/* Sets the level of the INTx wire; held low while the guest has INTx disabled. */
void pci_port_intx(struct pci_port *port, bool level);
/* Listens for resampling on `loop`; -1 descriptors are fine (no INTx). */
int pci_port_start(struct pci_port *port, struct loop *loop);
void pci_port_stop(struct pci_port *port);
