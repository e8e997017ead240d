/* SPDX-License-Identifier: Apache-2.0 */
/* A root port as a hot-plug driver uses it, and what it lets through to the card behind it. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/range.h"
#include "tests/device/fake_engine.h"
#include "tests/tap.h"
#include "vm/pci/pci_regs.h"
#include "vm/pci/root_port.h"

enum {
    PORT_DEVFN = 27 * 8,
    BUS = 3,
    INDEX = 1,
    SLOT = 192,
    EXPRESS = 0x58, /* behind MSI */
    CONTROL = EXPRESS + PCIE_SLOT_CONTROL,
    STATUS = EXPRESS + PCIE_SLOT_STATUS,
    LINK = EXPRESS + PCIE_LINK_STATUS,
    BUTTON = 1,
    PRESENCE_CHANGED = 8,
    PRESENT = 0x40,
    LINK_CHANGED = 0x100,
    ENABLE_ALL = 0x1029, /* link, interrupt, presence, button */
    POWER_OFF = 0x400,
};

struct world {
    struct bus *bus;
    struct engine_vm vm;
    struct pci_host *host;
    struct pci_port pci;
    struct pci_shared shared[2];
    struct dev_layout layout[2];
    struct pci_shell *shell, *child;
    struct root_port *port;
    int msi_fd, intx_fd, resample_fd;
    unsigned resets, emptied;
};

static uint64_t card_read(void *ctx, uint64_t offset, unsigned size)
{
    (void)ctx, (void)offset, (void)size;
    return 0xca4d;
}

static void card_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)ctx, (void)offset, (void)size, (void)value;
}

static const struct bus_ops card_ops = {card_read, card_write};

static void on_request(void *ctx, enum machine_request what)
{
    (void)ctx, (void)what;
}

static void on_child_reset(void *ctx, unsigned index)
{
    ((struct world *)ctx)->resets += index == INDEX;
}

static void on_emptied(void *ctx, unsigned index)
{
    ((struct world *)ctx)->emptied += index == INDEX;
}

static void make_port(struct world *w)
{
    const struct root_port_params params = {.host = w->host,
                                            .index = INDEX,
                                            .slot = SLOT,
                                            .child_reset = on_child_reset,
                                            .emptied = on_emptied,
                                            .ctx = w};
    const struct dev_env env = {.name = "root-port1", .pci = &w->pci};
    struct pci_wiring wiring = {.engine = &fake_engine,
                                .vm = &w->vm,
                                .bus = w->bus,
                                .shared = &w->shared[0],
                                .msi_fd = &w->msi_fd,
                                .intx_fd = w->intx_fd,
                                .resample_fd = w->resample_fd,
                                .intx_gsi = 19,
                                .phys_bits = 40,
                                .class = &root_port_class};
    void *dev;

    w->pci = (struct pci_port){.shared = &w->shared[0],
                               .msi_fd = {w->msi_fd},
                               .intx_fd = w->intx_fd,
                               .resample_fd = w->resample_fd};
    CHECK_EQ(root_port_class.layout(&params, &w->layout[0], NULL), 0);
    CHECK_EQ(root_port_class.create(&env, &params, &dev, NULL), 0);
    w->port = wiring.dev = dev;
    CHECK_EQ(pci_shell_create("root-port1", &w->layout[0], &wiring, &w->shell, NULL), 0);
    pci_host_attach(w->host, PORT_DEVFN, w->shell);
}

static void make_card(struct world *w)
{
    const struct pci_wiring wiring = {.engine = &fake_engine,
                                      .vm = &w->vm,
                                      .bus = w->bus,
                                      .shared = &w->shared[1],
                                      .intx_fd = -1,
                                      .resample_fd = -1,
                                      .region_ops = &card_ops,
                                      .region_ctx = {w, w},
                                      .phys_bits = 40};

    w->layout[1] = (struct dev_layout){
        .region = {{.name = "regs", .space = DEV_BAR, .bar = 0, .size = 0x1000},
                   {.name = "ports", .space = DEV_BAR, .bar = 2, .size = 32, .max_width = 4}},
        .region_count = 2,
        .is_pci = true,
        .pci = {.vendor = 0x1af4,
                .device = 0x1041,
                .bar = {[0] = {PCI_BAR_MEM64, 0x1000}, [2] = {PCI_BAR_IO, 32}}}};
    CHECK_EQ(pci_shell_create("card", &w->layout[1], &wiring, &w->child, NULL), 0);
}

