/* SPDX-License-Identifier: Apache-2.0 */
/* A processor (bt_machine.h) with flat tables in 4-level paging, whose page tables a test writes.
 */
#pragma once

#include "tests/unit/bt_machine.h"
#include "vm/engine/bt/flat.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128, G = 256, PAGE = 4096 };
enum { PML4 = 0x10000, PML4_B = 0x20000, TABLES = 0x30000 };
enum { SLOTS = 1 << 29 };
#define MAP_BYTES MIB(64)
#define LINEAR    UINT64_C(0x7f8000201000)
#define KERNEL    UINT64_C(0xffff888000601000)

static struct {
    uint64_t next_table;
    uint8_t *ram, *maps;
} flat_rig;

__attribute__((unused)) static const enum flat_view views[] = {FLAT_LOAD, FLAT_STORE, FLAT_EXEC,
                                                               FLAT_EXEC32};

/* What translated code does: the slot of a 32-bit address. */
static inline uint64_t *slot_at(uint64_t base, uint64_t linear, enum flat_view view)
{
    uint32_t offset = (uint32_t)((linear >> 12 | linear << 52) & UINT32_MAX) * 8 + (uint32_t)view;

    return (uint64_t *)(uintptr_t)(base + offset);
}

/* The entry as it is in the current mode; memory under it is made as the signal handler would. */
static inline uint64_t entry(uint64_t linear, enum flat_view view)
{
    uint64_t *at = slot_at(flat_base(rig.cpu), linear, view);

    (void)flat_populate(rig.cpu, (uintptr_t)at, linear);
    return *at;
}

static inline bool is_empty(uint64_t linear, enum flat_view view)
{
    uint64_t sum = (linear & MMU_PAGE) + entry(linear, view);

    return sum & 1 && (int64_t)sum < 0;
}

/* Where in guest RAM an access ends; RAM: elsewhere. */
static inline uint64_t target(uint64_t linear, enum flat_view view)
{
    uint64_t sum = linear + entry(linear, view) - (uintptr_t)flat_rig.ram;

    return sum < RAM ? sum : RAM;
}

/* Enters a page into the tables of an address space, whose levels are made as needed. */
static inline void map(uint64_t root, uint64_t linear, uint64_t pte)
{
    uint64_t table = root;

    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint64_t at = table + (linear >> shift & 511) * 8;
        if (shift == 21 && pte & PS) {
            put(at, 8, pte);
            return;
        }
        if (!get(at, 8)) {
            put(at, 8, flat_rig.next_table | P | W | U);
            flat_rig.next_table += PAGE;
        }
        table = get(at, 8) & MMU_PAGE & ~BIT64(63);
    }
    put(table + (linear >> 12 & 511) * 8, 8, pte);
}

static inline void set_cpl(unsigned cpl)
{
    rig.cpu->seg[CPU_CS] = flat((uint16_t)(8 | cpl), (uint16_t)(0x9b | cpl << 5 | CPU_SEG_L));
    rig.cpu->seg[CPU_SS] = flat((uint16_t)(16 | cpl), (uint16_t)(0x93 | cpl << 5 | CPU_SEG_DB));
    bt_mode_update(rig.cpu);
}

static inline bool open_flat(unsigned cpl)
{
    struct err err = ERR_INIT;

    if (!rig_open())
        return false;
    struct bt_vm *vm = rig.cpu->vm;
    if (!vm->flat && !CHECK_EQ(flat_vm_create(vm, MAP_BYTES, &vm->flat, &err), 0))
        (void)printf("# %s\n", err.text);
    if (!vm->flat || !CHECK_EQ(flat_create(rig.cpu), 0))
        return false;
    flat_rig.next_table = TABLES;
    flat_rig.ram = flat_ram(vm->flat);
    flat_rig.maps = flat_maps(vm->flat);
    set_mode(64, cpl);
    rig.cpu->cr0 |= BT_CR0_PG | BT_CR0_WP;
    rig.cpu->cr4 |= BT_CR4_PGE;
    mmu_set_cr3(rig.cpu, PML4);
    mmu_flush_all(rig.cpu);
    bt_mode_update(rig.cpu);
    return true;
}

static inline int note_load(uint64_t linear)
{
    int vector = CATCH((void)mmu_load(rig.cpu, linear, 8));

    if (vector == NONE)
        flat_note(rig.cpu, linear);
    return vector;
}

static inline int note_store(uint64_t linear)
{
    int vector = CATCH(mmu_store(rig.cpu, linear, 8, linear));

    if (vector == NONE)
        flat_note(rig.cpu, linear);
    return vector;
}

static inline uint64_t random64(void)
{
    static uint64_t seed = 88172645463325252;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}
