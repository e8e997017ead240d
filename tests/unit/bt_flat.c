/* SPDX-License-Identifier: Apache-2.0 */
/* The flat tables: that what is entered is found and what is dropped is not, that their memory is
 * bounded; and a model of a guest for which no entry may be stale. */
#include "tests/unit/bt_flat_rig.h"

static void notes(void)
{
    REQUIRE(open_flat(3));
    map(PML4, LINEAR, 0x300000 | P | W | U);
    map(PML4, LINEAR + PAGE, 0x301000 | P | U);
    CHECK(is_empty(LINEAR, FLAT_LOAD) && is_empty(LINEAR, FLAT_STORE));
    uint64_t none = LINEAR + 24 + entry(LINEAR, FLAT_EXEC);
    CHECK_EQ(none * 4, (uintptr_t)(flat_miss_map(rig.cpu) + 25)); /* without a signal */
    CHECK_EQ(note_load(LINEAR + 8), NONE);
    CHECK_EQ(target(LINEAR + 24, FLAT_LOAD), 0x300018);
    CHECK(is_empty(LINEAR, FLAT_STORE)); /* its D bit is not set yet */
    CHECK_EQ(note_store(LINEAR + 8), NONE);
    CHECK_EQ(target(LINEAR + 24, FLAT_STORE), 0x300018);
    CHECK_EQ(*(uint64_t *)(void *)(flat_rig.ram + 0x300008), LINEAR + 8);
    CHECK_EQ(note_load(LINEAR + PAGE), NONE);
    CHECK_EQ(target(LINEAR + PAGE, FLAT_LOAD), 0x301000);
    CHECK(is_empty(LINEAR + PAGE, FLAT_STORE));
    /* Code, which the TLB may have forgotten. */
    map(PML4, LINEAR + (uint64_t)MMU_TLB_SIZE * PAGE, 0x302000 | P | U);
    CHECK_EQ(note_load(LINEAR + (uint64_t)MMU_TLB_SIZE * PAGE), NONE);
    CHECK(!mmu_entry(rig.cpu, LINEAR));
    flat_note_code(rig.cpu, LINEAR, (uint32_t *)(void *)(flat_rig.maps + FLAT_MAP_BYTES));
    CHECK_EQ((LINEAR + 8 + entry(LINEAR, FLAT_EXEC)) * 4,
             (uintptr_t)flat_rig.maps + FLAT_MAP_BYTES + 32);
    flat_note(rig.cpu, DEVICE);
    CHECK(is_empty(DEVICE, FLAT_LOAD));
    flat_flush(rig.cpu);
    CHECK(is_empty(LINEAR, FLAT_LOAD) && is_empty(LINEAR, FLAT_STORE));
    rig_close();
}

static void privileges(void)
{
    REQUIRE(open_flat(3));
    map(PML4, LINEAR, 0x300000 | P | W | U | D);
    map(PML4, KERNEL, 0x301000 | P | W | D);
    CHECK_EQ(note_load(LINEAR), NONE);
    CHECK_EQ(note_load(KERNEL), BT_PF);
    flat_note(rig.cpu, KERNEL);
    CHECK(is_empty(KERNEL, FLAT_LOAD));
    set_cpl(0);
    CHECK_EQ(note_load(KERNEL), NONE);
    CHECK_EQ(target(KERNEL, FLAT_LOAD), 0x301000);
    CHECK_EQ(target(KERNEL, FLAT_STORE), 0x301000);
    flat_note(rig.cpu, LINEAR);
    CHECK_EQ(target(LINEAR, FLAT_LOAD), 0x300000); /* no SMAP */
    set_cpl(3);
    flat_note(rig.cpu, KERNEL);
    CHECK(is_empty(KERNEL, FLAT_LOAD) && is_empty(KERNEL, FLAT_STORE));
    set_cpl(0);
    rig.cpu->vm->cr4 |= BT_CR4_SMAP;
    system_set_cr(rig.cpu, 4, rig.cpu->cr4 | BT_CR4_SMAP);
    CHECK(is_empty(LINEAR, FLAT_LOAD));
    rig.cpu->rflags |= BT_FLAG_AC;
    CHECK_EQ(note_load(LINEAR), NONE);
    CHECK_EQ(note_load(KERNEL), NONE);
    CHECK_EQ(target(LINEAR, FLAT_STORE), 0x300000);
    CHECK_EQ(target(KERNEL, FLAT_LOAD), 0x301000);
    rig.cpu->rflags &= ~(uint64_t)BT_FLAG_AC;
    CHECK(is_empty(LINEAR, FLAT_LOAD) && is_empty(LINEAR, FLAT_STORE));
    rig.cpu->rflags |= BT_FLAG_AC;
    CHECK_EQ(target(LINEAR, FLAT_LOAD), 0x300000);
    flat_flush(rig.cpu);
    CHECK(is_empty(LINEAR, FLAT_LOAD) && is_empty(KERNEL, FLAT_LOAD));
    rig_close();
}

