/* SPDX-License-Identifier: Apache-2.0 */
/* Boot without firmware: puts the tables that firmware would have made into guest RAM (RSDP and
 * SMBIOS in the F segment where kernels look for them, ACPI tables at the top of low RAM), then the
 * kernel. Done at every reset of the machine; RAM outside of what is written stays as it is. */
#pragma once

#include "vm/firmware/linux_boot.h"

#define DIRECT_BOOT_RSDP         UINT64_C(0xf0000)
#define DIRECT_BOOT_SMBIOS_ENTRY UINT64_C(0xf0040)
#define DIRECT_BOOT_SMBIOS       UINT64_C(0xf0100)

struct direct_boot {
    struct gmem *gmem;                /* borrowed, as all here */
    const struct fw_machine *machine; /* of that RAM */
    int kernel_fd, initrd_fd;         /* initrd -1: none */
    const char *kernel_name, *initrd_name, *cmdline;
    bool text_screen, ram_is_clean; /* as in linux_boot.h */
};

int direct_boot(const struct direct_boot *boot, struct boot_start *ret_start, struct err *err);
