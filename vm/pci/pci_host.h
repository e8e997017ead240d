/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to configuration space: ports 0xCF8/0xCFC (PCI 3.0, 3.2.2.3.2, configuration mechanism
 * #1) and ECAM (PCI Express, 7.2.2). Bus 0 has functions; each other bus that exists is behind a
 * root port and has at most one, 0 of device 0. Port 0xCF9 lies between them and is the chipset's
 * reset control register (ICH9 datasheet, 13.7.5). Functions that are not there read all ones. */
#pragma once

#include "vm/machine/bus.h"
#include "vm/machine/dev.h"
#include "vm/pci/pci_shell.h"

struct pci_host;

enum { PCI_PORTS_MAX = 8 };

#define PCI_ECAM_DEFAULT UINT64_C(0xb0000000)
#define PCI_ECAM_SIZE    UINT64_C(0x10000000) /* 256 buses */

int pci_host_create(struct bus *bus, void (*request)(void *ctx, enum machine_request what),
                    void *ctx, struct pci_host **ret_host, struct err *err);
void pci_host_destroy(struct pci_host *host);
void pci_host_reset(struct pci_host *host); /* 0xCF8 and 0xCF9; functions reset themselves */

/* `shell` is borrowed; devfn is slot * 8 + function. Before the machine runs. */
void pci_host_attach(struct pci_host *host, unsigned devfn, struct pci_shell *shell);

/* What port `index` has behind it now: `child` (borrowed for the life of `host`; NULL: nothing
 * answers) on bus `bus` (0: none). From any thread. */
void pci_host_set_port(struct pci_host *host, unsigned index, uint8_t bus, struct pci_shell *child);

/* Moves the ECAM window; base 0 takes it away. -EEXIST and the like leave it off. */
int pci_host_set_ecam(struct pci_host *host, uint64_t base);