/* Global pages stay in the supervisor's table, and only they; a space that is kept keeps its own
 * table. */
static void spaces(void)
{
    REQUIRE(open_flat(3));
    rig.cpu->cr4 |= BT_CR4_PCIDE;
    map(PML4, LINEAR, 0x300000 | P | W | U | D);
    map(PML4, KERNEL, 0x301000 | P | W | D | G);
    map(PML4, KERNEL + PAGE, 0x302000 | P | W | D);
    put(PML4_B + (KERNEL >> 39 & 511) * 8, 8, get(PML4 + (KERNEL >> 39 & 511) * 8, 8));
    mmu_set_cr3(rig.cpu, PML4 | 1);
    CHECK_EQ(note_load(LINEAR), NONE);
    set_cpl(0);
    CHECK_EQ(note_store(KERNEL), NONE);
    CHECK_EQ(note_load(KERNEL + PAGE), NONE);
    CHECK_EQ(target(KERNEL + PAGE, FLAT_STORE), 0x302000);
    mmu_set_cr3(rig.cpu, PML4_B | 2);
    CHECK_EQ(target(KERNEL, FLAT_LOAD), 0x301000);
    CHECK_EQ(target(KERNEL, FLAT_STORE), 0x301000);
    CHECK(is_empty(KERNEL + PAGE, FLAT_LOAD));
    set_cpl(3);
    CHECK(is_empty(LINEAR, FLAT_LOAD));
    mmu_set_cr3(rig.cpu, PML4 | 1 | BIT64(63));
    CHECK_EQ(target(LINEAR, FLAT_LOAD), 0x300000);
    mmu_flush_pcid(rig.cpu, 1);
    CHECK(is_empty(LINEAR, FLAT_LOAD));
    CHECK_EQ(note_load(LINEAR), NONE);
    for (unsigned pcid = 2; pcid < 2 + MMU_SPACES; pcid++)
        mmu_set_cr3(rig.cpu, PML4_B | pcid);
    for (unsigned pcid = 2; pcid < 2 + MMU_SPACES; pcid++) { /* its table is another's now */
        mmu_set_cr3(rig.cpu, PML4_B | pcid | BIT64(63));
        CHECK(is_empty(LINEAR, FLAT_LOAD));
    }
    mmu_set_cr3(rig.cpu, PML4 | 1 | BIT64(63));
    CHECK(is_empty(LINEAR, FLAT_LOAD));
    set_cpl(0);
    CHECK_EQ(target(KERNEL, FLAT_LOAD), 0x301000);
    mmu_flush_all(rig.cpu);
    CHECK(is_empty(KERNEL, FLAT_LOAD) && is_empty(KERNEL, FLAT_STORE));
    rig_close();
}

