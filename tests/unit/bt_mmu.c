/* SPDX-License-Identifier: Apache-2.0 */
/* Paging in all its modes, by tables written by hand: what is found, what faults with which error
 * code, which bits are set, and what the TLB may and may not keep. */
#include <time.h>

#include "tests/unit/bt_machine.h"

enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128, G = 256 };
enum { E_P = 1, E_W = 2, E_U = 4, E_RSVD = 8, E_ID = 16 };
#define NX BIT64(63)

enum { PML4 = 0x10000, PDPT = 0x11000, PD = 0x12000, PT = 0x13000, PML4_B = 0x20000 };
/* What is mapped: the page at LINEAR by PT, in a way each test chooses. */
#define LINEAR UINT64_C(0x7f8000201000)
enum { FRAME = 0x300000 };

static unsigned index_of(uint64_t linear, unsigned shift)
{
    return (linear >> shift & 511) * 8;
}

static void map(uint64_t linear, uint64_t pte)
{
    put(PML4 + index_of(linear, 39), 8, PDPT | P | W | U);
    put(PDPT + index_of(linear, 30), 8, PD | P | W | U);
    put(PD + index_of(linear, 21), 8, PT | P | W | U);
    put(PT + index_of(linear, 12), 8, pte);
    mmu_flush_all(rig.cpu);
}

static void open_long(unsigned cpl)
{
    set_mode(64, cpl);
    rig.cpu->cr0 |= BT_CR0_PG | BT_CR0_WP;
    mmu_set_cr3(rig.cpu, PML4);
    mmu_flush_all(rig.cpu);
    bt_mode_update(rig.cpu);
}

static int try_access(enum mmu_access how, uint64_t linear)
{
    const uint8_t *host;

    switch (how) {
    case MMU_READ:
        return CATCH((void)mmu_load(rig.cpu, linear, 4));
    case MMU_WRITE:
        return CATCH(mmu_store(rig.cpu, linear, 4, 1));
    default:
        return CATCH((void)mmu_code_page(rig.cpu, linear, &host));
    }
}

static void no_paging(void)
{
    REQUIRE(rig_open());
    put(0x1000, 8, 0x1122334455667788);
    CHECK_EQ(mmu_load(rig.cpu, 0x1000, 8), 0x1122334455667788);
    CHECK_EQ(mmu_load(rig.cpu, 0x1000, 2), 0x7788); /* from the TLB */
    mmu_store(rig.cpu, 0x1ffe, 4, 0xaabbccdd);
    CHECK_EQ(get(0x1ffe, 4), 0xaabbccdd);
    CHECK_EQ(mmu_load(rig.cpu, 0x1ffe, 4), 0xaabbccdd);
    CHECK_EQ(mmu_load(rig.cpu, DEVICE + 8, 4), 0xd8);
    mmu_store(rig.cpu, DEVICE + 0x10, 2, 0x4321);
    CHECK(rig.last_offset == 0x10 && rig.last_write == 0x4321);
    CHECK_EQ(mmu_load(rig.cpu, RAM, 4), UINT32_MAX); /* nobody there */
    CHECK(!mmu_host_rmw(rig.cpu, DEVICE, 4) && !mmu_host_rmw(rig.cpu, 0x1ffd, 4));
    CHECK(mmu_host_rmw(rig.cpu, 0x1ff8, 8) == bt_vm_ram(rig.cpu->vm) + 0x1ff8);
    rig_close();
}

