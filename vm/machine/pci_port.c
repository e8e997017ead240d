/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/machine/pci_port.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/range.h"

static void ring(int fd)
{
    const uint64_t one = 1;

    (void)!write(fd, &one, sizeof one); /* full (2^64 - 1 pending) means pending all the same */
}

void pci_port_msix(struct pci_port *port, unsigned vector)
{
    if (vector < port->msix_count)
        ring(port->msix_fd[vector]);
}

void pci_port_msi(struct pci_port *port, unsigned vector)
{
    unsigned enabled = pci_port_msi_enabled(port);

    if (enabled)
        ring(port->msi_fd[MIN(vector, MIN(enabled, (unsigned)PCI_MSI_VECTORS_MAX) - 1)]);
}

/* PCI 3.0, 6.2.2: bit 10 of Command, Interrupt Disable. */
static bool intx_disabled(const struct pci_port *port)
{
    return atomic_load_explicit(&port->shared->command, memory_order_acquire) & 0x400;
}

void pci_port_intx(struct pci_port *port, bool level)
{
    if (port->intx_fd < 0 || atomic_exchange(&port->intx_level, level) == level)
        return;
    if (level && !intx_disabled(port))
        ring(port->intx_fd);
}

static void on_resample(void *ctx, uint32_t events)
{
    struct pci_port *port = ctx;
    uint64_t count;

    if (read(port->resample_fd, &count, sizeof count) < 0)
        return;
    if (atomic_load(&port->intx_level) && !intx_disabled(port))
        ring(port->intx_fd);
}

int pci_port_start(struct pci_port *port, struct loop *loop)
{
    if (port->resample_fd < 0)
        return 0;
    return loop_add_fd(loop, &port->resample, port->resample_fd, EPOLLIN, on_resample, port);
}

void pci_port_stop(struct pci_port *port)
{
    loop_del(&port->resample);
}
