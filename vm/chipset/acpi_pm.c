/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI fixed hardware, as the ICH9 has it: 316972, 13.8.3 (PM), 13.9 (TCO); ACPI 6.4, 4.8.3.
 * Missing on purpose: sleep states that keep memory (S1, S3), device activity monitoring, C-states
 * by port, a TCO watchdog that counts. */
#include "vm/chipset/acpi_pm.h"

#include "base/lock.h"
#include "base/range.h"

enum {
    PM1_STS_EN = 0x00,
    PM1_CNT = 0x04,
    PM1_TMR = 0x08,
    GPE0_STS = 0x20,
    GPE0_EN = 0x28,
    SMI_EN = 0x30,
    SMI_STS = 0x34,
    PM2_CNT = 0x50,
    TCO = 0x60,

    PM1_TMROF = 0x0001,
    PM1_GBL = 0x0020,
    PM1_PWRBTN = 0x0100,
    PM1_SLPBTN = 0x0200,
    PM1_RTC = 0x0400,
    PM1_PCIE_WAKE = 0x4000, /* in PM1_EN: disables */
    PM1_WAK = 0x8000,
    PM1_EVENTS = PM1_TMROF | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC,

    CNT_SCI_EN = 0x0001,
    CNT_BM_RLD = 0x0002,
    CNT_SLP_TYP = 0x1c00,
    CNT_SLP_TYP_SHIFT = 10,
    CNT_SLP_EN = 0x2000,
    CNT_STORED = CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP,

    SMI_GBL_EN = 0x01,
    SMI_APMC = 0x20, /* APMC_EN, APM_STS */

    TIMER_BITS = 24,
    TIMER_HALF_BITS = TIMER_BITS - 1, /* TMROF_STS is set when the top bit changes */
};

/* PM timer ticks a nanosecond, times 2^64: a multiplication in place of a 128-bit division. */
#define TICKS_PER_NS ((uint64_t)(((unsigned __int128)ACPI_PM_TIMER_HZ << 64) / 1000000000))

static uint64_t ticks_at(uint64_t ns)
{
    return (uint64_t)(((unsigned __int128)ns * TICKS_PER_NS) >> 64);
}

static uint64_t ns_of_ticks(uint64_t ticks)
{
    return (uint64_t)((unsigned __int128)ticks * 1000000000 / ACPI_PM_TIMER_HZ) + 1;
}

static uint64_t timer_age(const struct acpi_pm *pm)
{
    return pm->stopped ? pm->elapsed : clock_monotonic(dev_clock(pm->env)) - pm->epoch;
}

static uint16_t pm1_sts(const struct acpi_pm *pm)
{
    bool overflowed = ticks_at(timer_age(pm)) >> TIMER_HALF_BITS != pm->timer_acked;

    return pm->pm1_sts | (overflowed ? PM1_TMROF : 0);
}

static void ack_timer(struct acpi_pm *pm)
{
    pm->timer_acked = ticks_at(timer_age(pm)) >> TIMER_HALF_BITS;
}

static void arm(struct acpi_pm *pm, uint64_t deadline)
{
    if (deadline != pm->deadline)
        (void)loop_timer_arm(&pm->timer, deadline);
    pm->deadline = deadline;
}

/* The SCI is a level; only ACPI mode has one (ACPI 6.4, 4.8.2.1). */
static void update_sci(struct acpi_pm *pm)
{
    bool on = pm->pm1_cnt & CNT_SCI_EN;
    uint16_t sts = pm1_sts(pm);
    bool level = on && ((sts & pm->pm1_en & PM1_EVENTS) || (pm->gpe_sts & pm->gpe_en));
    bool wait = on && (pm->pm1_en & PM1_TMROF) && !(sts & PM1_TMROF) && !pm->stopped;

    arm(pm, wait ? pm->epoch + ns_of_ticks((pm->timer_acked + 1) << TIMER_HALF_BITS) : 0);
    if (level != pm->sci_level) {
        pm->sci_level = level;
        irq_set(&pm->env->irq[0], level);
    }
}

static void on_timer(void *ctx, uint32_t events)
{
    struct acpi_pm *pm = ctx;

    (void)events;
    LOCK_SCOPE(&pm->lock);
    pm->deadline = 0; /* it is not armed any more */
    update_sci(pm);
}

static void raise_pm1(struct acpi_pm *pm, uint16_t bit)
{
    LOCK_SCOPE(&pm->lock);
    pm->pm1_sts |= bit;
    update_sci(pm);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    raise_pm1(pm, PM1_PWRBTN);
}

void acpi_pm_sleep_button(struct acpi_pm *pm)
{
    raise_pm1(pm, PM1_SLPBTN);
}