static void pages_go(void)
{
    REQUIRE(open_flat(3));
    map(PML4, LINEAR, 0x300000 | P | W | U | D);
    map(PML4, LINEAR + PAGE, 0x301000 | P | W | U | D | G);
    map(PML4, KERNEL, 0x400000 | P | W | U | D | PS);
    CHECK_EQ(note_load(LINEAR), NONE);
    CHECK_EQ(note_load(LINEAR + PAGE), NONE);
    mmu_flush_page(rig.cpu, LINEAR + 8);
    CHECK(is_empty(LINEAR, FLAT_LOAD) && is_empty(LINEAR, FLAT_STORE));
    CHECK_EQ(target(LINEAR + PAGE, FLAT_STORE), 0x301000);
    /* A large page goes as a whole. */
    CHECK_EQ(note_load(KERNEL), NONE);
    CHECK_EQ(note_load(align_down(KERNEL, MIB(2)) + MIB(2) - 8), NONE);
    CHECK_EQ(target(KERNEL, FLAT_LOAD), 0x401000);
    mmu_flush_page(rig.cpu, align_down(KERNEL, MIB(2)));
    CHECK(is_empty(KERNEL, FLAT_LOAD) && is_empty(KERNEL, FLAT_STORE));
    CHECK(is_empty(align_down(KERNEL, MIB(2)) + MIB(2) - 8, FLAT_LOAD));
    /* What everybody has is also in other spaces' tables. */
    rig.cpu->cr4 |= BT_CR4_PCIDE;
    mmu_set_cr3(rig.cpu, PML4 | 1);
    CHECK_EQ(note_load(LINEAR + PAGE), NONE);
    mmu_set_cr3(rig.cpu, PML4 | 2);
    mmu_flush_page(rig.cpu, LINEAR + PAGE);
    mmu_set_cr3(rig.cpu, PML4 | 1 | BIT64(63));
    CHECK(is_empty(LINEAR + PAGE, FLAT_LOAD));
    rig_close();
}

static void mark_code(uint64_t frame)
{
    atomic_fetch_or(&rig.gmem->code[frame / PAGE], GMEM_CODE);
    mmu_protect_code(rig.cpu, frame / PAGE);
}

static void writability(void)
{
    REQUIRE(open_flat(3));
    map(PML4, LINEAR, 0x300000 | P | W | U | D);
    map(PML4, LINEAR + PAGE, 0x301000 | P | W | U | D);
    map(PML4, LINEAR + 2 * PAGE, 0x300000 | P | W | U | D);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(note_store(LINEAR + i * PAGE), NONE);
    mark_code(0x300000);
    CHECK(is_empty(LINEAR, FLAT_STORE) && is_empty(LINEAR + 2 * PAGE, FLAT_STORE));
    CHECK_EQ(target(LINEAR, FLAT_LOAD), 0x300000);
    CHECK_EQ(target(LINEAR + PAGE, FLAT_STORE), 0x301000);
    CHECK_EQ(note_load(LINEAR), NONE);
    CHECK(is_empty(LINEAR, FLAT_STORE));
    CHECK_EQ(note_store(LINEAR), NONE); /* whose code goes by it */
    CHECK_EQ(note_store(LINEAR), NONE);
    CHECK_EQ(target(LINEAR, FLAT_STORE), 0x300000);
    /* Another vCPU has found code there: by the time this one looks, it may have written. The TLB
     * has forgotten the page, the table has not. */
    uint64_t rival = LINEAR + PAGE + (uint64_t)MMU_TLB_SIZE * PAGE;
    map(PML4, rival, 0x302000 | P | U);
    CHECK_EQ(note_load(rival), NONE);
    uint32_t was = atomic_fetch_or(&rig.gmem->code[0x301], GMEM_CODE) | GMEM_CODE;
    mmu_drop_writable(rig.cpu);
    CHECK(is_empty(LINEAR + PAGE, FLAT_STORE));
    CHECK(atomic_load(&rig.gmem->code[0x301]) != was);
    CHECK_EQ(target(LINEAR, FLAT_STORE), 0x300000);
    /* And this one has not been asked yet, but may not be late. */
    CHECK_EQ(note_store(LINEAR + PAGE), NONE);
    CHECK_EQ(note_store(LINEAR + PAGE), NONE);
    mmu_flush_page(rig.cpu, LINEAR + PAGE);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, LINEAR + PAGE, 8, 1)), NONE);
    atomic_fetch_or(&rig.gmem->code[0x301], GMEM_CODE);
    flat_note(rig.cpu, LINEAR + PAGE);
    CHECK(is_empty(LINEAR + PAGE, FLAT_STORE) && !is_empty(LINEAR + PAGE, FLAT_LOAD));
    /* Dirty pages are recorded: the next store must come by. */
    CHECK_EQ(engine_bt.dirty_enable(rig.vm, true), 0);
    mmu_drop_writable(rig.cpu);
    CHECK(is_empty(LINEAR, FLAT_STORE) && !is_empty(LINEAR, FLAT_LOAD));
    CHECK_EQ(note_load(LINEAR), NONE);
    CHECK(is_empty(LINEAR, FLAT_STORE));
    CHECK_EQ(note_store(LINEAR), NONE);
    CHECK_EQ(target(LINEAR, FLAT_STORE), 0x300000);
    CHECK(atomic_load(&rig.cpu->vm->dirty[0x300 / 64]) & BIT64(0x300 % 64));
    rig_close();
}