static void rights(void)
{
    static const struct {
        uint64_t pte, cr4;
        uint8_t cpl, how;
        bool wp, ac;
        int error; /* of the page fault, or NONE */
    } cases[] = {
        {0, 0, 0, MMU_READ, 1, 0, 0},
        {0, 0, 3, MMU_WRITE, 1, 0, E_W | E_U},
        {0, 0, 0, MMU_EXECUTE, 1, 0, E_ID},
        {P, 0, 0, MMU_READ, 1, 0, NONE},
        {P, 0, 0, MMU_WRITE, 1, 0, E_P | E_W},
        {P, 0, 0, MMU_WRITE, 0, 0, NONE},
        {P | W, 0, 0, MMU_WRITE, 1, 0, NONE},
        {P | W, 0, 3, MMU_READ, 1, 0, E_P | E_U},
        {P | U, 0, 3, MMU_READ, 1, 0, NONE},
        {P | U, 0, 3, MMU_WRITE, 0, 0, E_P | E_W | E_U},
        {P | W | U, 0, 3, MMU_WRITE, 1, 0, NONE},
        {P | NX, 0, 0, MMU_EXECUTE, 1, 0, E_P | E_ID},
        {P | U | NX, 0, 3, MMU_EXECUTE, 1, 0, E_P | E_U | E_ID},
        {P | U, 0, 3, MMU_EXECUTE, 1, 0, NONE},
        {P | U, 0, 0, MMU_EXECUTE, 1, 0, NONE},
        {P | U, BT_CR4_SMEP, 0, MMU_EXECUTE, 1, 0, E_P | E_ID},
        {P | U, BT_CR4_SMEP, 0, MMU_READ, 1, 0, NONE},
        {P | U | W, BT_CR4_SMAP, 0, MMU_READ, 1, 0, E_P},
        {P | U | W, BT_CR4_SMAP, 0, MMU_WRITE, 1, 0, E_P | E_W},
        {P | U | W, BT_CR4_SMAP, 0, MMU_WRITE, 1, 1, NONE},
        {P | U | W, BT_CR4_SMAP, 3, MMU_WRITE, 1, 0, NONE},
        {P | W | BIT64(51), 0, 0, MMU_READ, 1, 0, E_P | E_RSVD},
        {P | W | BIT64(51), 0, 3, MMU_WRITE, 1, 0, E_P | E_RSVD | E_W | E_U},
    };

    REQUIRE(rig_open());
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        open_long(cases[i].cpl);
        rig.cpu->cr4 |= cases[i].cr4;
        if (!cases[i].wp)
            rig.cpu->cr0 &= ~(uint64_t)BT_CR0_WP;
        if (cases[i].ac)
            rig.cpu->rflags |= BT_FLAG_AC;
        map(LINEAR, FRAME | cases[i].pte);
        /* Twice: by the walk, and by what the TLB has kept of it. */
        for (unsigned k = 0; k < 2; k++) {
            int vector = try_access(cases[i].how, LINEAR + 8);
            if (!CHECK_EQ(vector, cases[i].error == NONE ? NONE : BT_PF))
                (void)printf("# case %u\n", i);
            if (vector == BT_PF) {
                if (!CHECK_EQ(rig.cpu->event.error, cases[i].error))
                    (void)printf("# case %u\n", i);
                CHECK_EQ(rig.cpu->cr2, LINEAR + 8);
            }
        }
    }
    rig_close();
}

/* A page that a level above forbids. */
static void rights_of_all_levels(void)
{
    static const uint64_t tables[] = {PML4, PDPT, PD};
    static const unsigned shifts[] = {39, 30, 21};

    REQUIRE(rig_open());
    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = tables[i] + index_of(LINEAR, shifts[i]);
        open_long(3);
        map(LINEAR, FRAME | P | W | U);
        put(at, 8, get(at, 8) & ~(uint64_t)W);
        CHECK_EQ(try_access(MMU_WRITE, LINEAR), BT_PF);
        CHECK_EQ(rig.cpu->event.error, E_P | E_W | E_U);
        CHECK_EQ(try_access(MMU_READ, LINEAR), NONE);
        put(at, 8, get(at, 8) & ~(uint64_t)U);
        mmu_flush(rig.cpu);
        CHECK_EQ(try_access(MMU_READ, LINEAR), BT_PF);
        CHECK_EQ(rig.cpu->event.error, E_P | E_U);
        put(at, 8, get(at, 8) & ~(uint64_t)P);
        CHECK_EQ(try_access(MMU_READ, LINEAR), BT_PF);
        CHECK_EQ(rig.cpu->event.error, E_U);
    }
    map(LINEAR, FRAME | P | W | U);
    put(PML4 + index_of(LINEAR, 39), 8, PDPT | P | W | U | PS);
    CHECK_EQ(try_access(MMU_READ, LINEAR), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_U | E_RSVD);
    CHECK_EQ(try_access(MMU_READ, UINT64_C(0x800000000000)), BT_GP);
    rig_close();
}

