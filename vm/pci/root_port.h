/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI Express root port with one hot-pluggable slot (PCI Express Base 3.1, 6.7 and 7.8; header:
 * PCI-to-PCI Bridge Architecture 1.2, 3.2), in `vmm`. Identity and slot as ESXi's ports have them:
 * attention button, power controller, no indicators, no lock, commands complete at once.
 *
 * Behind a port is at most one function, device 0 of the secondary bus. The port decides whether it
 * is reached: while there is a card, the slot has power and the guest gave the bus a number, and
 * then for the addresses that the bridge's windows forward.
 *
 * A card that is inserted shows as present and presses the attention button, since drivers of slots
 * that have one listen to nothing else; the guest switches the slot on and finds it. One that is to
 * be ejected presses the attention button: the guest stops using it and switches the slot off, and
 * only that takes the card out (`emptied`). A slot without power gives it up at once; a reset does
 * what was asked for and not answered.
 *
 * Events: MSI, otherwise INTA#. Deliberately missing: PME and AER messages (nothing here sends
 * any), ARI, MRL and indicators. */
#pragma once

#include "vm/machine/dev.h"
#include "vm/pci/pci_host.h"
#include "vm/pci/pci_shell.h"

struct root_port;

struct root_port_params {
    struct pci_host *host; /* borrowed; NULL where only the layout is asked for */
    unsigned index;        /* of the port: 0 to PCI_PORTS_MAX - 1 */
    uint16_t slot;         /* physical slot number, which guests show: 13 bits */
    /* The function behind the port lost power or was reset by it: what of it is not configuration
     * space goes to its power-on state. Under the port's lock, on any thread. */
    void (*child_reset)(void *ctx, unsigned index);
    /* The card is out, as asked. The same. */
    void (*emptied)(void *ctx, unsigned index);
    void *ctx;
};

extern const struct dev_class root_port_class;

/* Before the machine runs: the port's own configuration space and the function behind it. Both
 * borrowed. `occupied`: its card is in at power-on. The caller then resets `self`. */
void root_port_connect(struct root_port *port, struct pci_shell *self, struct pci_shell *child,
                       bool occupied);

/* Another function is to stand behind it from now on: -EBUSY while there is a card. */
int root_port_choose(struct root_port *port, struct pci_shell *child);
/* From any thread. -EBUSY: there is a card; -ENODEV: nothing was connected. */
int root_port_insert(struct root_port *port);
/* -ENODEV: there is none; -EBUSY: asked already. 0: asked; `emptied` says when it is out. */
int root_port_eject(struct root_port *port);
/* Nobody waits for it any more: when the guest takes the power away later, the card stays in, and
 * presses the button as one that is inserted. -ENODEV: it is out already. */
int root_port_keep(struct root_port *port);