static struct world *world_create(bool occupied)
{
    struct world *w = calloc(1, sizeof *w);

    w->msi_fd = eventfd(0, EFD_NONBLOCK);
    w->intx_fd = eventfd(0, EFD_NONBLOCK);
    w->resample_fd = eventfd(0, EFD_NONBLOCK);
    CHECK_EQ(bus_create(&w->bus), 0);
    CHECK_EQ(pci_host_create(w->bus, on_request, w, &w->host, NULL), 0);
    make_port(w);
    make_card(w);
    root_port_connect(w->port, w->shell, w->child, occupied);
    pci_shell_reset(w->shell);
    return w;
}

static void world_destroy(struct world *w)
{
    pci_shell_destroy(w->child);
    pci_shell_destroy(w->shell);
    root_port_class.destroy(w->port);
    CHECK_EQ(w->vm.mistakes, 0);
    pci_host_destroy(w->host);
    bus_destroy(w->bus);
    close(w->msi_fd);
    close(w->intx_fd);
    close(w->resample_fd);
    free(w);
}

static uint32_t get(struct world *w, unsigned reg, unsigned size)
{
    return pci_shell_read(w->shell, reg, size);
}

static void set(struct world *w, unsigned reg, unsigned size, uint32_t value)
{
    pci_shell_write(w->shell, reg, size, value);
}

/* What is at 03:00.0, by mechanism #1. */
static uint32_t behind(struct world *w, unsigned devfn, unsigned reg)
{
    bus_write(w->bus, BUS_PIO, 0xcf8, 4, 0x80000000u | BUS << 16 | devfn << 8 | reg);
    return (uint32_t)bus_read(w->bus, BUS_PIO, 0xcfc, 4);
}

static bool took(int fd)
{
    uint64_t count;

    return read(fd, &count, sizeof count) == sizeof count;
}

