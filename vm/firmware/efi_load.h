/* SPDX-License-Identifier: Apache-2.0 */
/* UEFI firmware (OVMF): code, read-only, that ends at 4 GiB, and directly below it the VM's own
 * variable store, a flash device backed by a file (.nvram) that is made from the packaged template
 * at the VM's first start and kept. As with bios_load.h, names are for the opener only.
 *
 * A variable store is checked before it is used: a UEFI firmware volume of the template's size with
 * the variable store's GUID. Anything else is refused, never overwritten. */
#pragma once

#include "vm/firmware/bios_load.h"

#define EFI_CODE_PATH         "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define EFI_CODE_SECBOOT_PATH "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
#define EFI_VARS_PATH         "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define EFI_VARS_SECBOOT_PATH "/usr/share/OVMF/OVMF_VARS_4M.ms.fd" /* with Microsoft's keys */

enum { EFI_SIZE_MAX = 16 << 20 };

struct efi_paths {
    const char *code, *vars_template; /* NULL: the packaged ones for `secure_boot` */
    const char *nvram;                /* NULL: variables are forgotten at the end */
    bool secure_boot;
};

/* Opens both: *ret_code read-only, *ret_vars read-write and with nobody else using it (an open file
 * description lock). Without `nvram` the store is a memfd. */
int efi_open(const struct efi_paths *paths, int *ret_code, int *ret_vars, struct err *err);

int efi_code_map(int fd, struct rom *ret_code, struct err *err);
/* The store is mapped shared and writable: what the flash device writes there is in the file. Its
 * base is that of the code minus its size. */
int efi_vars_map(int fd, struct rom *ret_vars, struct err *err);
