/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's local APIC, by register scripts: Intel SDM volume 3, chapter 10. */
#include "base/range.h"
#include "tests/unit/bt_rig.h"

enum { ONE_SHOT = 0, PERIODIC = 1 << 17, DEADLINE = 2 << 17, MASK = 1 << 16 };

static void power_on(void)
{
    REQUIRE(rig_open());
    CHECK_EQ(apic_in(2, 0x20), 2 << 24);
    CHECK_EQ(apic_in(0, 0x30), 0x50014);
    CHECK_EQ(apic_in(0, 0xf0), 0xff);
    CHECK_EQ(apic_in(0, 0xe0), 0xffffffff);
    CHECK_EQ(apic_in(0, 0x350), 0x700); /* ExtINT, as firmware leaves it */
    CHECK_EQ(apic_in(1, 0x350), 0x10000);
    for (unsigned offset = 0x320; offset <= 0x370; offset += 0x10)
        CHECK_EQ(apic_in(3, offset), 0x10000);
    CHECK_EQ(rig.vcpu[0].apic_base, 0xfee00900);
    CHECK_EQ(rig.vcpu[1].apic_base, 0xfee00800);
    CHECK(bt_lapic_at(&rig.vcpu[0], 0xfee00fff) && !bt_lapic_at(&rig.vcpu[0], 0xfee01000));
    CHECK_EQ(rig_take(0), NOTHING);
    /* Parts of a register can be read; what is not aligned gives nothing. */
    CHECK_EQ(bt_lapic_read(&rig.vcpu[0], 0x32, 1), 0x05);
    CHECK_EQ(bt_lapic_read(&rig.vcpu[0], 0x30, 2), 0x14);
    CHECK_EQ(bt_lapic_read(&rig.vcpu[0], 0x34, 4), 0);
    CHECK_EQ(bt_lapic_read(&rig.vcpu[0], 0x30, 8), 0);
    rig_close();
}

static void self_ipi(uint8_t vector)
{
    apic_out(0, 0x300, 0x40000 | vector);
}

static void priorities_and_nesting(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    self_ipi(0x31);
    self_ipi(0x52);
    self_ipi(0x33);
    CHECK_EQ(apic_in(0, 0x210), BIT(0x11) | BIT(0x13)); /* IRR */
    CHECK_EQ(rig_take(0), 0x52);
    CHECK_EQ(apic_in(0, 0xa0), 0x50);
    CHECK_EQ(apic_in(0, 0x120), BIT(0x12)); /* ISR */
    CHECK_EQ(rig_take(0), NOTHING);
    self_ipi(0x5f); /* the same class waits */
    CHECK_EQ(rig_take(0), NOTHING);
    self_ipi(0x61); /* a higher one nests */
    CHECK_EQ(rig_take(0), 0x61);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), NOTHING); /* 0x52 is still in service */
    apic_eoi(0);
    CHECK_EQ(rig_take(0), 0x5f);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), 0x33);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), 0x31);
    apic_eoi(0);
    apic_eoi(0); /* one too many */
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(apic_in(0, 0xa0), 0);
    rig_close();
}

static void task_priority(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    self_ipi(0x45);
    bt_lapic_set_cr8(&rig.vcpu[0], 4);
    CHECK_EQ(apic_in(0, 0x80), 0x40);
    CHECK_EQ(bt_lapic_cr8(&rig.vcpu[0]), 4);
    CHECK(!bt_irqchip_pending(&rig.vcpu[0]));
    CHECK_EQ(rig_take(0), NOTHING);
    apic_out(0, 0x80, 0x3f);
    CHECK_EQ(apic_in(0, 0xa0), 0x3f); /* the sub-class shows, and does not count */
    CHECK_EQ(bt_lapic_cr8(&rig.vcpu[0]), 3);
    CHECK_EQ(rig_take(0), 0x45);
    CHECK_EQ(apic_in(0, 0xa0), 0x40);
    apic_out(0, 0x80, 0x42);
    CHECK_EQ(apic_in(0, 0xa0), 0x42);
    rig_close();
}

