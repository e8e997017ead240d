/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI function through its configuration space, as firmware and drivers use it. */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/range.h"
#include "tests/device/fake_engine.h"
#include "tests/tap.h"
#include "vm/pci/pci_host.h"
#include "vm/pci/pci_msix.h"
#include "vm/pci/pci_regs.h"

enum { DEVFN = 2 * 8, VECTORS = 3, MSI_DEVFN = 3 * 8, MSI_VECTORS = 4, MSI = 0x40 };

struct world {
    struct bus *bus;
    struct engine_vm vm;
    struct pci_host *host;
    struct pci_shell *shell;
    struct pci_shared shared;
    int msix_fd[VECTORS], doorbell_fd[2], resample_fd;
    struct dev_layout layout;
    uint64_t last_offset, last_value, reads;
    unsigned resets;
};

static uint64_t region_read(void *ctx, uint64_t offset, unsigned size)
{
    struct world *w = ctx;
    w->last_offset = offset;
    w->reads++;
    return 0x1122334455667788 >> (64 - size * 8);
}

static void region_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct world *w = ctx;
    (void)size;
    w->last_offset = offset;
    w->last_value = value;
}

static const struct bus_ops region_ops = {region_read, region_write};

static void on_request(void *ctx, enum machine_request what)
{
    ((struct world *)ctx)->resets += what == MACHINE_RESET;
}

static void make_layout(struct dev_layout *l)
{
    *l = (struct dev_layout){
        .region = {{.name = "regs", .space = DEV_BAR, .bar = 4, .size = 0x1000, .max_width = 4},
                   {.name = "ports", .space = DEV_BAR, .bar = 0, .size = 32, .max_width = 4}},
        .region_count = 2,
        .doorbell = {.bar = 4, .offset = 0x1000, .stride = 4, .count = 2},
        .is_pci = true,
        .pci = {.vendor = 0x1af4,
                .device = 0x1042,
                .class_code = 0x010000,
                .intx = true,
                .bar = {[0] = {PCI_BAR_IO, 32}, [4] = {PCI_BAR_MEM64_PREFETCH, 0x4000}},
                .msix_vectors = VECTORS,
                .msix_bar = 1,
                .caps = {0x09, 0, 20, 5},
                .cap_len = {20},
                .cap_count = 1,
                .window_cap = 1},
    };
}

static struct world *world_create(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct pci_wiring wiring = {.engine = &fake_engine,
                                .vm = &w->vm,
                                .shared = &w->shared,
                                .msix_fd = w->msix_fd,
                                .doorbell_fd = w->doorbell_fd,
                                .intx_fd = -1,
                                .region_ops = &region_ops,
                                .region_ctx = {w, w},
                                .phys_bits = 40};

    for (unsigned i = 0; i < VECTORS; i++)
        w->msix_fd[i] = eventfd(0, EFD_NONBLOCK);
    for (unsigned i = 0; i < 2; i++)
        w->doorbell_fd[i] = eventfd(0, EFD_NONBLOCK);
    wiring.resample_fd = w->resample_fd = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(bus_create(&w->bus), 0);
    wiring.bus = w->bus;
    CHECK_EQ(pci_host_create(w->bus, on_request, w, &w->host, NULL), 0);
    make_layout(&w->layout);
    CHECK_EQ(pci_shell_create("dev", &w->layout, &wiring, &w->shell, NULL), 0);
    pci_host_attach(w->host, DEVFN, w->shell);
    return w;
}

static void world_destroy(struct world *w)
{
    pci_shell_destroy(w->shell);
    CHECK_EQ(fake_count(w->vm.irqfd), 0);
    CHECK_EQ(fake_count(w->vm.doorbell), 0);
    CHECK_EQ(w->vm.mistakes, 0);
    pci_host_destroy(w->host);
    bus_destroy(w->bus);
    for (unsigned i = 0; i < VECTORS; i++)
        close(w->msix_fd[i]);
    close(w->doorbell_fd[0]);
    close(w->doorbell_fd[1]);
    close(w->resample_fd);
    free(w);
}