static void accessed_and_dirty(void)
{
    uint64_t at = PT + index_of(LINEAR, 12);

    REQUIRE(rig_open());
    open_long(0);
    map(LINEAR, FRAME | P | W);
    CHECK_EQ(try_access(MMU_READ, LINEAR), NONE);
    CHECK_EQ(get(at, 8), FRAME | P | W | A);
    CHECK(get(PML4 + index_of(LINEAR, 39), 8) & A && get(PD + index_of(LINEAR, 21), 8) & A);
    CHECK(!(get(PD + index_of(LINEAR, 21), 8) & D));
    CHECK_EQ(try_access(MMU_WRITE, LINEAR),
             NONE); /* the first write sets D though the TLB has it */
    CHECK_EQ(get(at, 8), FRAME | P | W | A | D);
    CHECK_EQ(get(FRAME, 4), 1);
    /* A fault sets neither. */
    map(LINEAR, FRAME | P);
    CHECK_EQ(try_access(MMU_WRITE, LINEAR), BT_PF);
    CHECK_EQ(get(at, 8), FRAME | P);
    rig_close();
}

static void crossing(void)
{
    REQUIRE(rig_open());
    open_long(0);
    map(LINEAR, FRAME | P | W);
    map(LINEAR + 0x1000, (FRAME + 0x5000) | P | W);
    mmu_store(rig.cpu, LINEAR + 0xffd, 8, 0x8877665544332211);
    CHECK_EQ(get(FRAME + 0xffd, 1) | get(FRAME + 0xffe, 2) << 8, 0x332211);
    CHECK_EQ(get(FRAME + 0x5000, 4), 0x77665544);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR + 0xffd, 8), 0x8877665544332211);
    /* The second page faults: with its address, and the first is left alone. */
    map(LINEAR + 0x1000, (FRAME + 0x5000) | P);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, LINEAR + 0xffe, 4, 0)), BT_PF);
    CHECK_EQ(rig.cpu->cr2, LINEAR + 0x1000);
    CHECK_EQ(get(FRAME + 0xffe, 2), 0x3322);
    rig_close();
}

static void large_pages(void)
{
    REQUIRE(rig_open());
    open_long(0);
    map(LINEAR, 0);
    put(PD + index_of(LINEAR, 21), 8, 0x400000 | P | W | PS);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, LINEAR + 0x123, 4, 0xcafe)), NONE);
    CHECK_EQ(get(0x400000 + (LINEAR & 0x1fffff) + 0x123, 4), 0xcafe);
    CHECK(get(PD + index_of(LINEAR, 21), 8) & D);
    /* INVLPG anywhere in a large page drops all of it. */
    put(PD + index_of(LINEAR, 21), 8, 0x600000 | P | W | PS);
    mmu_flush_page(rig.cpu, LINEAR + 0x80000);
    put(0x600000 + (LINEAR & 0x1fffff), 4, 77);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 77);
    put(PD + index_of(LINEAR, 21), 8, 0x600000 | P | W | PS | BIT(13));
    mmu_flush(rig.cpu);
    CHECK_EQ(try_access(MMU_READ, LINEAR), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_RSVD);
    put(PDPT + index_of(LINEAR, 30), 8, P | W | PS);
    put(LINEAR & 0x3fffffff, 4, 78);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 78);
    rig_close();
}

