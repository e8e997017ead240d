/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space: PCI Local Bus 3.0, chapter 6; PCI Express Base, 7.5. Offsets and bits as
 * the specification names them. */
#pragma once

enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_CODE = 0x09,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_CAPABILITIES_POINTER = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
    PCI_CONFIG_SIZE = 256,

    PCI_COMMAND_IO = 0x0001,
    PCI_COMMAND_MEMORY = 0x0002,
    PCI_COMMAND_BUS_MASTER = 0x0004,
    PCI_COMMAND_PARITY = 0x0040,
    PCI_COMMAND_SERR = 0x0100,
    PCI_COMMAND_INTX_DISABLE = 0x0400,

    PCI_STATUS_CAPABILITIES = 0x0010,

    PCI_CAP_ID_MSIX = 0x11,
    PCI_MSIX_CONTROL = 2, /* offsets within the capability */
    PCI_MSIX_TABLE = 4,
    PCI_MSIX_PBA = 8,
    PCI_MSIX_CAP_SIZE = 12,
    PCI_MSIX_ENABLE = 0x8000,
    PCI_MSIX_FUNCTION_MASK = 0x4000,
};