static uint32_t cfg(struct world *w, unsigned reg, unsigned size)
{
    bus_write(w->bus, BUS_PIO, 0xcf8, 4, 0x80000000 | DEVFN << 8 | (reg & 0xfc));
    return (uint32_t)bus_read(w->bus, BUS_PIO, 0xcfc + (reg & 3), size);
}

static void cfg_set(struct world *w, unsigned reg, unsigned size, uint32_t value)
{
    bus_write(w->bus, BUS_PIO, 0xcf8, 4, 0x80000000 | DEVFN << 8 | (reg & 0xfc));
    bus_write(w->bus, BUS_PIO, 0xcfc + (reg & 3), size, value);
}

static void header_and_absence(void)
{
    struct world *w = world_create();
    CHECK_EQ(cfg(w, PCI_VENDOR_ID, 4), 0x10421af4);
    CHECK_EQ(cfg(w, PCI_CLASS_CODE, 1), 0);
    CHECK_EQ(cfg(w, 0x0a, 2), 0x0100);
    cfg_set(w, PCI_VENDOR_ID, 4, 0);
    CHECK_EQ(cfg(w, PCI_VENDOR_ID, 2), 0x1af4);
    bus_write(w->bus, BUS_PIO, 0xcf8, 4, 0x80000000 | 3 << 11);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xcfc, 4), 0xffffffff);
    bus_write(w->bus, BUS_PIO, 0xcf8, 4, DEVFN << 8); /* not enabled */
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xcfc, 4), 0xffffffff);
    CHECK_EQ(pci_host_set_ecam(w->host, PCI_ECAM_DEFAULT), 0);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, PCI_ECAM_DEFAULT + (DEVFN << 12), 4), 0x10421af4);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, PCI_ECAM_DEFAULT + (DEVFN << 12) + 0x100, 4), 0);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, PCI_ECAM_DEFAULT + (1 << 20), 4), 0xffffffff);
    world_destroy(w);
}

static void bars_size_map_and_move(void)
{
    struct world *w = world_create();
    cfg_set(w, PCI_BAR0, 4, 0xffffffff);
    CHECK_EQ(cfg(w, PCI_BAR0, 4), 0xffffffe1);
    cfg_set(w, PCI_BAR0 + 16, 4, 0xffffffff);
    cfg_set(w, PCI_BAR0 + 20, 4, 0xffffffff);
    CHECK_EQ(cfg(w, PCI_BAR0 + 16, 4), 0xffffc00c);
    CHECK_EQ(cfg(w, PCI_BAR0 + 20, 4), 0xffffffff);
    cfg_set(w, PCI_BAR0, 4, 0xc000);
    cfg_set(w, PCI_BAR0 + 16, 4, 0x00000000);
    cfg_set(w, PCI_BAR0 + 20, 4, 0x10);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xc000, 4), 0xffffffff); /* not decoded yet */
    cfg_set(w, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xc004, 4), 0x11223344);
    CHECK_EQ(w->last_offset, 4);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0x1000000008, 4), 0x11223344);
    REQUIRE(fake_find(w->vm.doorbell, w->doorbell_fd[1]));
    CHECK_EQ(fake_find(w->vm.doorbell, w->doorbell_fd[1])->address, 0x1000001004);
    cfg_set(w, PCI_BAR0 + 20, 4, 0x20); /* moves while decoded */
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0x1000000008, 4), 0xffffffff);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0x2000000008, 4), 0x11223344);
    CHECK_EQ(fake_find(w->vm.doorbell, w->doorbell_fd[0])->address, 0x2000001000);
    cfg_set(w, PCI_BAR0 + 20, 4, 0xffffff00); /* behind the address space: not decoded */
    CHECK_EQ(fake_count(w->vm.doorbell), 0);
    pci_shell_reset(w->shell);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xc004, 4), 0xffffffff);
    world_destroy(w);
}

static void bar_on_top_of_another(void)
{
    struct world *w = world_create();
    struct bus_region other = {"other", &region_ops, w, 0x1000, 0, 0};
    CHECK_EQ(bus_map(w->bus, BUS_MMIO, 0xe0000000, &other, NULL), 0);
    cfg_set(w, PCI_BAR0 + 16, 4, 0xe0000000);
    cfg_set(w, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    CHECK_EQ(fake_count(w->vm.doorbell), 0);
    cfg_set(w, PCI_BAR0 + 16, 4, 0xe0004000);
    CHECK_EQ(fake_count(w->vm.doorbell), 2);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0xe0004000, 2), 0x1122);
    world_destroy(w);
}

