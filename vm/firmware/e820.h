/* SPDX-License-Identifier: Apache-2.0 */
/* The memory map as BIOS function E820 has it (ACPI 6.5, chapter 15): 20-byte entries, sorted, not
 * overlapping. A direct boot says where everything lies; firmware (fw_cfg "etc/e820") is told of
 * RAM only and adds what it takes itself. */
#pragma once

#include <stddef.h>

#include "vm/firmware/firmware.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

/* RAM below 640 KiB, but for the last KiB, where an EBDA would be. */
#define E820_LOW_END UINT64_C(0x9fc00)

enum { E820_ENTRIES_MAX = 16, E820_ENTRY_SIZE = 20 };

struct e820_entry {
    uint64_t base, size;
    enum e820_type type;
};

struct e820 {
    struct e820_entry entry[E820_ENTRIES_MAX];
    unsigned count;
};

/* RAM alone. */
void e820_ram(const struct fw_machine *machine, struct e820 *ret_map);
/* For a kernel without firmware: RAM without the BIOS areas below 1 MiB, ECAM reserved. */
void e820_direct(const struct fw_machine *machine, struct e820 *ret_map);
/* Makes [base, base + size) of what is RAM now another type. The range lies within one entry. 0, or
 * -ENOENT (it does not), -ENOSPC. */
int e820_carve(struct e820 *map, uint64_t base, uint64_t size, enum e820_type type);
/* The table as guests read it; `out` has room for E820_ENTRIES_MAX entries. Returns the length. */
size_t e820_store(const struct e820 *map, uint8_t *out);
