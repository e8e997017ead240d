/* SPDX-License-Identifier: Apache-2.0 */
/* What the software engine's memory costs, in nanoseconds of CPU time: a walk of the guest's page
 * tables, entries of the flat tables made and taken back, a change of address space. */
#include <time.h>

#include "tests/unit/bt_machine.h"
#include "vm/engine/bt/flat.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PAGE = 4096, ROUNDS = 200 };
enum { PML4 = 0x10000, PAGES = 512, FRAME = 0x400000 };
#define LINEAR UINT64_C(0x555555400000)

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void say(const char *what, double ns, unsigned count)
{
    (void)printf("%-56s %8.1f ns\n", what, ns / count);
}

/* PAGES pages from LINEAR on, accessed and dirty. */
static bool open_space(void)
{
    uint64_t table = PML4;

    if (!rig_open() || !rig.cpu->vm->flat || flat_create(rig.cpu))
        return false;
    for (unsigned shift = 39; shift > 12; shift -= 9, table += PAGE)
        put(table + (LINEAR >> shift & 511) * 8, 8, (table + PAGE) | P | W | U | A);
    for (unsigned i = 0; i < PAGES; i++)
        put(table + i * 8, 8, (FRAME + i * PAGE) | P | W | U | A | D);
    set_mode(64, 3);
    rig.cpu->cr0 |= BT_CR0_PG | BT_CR0_WP;
    rig.cpu->cr4 |= BT_CR4_PGE | BT_CR4_PCIDE;
    mmu_set_cr3(rig.cpu, PML4 | 1);
    mmu_flush_all(rig.cpu);
    bt_mode_update(rig.cpu);
    return true;
}

static void touch_all(bool note)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t linear = LINEAR + (uint64_t)i * PAGE;
        (void)mmu_load(rig.cpu, linear, 8);
        if (note)
            flat_note(rig.cpu, linear);
    }
}

static void walks(void)
{
    double start, walk = 0, note = 0, flush = 0, page = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        mmu_flush(rig.cpu);
        start = now();
        touch_all(false);
        walk += now() - start;
        start = now();
        touch_all(true);
        note += now() - start;
        start = now();
        flat_flush(rig.cpu);
        flush += now() - start;
        start = now();
        for (unsigned k = 0; k < PAGES; k++)
            mmu_flush_page(rig.cpu, LINEAR + (uint64_t)k * PAGE);
        page += now() - start;
    }
    say("a load that misses the TLB: walk and fill", walk, ROUNDS * PAGES);
    say("a page noted, for loads and stores", note, ROUNDS * PAGES);
    say("a page's entries emptied by a flush", flush, ROUNDS * PAGES);
    say("INVLPG", page, ROUNDS * PAGES);
}

static void spaces(void)
{
    enum { SWITCHES = 200000 };
    double start = now();

    for (unsigned i = 0; i < SWITCHES; i++)
        mmu_set_cr3(rig.cpu, PML4 | (1 + i % 4) | BIT64(63));
    say("a change of address space, by PCID, nothing to drop", now() - start, SWITCHES);
    start = now();
    for (unsigned i = 0; i < SWITCHES; i++)
        mmu_set_cr3(rig.cpu, PML4 | (1 + i % 4));
    say("the same, without what it had", now() - start, SWITCHES);
}

static void chunks(void)
{
    enum { COUNT = 4000 };
    double start = now();

    for (uint64_t i = 0; i < COUNT; i++)
        (void)flat_populate(rig.cpu, flat_base(rig.cpu) + i * 2654435761 % BIT64(32), LINEAR);
    say("a part of a table that is first met, without the signal", now() - start, COUNT);
}

int main(void)
{
    if (!open_space()) {
        (void)printf("no flat tables here\n");
        return 1;
    }
    walks();
    spaces();
    chunks();
    rig_close();
    return 0;
}