static void msix_enable(struct world *w)
{
    cfg_set(w, PCI_BAR0 + 4, 4, 0xf0000000);
    cfg_set(w, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
    cfg_set(w, 0x40 + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
}

static void msix_masks_and_pends(void)
{
    struct world *w = world_create();
    const uint64_t one = 1, table = 0xf0000000, pba = table + PCI_MSIX_PBA_OFFSET;

    CHECK_EQ(cfg(w, PCI_CAPABILITIES_POINTER, 1), 0x40);
    CHECK_EQ(cfg(w, 0x40, 1), PCI_CAP_ID_MSIX);
    CHECK_EQ(cfg(w, 0x42, 2), VECTORS - 1);
    msix_enable(w);
    CHECK(w->shared.msix_enabled);
    CHECK_EQ(fake_count(w->vm.irqfd), 0); /* all masked after reset */
    bus_write(w->bus, BUS_MMIO, table + 16, 4, 0xfee01000);
    bus_write(w->bus, BUS_MMIO, table + 24, 4, 0x4041);
    CHECK_EQ(write(w->msix_fd[1], &one, sizeof one), sizeof one);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, pba, 4), 2); /* pending while masked */
    bus_write(w->bus, BUS_MMIO, table + 28, 4, 0);
    REQUIRE(fake_find(w->vm.irqfd, w->msix_fd[1]));
    unsigned route = fake_find(w->vm.irqfd, w->msix_fd[1])->route - ENGINE_GSI_LINES;
    CHECK_EQ(w->vm.route_address[route], 0xfee01000);
    CHECK_EQ(w->vm.route_data[route], 0x4041);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, pba, 8), 0); /* the engine has it now */
    cfg_set(w, 0x42, 2, PCI_MSIX_ENABLE | PCI_MSIX_FUNCTION_MASK);
    CHECK_EQ(fake_count(w->vm.irqfd), 0);
    cfg_set(w, 0x42, 2, PCI_MSIX_ENABLE);
    CHECK_EQ(fake_count(w->vm.irqfd), 1);
    bus_write(w->bus, BUS_MMIO, table + 16 * VECTORS, 4, 0xffffffff); /* behind the table */
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, table + 16 * VECTORS, 4), 0);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, table + 16, 8), 0xfee01000);
    world_destroy(w);
}

/* A function with MSI only, beside the other. */
struct msi_world {
    struct world *w;
    struct pci_shell *shell;
    struct pci_shared shared;
    int fd[MSI_VECTORS];
};

static struct msi_world *msi_create(void)
{
    static const struct dev_layout layout = {
        .is_pci = true, .pci = {.vendor = 0x8086, .device = 1, .msi_vectors = MSI_VECTORS}};
    struct msi_world *m = calloc(1, sizeof *m);
    struct pci_wiring wiring = {.engine = &fake_engine,
                                .shared = &m->shared,
                                .msi_fd = m->fd,
                                .intx_fd = -1,
                                .resample_fd = -1,
                                .phys_bits = 40};

    m->w = world_create();
    wiring.vm = &m->w->vm;
    wiring.bus = m->w->bus;
    for (unsigned i = 0; i < MSI_VECTORS; i++)
        m->fd[i] = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(pci_shell_create("msi", &layout, &wiring, &m->shell, NULL), 0);
    pci_host_attach(m->w->host, MSI_DEVFN, m->shell);
    return m;
}

static void msi_destroy(struct msi_world *m)
{
    pci_shell_destroy(m->shell);
    for (unsigned i = 0; i < MSI_VECTORS; i++)
        close(m->fd[i]);
    world_destroy(m->w);
    free(m);
}

static uint32_t msi_data(const struct msi_world *m, unsigned vector)
{
    const struct fake_binding *b = fake_find(m->w->vm.irqfd, m->fd[vector]);

    return b ? m->w->vm.route_data[b->route - ENGINE_GSI_LINES] : 0;
}

