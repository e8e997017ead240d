/* SPDX-License-Identifier: Apache-2.0 */
/* The ICH9's LPC bridge, 00:1f.0, 8086:2918 (Intel ICH9 data sheet, 316972, chapter 13): where
 * firmware finds and places the ACPI ports (PMBASE), routes PCI interrupts to the PICs (PIRQx_ROUT)
 * and places the root complex registers (RCBA). With it come the APM ports 0xb2/0xb3 (SMI command)
 * and port 0x92 (fast A20 and reset). Lives in `vmm`.
 *
 * The ports at PMBASE and the memory at RCBA follow the guest's writes to configuration space; a
 * place that is taken leaves them unmapped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/chipset/acpi_pm.h"
#include "vm/machine/dev.h"

enum {
    ICH9_LPC_PMBASE_USUAL = 0x600, /* where SeaBIOS, OVMF and our FADT put it */
    ICH9_LPC_PIRQS = 8,
};

struct ich9_lpc_params {
    /* 0: firmware places the ACPI ports and switches ACPI on. Otherwise a kernel is booted without
     * firmware: they are there after each reset, in ACPI mode. */
    uint16_t pmbase;
    bool smm; /* system management mode is offered; otherwise no SMI is ever raised */
    void (*smi)(void *ctx);
    /* The guest routed PIRQ `pirq` (0-7, A-H) to ISA interrupt `irq` of the PICs, or to none (-1):
     * that is where INTx goes until the guest uses the IOAPIC. May be NULL. */
    void (*pirq_routed)(void *ctx, unsigned pirq, int irq);
    void *ctx;
};

extern const struct dev_class ich9_lpc_class;

/* For buttons and general-purpose events: acpi_pm_power_button(ich9_lpc_pm(dev)). */
struct acpi_pm *ich9_lpc_pm(void *dev);
