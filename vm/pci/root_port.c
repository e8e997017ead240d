/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/root_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/pci/pci_regs.h"

enum {
    ROOT_PORT_TYPE = 4,
    EXPRESS_VERSION = 2,
    FLAGS_SLOT = BIT(8),
    LINK_X1_2_5GT = 0x11, /* width 1, speed 1: capability and status alike */
    LINK_CAP_ACTIVE_REPORTING = BIT(20),
    LINK_STATUS_ACTIVE = BIT(13),
    SLOT_CAP = BIT(0) /* attention button */ | BIT(1) /* power controller */ |
               BIT(6) /* hot-plug */ | BIT(18) /* no command completed */,
    SLOT_NUMBER_SHIFT = 19,
    /* Slot Status; in Slot Control the same bits enable the event, but for the link's. */
    BUTTON_PRESSED = BIT(0),
    PRESENCE_CHANGED = BIT(3),
    PRESENT = BIT(6),
    LINK_CHANGED = BIT(8),
    EVENTS = BUTTON_PRESSED | PRESENCE_CHANGED | LINK_CHANGED,
    CONTROL_INTERRUPT = BIT(5),
    CONTROL_POWER_OFF = BIT(10),
    CONTROL_LINK_CHANGED = BIT(12),
    CONTROL_WRITABLE = 0x1fff & ~BIT(11), /* there is no electromechanical lock */
};

struct root_port {
    struct root_port_params params;
    struct pci_port *pci;
    struct pci_shell *self, *child;
    uint8_t *config; /* of `self`, under its lock, as all below */
    unsigned express;
    bool occupied, ejecting;
    bool kept;          /* it was to be ejected, and is not any more; the guest does not know */
    bool link, reached; /* the card has power; and is not held in reset */
    uint16_t events;    /* those bits of Slot Status that the guest clears */
    bool raised;        /* an enabled event waits */
};

/* --- what the guest sees --- */

static uint16_t slot_control(const struct root_port *port)
{
    return le16_load(port->config + port->express + PCIE_SLOT_CONTROL);
}

static void show(struct root_port *port)
{
    uint8_t *cap = port->config + port->express;

    le16_store(cap + PCIE_SLOT_STATUS, (uint16_t)(port->events | (port->occupied ? PRESENT : 0)));
    le16_store(cap + PCIE_LINK_STATUS, port->link ? LINK_X1_2_5GT | LINK_STATUS_ACTIVE : 0);
}

/* 6.7.3.4: a message when the first enabled event comes, a level while there is one. */
static void interrupt(struct root_port *port)
{
    uint16_t control = slot_control(port);
    uint16_t enabled = control & (BUTTON_PRESSED | PRESENCE_CHANGED);
    bool before = port->raised;

    if (control & CONTROL_LINK_CHANGED)
        enabled |= LINK_CHANGED;
    port->raised = (control & CONTROL_INTERRUPT) && (port->events & enabled);
    if (pci_port_msi_enabled(port->pci)) {
        pci_port_intx(port->pci, false);
        if (port->raised && !before)
            pci_port_msi(port->pci, 0);
    } else {
        pci_port_intx(port->pci, port->raised);
    }
}

/* --- what the bridge lets through --- */

static struct pci_upstream windows(const uint8_t *c)
{
    uint16_t command = le16_load(c + PCI_COMMAND);
    uint64_t high = (uint64_t)le32_load(c + PCI_BRIDGE_PREFETCH_LIMIT_HIGH) << 32;
    struct pci_upstream up = {0};

    /* Limits name the last 4 KiB or 1 MiB; one below its base forwards nothing. */
    if (command & PCI_COMMAND_IO) {
        up.io.base = (c[PCI_BRIDGE_IO_BASE] & 0xf0u) << 8;
        up.io.end = ((c[PCI_BRIDGE_IO_LIMIT] & 0xf0u) << 8) + 0x1000;
    }
    if (command & PCI_COMMAND_MEMORY) {
        up.memory.base = (uint64_t)(le16_load(c + PCI_BRIDGE_MEMORY_BASE) & 0xfff0) << 16;
        up.memory.end =
            ((uint64_t)(le16_load(c + PCI_BRIDGE_MEMORY_LIMIT) & 0xfff0) << 16) + MIB(1);
        up.prefetch.base = (uint64_t)le32_load(c + PCI_BRIDGE_PREFETCH_BASE_HIGH) << 32 |
                           (uint64_t)(le16_load(c + PCI_BRIDGE_PREFETCH_BASE) & 0xfff0) << 16;
        up.prefetch.end =
            (high | (uint64_t)(le16_load(c + PCI_BRIDGE_PREFETCH_LIMIT) & 0xfff0) << 16) + MIB(1);
    }
    return up;
}