/* What stays in the TLB and what does not. */
static void flushes(void)
{
    uint64_t at = PT + index_of(LINEAR, 12);

    REQUIRE(rig_open());
    open_long(0);
    rig.cpu->cr4 |= BT_CR4_PGE;
    put(FRAME, 4, 1);
    put(FRAME + 0x1000, 4, 2);
    map(LINEAR, FRAME | P | W);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1);
    put(at, 8, (FRAME + 0x1000) | P | W);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1); /* nobody has said anything */
    mmu_set_cr3(rig.cpu, PML4);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 2);
    map(LINEAR, FRAME | P | W | G);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1);
    put(at, 8, (FRAME + 0x1000) | P | W | G);
    mmu_set_cr3(rig.cpu, PML4);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1); /* a global page stays */
    mmu_flush_page(rig.cpu, LINEAR);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 2);
    mmu_flush_all(rig.cpu);
    put(at, 8, FRAME | P | W | G);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1);
    rig_close();
}

static void pcid(void)
{
    uint64_t at = PT + index_of(LINEAR, 12);

    REQUIRE(rig_open());
    open_long(0);
    rig.cpu->cr4 |= BT_CR4_PCIDE;
    put(FRAME, 4, 1);
    put(FRAME + 0x1000, 4, 2);
    mmu_set_cr3(rig.cpu, PML4 | 1);
    map(LINEAR, FRAME | P | W);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1);
    put(at, 8, (FRAME + 0x1000) | P | W);
    mmu_set_cr3(rig.cpu, PML4 | 2 | BIT64(63));
    CHECK_EQ(rig.cpu->cr3, PML4 | 2);
    mmu_set_cr3(rig.cpu, PML4 | 1 | BIT64(63));
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1); /* kept */
    mmu_set_cr3(rig.cpu, PML4 | 2 | BIT64(63));
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 2); /* the other space has its own */
    mmu_flush_pcid(rig.cpu, 1);
    mmu_set_cr3(rig.cpu, PML4 | 1 | BIT64(63));
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 2);
    /* More spaces than are kept, and more renumberings than there are numbers. */
    put(at, 8, FRAME | P | W);
    for (unsigned i = 0; i < 10000; i++)
        mmu_set_cr3(rig.cpu, PML4 | (i & 15) | (i & 32 ? BIT64(63) : 0));
    mmu_set_cr3(rig.cpu, PML4 | 1);
    CHECK_EQ(mmu_load(rig.cpu, LINEAR, 4), 1);
    rig_close();
}

static void pae(void)
{
    enum { LINEAR32 = 0x80201000 };

    REQUIRE(rig_open());
    set_mode(32, 0);
    rig.cpu->efer = BT_EFER_NXE;
    rig.cpu->cr4 = BT_CR4_PAE;
    put(PDPT + 0x20 + 2 * 8, 8, PD | P);
    put(PD + index_of(LINEAR32, 21), 8, PT | P | W | U);
    put(PT + index_of(LINEAR32, 12), 8, FRAME | P | W | NX);
    CHECK(mmu_load_pdptrs(rig.cpu, BT_CR0_PG, BT_CR4_PAE, PDPT + 0x20));
    rig.cpu->cr0 |= BT_CR0_PG;
    mmu_set_cr3(rig.cpu, PDPT + 0x20);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, LINEAR32 + 4, 4, 5)), NONE);
    CHECK_EQ(get(FRAME + 4, 4), 5);
    CHECK_EQ(try_access(MMU_EXECUTE, LINEAR32), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_ID);
    CHECK_EQ(try_access(MMU_READ, 0x1000), BT_PF); /* no such quarter */
    put(PT + index_of(LINEAR32, 12), 8, FRAME | P | BIT64(62));
    mmu_flush_all(rig.cpu);
    CHECK_EQ(try_access(MMU_READ, LINEAR32), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_RSVD);
    put(PDPT + 0x20, 8, PD | P | W); /* reserved there */
    CHECK(!mmu_load_pdptrs(rig.cpu, rig.cpu->cr0, rig.cpu->cr4, PDPT + 0x20));
    rig_close();
}