/* As firmware does: bus number, windows, decoding. */
static void enumerate(struct world *w)
{
    set(w, PCI_BRIDGE_SECONDARY, 1, BUS);
    set(w, PCI_BRIDGE_SUBORDINATE, 1, BUS);
    set(w, PCI_BRIDGE_IO_BASE, 2, 0xd0d0);           /* 0xd000-0xdfff */
    set(w, PCI_BRIDGE_MEMORY_BASE, 4, 0xe010e000);   /* 0xe0000000-0xe01fffff */
    set(w, PCI_BRIDGE_PREFETCH_BASE, 4, 0x00100010); /* 0x8000100000-0x80001fffff */
    set(w, PCI_BRIDGE_PREFETCH_BASE_HIGH, 4, 0x80);
    set(w, PCI_BRIDGE_PREFETCH_LIMIT_HIGH, 4, 0x80);
    set(w, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
}

static void is_a_hot_plug_port(void)
{
    struct world *w = world_create(false);

    CHECK_EQ(get(w, 0, 4), 0x07a015ad);
    CHECK_EQ(get(w, PCI_HEADER_TYPE, 1), 1);
    CHECK_EQ(get(w, 0x0a, 2), 0x0604);
    CHECK_EQ(get(w, 0x40, 1), PCI_CAP_ID_MSI);
    CHECK_EQ(get(w, 0x41, 1), EXPRESS);
    CHECK_EQ(get(w, EXPRESS, 1), PCI_CAP_ID_EXPRESS);
    CHECK_EQ(get(w, EXPRESS + PCIE_FLAGS, 2), 0x0142); /* root port with a slot, version 2 */
    CHECK_EQ(get(w, EXPRESS + PCIE_SLOT_CAP, 4), (uint32_t)SLOT << 19 | 0x40043);
    CHECK_EQ(get(w, EXPRESS + 1, 1), EXPRESS + PCIE_CAP_SIZE);
    CHECK_EQ(get(w, EXPRESS + PCIE_CAP_SIZE + 4, 4), 0x07a015ad);
    CHECK_EQ(get(w, EXPRESS + PCIE_CAP_SIZE + 1, 1), 0); /* the last */
    set(w, PCI_BAR0, 4, 0xffffffff);
    CHECK_EQ(get(w, PCI_BAR0, 4), 0);
    set(w, PCI_BRIDGE_MEMORY_BASE, 4, 0xffffffff);
    CHECK_EQ(get(w, PCI_BRIDGE_MEMORY_BASE, 4), 0xfff0fff0);
    CHECK_EQ(get(w, PCI_BRIDGE_PREFETCH_BASE, 4), 0x00010001);
    CHECK_EQ(get(w, CONTROL, 2), POWER_OFF);
    CHECK_EQ(get(w, STATUS, 2), 0);
    CHECK_EQ(get(w, LINK, 2), 0);
    world_destroy(w);
}

static void reaches_what_is_behind(void)
{
    struct world *w = world_create(true);

    CHECK_EQ(get(w, STATUS, 2), PRESENT);
    CHECK_EQ(get(w, LINK, 2), 0x2011);
    CHECK_EQ(behind(w, 0, 0), 0xffffffff); /* the bus has no number yet */
    enumerate(w);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    CHECK_EQ(behind(w, 1, 0), 0xffffffff);
    CHECK_EQ(behind(w, 8, 0), 0xffffffff);
    CHECK_EQ(pci_host_set_ecam(w->host, PCI_ECAM_DEFAULT), 0);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, PCI_ECAM_DEFAULT + (BUS << 20), 4), 0x10411af4);
    set(w, PCI_BRIDGE_SECONDARY, 1, BUS + 1);
    CHECK_EQ(behind(w, 0, 0), 0xffffffff);
    set(w, PCI_BRIDGE_SECONDARY, 1, BUS);
    set(w, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CONTROL_RESET);
    CHECK_EQ(w->resets, 1);
    CHECK_EQ(behind(w, 0, 0), 0xffffffff);
    set(w, PCI_BRIDGE_CONTROL, 2, 0);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    CHECK_EQ(w->resets, 1);
    world_destroy(w);
}

static void windows_decide(void)
{
    struct world *w = world_create(true);
    struct pci_shell *card = w->child;

    pci_shell_write(card, PCI_BAR0, 4, 0xe0000000);
    pci_shell_write(card, PCI_BAR0 + 8, 4, 0xd000);
    pci_shell_write(card, PCI_COMMAND, 2,
                    PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0xe0000000, 4), 0xffffffff); /* not forwarded */
    enumerate(w);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0xe0000000, 4), 0xca4d);
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xd000, 4), 0xca4d);
    CHECK_EQ(w->shared[1].command & PCI_COMMAND_BUS_MASTER, PCI_COMMAND_BUS_MASTER);
    pci_shell_write(card, PCI_BAR0, 4, 0xe01ff000); /* the window's last page */
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0xe01ff000, 4), 0xca4d);
    pci_shell_write(card, PCI_BAR0, 4, 0xe0200000);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0xe0200000, 4), 0xffffffff);
    pci_shell_write(card, PCI_BAR0, 4, 0x00100000); /* prefetchable, above 4 GiB */
    pci_shell_write(card, PCI_BAR0 + 4, 4, 0x80);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0x8000100000, 4), 0xca4d);
    set(w, PCI_BRIDGE_IO_BASE, 2, 0xc0d0); /* limit below base: closed */
    CHECK_EQ(bus_read(w->bus, BUS_PIO, 0xd000, 4), 0xffffffff);
    set(w, PCI_COMMAND, 2, 0);
    CHECK_EQ(bus_read(w->bus, BUS_MMIO, 0x8000100000, 4), 0xffffffff);
    set(w, CONTROL, 2, POWER_OFF);
    CHECK_EQ(w->shared[1].command & PCI_COMMAND_BUS_MASTER, 0);
    world_destroy(w);
}

