/* SPDX-License-Identifier: Apache-2.0 */
/* The board's vmm side: puts each device's regions on the bus, here or by call slot, and gives PCI
 * functions their shells. */
#include <errno.h>
#include <sys/mman.h>

#include "base/range.h"
#include "vm/pci/pci_intx.h"
#include "vm/process/board.h"
#include "vm/process/vcpus.h"

static uint64_t local_read(void *ctx, uint64_t offset, unsigned size)
{
    const struct board_region *r = ctx;

    return r->device->class->read(r->device->dev, r->index, offset, size);
}

static void local_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    const struct board_region *r = ctx;

    r->device->class->write(r->device->dev, r->index, offset, size, value);
}

static const struct bus_ops local_ops = {local_read, local_write};

static uint64_t remote_read(void *ctx, uint64_t offset, unsigned size)
{
    const struct board_region *r = ctx;
    struct callslot call = {.device = (uint16_t)r->device->number,
                            .region = (uint8_t)r->index,
                            .size = (uint8_t)size,
                            .offset = offset};

    return callslot_call(&r->device->shared->calls, vcpus_self(), &call);
}

static void remote_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    const struct board_region *r = ctx;
    struct callslot call = {.device = (uint16_t)r->device->number,
                            .region = (uint8_t)r->index,
                            .size = (uint8_t)size,
                            .is_write = true,
                            .offset = offset,
                            .value = value};

    (void)callslot_call(&r->device->shared->calls, vcpus_self(), &call);
}

static const struct bus_ops remote_ops = {remote_read, remote_write};

static int map_fixed(const struct board_device *d, const struct bus_ops *ops, struct bus *bus,
                     struct err *err)
{
    for (unsigned i = 0; i < d->layout.region_count; i++) {
        const struct dev_region *r = &d->layout.region[i];
        if (r->space == DEV_BAR || r->ram)
            continue;
        struct bus_region region = {r->name, ops,          (void *)&d->region[i],
                                    r->size, r->min_width, r->max_width};
        int rc = bus_map(bus, r->space == DEV_PIO ? BUS_PIO : BUS_MMIO, r->base, &region, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_shell(struct board_device *d, const struct bus_ops *ops, struct pci_wiring w,
                      struct err *err)
{
    w.region_ops = ops;
    w.shared = &d->shared->pci[d->number];
    w.msix_fd = d->msix_fd;
    w.msi_fd = d->msi_fd;
    w.doorbell_fd = d->doorbell_fd;
    w.intx_fd = d->intx_fd;
    w.resample_fd = d->resample_fd;
    /* INTA# of device 0 behind a bridge is the bridge's (PCI-to-PCI Bridge Architecture, 9.1). */
    w.intx_gsi = pci_intx_gsi((unsigned)(d->bridge ? d->bridge : d)->devfn / 8, 0);
    w.class = d->class;
    w.dev = d->dev;
    for (unsigned i = 0; i < d->layout.region_count; i++) {
        const struct dev_region *r = &d->layout.region[i];
        w.region_ctx[i] = &d->region[i];
        if (!r->ram || r->space != DEV_BAR)
            continue;
        w.ram[i] = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, d->ram_fd, 0);
        if (w.ram[i] == MAP_FAILED)
            return err_sys(err, -errno, "cannot map its memory");
    }
    return pci_shell_create(d->name, &d->layout, &w, &d->shell, err);
}

/* What does not stand in the slot is out of the guest's reach. */
static void hold_spares(struct board *board, unsigned index)
{
    static const struct dev_class *const classes[] = {&virtio_blk_class, &virtio_net_class};

    for (unsigned i = 0; i < ARRAY_SIZE(classes); i++) {
        struct board_device *d = board_spare(board, index, classes[i]);
        if (d)
            pci_shell_set_upstream(d->shell, NULL);
    }
}

/* Cards that the VM is configured with are in at power-on. */
static void connect_ports(struct board *board)
{
    for (unsigned i = 0; i < PCI_PORTS_MAX; i++) {
        struct board_device *port = board_port(board, i), *card = board_card(board, i);
        if (!port)
            continue;
        hold_spares(board, i);
        root_port_connect(port->dev, port->shell, card ? card->shell : NULL, true);
        pci_shell_reset(port->shell);
    }
}

int board_wire(struct board *board, const struct pci_wiring *wiring, struct pci_host *host,
               struct link_shared *shared, struct err *err)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct board_device *d = board->device[i];
        const struct bus_ops *ops = d->class->place == DEV_IN_VMM ? &local_ops : &remote_ops;
        d->shared = shared;
        for (unsigned r = 0; r < DEV_REGIONS_MAX; r++)
            d->region[r] = (struct board_region){d, r};
        int rc = map_fixed(d, ops, wiring->bus, err);
        if (rc == 0 && d->layout.is_pci) {
            rc = make_shell(d, ops, *wiring, err);
            if (rc == 0 && !d->bridge)
                pci_host_attach(host, (unsigned)d->devfn, d->shell);
        }
        if (rc < 0)
            return err_prefix(err, rc, "%s", d->name);
    }
    connect_ports(board);
    return 0;
}

void board_reset_shells(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->device[i]->shell)
            pci_shell_reset(board->device[i]->shell);
}