static void two_levels(void)
{
    REQUIRE(rig_open());
    set_mode(32, 3);
    rig.cpu->cr4 = BT_CR4_PSE;
    put(PD + (0xc0401000u >> 22) * 4, 4, PT | P | W | U);
    put(PT + (0xc0401000u >> 12 & 1023) * 4, 4, FRAME | P | U);
    put(PD + (0xd0000000u >> 22) * 4, 4, 0x400000 | P | W | U | PS);
    put(PD + (0xe0000000u >> 22) * 4, 4, 0x400000 | P | PS | BIT(21));
    rig.cpu->cr0 |= BT_CR0_PG;
    mmu_set_cr3(rig.cpu, PD);
    bt_mode_update(rig.cpu);
    put(FRAME, 4, 9);
    CHECK_EQ(mmu_load(rig.cpu, 0xc0401000, 4), 9);
    CHECK_EQ(get(PT + (0xc0401000u >> 12 & 1023) * 4, 4), FRAME | P | U | A);
    CHECK_EQ(try_access(MMU_WRITE, 0xc0401000), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_W | E_U);
    CHECK_EQ(try_access(MMU_EXECUTE, 0x1000), BT_PF); /* no I/D bit without NX */
    CHECK_EQ(rig.cpu->event.error, E_U);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, 0xd0201004, 4, 6)), NONE);
    CHECK_EQ(get(0x601004, 4), 6);
    /* INVLPG of its other half. */
    put(PD + (0xd0000000u >> 22) * 4, 4, 0);
    CHECK_EQ(try_access(MMU_READ, 0xd0201000), NONE);
    mmu_flush_page(rig.cpu, 0xd0000000);
    CHECK_EQ(try_access(MMU_READ, 0xd0201000), BT_PF);
    CHECK_EQ(try_access(MMU_READ, 0xe0000000), BT_PF);
    CHECK_EQ(rig.cpu->event.error, E_P | E_U | E_RSVD);
    rig_close();
}

static void alignment(void)
{
    REQUIRE(rig_open());
    open_long(3);
    map(LINEAR, FRAME | P | W | U);
    CHECK_EQ(CATCH((void)mmu_load(rig.cpu, LINEAR + 2, 4)), NONE);
    rig.cpu->cr0 |= BT_CR0_AM;
    rig.cpu->rflags |= BT_FLAG_AC;
    mmu_update_context(rig.cpu);
    CHECK_EQ(CATCH((void)mmu_load(rig.cpu, LINEAR + 2, 4)), BT_AC);
    CHECK_EQ(CATCH(mmu_store(rig.cpu, LINEAR + 4, 4, 0)), NONE);
    rig_close();
}

/* Tables in device memory, beyond memory, in a loop: whatever the guest does stays in the guest. */
static void nonsense(void)
{
    REQUIRE(rig_open());
    open_long(0);
    mmu_set_cr3(rig.cpu, DEVICE);
    (void)try_access(MMU_READ, LINEAR);
    mmu_set_cr3(rig.cpu, UINT64_C(0xfffffff000));
    CHECK_EQ(try_access(MMU_WRITE, LINEAR), BT_PF);
    put(PML4 + 511 * 8, 8, PML4 | P | W);
    mmu_set_cr3(rig.cpu, PML4);
    CHECK_EQ(try_access(MMU_WRITE, ~UINT64_C(0xfff) | 0x800), NONE); /* its own table */
    CHECK(get(PML4 + 511 * 8, 8) & D);
    rig_close();
}