static bool held_in_reset(const struct root_port *port)
{
    return port->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_CONTROL_RESET;
}

/* Brings link, child and bus number to what the registers and the slot say. */
static void follow(struct root_port *port)
{
    bool link = port->occupied && !(slot_control(port) & CONTROL_POWER_OFF);
    bool reached = link && !held_in_reset(port);
    struct pci_upstream up = windows(port->config);

    if (link != port->link)
        port->events |= LINK_CHANGED;
    port->link = link;
    show(port);
    pci_host_set_port(port->params.host, port->params.index, port->config[PCI_BRIDGE_SECONDARY],
                      reached ? port->child : NULL);
    if (!port->child)
        return;
    pci_shell_set_upstream(port->child, reached ? &up : NULL);
    if (port->reached && !reached && port->params.child_reset)
        port->params.child_reset(port->params.ctx, port->params.index);
    port->reached = reached;
}

/* --- the slot --- */

static void take_out(struct root_port *port)
{
    port->occupied = port->ejecting = false;
    port->events |= PRESENCE_CHANGED;
    if (port->params.emptied)
        port->params.emptied(port->params.ctx, port->params.index);
}

static void insert(void *ctx)
{
    struct root_port *port = ctx;

    port->occupied = true;
    port->kept = false;
    port->events |= PRESENCE_CHANGED | BUTTON_PRESSED;
    follow(port);
    interrupt(port);
}

static void eject(void *ctx)
{
    struct root_port *port = ctx;

    if (port->link) {
        port->ejecting = true;
        port->kept = false;
        port->events |= BUTTON_PRESSED;
        show(port);
    } else {
        take_out(port);
        follow(port);
    }
    interrupt(port);
}

int root_port_insert(struct root_port *port)
{
    if (!port->child)
        return -ENODEV;
    if (port->occupied)
        return -EBUSY;
    pci_shell_exclusive(port->self, insert, port);
    return 0;
}

int root_port_eject(struct root_port *port)
{
    if (!port->occupied)
        return -ENODEV;
    if (port->ejecting)
        return -EBUSY;
    pci_shell_exclusive(port->self, eject, port);
    return 0;
}

static void keep(void *ctx)
{
    struct root_port *port = ctx;

    port->kept = port->kept || port->ejecting;
    port->ejecting = false;
}

int root_port_keep(struct root_port *port)
{
    pci_shell_exclusive(port->self, keep, port);
    return port->occupied ? 0 : -ENODEV;
}

int root_port_choose(struct root_port *port, struct pci_shell *child)
{
    if (port->occupied)
        return -EBUSY;
    port->child = child; /* nobody reaches it without a card */
    port->reached = false;
    return 0;
}

void root_port_connect(struct root_port *port, struct pci_shell *self, struct pci_shell *child,
                       bool occupied)
{
    port->self = self;
    port->child = child;
    port->occupied = child && occupied;
}

/* --- registers --- */

static void status_written(struct root_port *port, unsigned offset, unsigned size)
{
    unsigned at = port->express + PCIE_SLOT_STATUS;

    /* Written ones clear; bytes that were not written hold what was shown. */
    for (unsigned i = 0; i < 2; i++)
        if (range_overlaps(offset, size, at + i, 1))
            port->events &= (uint16_t) ~(port->config[at + i] << (i * 8));
}

static void config_written(void *dev, const uint8_t *config, unsigned offset, unsigned size)
{
    struct root_port *port = dev;
    bool loaded = size == PCI_CONFIG_SIZE; /* not written by the guest: saved state */
    unsigned slot = port->express + PCIE_SLOT_CONTROL;

    (void)config; /* port->config, where they may be changed */
    if (!loaded)
        status_written(port, offset, size);
    if (port->ejecting && (slot_control(port) & CONTROL_POWER_OFF))
        take_out(port);
    if (port->kept && !loaded && (slot_control(port) & CONTROL_POWER_OFF))
        insert(port); /* the guest let go too late: it gets it back */
    if (loaded || offset < PCI_CAPABILITIES_POINTER ||
        range_overlaps(offset, size, PCI_BRIDGE_CONTROL, 2) ||
        range_overlaps(offset, size, slot, 2))
        follow(port);
    show(port);
    interrupt(port);
}

static unsigned find_cap(const uint8_t *config, uint8_t id)
{
    unsigned at = config[PCI_CAPABILITIES_POINTER];

    while (at && config[at] != id)
        at = config[at + 1];
    return at;
}

