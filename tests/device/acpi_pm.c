/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/chipset/acpi_pm.h"

#include "tests/device/chip.h"
#include "vm/chipset/ich9_lpc.h"

enum {
    PM = ICH9_LPC_PMBASE_USUAL,
    STS = PM,
    EN = PM + 2,
    CNT = PM + 4,
    TMR = PM + 8,
    GPE_STS = PM + 0x20,
    GPE_EN = PM + 0x28,
    SMI_EN = PM + 0x30,
    SCI_EN = 1,
    PWRBTN = 0x100,
    SLPBTN = 0x200,
    TMROF = 1,
};

static const struct ich9_lpc_params direct = {.pmbase = PM};

static void timer_counts_at_its_rate(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    CHECK_EQ(chip_in(&c, TMR, 4), 0);
    chip_advance(&c, 1000000000);
    CHECK_EQ(chip_in(&c, TMR, 4), ACPI_PM_TIMER_HZ - 1); /* rounded down */
    chip_advance(&c, 4000000000);
    CHECK_EQ(chip_in(&c, TMR, 4), (5 * ACPI_PM_TIMER_HZ - 1) & 0xffffff);
    chip_close(&c);
}

static void timer_overflow_interrupts(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    chip_out(&c, EN, 2, TMROF);
    chip_advance(&c, 2343000000); /* 2^23 ticks are 2.3435 s */
    CHECK_EQ(chip_in(&c, STS, 2), 0);
    CHECK(!c.level[0]);
    chip_advance(&c, 1000000);
    CHECK(c.level[0]);
    CHECK_EQ(chip_in(&c, STS, 2), TMROF);
    chip_out(&c, STS, 2, TMROF);
    CHECK(!c.level[0]);
    CHECK_EQ(chip_in(&c, STS, 2), 0);
    chip_advance(&c, 2344000000);
    CHECK_EQ(c.edges[0], 2);
    chip_close(&c);
}

static void power_button_raises_sci(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    CHECK_EQ(c.layout.isa_irq[0], 9);
    acpi_pm_power_button(ich9_lpc_pm(c.dev));
    CHECK_EQ(chip_in(&c, STS, 2), PWRBTN);
    CHECK(!c.level[0]); /* not enabled */
    chip_out(&c, EN, 2, PWRBTN | SLPBTN);
    CHECK(c.level[0]);
    chip_out(&c, STS, 2, SLPBTN);
    CHECK(c.level[0]); /* another bit */
    chip_out(&c, STS, 2, PWRBTN);
    CHECK(!c.level[0]);
    acpi_pm_sleep_button(ich9_lpc_pm(c.dev));
    CHECK_EQ(chip_in(&c, STS, 4), SLPBTN | (PWRBTN | SLPBTN) << 16);
    CHECK(c.level[0]);
    chip_out(&c, CNT, 2, 0); /* legacy mode has no SCI */
    CHECK(!c.level[0]);
    chip_close(&c);
}

static void general_purpose_events(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    acpi_pm_gpe(ich9_lpc_pm(c.dev), 35);
    acpi_pm_gpe(ich9_lpc_pm(c.dev), 64); /* there is none */
    CHECK_EQ(chip_in(&c, GPE_STS, 4), 0);
    CHECK_EQ(chip_in(&c, GPE_STS + 4, 1), 8);
    acpi_pm_gpe(ich9_lpc_pm(c.dev), 1);
    CHECK_EQ(chip_in(&c, GPE_STS, 4), 2);
    CHECK_EQ(chip_in(&c, GPE_STS + 4, 1), 8);      /* still */
    CHECK_EQ(chip_in(&c, GPE_STS + 3, 2), 8 << 8); /* across words */
    chip_out(&c, GPE_EN + 3, 2, 0xf701);
    CHECK_EQ(chip_in(&c, GPE_EN, 4), 0x01000000);
    CHECK_EQ(chip_in(&c, GPE_EN + 4, 4), 0xf7);
    CHECK(!c.level[0]);
    chip_out(&c, GPE_EN + 5, 1, 0x11);
    CHECK_EQ(chip_in(&c, GPE_EN + 4, 4), 0x11f7);
    chip_out(&c, GPE_EN + 4, 1, 8);
    CHECK(c.level[0]);
    chip_out(&c, GPE_STS + 4, 1, 8);
    CHECK(!c.level[0]);
    chip_close(&c);
}

static void sleeps_into_power_off(void)
{
    static const struct {
        unsigned type, off;
    } want[] = {{0, 1}, {1, 0}, {5, 0}, {6, 1}, {7, 1}};

    for (unsigned i = 0; i < 5; i++) {
        struct chip c;
        chip_open(&c, &ich9_lpc_class, &direct);
        chip_out(&c, CNT, 2, want[i].type << 10 | SCI_EN);
        CHECK_EQ(c.requests[MACHINE_POWER_OFF], 0);
        chip_out(&c, CNT + 1, 1, (want[i].type << 2) | 0x20); /* byte-wide, as ACPICA may */
        CHECK_EQ(c.requests[MACHINE_POWER_OFF], want[i].off);
        CHECK_EQ(chip_in(&c, CNT, 2), want[i].type << 10 | SCI_EN); /* SLP_EN reads 0 */
        chip_close(&c);
    }
}

