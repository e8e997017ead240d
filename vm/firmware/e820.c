/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/firmware/e820.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

/* The F segment has our SMBIOS and RSDP; between it and 640 KiB are VGA and option ROMs. */
#define BIOS     UINT64_C(0xf0000)
#define HIGH_MEM MIB(1)

static void add(struct e820 *map, uint64_t base, uint64_t end, enum e820_type type)
{
    if (end > base && map->count < E820_ENTRIES_MAX)
        map->entry[map->count++] = (struct e820_entry){base, end - base, type};
}

void e820_ram(const struct fw_machine *machine, struct e820 *ret_map)
{
    *ret_map = (struct e820){0};
    for (unsigned i = 0; i < machine->ram_count; i++)
        add(ret_map, machine->ram[i].base, machine->ram[i].base + machine->ram[i].size, E820_RAM);
}

void e820_direct(const struct fw_machine *machine, struct e820 *ret_map)
{
    struct e820 *map = ret_map;

    *map = (struct e820){0};
    add(map, 0, E820_LOW_END, E820_RAM);
    add(map, E820_LOW_END, 0xa0000, E820_RESERVED);
    add(map, BIOS, HIGH_MEM, E820_RESERVED);
    add(map, HIGH_MEM, fw_ram_low_end(machine), E820_RAM);
    add(map, machine->ecam_base, machine->ecam_base + FW_ECAM_SIZE, E820_RESERVED);
    for (unsigned i = 0; i < machine->ram_count; i++)
        if (machine->ram[i].base >= GMEM_HIGH)
            add(map, machine->ram[i].base, machine->ram[i].base + machine->ram[i].size, E820_RAM);
}

static void insert(struct e820 *map, unsigned at, struct e820_entry entry)
{
    memmove(&map->entry[at + 1], &map->entry[at], (map->count - at) * sizeof map->entry[0]);
    map->entry[at] = entry;
    map->count++;
}

int e820_carve(struct e820 *map, uint64_t base, uint64_t size, enum e820_type type)
{
    unsigned i = 0;

    while (i < map->count && !(map->entry[i].type == E820_RAM && base >= map->entry[i].base &&
                               range_within(base - map->entry[i].base, size, map->entry[i].size)))
        i++;
    if (i == map->count || !size)
        return -ENOENT;
    if (map->count + 2 > E820_ENTRIES_MAX)
        return -ENOSPC;
    uint64_t end = base + size, ram_end = map->entry[i].base + map->entry[i].size;

    if (ram_end > end)
        insert(map, i + 1, (struct e820_entry){end, ram_end - end, E820_RAM});
    if (base > map->entry[i].base) {
        map->entry[i].size = base - map->entry[i].base;
        insert(map, i + 1, (struct e820_entry){base, size, type});
    } else {
        map->entry[i] = (struct e820_entry){base, size, type};
    }
    return 0;
}

size_t e820_store(const struct e820 *map, uint8_t *out)
{
    for (unsigned i = 0; i < map->count; i++, out += E820_ENTRY_SIZE) {
        le64_store(out, map->entry[i].base);
        le64_store(out + 8, map->entry[i].size);
        le32_store(out + 16, map->entry[i].type);
    }
    return map->count * E820_ENTRY_SIZE;
}