/* The set of processors that got `vector`, each of which takes and ends it. */
static unsigned receivers(int vector)
{
    unsigned set = 0;

    for (unsigned i = 0; i < RIG_CPUS; i++) {
        if (!bt_irqchip_pending(&rig.vcpu[i]))
            continue;
        CHECK_EQ(rig_take(i), vector);
        set |= BIT(i);
        if (rig.vcpu[i].apic_base & 1 << 10)
            msr_out(i, 0x80b, 0);
        else
            apic_eoi(i);
    }
    return set;
}

static unsigned ipi(uint8_t destination, uint32_t command)
{
    apic_out(1, 0x310, (uint32_t)destination << 24);
    apic_out(1, 0x300, command);
    CHECK_EQ(apic_in(1, 0x300), command & ~(uint32_t)0x1000);
    return receivers(command & 0xff);
}

static void ipis_xapic(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    CHECK_EQ(ipi(2, 0x4041), 1 << 2);
    CHECK_EQ(ipi(1, 0x5041), 1 << 1); /* oneself, by id */
    CHECK_EQ(ipi(9, 0x4041), 0);
    CHECK_EQ(ipi(0xff, 0x4041), 15);
    CHECK_EQ(ipi(3, 0x44041), 1 << 1); /* shorthands: self, all, others */
    CHECK_EQ(ipi(3, 0x84041), 15);
    CHECK_EQ(ipi(3, 0xc4041), 13);
    for (unsigned i = 0; i < RIG_CPUS; i++)
        apic_out(i, 0xd0, BIT(24 + i) | 0xabcdef);
    CHECK_EQ(apic_in(2, 0xd0), BIT(26));
    CHECK_EQ(ipi(0x06, 0x4841), 6); /* logical, flat */
    CHECK_EQ(ipi(0xf0, 0x4841), 0);
    CHECK_EQ(ipi(0xff, 0x4841), 15);
    for (unsigned i = 0; i < RIG_CPUS; i++) { /* two clusters of two */
        apic_out(i, 0xe0, 0);
        apic_out(i, 0xd0, (i / 2 << 4 | BIT(i % 2)) << 24);
    }
    CHECK_EQ(apic_in(0, 0xe0), 0x0fffffff);
    CHECK_EQ(ipi(0x13, 0x4841), 12);
    CHECK_EQ(ipi(0x02, 0x4841), 2);
    CHECK_EQ(ipi(0x23, 0x4841), 0);
    rig_close();
}

static void lowest_priority(void)
{
    unsigned first, second;

    REQUIRE(rig_open());
    apic_enable_all();
    for (unsigned i = 0; i < RIG_CPUS; i++)
        apic_out(i, 0xd0, BIT(24 + i));
    bt_lapic_set_cr8(&rig.vcpu[0], 2);
    bt_lapic_set_cr8(&rig.vcpu[3], 1);
    first = ipi(0x0f, 0x4941);
    second = ipi(0x0f, 0x4941);
    CHECK_EQ(first | second, 6); /* in turn among equals */
    CHECK(first != second);
    CHECK_EQ(ipi(0x09, 0x4941), 8);
    apic_out(1, 0xf0, 0xff); /* who is disabled does not take part */
    CHECK_EQ(ipi(0x06, 0x4941), 4);
    CHECK_EQ(ipi(0x06, 0x4941), 4);
    apic_out(2, 0xf0, 0xff);
    CHECK_EQ(ipi(0x06, 0x4941), 0);
    rig_close();
}

