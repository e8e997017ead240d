/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest finds in fw_cfg: packaged firmware (SeaBIOS, OVMF), and small kernels that were
 * loaded directly and ask there how many processors and how much memory they have. docs/firmware.md
 * lists each item and who reads it.
 *
 * ACPI files are made when the guest first looks, because the firmware decides where ECAM is. Their
 * lengths do not depend on that. */
#pragma once

#include <stdatomic.h>

#include "vm/chipset/fw_cfg.h"
#include "vm/firmware/firmware.h"

enum fw_kind {
    FW_SEABIOS,
    FW_OVMF,
    FW_DIRECT, /* no firmware: what the machine is, not the tables, which lie in RAM already */
};

struct fw_content_params {
    enum fw_kind kind;
    const struct fw_machine *machine; /* borrowed as long as the content lives */
    /* Where ECAM is now, as the host bridge tells; 0 or NULL: where the machine says. Borrowed. */
    const _Atomic(uint64_t) *ecam;
    /* What of FW_SMI_* the firmware has chosen, which it does before it counts on it; 0 before, and
     * to be set to 0 at a reset. NULL: there is no system management mode. Borrowed. */
    _Atomic(uint32_t) *smi_features;
    uint16_t
        serial_console; /* port for SeaBIOS's screen output where there is no display; 0: none */
};

/* A write to port 0xb2 interrupts all processors, not only the one that wrote. */
#define FW_SMI_BROADCAST 1u

struct fw_content;

/* Fills `items`, which must not outlive the content. */
int fw_content_create(const struct fw_content_params *params, struct fw_cfg_items *items,
                      struct fw_content **ret_content, struct err *err);
void fw_content_reset(struct fw_content *content);   /* with the machine */
void fw_content_destroy(struct fw_content *content); /* accepts NULL */

/* An option ROM for a PCI device: SeaBIOS takes it from here instead of the device's ROM BAR. The
 * data are borrowed. */
int fw_content_option_rom(struct fw_cfg_items *items, uint16_t vendor, uint16_t device,
                          const void *data, size_t len);

/* A Linux kernel that the firmware starts itself (OVMF). Data are borrowed; initrd and cmdline may
 * be NULL. -EINVAL: not a bzImage, or truncated; the message does not name the file. */
int fw_content_kernel(struct fw_cfg_items *items, const void *kernel, size_t kernel_len,
                      const void *initrd, size_t initrd_len, const char *cmdline, struct err *err);

/* Boot order: appends the OpenFirmware path of a device by which both firmwares find it. `bridge`
 * is the slot of the root port before it, or -1: on bus 0. */
enum fw_boot_device { FW_BOOT_DISK, FW_BOOT_NIC };
void fw_boot_order_add(struct buf *order, enum fw_boot_device what, int bridge, unsigned slot,
                       unsigned function);
/* The drive at a port of an AHCI controller. */
void fw_boot_order_add_sata(struct buf *order, unsigned slot, unsigned port);