static void msi_enables_vectors(void)
{
    struct msi_world *m = msi_create();
    struct pci_shell *s = m->shell;

    CHECK_EQ(pci_shell_read(s, PCI_CAPABILITIES_POINTER, 1), MSI);
    CHECK_EQ(pci_shell_read(s, MSI, 2), PCI_CAP_ID_MSI);
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_CONTROL, 2), 0x0184); /* 4, 64 bits, masks */
    pci_shell_write(s, MSI + PCI_MSI_ADDRESS, 4, 0xfee01003);
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_ADDRESS, 4), 0xfee01000);
    pci_shell_write(s, MSI + PCI_MSI_DATA, 2, 0x4043);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 0);
    pci_shell_write(s, MSI + PCI_MSI_CONTROL, 2, 0x01); /* one vector */
    CHECK_EQ(m->shared.msi_enabled, 1);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 1);
    CHECK_EQ(msi_data(m, 0), 0x4043);
    pci_shell_write(s, MSI + PCI_MSI_CONTROL, 2, 0x11); /* two: the lowest bit is the number */
    CHECK_EQ(m->shared.msi_enabled, 2);
    CHECK_EQ(msi_data(m, 0), 0x4042);
    CHECK_EQ(msi_data(m, 1), 0x4043);
    pci_shell_write(s, MSI + PCI_MSI_CONTROL, 2, 0x71); /* more than were offered */
    CHECK_EQ(m->shared.msi_enabled, MSI_VECTORS);
    CHECK_EQ(fake_count(m->w->vm.irqfd), MSI_VECTORS);
    pci_shell_write(s, MSI + PCI_MSI_CONTROL, 2, 0);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 0);
    CHECK_EQ(m->shared.msi_enabled, 0);
    msi_destroy(m);
}

static void msi_masks_and_pends(void)
{
    struct msi_world *m = msi_create();
    struct pci_shell *s = m->shell;
    const uint64_t one = 1;

    pci_shell_write(s, MSI + PCI_MSI_ADDRESS, 4, 0xfee00000);
    pci_shell_write(s, MSI + PCI_MSI_MASK, 4, 0xfffffff2);
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_MASK, 4), 2); /* there are four vectors */
    pci_shell_write(s, MSI + PCI_MSI_CONTROL, 2, 0x21);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 3);
    CHECK_EQ(write(m->fd[1], &one, sizeof one), sizeof one);
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_PENDING, 4), 2);
    pci_shell_write(s, MSI + PCI_MSI_PENDING, 4, 0); /* read only */
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_PENDING, 1), 2);
    pci_shell_write(s, MSI + PCI_MSI_MASK, 4, 0);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 4); /* the engine takes what was pending */
    CHECK_EQ(pci_shell_read(s, MSI + PCI_MSI_PENDING, 4), 0);
    pci_shell_reset(s);
    CHECK_EQ(fake_count(m->w->vm.irqfd), 0);
    CHECK_EQ(m->shared.msi_enabled, 0);
    msi_destroy(m);
}

static void msi_state_round_trip(void)
{
    struct msi_world *m = msi_create(), *other = msi_create();
    cleanup_buf struct buf a = {0};

    pci_shell_write(m->shell, MSI + PCI_MSI_ADDRESS, 4, 0xfee02000);
    pci_shell_write(m->shell, MSI + PCI_MSI_DATA, 2, 0x55);
    pci_shell_write(m->shell, MSI + PCI_MSI_CONTROL, 2, 1);
    pci_shell_save(m->shell, &a);
    REQUIRE(pci_shell_load(other->shell, a.data, a.len, NULL, NULL) == 0);
    CHECK_EQ(msi_data(other, 0), 0x55);
    CHECK_EQ(other->shared.msi_enabled, 1);
    msi_destroy(other);
    msi_destroy(m);
}

