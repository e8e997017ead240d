/* SPDX-License-Identifier: Apache-2.0 */
/* A SATA controller, PCI 15ad:07e0 (class 010601), with disks and CD drives at its ports: Serial
 * ATA AHCI 1.3.1. Every system's own driver binds it by class, and SeaBIOS and OVMF boot from it.
 * Lives in `vmx`.
 *
 * BAR 5: registers. One interrupt, by MSI or INTA#. Native command queueing with 32 slots a port;
 * each drive has an I/O thread of its own. What a guest gets wrong is a task file error or a fatal
 * error of its port (PxIS), which the driver ends by a restart of the port as it does on a real
 * controller; each command costs bounded memory.
 *
 * A drive's disc may become another while the device stands still (blk.h): the guest is told by a
 * unit attention. */
#pragma once

#include <stdbool.h>

#include "vm/backend/blk.h"
#include "vm/machine/dev.h"

enum { AHCI_PORTS_MAX = 30 };

struct ahci_drive {
    bool present, cdrom;
    struct blk *blk; /* taken over by create on success; NULL where only the layout is asked for */
};

struct ahci_params {
    struct ahci_drive drive[AHCI_PORTS_MAX]; /* port by port */
    unsigned controller;                     /* for the drives' serial numbers */
    bool unthreaded;                         /* for fuzzing: the caller runs it with ahci_step */
};

extern const struct dev_class ahci_class;

void ahci_step(void *dev);