/* With a page of a large one come the others of its 64 KiB. */
static void neighbours(void)
{
    uint64_t group = align_down(KERNEL, 0x10000), second = group + MIB(2);

    REQUIRE(open_flat(0));
    map(PML4, KERNEL, 0x400000 | P | W | U | D | PS);
    atomic_fetch_or(&rig.gmem->code[0x403], GMEM_CODE);
    CHECK_EQ(note_load(KERNEL), NONE);
    for (unsigned i = 0; i < 16; i++) {
        CHECK_EQ(target(group + i * PAGE, FLAT_LOAD), 0x400000 + i * PAGE);
        CHECK(is_empty(group + i * PAGE, FLAT_STORE) == (i == 3));
    }
    CHECK(is_empty(group - PAGE, FLAT_LOAD) && is_empty(group + 16 * PAGE, FLAT_LOAD));
    mark_code(0x405000); /* of which the TLB knows nothing */
    CHECK(is_empty(group + 5 * PAGE, FLAT_STORE) && !is_empty(group + 5 * PAGE, FLAT_LOAD));
    /* Not where the local APIC is, nor unseen while pages are recorded. */
    mmu_flush_all(rig.cpu);
    CHECK_EQ(engine_bt.dirty_enable(rig.vm, true), 0);
    CHECK_EQ(note_store(KERNEL), NONE);
    CHECK(!is_empty(KERNEL, FLAT_STORE) && is_empty(KERNEL + PAGE, FLAT_STORE));
    map(PML4, second, 0x600000 | P | W | U | D | PS);
    rig.cpu->apic_base = 0x602000 | 0x800;
    CHECK_EQ(note_load(second), NONE);
    CHECK(!is_empty(second, FLAT_LOAD) && is_empty(second + 2 * PAGE, FLAT_LOAD));
    rig_close();
}

/* The view is of guest RAM alone. */
static void device_memory(void)
{
    static _Alignas(4096) uint8_t flash[PAGE];
    struct engine_memory memory = {.base = 0x50000000, .size = PAGE, .host = flash};

    REQUIRE(open_flat(0));
    CHECK_EQ(engine_bt.map(rig.vm, &memory, NULL), 0);
    map(PML4, KERNEL, 0x50000000 | P | W | D);
    CHECK_EQ(note_store(KERNEL), NONE);
    CHECK(is_empty(KERNEL, FLAT_LOAD) && is_empty(KERNEL, FLAT_STORE));
    CHECK_EQ(*(uint64_t *)(void *)flash, KERNEL);
    CHECK_EQ(engine_bt.unmap(rig.vm, memory.base), 0);
    rig_close();
}

/* Nothing is entered while every access must be looked at. */
static void slow(void)
{
    REQUIRE(open_flat(3));
    map(PML4, LINEAR, 0x300000 | P | W | U | D);
    rig.cpu->cr0 |= BT_CR0_AM;
    rig.cpu->rflags |= BT_FLAG_AC;
    mmu_update_context(rig.cpu);
    CHECK_EQ(note_store(LINEAR), NONE);
    flat_note_code(rig.cpu, LINEAR, (uint32_t *)(void *)flat_rig.maps);
    rig.cpu->rflags &= ~(uint64_t)BT_FLAG_AC;
    mmu_update_context(rig.cpu);
    for (unsigned v = 0; v < ARRAY_SIZE(views); v++)
        CHECK(is_empty(LINEAR, views[v]));
    flat_note(rig.cpu, LINEAR);
    CHECK_EQ(target(LINEAR, FLAT_STORE), 0x300000);
    rig_close();
}

