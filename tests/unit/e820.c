/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/firmware/e820.h"

static struct fw_machine machine(uint64_t memory)
{
    struct fw_machine m;

    fw_machine_init(&m, NULL);
    m.ram[0] = (struct fw_ram){0, MIN(memory, GMEM_LOW_MAX)};
    m.ram_count = 1;
    if (memory > GMEM_LOW_MAX)
        m.ram[m.ram_count++] = (struct fw_ram){GMEM_HIGH, memory - GMEM_LOW_MAX};
    return m;
}

static void check_sorted(const struct e820 *map)
{
    for (unsigned i = 0; i < map->count; i++) {
        CHECK(map->entry[i].size > 0);
        if (i)
            CHECK(map->entry[i].base >= map->entry[i - 1].base + map->entry[i - 1].size);
    }
}

static uint64_t total(const struct e820 *map, enum e820_type type)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < map->count; i++)
        size += map->entry[i].type == type ? map->entry[i].size : 0;
    return size;
}

static void direct_covers_ram(void)
{
    struct fw_machine m = machine(GIB(6));
    struct e820 map;

    e820_direct(&m, &map);
    check_sorted(&map);
    CHECK_EQ(total(&map, E820_RAM), GIB(6) - MIB(1) + 0x9fc00);
    CHECK_EQ(map.entry[map.count - 1].base, GMEM_HIGH);
    CHECK_EQ(map.entry[map.count - 1].size, GIB(4));
    CHECK_EQ(map.entry[map.count - 2].base, FW_ECAM_BASE);
    CHECK_EQ(map.entry[map.count - 2].type, E820_RESERVED);
}

static void firmware_sees_ram_only(void)
{
    struct fw_machine m = machine(MIB(64));
    struct e820 map;
    uint8_t bytes[E820_ENTRIES_MAX * E820_ENTRY_SIZE];

    e820_ram(&m, &map);
    CHECK_EQ(e820_store(&map, bytes), 20);
    CHECK_EQ(le64_load(bytes), 0);
    CHECK_EQ(le64_load(bytes + 8), MIB(64));
    CHECK_EQ(le32_load(bytes + 16), E820_RAM);
}

static void carve_splits(void)
{
    struct e820 map = {{{0, 0x10000, E820_RAM}}, 1};

    CHECK_EQ(e820_carve(&map, 0x4000, 0x1000, E820_ACPI), 0); /* the middle */
    CHECK_EQ(map.count, 3);
    CHECK_EQ(e820_carve(&map, 0, 0x1000, E820_RESERVED), 0);  /* the start */
    CHECK_EQ(e820_carve(&map, 0xf000, 0x1000, E820_NVS), 0);  /* the end */
    CHECK_EQ(e820_carve(&map, 0x5000, 0xa000, E820_ACPI), 0); /* all of one */
    CHECK_EQ(map.count, 5);
    check_sorted(&map);
    CHECK_EQ(total(&map, E820_RAM), 0x3000);
    CHECK_EQ(map.entry[3].base, 0x5000);
    CHECK_EQ(e820_carve(&map, 0x4000, 0x1000, E820_ACPI), -ENOENT); /* is not RAM now */
    CHECK_EQ(e820_carve(&map, 0x3000, 0x2000, E820_ACPI), -ENOENT); /* crosses an end */
    CHECK_EQ(e820_carve(&map, UINT64_MAX, 0x2000, E820_ACPI), -ENOENT);
    CHECK_EQ(e820_carve(&map, 0x1000, 0, E820_ACPI), -ENOENT);
}

static void carve_fills_up(void)
{
    struct e820 map = {{{0, 0x100000, E820_RAM}}, 1};
    int rc = 0;

    for (unsigned i = 0; i < E820_ENTRIES_MAX && !rc; i++)
        rc = e820_carve(&map, 0x1000 + 0x2000 * i, 0x1000, E820_NVS);
    CHECK_EQ(rc, -ENOSPC);
    CHECK(map.count <= E820_ENTRIES_MAX);
    check_sorted(&map);
}

TAP_MAIN(TAP_CASE(direct_covers_ram), TAP_CASE(firmware_sees_ram_only), TAP_CASE(carve_splits),
         TAP_CASE(carve_fills_up))