/* A device that has more vectors than the guest enabled sends the last for the rest. */
static void msi_sends(void)
{
    struct pci_shared shared = {.msi_enabled = 2};
    struct pci_port port = {.shared = &shared, .intx_fd = -1, .resample_fd = -1};
    uint64_t count;

    for (unsigned i = 0; i < 3; i++)
        port.msi_fd[i] = eventfd(0, EFD_NONBLOCK);
    pci_port_msi(&port, 2);
    CHECK_EQ(read(port.msi_fd[1], &count, sizeof count), 8);
    CHECK_EQ(read(port.msi_fd[2], &count, sizeof count), -1);
    shared.msi_enabled = 0;
    pci_port_msi(&port, 0);
    CHECK_EQ(read(port.msi_fd[0], &count, sizeof count), -1);
    for (unsigned i = 0; i < 3; i++)
        close(port.msi_fd[i]);
}

static void intx_comes_back(void)
{
    struct world *w = world_create();
    struct pollfd p = {.fd = w->resample_fd, .events = POLLIN};
    cfg_set(w, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    CHECK_EQ(poll(&p, 1, 0), 0);
    cfg_set(w, PCI_COMMAND, 2, 0);
    CHECK_EQ(poll(&p, 1, 0), 1); /* asked whether it still asserts */
    world_destroy(w);
}

static void window_reaches_regions(void)
{
    struct world *w = world_create();
    struct pollfd p = {.fd = w->doorbell_fd[1], .events = POLLIN};
    CHECK_EQ(cfg(w, 0x41, 1), 0x4c);
    unsigned cap = 0x4c;
    cfg_set(w, cap + 4, 1, 4);
    cfg_set(w, cap + 8, 4, 0x10);
    cfg_set(w, cap + 12, 4, 2);
    CHECK_EQ(cfg(w, cap + 16, 2), 0x1122);
    CHECK_EQ(w->last_offset, 0x10);
    cfg_set(w, cap + 16, 2, 0xbeef);
    CHECK_EQ(w->last_value, 0xbeef);
    cfg_set(w, cap + 8, 4, 0x1004); /* the second doorbell */
    cfg_set(w, cap + 16, 2, 0);
    CHECK_EQ(poll(&p, 1, 0), 1);
    uint64_t reads = w->reads;
    cfg_set(w, cap + 8, 4, 0xfffffffc);
    cfg_set(w, cap + 12, 4, 4);
    (void)cfg(w, cap + 16, 4);
    cfg_set(w, cap + 12, 4, 3);
    (void)cfg(w, cap + 16, 4);
    CHECK_EQ(w->reads, reads); /* outside, or of no width: nobody is asked */
    world_destroy(w);
}

static void reset_port(void)
{
    struct world *w = world_create();
    bus_write(w->bus, BUS_PIO, 0xcf9, 1, 2);
    CHECK_EQ(w->resets, 0);
    bus_write(w->bus, BUS_PIO, 0xcf9, 1, 6);
    CHECK_EQ(w->resets, 1);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xcf9, 1), 6);
    world_destroy(w);
}

static void state_round_trip(void)
{
    struct world *w = world_create(), *other = world_create();
    cleanup_buf struct buf a = {0}, b = {0};

    cfg_set(w, PCI_BAR0 + 16, 4, 0xe0000000);
    msix_enable(w);
    bus_write(w->bus, BUS_MMIO, 0xf0000000, 4, 0xfee00000);
    bus_write(w->bus, BUS_MMIO, 0xf000000c, 4, 0);
    pci_shell_save(w->shell, &a);
    REQUIRE(pci_shell_load(other->shell, a.data, a.len, NULL, NULL) == 0);
    CHECK_EQ(bus_read(other->bus, BUS_MMIO, 0xe0000000, 4), 0x11223344);
    CHECK_EQ(fake_count(other->vm.irqfd), 1);
    CHECK(other->shared.msix_enabled);
    pci_shell_save(other->shell, &b);
    CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
    world_destroy(other);
    world_destroy(w);
}

TAP_MAIN(TAP_CASE(header_and_absence), TAP_CASE(bars_size_map_and_move),
         TAP_CASE(bar_on_top_of_another), TAP_CASE(msix_masks_and_pends),
         TAP_CASE(msi_enables_vectors), TAP_CASE(msi_masks_and_pends),
         TAP_CASE(msi_state_round_trip), TAP_CASE(msi_sends), TAP_CASE(intx_comes_back),
         TAP_CASE(window_reaches_regions), TAP_CASE(reset_port), TAP_CASE(state_round_trip))
