/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that start without firmware: a Linux bzImage by the 64-bit boot protocol
 * (Documentation/arch/x86/boot.rst, from 2.12 on), or the 32-bit one where the kernel has no other,
 * or an ELF file with a PVH entry point (Xen,
 * docs/misc/pvh.pandoc; Linux's vmlinux has one), or a Multiboot kernel (multiboot.h), ELF file or
 * not. The format is found out from the content.
 *
 * Everything in these files is foreign: lengths and addresses are checked against the file and
 * guest RAM before use; a bad file is one line in err.
 *
 * Where things lie below 1 MiB (all of it is RAM to the guest, free once it has its own):
 *     0x00500 GDT     0x06000 PVH, Multiboot info   0x07000 zero page     0x09000 page tables
 *     0x20000 command line (at most 64 KiB)
 * The kernel is where it wants to be, the initrd as high as it may. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/cpu_state.h"
#include "vm/firmware/boot_file.h"
#include "vm/firmware/e820.h"

enum {
    BOOT_GDT = 0x500,
    BOOT_PVH_INFO = 0x6000,
    BOOT_ZERO_PAGE = 0x7000,
    BOOT_PAGE_TABLES = 0x9000,
    BOOT_CMDLINE = 0x20000,
    BOOT_CMDLINE_MAX = 0xffff,
};

/* By which protocol a kernel is entered: the first in 64-bit mode with paging, the others in 32-bit
 * protected mode without. */
enum boot_protocol { BOOT_LINUX_64, BOOT_LINUX_32, BOOT_PVH, BOOT_MULTIBOOT };

/* How the first processor starts. */
struct boot_start {
    enum boot_protocol protocol;
    uint64_t entry;
    uint64_t info;     /* the zero page (in RSI), or the other protocols' structure (in EBX) */
    uint8_t phys_bits; /* of the machine's physical addresses */
    uint64_t ram_end;  /* behind the last byte of RAM */
};

struct linux_boot {
    struct gmem *gmem; /* borrowed, as all here */
    struct boot_file kernel, initrd;
    const char *cmdline;    /* may be NULL */
    const struct e820 *map; /* low RAM below what is carved out of it is where files may go */
    uint64_t rsdp;          /* guest physical; 0: none */
    bool text_screen;       /* VGA is in 80x25 text mode */
    bool ram_is_clean;      /* all of RAM is zero: the first power-on */
};

/* Loads kernel, initrd, command line and the structures by which the kernel finds them. */
int linux_boot(struct linux_boot *boot, struct boot_start *ret_start, struct err *err);

/* Makes the first processor, which has just been powered on, start so. */
void boot_start_apply(const struct boot_start *start, struct cpu_state *state);
/* What firmware sets up on every processor, the first one (boot_start_apply does it) and those that
 * wait: memory types. RAM is write-back, device memory uncached. */
void boot_start_apply_common(const struct boot_start *start, struct cpu_state *state);

/* For the formats. */
bool bzimage_is(const uint8_t *head, uint64_t len);
int bzimage_load(struct linux_boot *boot, const uint8_t *head, uint64_t head_len,
                 struct boot_start *ret_start, struct err *err);
int elf_load(struct linux_boot *boot, const uint8_t *head, uint64_t head_len,
             struct boot_start *ret_start, struct err *err);

/* Puts the initrd at the top of the RAM between `above` and `limit` (exclusive). *ret_base is 0
 * without an initrd. */
int linux_boot_initrd(struct linux_boot *boot, uint64_t above, uint64_t limit, uint64_t *ret_base,
                      struct err *err);
/* Writes the command line; `max` is what the kernel takes, without the NUL. */
int linux_boot_cmdline(struct linux_boot *boot, uint64_t max, struct err *err);
/* Is [base, base + size) in RAM that a kernel may lie in, from 1 MiB on? */
bool linux_boot_room(const struct linux_boot *boot, uint64_t base, uint64_t size);
