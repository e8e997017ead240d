/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels by the Multiboot specification 0.6.96, which small kernels and test programs follow: a
 * header within the first 8 KiB of the file, 32-bit protected mode without paging, EAX the magic
 * number, EBX the structure made here (memory, command line, one module, memory map).
 *
 * An ELF file is loaded as one (elf_boot.c); another says in its header where it wants to be. */
#pragma once

#include "vm/firmware/linux_boot.h"

enum { MULTIBOOT_LOADER = 0x2badb002 }; /* in EAX */

/* As the header has them. */
struct multiboot {
    uint32_t flags;
    uint64_t at; /* of the header in the file */
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

/* Is there a header in these first bytes? */
bool multiboot_find(const uint8_t *head, uint64_t len, struct multiboot *ret_header);
/* One that asks for nothing that is not given: there is no video mode to be had, that is no
 * error. */
int multiboot_check(const struct boot_file *kernel, const struct multiboot *header,
                    struct err *err);
/* A file that is no ELF file. */
int multiboot_load(struct linux_boot *boot, const struct multiboot *header,
                   struct boot_start *ret_start, struct err *err);
/* Command line, initrd as module, the structure, and where all that is, for a kernel that lies in
 * memory up to `end`. */
int multiboot_info(struct linux_boot *boot, uint64_t entry, uint64_t end,
                   struct boot_start *ret_start, struct err *err);