static void ipis_x2apic(void)
{
    static const uint32_t ids[RIG_CPUS] = {0x000, 0x013, 0x014, 0x1ff};

    REQUIRE(rig_open_with(ids));
    CHECK_EQ(apic_in(1, 0x20), 0x13000000);
    /* A processor whose id does not fit is started by the full one, still in xAPIC mode. */
    apic_enable_all();
    CHECK(bt_lapic_set_base(&rig.vcpu[0], rig.vcpu[0].apic_base | 1 << 10));
    msr_out(0, 0x830, UINT64_C(0x1ff) << 32 | 0x4500);
    CHECK_EQ(rig_requests(3), BT_REQUEST_INIT);
    for (unsigned i = 1; i < RIG_CPUS; i++)
        CHECK(bt_lapic_set_base(&rig.vcpu[i], rig.vcpu[i].apic_base | 1 << 10));
    CHECK_EQ(msr_in(3, 0x802), 0x1ff);
    CHECK_EQ(msr_in(3, 0x80d), 0x1f8000);
    CHECK_EQ(msr_in(1, 0x80d), 0x10008);
    CHECK(!bt_lapic_at(&rig.vcpu[0], 0xfee00000));
    msr_out(0, 0x830, UINT64_C(0x14) << 32 | 0x62);
    CHECK_EQ(msr_in(0, 0x830), UINT64_C(0x14) << 32 | 0x62);
    CHECK_EQ(receivers(0x62), 4);
    msr_out(0, 0x830, UINT64_C(0x10018) << 32 | 0x862); /* logical: cluster 1, members 3 and 4 */
    CHECK_EQ(receivers(0x62), 6);
    msr_out(0, 0x830, UINT64_C(0xffffffff) << 32 | 0x62);
    CHECK_EQ(receivers(0x62), 15);
    msr_out(0, 0x830, UINT64_C(0xff) << 32 | 0x62); /* an id like another */
    CHECK_EQ(receivers(0x62), 0);
    msr_out(0, 0x830, 0xc0062);
    CHECK_EQ(receivers(0x62), 14);
    msr_out(2, 0x83f, 0x77);
    CHECK_EQ(receivers(0x77), 4);
    rig_close();
}

static void init_sipi_nmi(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x300, 0xcc500); /* INIT, level, assert, others */
    for (unsigned i = 0; i < RIG_CPUS; i++)
        CHECK_EQ(rig_requests(i), i ? BT_REQUEST_INIT : 0);
    apic_out(0, 0x300, 0xc8500); /* deassertion means nothing */
    CHECK_EQ(rig_requests(1), 0);
    bt_lapic_init(&rig.vcpu[1]);
    CHECK_EQ(apic_in(1, 0xf0), 0xff);
    CHECK_EQ(apic_in(1, 0x20), 1 << 24);
    CHECK_EQ(rig.vcpu[1].apic_base, 0xfee00800);
    apic_out(0, 0x310, 1 << 24);
    apic_out(0, 0x300, 0x4699);
    CHECK_EQ(rig_requests(1), BT_REQUEST_SIPI);
    CHECK_EQ(rig.vcpu[1].sipi_vector, 0x99);
    apic_out(0, 0x300, 0xc4400); /* NMI needs no enabled APIC (SVR) */
    for (unsigned i = 0; i < RIG_CPUS; i++)
        CHECK_EQ(rig_requests(i), i ? BT_REQUEST_NMI : 0);
    apic_out(0, 0x300, 0x4200);
    CHECK_EQ(rig_requests(1), BT_REQUEST_SMI);
    rig_close();
}

static uint32_t errors(unsigned cpu)
{
    apic_out(cpu, 0x280, 0);
    return apic_in(cpu, 0x280);
}

static void error_status(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x370, 0xe0);
    apic_out(0, 0x300, 0x4400f);    /* send illegal vector */
    CHECK_EQ(apic_in(0, 0x280), 0); /* not before it is written */
    CHECK_EQ(rig_take(0), 0xe0);
    apic_eoi(0);
    CHECK_EQ(errors(0), 0x20);
    CHECK_EQ(errors(0), 0);
    (void)bt_irqchip_msi_send(rig.chip, 0xfee01000, 0x0f);
    CHECK_EQ(errors(1), 0x40); /* receive illegal vector */
    CHECK_EQ(rig_take(1), NOTHING);
    (void)apic_in(1, 0x40);
    CHECK_EQ(errors(1), 0x80);
    apic_out(1, 0x3f0, 1); /* SELF IPI is there in x2APIC mode only */
    CHECK_EQ(errors(1), 0x80);
    apic_out(1, 0x30, 1); /* read-only is no error */
    CHECK_EQ(errors(1), 0);
    CHECK_EQ(apic_in(1, 0xff0), 0);
    rig_close();
}