void acpi_pm_gpe(struct acpi_pm *pm, unsigned number)
{
    LOCK_SCOPE(&pm->lock);
    if (number < 64)
        pm->gpe_sts |= BIT64(number);
    update_sci(pm);
}

bool acpi_pm_apm_command(struct acpi_pm *pm, uint8_t command)
{
    LOCK_SCOPE(&pm->lock);
    if (command == ACPI_PM_APM_ENABLE)
        pm->pm1_cnt |= CNT_SCI_EN;
    else if (command == ACPI_PM_APM_DISABLE)
        pm->pm1_cnt &= (uint16_t)~CNT_SCI_EN;
    update_sci(pm);
    if (!pm->smm || (pm->smi_en & (SMI_APMC | SMI_GBL_EN)) != (SMI_APMC | SMI_GBL_EN))
        return false;
    pm->smi_sts |= SMI_APMC;
    return true;
}

/* Registers, by aligned 32-bit word. */

static uint32_t word_read(const struct acpi_pm *pm, unsigned word)
{
    switch (word) {
    case PM1_STS_EN:
        return pm1_sts(pm) | (uint32_t)pm->pm1_en << 16;
    case PM1_CNT:
        return pm->pm1_cnt;
    case PM1_TMR:
        return ticks_at(timer_age(pm)) & (BIT(TIMER_BITS) - 1);
    case GPE0_STS:
        return (uint32_t)pm->gpe_sts;
    case GPE0_STS + 4:
        return (uint32_t)(pm->gpe_sts >> 32);
    case GPE0_EN:
        return (uint32_t)pm->gpe_en;
    case GPE0_EN + 4:
        return (uint32_t)(pm->gpe_en >> 32);
    case SMI_EN:
        return pm->smi_en;
    case SMI_STS:
        return pm->smi_sts;
    case PM2_CNT:
        return pm->pm2_cnt;
    default:
        if (word >= TCO && word < TCO + sizeof pm->tco)
            return pm->tco[(word - TCO) / 2] | (uint32_t)pm->tco[(word - TCO) / 2 + 1] << 16;
        return 0;
    }
}

static void cnt_write(struct acpi_pm *pm, uint32_t value, uint32_t mask)
{
    pm->pm1_cnt = (uint16_t)((pm->pm1_cnt & ~mask) | (value & mask & CNT_STORED));
    if (!(value & mask & CNT_SLP_EN))
        return;
    switch ((pm->pm1_cnt & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT) {
    case 0: /* OVMF's ResetShutdown */
    case 6: /* S4: the guest has saved itself */
    case 7: /* S5 */
        pm->env->request(pm->env->request_ctx, MACHINE_POWER_OFF);
        break;
    default:
        break;
    }
}

static uint64_t merge64(uint64_t old, unsigned shift, uint32_t value, uint32_t mask)
{
    return (old & ~((uint64_t)mask << shift)) | (uint64_t)(value & mask) << shift;
}

static void word_write(struct acpi_pm *pm, unsigned word, uint32_t value, uint32_t mask)
{
    uint32_t v = value & mask;

    switch (word) {
    case PM1_STS_EN:
        pm->pm1_sts &= (uint16_t)~v; /* write one to clear */
        if (v & PM1_TMROF)
            ack_timer(pm);
        pm->pm1_en =
            (uint16_t)(((pm->pm1_en & ~(mask >> 16)) | v >> 16) & (PM1_EVENTS | PM1_PCIE_WAKE));
        break;
    case PM1_CNT:
        cnt_write(pm, value, mask);
        break;
    case GPE0_STS:
        pm->gpe_sts &= ~(uint64_t)v;
        break;
    case GPE0_STS + 4:
        pm->gpe_sts &= ~((uint64_t)v << 32);
        break;
    case GPE0_EN:
    case GPE0_EN + 4:
        pm->gpe_en = merge64(pm->gpe_en, (word - GPE0_EN) * 8, value, mask);
        break;
    case SMI_EN:
        if (pm->smi_locked)
            mask &= ~(uint32_t)SMI_GBL_EN;
        pm->smi_en = (pm->smi_en & ~mask) | (value & mask) | (pm->smm ? 0 : SMI_APMC);
        break;
    case SMI_STS:
        pm->smi_sts &= ~v;
        break;
    case PM2_CNT:
        pm->pm2_cnt = (uint8_t)((pm->pm2_cnt & ~mask) | v) & 1; /* ARB_DIS */
        break;
    default:
        if (word >= TCO && word < TCO + sizeof pm->tco) {
            uint16_t *tco = &pm->tco[(word - TCO) / 2];
            tco[0] = (uint16_t)((tco[0] & ~mask) | v);
            tco[1] = (uint16_t)((tco[1] & ~(mask >> 16)) | v >> 16);
        }
        break;
    }
}

uint64_t acpi_pm_read(struct acpi_pm *pm, uint64_t offset, unsigned size)
{
    if (offset == PM1_TMR && size == 4) /* what guests read often */
        return word_read(pm, PM1_TMR);
    LOCK_SCOPE(&pm->lock);
    unsigned shift = (unsigned)(offset % 4) * 8;
    uint64_t v = word_read(pm, (unsigned)offset & ~3u) >> shift;
    if (shift + size * 8 > 32)
        v |= (uint64_t)word_read(pm, ((unsigned)offset & ~3u) + 4) << (32 - shift);
    return size == 8 ? v : v & (BIT64(size * 8) - 1);
}

void acpi_pm_write(struct acpi_pm *pm, uint64_t offset, unsigned size, uint64_t value)
{
    LOCK_SCOPE(&pm->lock);
    while (size) {
        unsigned at = (unsigned)(offset % 4);
        unsigned n = MIN(size, 4 - at);
        uint32_t mask = (uint32_t)((BIT64(n * 8) - 1) << (at * 8));

        word_write(pm, (unsigned)offset - at, (uint32_t)(value << (at * 8)), mask);
        offset += n;
        size -= n;
        value >>= n * 8;
    }
    update_sci(pm);
}

void acpi_pm_lock_smi(struct acpi_pm *pm)
{
    LOCK_SCOPE(&pm->lock);
    pm->smi_locked = true;
}

/* Life. */

void acpi_pm_reset(struct acpi_pm *pm)
{
    LOCK_SCOPE(&pm->lock);
    pm->epoch = clock_monotonic(dev_clock(pm->env));
    pm->elapsed = pm->timer_acked = 0;
    pm->pm1_sts = pm->pm1_en = 0;
    pm->pm1_cnt = pm->acpi_at_reset ? CNT_SCI_EN : 0;
    pm->gpe_sts = pm->gpe_en = 0;
    /* SeaBIOS takes APMC_EN as "SMM is set up already" and leaves it alone. */
    pm->smi_en = pm->smm ? 0 : SMI_APMC;
    pm->smi_sts = 0;
    pm->smi_locked = false;
    pm->pm2_cnt = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(pm->tco); i++)
        pm->tco[i] = 0;
    pm->tco[4] = 0x0800; /* TCO1_CNT: TCO_TMR_HLT */
    update_sci(pm);
}

