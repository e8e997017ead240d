/* SPDX-License-Identifier: Apache-2.0 */
/* How INTA# of a slot on bus 0 reaches the IOAPIC, as ICH9 wires it (datasheet 5.8.4, "PIRQ"):
 * slots 0-24 on PIRQ E-H, slots 25-31 on PIRQ A-D, rotating by slot. PIRQ A is GSI 16. The DSDT's
 * _PRT says the same from here. */
#pragma once

/* pin: 0 for INTA# ... 3 for INTD#. Returns PIRQ 0 (A) to 7 (H). */
static inline unsigned pci_intx_pirq(unsigned slot, unsigned pin)
{
    return (slot < 25 ? 4 : 0) + ((slot + pin) & 3);
}

static inline unsigned pci_intx_gsi(unsigned slot, unsigned pin)
{
    return 16 + pci_intx_pirq(slot, pin);
}