static void software_disable(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x320, 0x40);
    self_ipi(0x50);
    self_ipi(0x60);
    CHECK_EQ(rig_take(0), 0x60);
    apic_out(0, 0xf0, 0xff);
    CHECK_EQ(apic_in(0, 0x320), 0x10040);
    apic_out(0, 0x320, 0x41);
    CHECK_EQ(apic_in(0, 0x320), 0x10041); /* cannot be unmasked */
    self_ipi(0x70);
    CHECK_EQ(rig_take(0), NOTHING);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), 0x50); /* what was there is held */
    rig_close();
}

static void timer_one_shot(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x320, ONE_SHOT | 0x40);
    apic_out(0, 0x3e0, 0x3); /* divide by 16 */
    apic_out(0, 0x380, 1000);
    CHECK_EQ(apic_in(0, 0x390), 1000);
    rig_advance(8000);
    CHECK_EQ(apic_in(0, 0x390), 500);
    CHECK_EQ(rig_take(0), NOTHING);
    apic_out(0, 0x3e0, 0xb); /* by 1: the rest goes sixteen times faster */
    CHECK_EQ(apic_in(0, 0x390), 500);
    rig_advance(499);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(apic_in(0, 0x390), 1);
    rig_advance(1);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    CHECK_EQ(apic_in(0, 0x390), 0);
    CHECK_EQ(apic_in(0, 0x380), 1000);
    rig_advance(100000);
    CHECK_EQ(rig_take(0), NOTHING);
    apic_out(0, 0x380, 50); /* masked when it ends: lost */
    apic_out(0, 0x320, MASK | 0x40);
    rig_advance(60);
    apic_out(0, 0x320, 0x40);
    rig_advance(1000);
    CHECK_EQ(rig_take(0), NOTHING);
    apic_out(0, 0x380, 50);
    apic_out(0, 0x380, 0); /* stopped */
    rig_advance(1000);
    CHECK_EQ(rig_take(0), NOTHING);
    /* It ended, but the thread has not run: a write to the table entry loses nothing. */
    apic_out(0, 0x380, 50);
    rig.now += 50;
    apic_out(0, 0x320, 0x41);
    CHECK_EQ(rig_take(0), 0x40);
    rig_close();
}

static void timer_divisors(void)
{
    static const struct {
        uint8_t divide, by;
    } cases[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    REQUIRE(rig_open());
    apic_enable_all();
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        apic_out(0, 0x3e0, cases[i].divide);
        apic_out(0, 0x380, 1000000);
        rig_advance(128000);
        CHECK_EQ(apic_in(0, 0x390), 1000000 - 128000 / cases[i].by);
    }
    rig_close();
}

static void timer_periodic(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x3e0, 0xb);
    apic_out(0, 0x320, PERIODIC | 0x40);
    apic_out(0, 0x380, 1000000);
    for (unsigned i = 0; i < 5; i++) {
        rig_advance(999999);
        CHECK_EQ(rig_take(0), NOTHING);
        rig_advance(1);
        CHECK_EQ(rig_take(0), 0x40);
        apic_eoi(0);
    }
    rig_advance(3300000); /* late: one interrupt, and the phase is kept */
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(apic_in(0, 0x390), 700000);
    apic_out(0, 0x320, PERIODIC | MASK | 0x40); /* counts on, unheard */
    rig_advance(5000000);
    CHECK_EQ(apic_in(0, 0x390), 700000);
    CHECK(!rig.vcpu[0].lapic->timer.armed);
    apic_out(0, 0x320, PERIODIC | 0x40);
    rig_advance(700000);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    /* A period of a nanosecond is no way to keep the host busy. */
    apic_out(0, 0x380, 1);
    unsigned fired = 0;
    for (unsigned i = 0; i < 1000; i++) {
        rig_advance(1000);
        fired += rig_take(0) == 0x40;
        apic_eoi(0);
    }
    CHECK(fired >= 9 && fired <= 10);
    rig_close();
}