void acpi_pm_quiesce(struct acpi_pm *pm)
{
    LOCK_SCOPE(&pm->lock);
    if (!pm->stopped)
        pm->elapsed = timer_age(pm);
    pm->stopped = true;
    arm(pm, 0);
}

void acpi_pm_resume(struct acpi_pm *pm)
{
    LOCK_SCOPE(&pm->lock);
    pm->epoch = clock_monotonic(dev_clock(pm->env)) - pm->elapsed;
    pm->stopped = false;
    pm->sci_level = false;
    update_sci(pm);
}

int acpi_pm_init(struct acpi_pm *pm, const struct dev_env *env, bool smm, bool acpi_at_reset)
{
    *pm = (struct acpi_pm){.env = env, .smm = smm, .acpi_at_reset = acpi_at_reset};
    (void)pthread_mutex_init(&pm->lock, NULL);
    return loop_add_timer(env->loop, &pm->timer, on_timer, pm);
}

void acpi_pm_fini(struct acpi_pm *pm)
{
    loop_del(&pm->timer);
    if (pm->env)
        (void)pthread_mutex_destroy(&pm->lock);
}

static const struct state_field acpi_pm_fields[] = {
    STATE_FIELD(struct acpi_pm, elapsed, STATE_U64),
    STATE_FIELD(struct acpi_pm, timer_acked, STATE_U64),
    STATE_FIELD(struct acpi_pm, pm1_sts, STATE_U16),
    STATE_FIELD(struct acpi_pm, pm1_en, STATE_U16),
    STATE_FIELD(struct acpi_pm, pm1_cnt, STATE_U16),
    STATE_FIELD(struct acpi_pm, gpe_sts, STATE_U64),
    STATE_FIELD(struct acpi_pm, gpe_en, STATE_U64),
    STATE_FIELD(struct acpi_pm, smi_en, STATE_U32),
    STATE_FIELD(struct acpi_pm, smi_sts, STATE_U32),
    STATE_FIELD(struct acpi_pm, pm2_cnt, STATE_U8),
    STATE_FIELD(struct acpi_pm, smi_locked, STATE_BOOL),
    STATE_FIELD(struct acpi_pm, tco, STATE_U16),
};

const struct state_table acpi_pm_state = {
    .name = "acpi-pm",
    .version = 1,
    .size = sizeof(struct acpi_pm),
    .fields = acpi_pm_fields,
    .field_count = ARRAY_SIZE(acpi_pm_fields),
};