static void card_comes(void)
{
    struct world *w = world_create(false);

    enumerate(w);
    set(w, EXPRESS + PCIE_SLOT_CONTROL, 2, ENABLE_ALL | POWER_OFF);
    set(w, 0x40 + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
    CHECK_EQ(root_port_eject(w->port), -ENODEV);
    CHECK_EQ(root_port_insert(w->port), 0);
    CHECK_EQ(root_port_insert(w->port), -EBUSY);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | PRESENCE_CHANGED | BUTTON);
    CHECK(took(w->msi_fd));
    CHECK(!took(w->intx_fd));
    CHECK_EQ(behind(w, 0, 0), 0xffffffff); /* no power yet */
    set(w, STATUS, 2, PRESENCE_CHANGED | BUTTON);
    CHECK_EQ(get(w, STATUS, 2), PRESENT);
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(get(w, LINK, 2), 0x2011);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | LINK_CHANGED);
    CHECK(took(w->msi_fd));  /* a new event after the first was cleared */
    set(w, STATUS, 1, 0xff); /* the link's is in the other byte */
    CHECK_EQ(get(w, STATUS, 2), PRESENT | LINK_CHANGED);
    CHECK(!took(w->msi_fd));
    set(w, CONTROL, 4, LINK_CHANGED << 16 | ENABLE_ALL);
    CHECK_EQ(get(w, STATUS, 2), PRESENT);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    world_destroy(w);
}

static void card_goes_when_the_guest_lets_it(void)
{
    struct world *w = world_create(true);

    enumerate(w);
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(root_port_eject(w->port), 0);
    CHECK_EQ(root_port_eject(w->port), -EBUSY);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | BUTTON);
    CHECK(took(w->intx_fd)); /* MSI is off */
    CHECK_EQ(w->emptied, 0);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    set(w, STATUS, 2, BUTTON);
    set(w, CONTROL, 2, ENABLE_ALL | POWER_OFF);
    CHECK_EQ(w->emptied, 1);
    CHECK_EQ(w->resets, 1);
    CHECK_EQ(behind(w, 0, 0), 0xffffffff);
    CHECK_EQ(get(w, STATUS, 2), PRESENCE_CHANGED | LINK_CHANGED);
    CHECK_EQ(root_port_insert(w->port), 0); /* and it may come back */
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    world_destroy(w);
}

/* Nobody waits for the guest any more; it switches the slot off all the same, and on again. */
static void card_may_be_kept(void)
{
    struct world *w = world_create(true);

    enumerate(w);
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(root_port_choose(w->port, w->child), -EBUSY); /* while one is in */
    CHECK_EQ(root_port_eject(w->port), 0);
    CHECK_EQ(root_port_keep(w->port), 0);
    set(w, CONTROL, 2, ENABLE_ALL | POWER_OFF);
    CHECK_EQ(w->emptied, 0);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | BUTTON | PRESENCE_CHANGED | LINK_CHANGED);
    CHECK_EQ(w->resets, 1);
    set(w, STATUS, 2, BUTTON | PRESENCE_CHANGED | LINK_CHANGED);
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(behind(w, 0, 0), 0x10411af4);
    set(w, STATUS, 2, BUTTON | PRESENCE_CHANGED | LINK_CHANGED);
    set(w, CONTROL, 2, ENABLE_ALL | POWER_OFF);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | LINK_CHANGED); /* of its own will: once is enough */
    CHECK_EQ(root_port_eject(w->port), 0);
    CHECK_EQ(root_port_keep(w->port), -ENODEV); /* too late */
    CHECK_EQ(root_port_choose(w->port, w->child), 0);
    world_destroy(w);
}

static void power_alone_takes_nothing_out(void)
{
    struct world *w = world_create(true);

    enumerate(w);
    set(w, CONTROL, 2, POWER_OFF);
    CHECK_EQ(w->emptied, 0);
    CHECK_EQ(w->resets, 1);
    CHECK_EQ(get(w, STATUS, 2), PRESENT | LINK_CHANGED);
    CHECK_EQ(root_port_eject(w->port), 0); /* nobody uses it: at once */
    CHECK_EQ(w->emptied, 1);
    CHECK_EQ(get(w, STATUS, 2), PRESENCE_CHANGED | LINK_CHANGED);
    world_destroy(w);
}