static void apm_port_switches_modes(void)
{
    struct chip c;
    const struct ich9_lpc_params params = {0};
    chip_open(&c, &ich9_lpc_class, &params);
    CHECK_EQ(chip_in(&c, CNT, 2), 0xffff); /* nothing there yet */
    chip_config_write(&c, 0x40, 4, PM | 1);
    CHECK_EQ(chip_in(&c, CNT, 2), 0xffff);
    chip_config_write(&c, 0x44, 1, 0x80);
    CHECK_EQ(chip_in(&c, CNT, 2), 0);
    chip_out(&c, 0xb2, 1, ACPI_PM_APM_ENABLE);
    CHECK_EQ(chip_in(&c, CNT, 2), SCI_EN);
    CHECK_EQ(chip_in(&c, 0xb2, 1), ACPI_PM_APM_ENABLE);
    chip_out(&c, 0xb2, 1, ACPI_PM_APM_DISABLE);
    CHECK_EQ(chip_in(&c, CNT, 2), 0);
    chip_out(&c, 0xb3, 1, 0x42);
    CHECK_EQ(chip_in(&c, 0xb3, 1), 0x42);
    CHECK_EQ(chip_in(&c, SMI_EN, 4) & 0x20, 0x20); /* SeaBIOS: SMM needs nothing done */
    chip_out(&c, SMI_EN, 4, 0);
    CHECK_EQ(chip_in(&c, SMI_EN, 4) & 0x20, 0x20);
    chip_close(&c);
}

