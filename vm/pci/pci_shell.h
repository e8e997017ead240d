/* SPDX-License-Identifier: Apache-2.0 */
/* One PCI function as the guest's configuration accesses see it: header, BARs, capabilities, MSI
 * and MSI-X.
 * Always in `vmm`, whichever process the device lives in: enumeration then costs no call to the
 * other process, and interrupts are routed where the engine is.
 *
 * It maps the device's regions on the bus as the guest moves the BARs, binds doorbells and
 * interrupts to the engine, and tells the device's side (pci_port.h) about bus mastering through a
 * shared word. A BAR that the guest puts where something else is, or outside the address space, is
 * not decoded until it is moved (real hardware would decode both; nobody can want that).
 *
 * Locking: configuration accesses and table accesses take the shell's lock; region accesses do not.
 */
#pragma once

#include "vm/engine/engine.h"
#include "vm/machine/bus.h"
#include "vm/machine/dev.h"

/* What the machine gives to a function. All borrowed for the life of the shell. */
struct pci_wiring {
    const struct engine *engine;
    struct engine_vm *vm;
    struct bus *bus;
    struct pci_shared *shared;
    const int *msix_fd, *msi_fd, *doorbell_fd;
    int intx_fd, resample_fd; /* -1: none */
    unsigned intx_gsi;
    const struct bus_ops *region_ops;
    void *region_ctx[DEV_REGIONS_MAX]; /* of each region of the layout */
    void *ram[DEV_REGIONS_MAX];        /* host memory of the layout's ram regions */
    unsigned phys_bits;
    const struct dev_class *class; /* with `dev`: the hooks of functions in `vmm` */
    void *dev;                     /* NULL: no hooks */
};

/* The addresses that a bridge forwards to the function behind it, base <= address < end. (Its Bus
 * Master bit is not asked for: SeaBIOS sets only that of the function.) */
struct pci_upstream {
    struct {
        uint64_t base, end;
    } io, memory, prefetch;
};

struct pci_shell;

int pci_shell_create(const char *name, const struct dev_layout *layout,
                     const struct pci_wiring *wiring, struct pci_shell **ret_shell,
                     struct err *err);
void pci_shell_destroy(struct pci_shell *shell);
void pci_shell_reset(struct pci_shell *shell);

/* The bridge in front forwards something else now; NULL: it holds the function in reset, or without
 * power. Functions on bus 0 have no bridge and are not told. Takes the lock: a bridge's before that
 * of the function behind it. */
void pci_shell_set_upstream(struct pci_shell *shell, const struct pci_upstream *upstream);

/* Runs `fn` between the guest's configuration accesses: for a device in `vmm` whose registers there
 * change by themselves (dev_class.config_init). */
void pci_shell_exclusive(struct pci_shell *shell, void (*fn)(void *ctx), void *ctx);

/* offset < 256; size 1, 2 or 4, not crossing a dword. */
uint32_t pci_shell_read(struct pci_shell *shell, unsigned offset, unsigned size);
void pci_shell_write(struct pci_shell *shell, unsigned offset, unsigned size, uint32_t value);

void pci_shell_save(const struct pci_shell *shell, struct buf *out);
int pci_shell_load(struct pci_shell *shell, const uint8_t *data, size_t len, size_t *ret_used,
                   struct err *err);