/* The local APIC's page may be put over memory that the TLB has. */
static void apic_page_moves(void)
{
    enum { MSR_APIC_BASE = 0x1b, VERSION = 0x30, ENABLED = 0x900 };

    REQUIRE(rig_open());
    put(FRAME + VERSION, 4, 0x12345678);
    mmu_store(rig.cpu, FRAME + 8, 4, 1);
    CHECK_EQ(mmu_load(rig.cpu, FRAME + VERSION, 4), 0x12345678);
    CHECK(system_wrmsr(rig.cpu, MSR_APIC_BASE, FRAME | ENABLED));
    CHECK_EQ(mmu_load(rig.cpu, FRAME + VERSION, 4) & 0xff, 0x14);
    CHECK(system_wrmsr(rig.cpu, MSR_APIC_BASE, 0xfee00000 | ENABLED));
    CHECK_EQ(mmu_load(rig.cpu, FRAME + VERSION, 4), 0x12345678);
    rig_close();
}

/* A page becomes code on one processor while another may have it writable. */

static _Atomic(bool) protected;

static void *protect(void *page)
{
    mmu_protect_code(rig.cpu, (uintptr_t)page);
    atomic_store(&protected, true);
    return NULL;
}

static bool is_protected_within(unsigned ms)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < ms && !atomic_load(&protected); i++)
        (void)nanosleep(&pause, NULL);
    return atomic_load(&protected);
}

static void code_of_others(void)
{
    struct engine_vcpu *made;
    pthread_t thread;

    REQUIRE(rig_open());
    struct bt_vm *vm = rig.cpu->vm;
    vm->model.cpus = 2;
    REQUIRE(!engine_bt.vcpu_create(rig.vm, 1, &made, NULL));
    struct bt_vcpu *other = bt_vcpu_of(made);
    mmu_store(other, 0x5008, 8, 1);
    bt_vcpu_busy(other); /* as if it ran */
    /* It never wrote there. */
    atomic_fetch_or(&vm->gmem->code[6], GMEM_CODE);
    CHECK(!mmu_protect_code(rig.cpu, 6));
    CHECK_EQ(atomic_load(&other->request) & BT_REQUEST_PROTECT, 0);
    /* It did, and may do it again until it has heard of it. */
    uint32_t was = atomic_fetch_or(&vm->gmem->code[5], GMEM_CODE) | GMEM_CODE;
    REQUIRE(!pthread_create(&thread, NULL, protect, (void *)5));
    CHECK(!is_protected_within(50));
    CHECK(mmu_hit(other, 0x5008, 8, MMU_WRITE));
    CHECK(atomic_load(&rig.cpu->quiet)); /* who asks it must not wait */
    bt_vcpu_busy(other);
    CHECK(is_protected_within(10000));
    CHECK(!mmu_hit(other, 0x5008, 8, MMU_WRITE));
    CHECK(atomic_load(&vm->gmem->code[5]) != was); /* what it wrote is told */
    (void)pthread_join(thread, NULL);
    /* A processor that does nothing is not waited for. */
    mmu_store(other, 0x7008, 8, 1);
    bt_vcpu_quiet(other);
    atomic_fetch_or(&vm->gmem->code[7], GMEM_CODE);
    CHECK(mmu_protect_code(rig.cpu, 7));
    bt_vcpu_busy(other);
    CHECK(!mmu_hit(other, 0x7008, 8, MMU_WRITE));
    engine_bt.vcpu_destroy(made);
    rig_close();
}

TAP_MAIN(TAP_CASE(no_paging), TAP_CASE(apic_page_moves), TAP_CASE(rights),
         TAP_CASE(rights_of_all_levels), TAP_CASE(accessed_and_dirty), TAP_CASE(crossing),
         TAP_CASE(large_pages), TAP_CASE(flushes), TAP_CASE(pcid), TAP_CASE(pae),
         TAP_CASE(two_levels), TAP_CASE(alignment), TAP_CASE(nonsense), TAP_CASE(code_of_others))