static void init_bridge(uint8_t *config, uint8_t *writable)
{
    config[PCI_HEADER_TYPE] = 1;
    memset(writable + PCI_BRIDGE_PRIMARY, 0xff, 3);
    writable[PCI_BRIDGE_IO_BASE] = writable[PCI_BRIDGE_IO_LIMIT] = 0xf0;
    for (unsigned at = PCI_BRIDGE_MEMORY_BASE; at <= PCI_BRIDGE_PREFETCH_LIMIT; at += 2)
        le16_store(writable + at, 0xfff0);
    config[PCI_BRIDGE_PREFETCH_BASE] = config[PCI_BRIDGE_PREFETCH_LIMIT] = 1; /* 64 bits */
    memset(writable + PCI_BRIDGE_PREFETCH_BASE_HIGH, 0xff, 8);
    le16_store(writable + PCI_BRIDGE_CONTROL, 0x005f); /* parity, SERR, ISA, VGA, reset */
}

static void init_express(const struct root_port *port, uint8_t *writable)
{
    uint8_t *w = writable + port->express;

    le16_store(w + PCIE_DEVICE_CONTROL, 0x00ff);
    le16_store(w + PCIE_LINK_CONTROL, 0x00c8);
    le16_store(w + PCIE_SLOT_CONTROL, CONTROL_WRITABLE);
    le16_store(w + PCIE_SLOT_STATUS, EVENTS);
    le16_store(w + PCIE_ROOT_CONTROL, 0x001f);
}

static void config_init(void *dev, uint8_t *config, uint8_t *writable)
{
    struct root_port *port = dev;

    port->config = config;
    port->express = find_cap(config, PCI_CAP_ID_EXPRESS);
    init_bridge(config, writable);
    init_express(port, writable);
    if (port->ejecting)
        take_out(port);
    port->kept = false;
    le16_store(config + port->express + PCIE_SLOT_CONTROL, port->occupied ? 0 : CONTROL_POWER_OFF);
    follow(port);
    port->events = 0; /* what is there at power-on has not changed */
    show(port);
    interrupt(port);
}

/* --- the device --- */

static int layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct root_port_params *p = params;
    struct pci_layout pci = {.vendor = 0x15ad,
                             .device = 0x07a0,
                             .class_code = 0x060400,
                             .revision = 1,
                             .intx = true,
                             .msi_vectors = 1,
                             .caps = {PCI_CAP_ID_EXPRESS},
                             .cap_len = {PCIE_CAP_SIZE, 8},
                             .cap_count = 2};
    uint8_t *subsystem = pci.caps + PCIE_CAP_SIZE;

    (void)err;
    le16_store(pci.caps + PCIE_FLAGS, EXPRESS_VERSION | ROOT_PORT_TYPE << 4 | FLAGS_SLOT);
    le32_store(pci.caps + PCIE_DEVICE_CAP, BIT(15)); /* role-based error reporting */
    le32_store(pci.caps + PCIE_LINK_CAP,
               LINK_X1_2_5GT | LINK_CAP_ACTIVE_REPORTING | (p->index + 1) << 24);
    le32_store(pci.caps + PCIE_SLOT_CAP, SLOT_CAP | (uint32_t)p->slot << SLOT_NUMBER_SHIFT);
    subsystem[0] = PCI_CAP_ID_SUBSYSTEM;
    le16_store(subsystem + 4, pci.vendor);
    le16_store(subsystem + 6, pci.device);
    *ret_layout = (struct dev_layout){.is_pci = true, .pci = pci};
    return 0;
}

static int create(const struct dev_env *env, const void *params, void **ret_dev, struct err *err)
{
    struct root_port *port = calloc(1, sizeof *port);

    if (!port)
        return err_set(err, -ENOMEM, "out of memory");
    port->params = *(const struct root_port_params *)params;
    port->pci = env->pci;
    *ret_dev = port;
    return 0;
}

static void reset(void *dev)
{
    (void)dev; /* with its configuration space: config_init */
}

static const struct state_field fields[] = {
    STATE_FIELD(struct root_port, occupied, STATE_BOOL),
    STATE_FIELD(struct root_port, ejecting, STATE_BOOL),
    STATE_FIELD(struct root_port, link, STATE_BOOL),
    STATE_FIELD(struct root_port, reached, STATE_BOOL),
    STATE_FIELD(struct root_port, events, STATE_U16),
    STATE_FIELD(struct root_port, raised, STATE_BOOL),
    STATE_FIELD_SINCE(struct root_port, kept, STATE_BOOL, 2),
};
static const struct state_table state = {"root-port",        2,   sizeof(struct root_port), fields,
                                         ARRAY_SIZE(fields), NULL};

const struct dev_class root_port_class = {
    .name = "root-port",
    .place = DEV_IN_VMM,
    .layout = layout,
    .create = create,
    .destroy = free,
    .reset = reset,
    .read = dev_read_nothing,
    .write = dev_write_nothing,
    .state = &state,
    .config_init = config_init,
    .config_written = config_written,
};