static void count_smi(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void apm_port_raises_smi(void)
{
    struct chip c;
    unsigned smis = 0;
    const struct ich9_lpc_params params = {
        .pmbase = PM, .smm = true, .smi = count_smi, .ctx = &smis};
    chip_open(&c, &ich9_lpc_class, &params);
    CHECK_EQ(chip_in(&c, SMI_EN, 4), 0);
    chip_out(&c, 0xb2, 1, 0x10);
    CHECK_EQ(smis, 0);
    chip_out(&c, SMI_EN, 4, 0x21);
    chip_out(&c, 0xb2, 1, 0x10);
    CHECK_EQ(smis, 1);
    CHECK_EQ(chip_in(&c, SMI_EN + 4, 4), 0x20);
    chip_out(&c, SMI_EN + 4, 4, 0x20);
    CHECK_EQ(chip_in(&c, SMI_EN + 4, 4), 0);
    chip_close(&c);
}

/* OVMF's SmmControl2Dxe locks, and tries whether it holds. */
static void tco_registers_keep_what_is_written(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    CHECK_EQ(chip_in(&c, PM + 0x68, 2), 0x0800); /* halted */
    chip_out(&c, PM + 0x72, 2, 0x1234);
    CHECK_EQ(chip_in(&c, PM + 0x72, 2), 0x1234);
    CHECK_EQ(chip_in(&c, PM + 0x70, 4), 0x12340000);
    chip_out(&c, PM + 0x7f, 1, 0x56);
    CHECK_EQ(chip_in(&c, PM + 0x7f, 1), 0x56);
    c.class->reset(c.dev);
    CHECK_EQ(chip_in(&c, PM + 0x72, 2), 0);
    chip_close(&c);
}

/* The state is taken while nothing moves: the timer stands from quiesce to resume. */
static void timer_stands_while_quiesced(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    chip_out(&c, EN, 2, TMROF);
    chip_advance(&c, 1000000000);
    c.class->quiesce(c.dev);
    uint32_t then = chip_in(&c, TMR, 4);
    chip_advance(&c, 3000000000);
    CHECK_EQ(chip_in(&c, TMR, 4), then);
    CHECK(!c.level[0]);
    c.class->resume(c.dev);
    chip_advance(&c, 1343000000);
    CHECK(!c.level[0]);
    chip_advance(&c, 1000000);
    CHECK(c.level[0]);
    chip_close(&c);
}

static void smi_can_be_locked(void)
{
    struct chip c;
    const struct ich9_lpc_params params = {.pmbase = PM, .smm = true};
    chip_open(&c, &ich9_lpc_class, &params);
    chip_out(&c, SMI_EN, 4, 0x21);
    chip_out(&c, SMI_EN, 4, 0x20);
    CHECK_EQ(chip_in(&c, SMI_EN, 4), 0x20);
    chip_out(&c, SMI_EN, 4, 0x21);
    chip_config_write(&c, 0xa0, 2, 0x10);
    chip_out(&c, SMI_EN, 4, 0x20);
    CHECK_EQ(chip_in(&c, SMI_EN, 4), 0x21);
    chip_config_write(&c, 0xa0, 2, 0);
    chip_replace(&c);
    chip_out(&c, SMI_EN, 4, 0);
    CHECK_EQ(chip_in(&c, SMI_EN, 4), 0x01);
    c.class->reset(c.dev);
    CHECK_EQ(chip_in(&c, SMI_EN, 4), 0);
    chip_close(&c);
}

static void ports_follow_pmbase(void)
{
    struct chip c;
    static const struct bus_ops none = {NULL, NULL};
    const struct bus_region other = {"other", &none, NULL, 16, 0, 0};
    chip_open(&c, &ich9_lpc_class, &direct);
    chip_config_write(&c, 0x40, 4, 0xb000);
    CHECK_EQ(chip_in(&c, CNT, 2), 0xffff);
    CHECK_EQ(chip_in(&c, 0xb004, 2), SCI_EN);
    CHECK_EQ(c.config[0x40], 1); /* it says that it is I/O */
    CHECK_EQ(bus_map(c.bus, BUS_PIO, 0xc010, &other, NULL), 0);
    chip_config_write(&c, 0x40, 4, 0xc000); /* taken: nowhere, and no crash */
    CHECK_EQ(chip_in(&c, 0xc004, 2), 0xffff);
    chip_config_write(&c, 0x40, 4, 0xd000);
    CHECK_EQ(chip_in(&c, 0xd004, 2), SCI_EN);
    c.class->reset(c.dev);
    CHECK_EQ(chip_in(&c, CNT, 2), SCI_EN);
    chip_close(&c);
}

static void root_complex_says_no_reboot(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    CHECK_EQ(chip_load(&c, 0xfed1c000 + 0x3410, 4), 0xffffffff);
    chip_config_write(&c, 0xf0, 4, 0xfed1c001);
    CHECK_EQ(chip_load(&c, 0xfed1c000 + 0x3410, 4), 0x20);
    chip_store(&c, 0xfed1c000 + 0x3410, 4, 0);
    CHECK_EQ(chip_load(&c, 0xfed1c000 + 0x3410, 4), 0x20);
    CHECK_EQ(chip_load(&c, 0xfed1c000 + 0x3404, 1), 0x80);
    chip_close(&c);
}

static unsigned routed[8];

static void note_route(void *ctx, unsigned pirq, int irq)
{
    (void)ctx;
    routed[pirq] = (unsigned)irq;
}

static void pirqs_are_routed(void)
{
    struct chip c;
    const struct ich9_lpc_params params = {.pirq_routed = note_route};
    chip_open(&c, &ich9_lpc_class, &params);
    CHECK_EQ(c.config[0x60], 0x80);
    chip_config_write(&c, 0x60, 4, 0x0b0a0b0a);
    chip_config_write(&c, 0x68, 1, 0x05);
    CHECK_EQ(routed[0], 10);
    CHECK_EQ(routed[1], 11);
    CHECK_EQ(routed[4], 5);
    chip_config_write(&c, 0x61, 1, 0x80);
    CHECK_EQ((int)routed[1], -1);
    chip_close(&c);
}

static void port_92_resets(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    CHECK_EQ(chip_in(&c, 0x92, 1), 2);
    chip_out(&c, 0x92, 1, 2);
    CHECK_EQ(c.requests[MACHINE_RESET], 0);
    chip_out(&c, 0x92, 1, 3);
    CHECK_EQ(c.requests[MACHINE_RESET], 1);
    chip_close(&c);
}

static void survives_a_move(void)
{
    struct chip c;
    chip_open(&c, &ich9_lpc_class, &direct);
    chip_config_write(&c, 0x40, 4, 0xb000);
    chip_config_write(&c, 0xf0, 4, 0xfed1c001);
    chip_out(&c, 0xb002, 2, PWRBTN);
    chip_advance(&c, 1000000000);
    acpi_pm_power_button(ich9_lpc_pm(c.dev));
    uint32_t then = chip_in(&c, 0xb008, 4);
    c.level[0] = false;
    chip_replace(&c);
    CHECK(c.level[0]);
    CHECK_EQ(chip_in(&c, 0xb008, 4), then);
    CHECK_EQ(chip_in(&c, 0xb000, 2), PWRBTN);
    CHECK_EQ(chip_load(&c, 0xfed1c000 + 0x3410, 4), 0x20);
    chip_close(&c);
}

TAP_MAIN(TAP_CASE(timer_counts_at_its_rate), TAP_CASE(timer_overflow_interrupts),
         TAP_CASE(power_button_raises_sci), TAP_CASE(general_purpose_events),
         TAP_CASE(sleeps_into_power_off), TAP_CASE(apm_port_switches_modes),
         TAP_CASE(apm_port_raises_smi), TAP_CASE(tco_registers_keep_what_is_written),
         TAP_CASE(timer_stands_while_quiesced), TAP_CASE(smi_can_be_locked),
         TAP_CASE(ports_follow_pmbase), TAP_CASE(root_complex_says_no_reboot),
         TAP_CASE(pirqs_are_routed), TAP_CASE(port_92_resets), TAP_CASE(survives_a_move))
