/* SPDX-License-Identifier: Apache-2.0 */
/* How the interrupt pins of a slot on bus 0 reach the IOAPIC, as firmware for this board numbers
 * them too (SeaBIOS, mch_pci_slot_get_irq): slots 0-23 rotate over PIRQ E-H, slots 24-31 take A-D
 * in order. PIRQ A is GSI 16. The DSDT's _PRT is made from here. */
#pragma once

/* pin: 0 for INTA# ... 3 for INTD#. Returns PIRQ 0 (A) to 7 (H). */
static inline unsigned pci_intx_pirq(unsigned slot, unsigned pin)
{
    return slot < 24 ? 4 + ((slot + pin) & 3) : pin & 3;
}

static inline unsigned pci_intx_gsi(unsigned slot, unsigned pin)
{
    return 16 + pci_intx_pirq(slot, pin);
}