static void reset_finishes_an_eject(void)
{
    struct world *w = world_create(true);

    enumerate(w);
    CHECK_EQ(root_port_eject(w->port), 0);
    pci_shell_reset(w->shell);
    CHECK_EQ(w->emptied, 1);
    CHECK_EQ(get(w, STATUS, 2), 0);
    CHECK_EQ(get(w, CONTROL, 2), POWER_OFF);
    CHECK_EQ(get(w, PCI_BRIDGE_SECONDARY, 1), 0);
    world_destroy(w);
}

static void state_round_trip(void)
{
    struct world *w = world_create(true), *other = world_create(false);
    cleanup_buf struct buf a = {0}, b = {0}, c = {0};

    enumerate(w);
    set(w, CONTROL, 2, ENABLE_ALL);
    CHECK_EQ(root_port_eject(w->port), 0);
    state_save(root_port_class.state, w->port, &a);
    pci_shell_save(w->shell, &b);
    REQUIRE(state_load(root_port_class.state, other->port, a.data, a.len, NULL, NULL) == 0);
    REQUIRE(pci_shell_load(other->shell, b.data, b.len, NULL, NULL) == 0);
    CHECK_EQ(get(other, STATUS, 2), PRESENT | BUTTON);
    CHECK_EQ(behind(other, 0, 0), 0x10411af4);
    pci_shell_save(other->shell, &c);
    CHECK(b.len == c.len && !memcmp(b.data, c.data, b.len));
    set(other, CONTROL, 2, ENABLE_ALL | POWER_OFF);
    CHECK_EQ(other->emptied, 1);
    world_destroy(other);
    world_destroy(w);
}

/* What a state of version 1 has: all but the last field. */
static size_t as_version_1(uint8_t *section, size_t len)
{
    enum { VERSION_AT = 2 + 9, LENGTH_AT = VERSION_AT + 2, KEPT = 1 + 4 + 1 + 4 + 1 };

    le16_store(section + VERSION_AT, 1);
    le32_store(section + LENGTH_AT, le32_load(section + LENGTH_AT) - KEPT);
    return len - KEPT;
}

/* The guest that let go too late lets go after the VM was saved; version 1 did not know of it. */
static void saved_while_kept(void)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct world *w = world_create(true), *other = world_create(false);
        cleanup_buf struct buf a = {0}, b = {0};

        enumerate(w);
        set(w, CONTROL, 2, ENABLE_ALL);
        CHECK_EQ(root_port_eject(w->port), 0);
        CHECK_EQ(root_port_keep(w->port), 0);
        set(w, STATUS, 2, BUTTON);
        state_save(root_port_class.state, w->port, &a);
        pci_shell_save(w->shell, &b);
        size_t len = version == 1 ? as_version_1(a.data, a.len) : a.len;
        REQUIRE(state_load(root_port_class.state, other->port, a.data, len, NULL, NULL) == 0);
        REQUIRE(pci_shell_load(other->shell, b.data, b.len, NULL, NULL) == 0);
        set(other, CONTROL, 2, ENABLE_ALL | POWER_OFF);
        CHECK_EQ(other->emptied, 0);
        CHECK_EQ(get(other, STATUS, 2), version == 1
                                            ? PRESENT | LINK_CHANGED
                                            : PRESENT | BUTTON | PRESENCE_CHANGED | LINK_CHANGED);
        world_destroy(other);
        world_destroy(w);
    }
}

TAP_MAIN(TAP_CASE(is_a_hot_plug_port), TAP_CASE(reaches_what_is_behind), TAP_CASE(windows_decide),
         TAP_CASE(card_comes), TAP_CASE(card_goes_when_the_guest_lets_it),
         TAP_CASE(card_may_be_kept), TAP_CASE(power_alone_takes_nothing_out),
         TAP_CASE(reset_finishes_an_eject), TAP_CASE(state_round_trip), TAP_CASE(saved_while_kept))