static unsigned mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    unsigned count = 0;

    for (int c; f && (c = getc(f)) != EOF;)
        count += c == '\n';
    if (f)
        (void)fclose(f);
    return count;
}

/* In bytes. */
static uint64_t resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128];
    unsigned long long pages = 0;

    if (f && fgets(line, sizeof line, f))
        (void)sscanf(line, "%*u %llu", &pages);
    if (f)
        (void)fclose(f);
    return pages * PAGE;
}

/* Addresses all over: the tables' memory stays bounded, and so do the host's mappings. */
static void bounded(void)
{
    enum { PAGES = 40000 };

    REQUIRE(open_flat(0));
    unsigned before = mappings(), most = 0;
    uint64_t memory = resident(), peak = 0;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t linear = i * 0x5a5a5000 % BIT64(46);
        map(PML4, linear, 0x300000 | P | W | D);
        flat_rig.next_table = TABLES; /* tables of before are overwritten: nobody walks them */
        memset(rig.gmem->host + PML4, 0, PAGE);
        memset(rig.gmem->host + TABLES, 0, 4 * PAGE);
        map(PML4, linear, 0x300000 | P | W | D | A);
        REQUIRE(note_load(linear) == NONE);
        REQUIRE(target(linear, FLAT_LOAD) == 0x300000);
        REQUIRE(target(linear, FLAT_STORE) == 0x300000);
        if (i % 4000 == 0)
            most = MAX(most, mappings());
        peak = MAX(peak, i % 100 ? 0 : resident());
    }
    CHECK(most - before < 50000);
    CHECK(peak - memory < MIB(128));
    mmu_flush_all(rig.cpu);
    for (uint64_t i = 0; i < PAGES; i++)
        REQUIRE(is_empty(i * 0x5a5a5000 % BIT64(46), FLAT_LOAD));
    rig_close();
}

/* A processor with more address spaces than the tables have, whose guest changes its page tables
 * and invalidates what it changed, as it has to: then no entry may say anything but what the page
 * tables say now. */

enum { ROOTS = 11, PAGES = 48, FRAME_FIRST = 0x800, FRAMES = 32, LARGE_FIRST = 0xa00 };

static struct {
    uint64_t linear[PAGES];
    unsigned root;
    uint64_t checks[ARRAY_SIZE(views)]; /* entries that were there and right */
} model;

static uint64_t root_of(unsigned i)
{
    return PML4 + (uint64_t)i * PAGE;
}

static bool is_kernel(uint64_t linear)
{
    return linear >> 63;
}

/* User pages, some of which share slots; the supervisor's, which share their tables; and in each
 * half a large page of 2 MiB that some of the pages are in. */
static void model_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t base = i % 2 ? UINT64_C(0xffff888000000000) : UINT64_C(0x555500000000);
        uint64_t at = base + (i / 2 % 12) * 0x1001000;
        if (i / 2 >= 12)
            at = base + GIB(1) + (uint64_t)i * PAGE; /* of a large page */
        if (i >= PAGES - 8)
            at = model.linear[i - 40] ^ (i < PAGES - 4 ? BIT64(41) : BIT64(40)); /* rivals */
        model.linear[i] = at;
    }
}

static uint64_t random_pte(bool large)
{
    static const uint64_t bits[] = {W, U, A, D, G, BIT64(63)};
    uint64_t pte = (large ? LARGE_FIRST : FRAME_FIRST + random64() % FRAMES) * PAGE;

    pte |= random64() % 8 ? P : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        pte |= random64() % 3 ? bits[i] : 0;
    return large ? pte | PS : pte;
}