/* Between one-shot and periodic the count goes on from where it is. */
static void timer_mode_change(void)
{
    REQUIRE(rig_open());
    apic_enable_all();
    apic_out(0, 0x3e0, 0xb);
    apic_out(0, 0x320, 0x40);
    apic_out(0, 0x380, 1000000);
    rig_advance(600000);
    apic_out(0, 0x320, PERIODIC | 0x40);
    CHECK_EQ(apic_in(0, 0x390), 400000);
    rig_advance(500000);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    CHECK_EQ(apic_in(0, 0x390), 900000);
    rig_advance(1000000);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    apic_out(0, 0x320, ONE_SHOT | 0x40);
    CHECK_EQ(apic_in(0, 0x390), 900000);
    rig_advance(900000);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    CHECK_EQ(apic_in(0, 0x390), 0);
    apic_out(0, 0x320, PERIODIC | 0x40); /* over is over */
    CHECK_EQ(apic_in(0, 0x390), 0);
    rig_advance(5000000);
    CHECK_EQ(rig_take(0), NOTHING);
    apic_out(0, 0x380, 1000000);
    apic_out(0, 0x320, DEADLINE | 0x40); /* this disarms it */
    CHECK_EQ(apic_in(0, 0x380), 0);
    rig_advance(5000000);
    CHECK_EQ(rig_take(0), NOTHING);
    rig_close();
}

static void timer_deadline(void)
{
    struct bt_vcpu *vcpu = &rig.vcpu[0];

    REQUIRE(rig_open());
    apic_enable_all();
    bt_lapic_set_deadline(vcpu, rig_tsc() + 300);
    CHECK_EQ(bt_lapic_deadline(vcpu), 0); /* not in this mode */
    apic_out(0, 0x320, DEADLINE | 0x40);
    bt_lapic_set_deadline(vcpu, rig_tsc() + 3001);
    CHECK(bt_lapic_deadline(vcpu) != 0);
    apic_out(0, 0x380, 77);
    CHECK_EQ(apic_in(0, 0x390), 0);
    rig_advance(1000); /* one tick of the TSC is left */
    CHECK_EQ(rig_take(0), NOTHING);
    rig_advance(1);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    CHECK_EQ(bt_lapic_deadline(vcpu), 0);
    bt_lapic_set_deadline(vcpu, 1); /* long past: at once */
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    bt_lapic_set_deadline(vcpu, rig_tsc() + 3000);
    bt_lapic_set_deadline(vcpu, 0); /* disarmed */
    rig_advance(5000);
    CHECK_EQ(rig_take(0), NOTHING);
    bt_lapic_set_deadline(vcpu, rig_tsc() + 3000000);
    vcpu->tsc_offset = 1500000; /* half the way by a jump of the TSC */
    bt_lapic_tsc_changed(vcpu);
    rig_advance(499999);
    CHECK_EQ(rig_take(0), NOTHING);
    rig_advance(1);
    CHECK_EQ(rig_take(0), 0x40);
    apic_eoi(0);
    bt_lapic_set_deadline(vcpu, UINT64_MAX); /* never, without overflow */
    rig_advance(UINT64_C(4000000000000));
    CHECK_EQ(rig_take(0), NOTHING);
    CHECK_EQ(bt_lapic_deadline(vcpu), UINT64_MAX);
    apic_out(0, 0x320, MASK | DEADLINE | 0x40);
    bt_lapic_set_deadline(vcpu, 5);
    CHECK_EQ(bt_lapic_deadline(vcpu), 0);
    CHECK_EQ(rig_take(0), NOTHING);
    rig_close();
}

