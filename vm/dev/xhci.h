/* SPDX-License-Identifier: Apache-2.0 */
/* A USB host controller, PCI 15ad:0779 (class 0c0330), with one tablet at its first port: xHCI 1.2.
 * Linux's xhci_hcd, Windows' and other systems' own drivers drive it. Lives in `vmx`.
 *
 * BAR 0: registers. One interrupter, by MSI-X (BAR 1) or INTA#. No scratchpad, no streams, contexts
 * of 32 bytes. What a guest gets wrong is a completion code, a halted endpoint or a controller in
 * error (USBSTS.HCE); each doorbell costs a bounded number of steps. */
#pragma once

#include "vm/backend/input.h"
#include "vm/machine/dev.h"

struct xhci_params {
    struct bytering *tablet;  /* events (backend/input.h) to read; borrowed; NULL: none come */
    _Atomic uint32_t *active; /* kept 1 while the guest listens to the tablet; borrowed, or NULL */
};

extern const struct dev_class xhci_class;
