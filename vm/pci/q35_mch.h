/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge 00:00.0 of the Q35 chipset (82Q35 MCH, 8086:29c0; Intel 3 Series datasheet,
 * chapter 5), in `vmm`.
 *
 * What acts: PCIEXBAR moves ECAM. What is kept for firmware that reads it back: PAM (the BIOS area
 * is RAM here, always readable and writable), SMRAM, ESMRAMC, TSEG. */
#pragma once

#include "vm/machine/dev.h"
#include "vm/pci/pci_host.h"

struct q35_mch_params {
    struct pci_host *host;   /* borrowed; NULL where only the layout is asked for */
    _Atomic(uint64_t) *ecam; /* tells the other process where ECAM is now; borrowed; may be NULL */
    bool ecam_on;            /* at power-on already: there is no firmware to switch it on */
};

extern const struct dev_class q35_mch_class;