/* APIC_BASE, SDM figure 10-27. */
static void base_transitions(void)
{
    enum { OFF = 0, XAPIC = 0x800, X2APIC = 0xc00, NONSENSE = 0x400 };
    struct bt_vcpu *vcpu = &rig.vcpu[1];
    const uint64_t page = 0xfee00000;

    REQUIRE(rig_open());
    CHECK(!bt_lapic_set_base(vcpu, page | NONSENSE));
    CHECK(!bt_lapic_set_base(vcpu, page | XAPIC | 1));
    CHECK(!bt_lapic_set_base(vcpu, UINT64_C(1) << 52 | XAPIC));
    CHECK(bt_lapic_set_base(vcpu, 0xd0000000 | XAPIC));
    CHECK(bt_lapic_at(vcpu, 0xd0000020) && !bt_lapic_at(vcpu, page));
    apic_out(1, 0xf0, 0x1aa);
    CHECK(bt_lapic_set_base(vcpu, page | X2APIC));
    CHECK_EQ(msr_in(1, 0x80f), 0x1aa); /* the registers stay */
    CHECK(!bt_lapic_set_base(vcpu, page | XAPIC));
    CHECK(!bt_lapic_set_base(vcpu, page | NONSENSE));
    CHECK_EQ(vcpu->apic_base, page | X2APIC);
    CHECK(bt_lapic_set_base(vcpu, page | OFF));
    CHECK(!bt_lapic_at(vcpu, page));
    CHECK(!bt_lapic_set_base(vcpu, page | X2APIC));
    CHECK(bt_lapic_set_base(vcpu, page | XAPIC));
    CHECK_EQ(apic_in(1, 0xf0), 0xff); /* as after power-on */
    CHECK_EQ(bt_lapic_restore_base(vcpu, page | X2APIC), 0);
    CHECK_EQ(bt_lapic_restore_base(vcpu, page | XAPIC), 0);
    CHECK_EQ(bt_lapic_restore_base(vcpu, page | NONSENSE), -EINVAL);
    rig_close();
}

static bool reads(uint32_t msr)
{
    uint64_t value;

    return bt_lapic_msr_read(&rig.vcpu[0], msr, &value);
}

static bool writes(uint32_t msr, uint64_t value)
{
    return bt_lapic_msr_write(&rig.vcpu[0], msr, value);
}

static void x2apic_registers(void)
{
    REQUIRE(rig_open());
    CHECK(!reads(0x802) && !writes(0x80b, 0)); /* not in xAPIC mode */
    x2apic_enable_all();
    CHECK(reads(0x802) && reads(0x803) && reads(0x80a) && reads(0x827) && reads(0x839));
    CHECK(!reads(0x80b) && !reads(0x80e) && !reads(0x831) && !reads(0x83f) && !reads(0x809));
    CHECK(!reads(0x82f) && !reads(0x800) && !reads(0x840) && !reads(0x8ff));
    CHECK(!writes(0x802, 0) && !writes(0x803, 0) && !writes(0x80d, 0) && !writes(0x810, 0));
    CHECK(!writes(0x839, 0) && !writes(0x831, 0) && !writes(0x8ff, 0) && !writes(0x80e, 0));
    CHECK(!writes(0x80b, 1) && !writes(0x828, 1) && !writes(0x808, 0x100) && !writes(0x83f, 256));
    CHECK(!writes(0x80f, UINT64_C(1) << 32) && !writes(0x830, 1 << 20) && !writes(0x830, 1 << 13));
    CHECK(!writes(0x83e, 4));
    CHECK(writes(0x80b, 0) && writes(0x828, 0) && writes(0x808, 0x20) && writes(0x83e, 0xb));
    CHECK(writes(0x832, DEADLINE | 0xec));
    CHECK_EQ(msr_in(0, 0x832), DEADLINE | 0xec);
    CHECK_EQ(msr_in(0, 0x808), 0x20);
    rig_close();
}

TAP_MAIN(TAP_CASE(power_on), TAP_CASE(priorities_and_nesting), TAP_CASE(task_priority),
         TAP_CASE(ipis_xapic), TAP_CASE(lowest_priority), TAP_CASE(ipis_x2apic),
         TAP_CASE(init_sipi_nmi), TAP_CASE(error_status), TAP_CASE(software_disable),
         TAP_CASE(timer_one_shot), TAP_CASE(timer_divisors), TAP_CASE(timer_periodic),
         TAP_CASE(timer_mode_change), TAP_CASE(timer_deadline), TAP_CASE(base_transitions),
         TAP_CASE(x2apic_registers))