/* The leaf that maps an address, and its size. */
static uint64_t leaf_of(uint64_t root, uint64_t linear, uint64_t *ret_size)
{
    uint64_t table = root;

    for (unsigned shift = 39;; shift -= 9) {
        uint64_t value = get(table + (linear >> shift & 511) * 8, 8);
        *ret_size = BIT64(shift);
        if (!(value & P) || shift == 12 || (shift == 21 && value & PS))
            return value;
        table = value & (BIT64(47) - PAGE);
    }
}

static void check_page(uint64_t linear)
{
    uint64_t size, pte = leaf_of(root_of(model.root), linear, &size);
    uint64_t frame = (pte & (BIT64(47) - 1) & ~(size - 1)) | (linear & (size - 1) & MMU_PAGE);
    bool user = rig.cpu->cpl == 3;
    bool smap = rig.cpu->cr4 & BT_CR4_SMAP && !(rig.cpu->rflags & BT_FLAG_AC);
    bool allowed = pte & P && (user ? pte & U : !(pte & U && smap));
    uint64_t load = target(linear, FLAT_LOAD), store = target(linear, FLAT_STORE);

    if (load != RAM)
        model.checks[0] += CHECK(allowed && pte & A && load == frame);
    if (store != RAM)
        model.checks[1] += CHECK(allowed && pte & W && pte & D && store == frame &&
                                 !block_page_has_code(rig.cpu->vm, frame / PAGE));
    for (unsigned v = 2; v < ARRAY_SIZE(views); v++) {
        uint64_t exec = (linear + entry(linear, views[v])) * 4 - (uintptr_t)flat_rig.maps;
        if (exec < MAP_BYTES)
            model.checks[v] += CHECK(pte & P && !(pte >> 63) && (!user || pte & U) &&
                                     exec == frame / PAGE % 4096 * FLAT_MAP_BYTES);
    }
}

static void check_all(void)
{
    unsigned cpl = rig.cpu->cpl;

    uint64_t flags = rig.cpu->rflags;
    for (unsigned level = 0; level <= 3; level += 3) {
        set_cpl(level);
        for (unsigned i = 0; i < 2 * PAGES; i++) {
            rig.cpu->rflags = (flags & ~(uint64_t)BT_FLAG_AC) | (i & 1 ? BT_FLAG_AC : 0);
            check_page(model.linear[i / 2]);
        }
    }
    rig.cpu->rflags = flags;
    set_cpl(cpl);
}

static void invalidate(unsigned root, uint64_t linear, bool global)
{
    bool current = root == model.root || is_kernel(linear);

    switch (current ? random64() % 8 : random64() % 4 ? 0 : 7) {
    case 0:
        if (global || is_kernel(linear)) {
            system_set_cr(rig.cpu, 4, rig.cpu->cr4 ^ BT_CR4_PGE);
            system_set_cr(rig.cpu, 4, rig.cpu->cr4 ^ BT_CR4_PGE);
        } else {
            mmu_flush_pcid(rig.cpu, (uint16_t)(root + 1));
        }
        break;
    case 1:
        if (current && !global && !is_kernel(linear)) {
            system_set_cr(rig.cpu, 3, root_of(model.root) | (model.root + 1));
            break;
        }
        __attribute__((fallthrough));
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        if (current && (global || !is_kernel(linear))) {
            mmu_flush_page(rig.cpu, linear);
            break;
        }
        __attribute__((fallthrough));
    default:
        mmu_flush_all(rig.cpu);
    }
}

/* The supervisor's pages are everybody's; they may be global or not, but a change then goes through
 * all address spaces. */
static void change_page(void)
{
    uint64_t linear = model.linear[random64() % PAGES], size;
    unsigned root = is_kernel(linear) ? 0 : (unsigned)(random64() % ROOTS);
    uint64_t old = leaf_of(root_of(root), linear, &size);
    uint64_t pte = random_pte(size == MIB(2));

    if (!is_kernel(linear))
        pte &= ~(uint64_t)G; /* of this space alone */
    map(root_of(root), linear, pte);
    invalidate(root, linear, old & G);
}

