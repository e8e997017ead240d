/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge 00:00.0 of the Q35 chipset (82Q35 MCH, 8086:29c0; Intel 3 Series datasheet,
 * chapter 5), in `vmm`.
 *
 * What acts: PCIEXBAR moves ECAM; ESMRAMC sets aside the top of low RAM for system management mode
 * (TSEG), until SMRAM's D_LCK freezes that. What is only kept: PAM (the BIOS area is RAM here,
 * always readable and writable), the compatible SMRAM at 0xa0000. */
#pragma once

#include "vm/machine/dev.h"
#include "vm/pci/pci_host.h"

struct q35_mch_params {
    struct pci_host *host;   /* borrowed; NULL where only the layout is asked for */
    _Atomic(uint64_t) *ecam; /* tells the other process where ECAM is now; borrowed; may be NULL */
    /* System management memory: `size` bytes at the top of low RAM, 0 for none. NULL: not offered.
     */
    void (*tseg)(void *ctx, uint64_t size);
    void *ctx;
    bool ecam_on; /* at power-on already: there is no firmware to switch it on */
};

extern const struct dev_class q35_mch_class;
