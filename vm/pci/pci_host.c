/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/pci_host.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vm/pci/pci_regs.h"

enum {
    PORT_ADDRESS = 0xcf8,
    ADDRESS = 0,       /* offsets from there */
    RESET_CONTROL = 1, /* bit 1: hard rather than soft; bit 2: 0 -> 1 resets */
    DATA = 4,
    PORTS = 8,
    RESET_CPU = 4,
};
#define ADDRESS_ENABLE 0x80000000u

struct port {
    _Atomic(uint8_t) bus;
    _Atomic(struct pci_shell *) child;
};

struct pci_host {
    struct bus *bus;
    void (*request)(void *ctx, enum machine_request what);
    void *ctx;
    struct pci_shell *function[256];
    struct port port[PCI_PORTS_MAX];
    _Atomic(uint32_t) address;
    _Atomic(uint8_t) reset_control;
    uint64_t ecam; /* 0: off */
};

static uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

static struct pci_shell *find(struct pci_host *host, unsigned bus, unsigned devfn)
{
    if (!bus)
        return host->function[devfn];
    for (unsigned i = 0; i < PCI_PORTS_MAX && !devfn; i++)
        if (atomic_load(&host->port[i].bus) == bus)
            return atomic_load(&host->port[i].child);
    return NULL;
}

/* reg < 4096. Only the first 256 bytes of a function hold anything. */
static uint64_t config_read(struct pci_host *host, unsigned bus, unsigned devfn, unsigned reg,
                            unsigned size)
{
    struct pci_shell *shell = find(host, bus, devfn);

    if (!shell || size > 4 || (reg & 3) + size > 4)
        return ones(size);
    return reg < PCI_CONFIG_SIZE ? pci_shell_read(shell, reg, size) : 0;
}

static void config_write(struct pci_host *host, unsigned bus, unsigned devfn, unsigned reg,
                         unsigned size, uint64_t value)
{
    struct pci_shell *shell = find(host, bus, devfn);

    if (shell && size <= 4 && (reg & 3) + size <= 4 && reg < PCI_CONFIG_SIZE)
        pci_shell_write(shell, reg, size, (uint32_t)value);
}

static uint64_t port_read(void *ctx, uint64_t offset, unsigned size)
{
    struct pci_host *host = ctx;
    uint32_t a = atomic_load(&host->address);

    if (offset >= DATA)
        return a & ADDRESS_ENABLE ? config_read(host, (a >> 16) & 0xff, (a >> 8) & 0xff,
                                                (a & 0xfc) + (unsigned)(offset - DATA), size)
                                  : ones(size);
    if (offset == ADDRESS && size == 4)
        return a;
    return offset == RESET_CONTROL && size == 1 ? atomic_load(&host->reset_control) : ones(size);
}

static void reset_control(struct pci_host *host, uint8_t value)
{
    uint8_t before = atomic_exchange(&host->reset_control, value & 0x0e);

    if (value & ~before & RESET_CPU)
        host->request(host->ctx, MACHINE_RESET);
}

static void port_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_host *host = ctx;
    uint32_t a = atomic_load(&host->address);

    if (offset >= DATA) {
        if (a & ADDRESS_ENABLE)
            config_write(host, (a >> 16) & 0xff, (a >> 8) & 0xff,
                         (a & 0xfc) + (unsigned)(offset - DATA), size, value);
    } else if (offset == ADDRESS && size == 4) {
        atomic_store(&host->address, (uint32_t)value & 0x80fffffc);
    } else if (offset == RESET_CONTROL && size == 1) {
        reset_control(host, (uint8_t)value);
    }
}

static const struct bus_ops port_ops = {port_read, port_write};

static uint64_t ecam_read(void *ctx, uint64_t offset, unsigned size)
{
    return config_read(ctx, (unsigned)(offset >> 20), (offset >> 12) & 0xff, offset & 0xfff, size);
}

static void ecam_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    config_write(ctx, (unsigned)(offset >> 20), (offset >> 12) & 0xff, offset & 0xfff, size, value);
}

static const struct bus_ops ecam_ops = {ecam_read, ecam_write};

int pci_host_create(struct bus *bus, void (*request)(void *ctx, enum machine_request what),
                    void *ctx, struct pci_host **ret_host, struct err *err)
{
    struct pci_host *host = calloc(1, sizeof *host);

    if (!host)
        return err_set(err, -ENOMEM, "out of memory");
    *host = (struct pci_host){.bus = bus, .request = request, .ctx = ctx};
    struct bus_region ports = {"pci-config", &port_ops, host, PORTS, 1, 4};
    int rc = bus_map(bus, BUS_PIO, PORT_ADDRESS, &ports, err);
    if (rc < 0) {
        free(host);
        return rc;
    }
    *ret_host = host;
    return 0;
}

void pci_host_destroy(struct pci_host *host)
{
    if (!host)
        return;
    (void)pci_host_set_ecam(host, 0);
    (void)bus_unmap(host->bus, BUS_PIO, PORT_ADDRESS);
    free(host);
}

void pci_host_reset(struct pci_host *host)
{
    atomic_store(&host->address, 0);
    atomic_store(&host->reset_control, 0);
}

void pci_host_attach(struct pci_host *host, unsigned devfn, struct pci_shell *shell)
{
    host->function[devfn & 0xff] = shell;
}

void pci_host_set_port(struct pci_host *host, unsigned index, uint8_t bus, struct pci_shell *child)
{
    atomic_store(&host->port[index].child, child);
    atomic_store(&host->port[index].bus, bus);
}

int pci_host_set_ecam(struct pci_host *host, uint64_t base)
{
    struct bus_region ecam = {"pci-ecam", &ecam_ops, host, PCI_ECAM_SIZE, 1, 4};

    if (base == host->ecam)
        return 0;
    if (host->ecam)
        (void)bus_unmap(host->bus, BUS_MMIO, host->ecam);
    int rc = base ? bus_map(host->bus, BUS_MMIO, base, &ecam, NULL) : 0;
    host->ecam = rc < 0 ? 0 : base;
    return rc;
}