static void change_space(void)
{
    model.root = (unsigned)(random64() % ROOTS);
    uint64_t keep = random64() % 3 ? BIT64(63) : 0;
    system_set_cr(rig.cpu, 3, root_of(model.root) | (model.root + 1) | keep);
}

/* As 64-bit or 32-bit code would. */
static void note_code(uint64_t linear, uint64_t frame)
{
    uint32_t mode = rig.cpu->mode, *map;

    map = (uint32_t *)(void *)(flat_rig.maps + frame / PAGE % 4096 * FLAT_MAP_BYTES);
    if (random64() & 1)
        rig.cpu->mode = (mode & ~(uint32_t)BT_MODE_CODE) | BT_MODE_CODE32;
    flat_note_code(rig.cpu, linear, map);
    rig.cpu->mode = mode;
}

static void visit(uint64_t linear)
{
    const uint8_t *host;
    volatile uint64_t frame = 0;

    switch (random64() % 4) {
    case 0:
        (void)note_store(linear + random64() % 512 * 8);
        break;
    case 1:
        if (CATCH(frame = mmu_code_page(rig.cpu, linear, &host)) == NONE)
            note_code(linear, frame);
        break;
    default:
        (void)note_load(linear + random64() % 512 * 8);
    }
}

static void random_step(void)
{
    uint64_t dice = random64() % 64;

    if (dice < 3)
        change_page();
    else if (dice < 10)
        change_space();
    else if (dice < 11)
        mark_code((FRAME_FIRST + random64() % FRAMES) * PAGE);
    else if (dice < 12 && random64() % 16 == 0)
        system_set_cr(rig.cpu, 4, rig.cpu->cr4 ^ BT_CR4_SMAP);
    else if (dice < 13 && random64() % 8 == 0)
        CHECK_EQ(engine_bt.dirty_enable(rig.vm, random64() & 1), 0), mmu_drop_writable(rig.cpu);
    else if (dice < 20)
        set_cpl(random64() & 1 ? 3 : 0);
    else if (dice < 24)
        rig.cpu->rflags ^= BT_FLAG_AC;
    else
        visit(model.linear[random64() % PAGES]);
}

static void nothing_stale(void)
{
    REQUIRE(open_flat(0));
    memset(&model, 0, sizeof model);
    model_pages();
    rig.cpu->vm->cr4 |= BT_CR4_SMAP | BT_CR4_PCIDE | BT_CR4_PGE;
    rig.cpu->cr4 |= BT_CR4_PCIDE;
    for (unsigned i = 0; i < PAGES; i++)
        if (is_kernel(model.linear[i]))
            map(root_of(0), model.linear[i], random_pte(i / 2 >= 12 && i < PAGES - 8));
    for (unsigned root = 1; root < ROOTS; root++)
        memcpy(rig.gmem->host + root_of(root) + PAGE / 2, rig.gmem->host + root_of(0) + PAGE / 2,
               PAGE / 2);
    for (unsigned root = 0; root < ROOTS; root++)
        for (unsigned i = 0; i < PAGES; i++)
            if (!is_kernel(model.linear[i]))
                map(root_of(root), model.linear[i],
                    random_pte(i / 2 >= 12 && i < PAGES - 8) & ~(uint64_t)G);
    mmu_flush_all(rig.cpu);
    system_set_cr(rig.cpu, 3, root_of(0) | 1);
    for (unsigned i = 0; i < 200000; i++) {
        if (!CHECK_EQ(CATCH(random_step()), NONE))
            break;
        check_page(model.linear[random64() % PAGES]);
        if (i % 16 == 0)
            check_all();
    }
    for (unsigned v = 0; v < ARRAY_SIZE(views); v++)
        if (!CHECK(model.checks[v] > 5000))
            (void)printf("# only %llu\n", (unsigned long long)model.checks[v]);
    rig_close();
}

TAP_MAIN(TAP_CASE(notes), TAP_CASE(privileges), TAP_CASE(spaces), TAP_CASE(pages_go),
         TAP_CASE(writability), TAP_CASE(neighbours), TAP_CASE(device_memory), TAP_CASE(slow),
         TAP_CASE(bounded), TAP_CASE(nothing_stale))
