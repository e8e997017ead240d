/* SPDX-License-Identifier: Apache-2.0 */
/* Intel ICH9 data sheet, 316972: 13.1 (configuration space), 10.1 (chipset configuration
 * registers), 13.7 (port 92, APM). Missing on purpose: GPIO, decode ranges (their registers keep
 * what is written), DMA, ports 0x61 and 0xcf9 (others have them), SMI sources but APM. */
#include "vm/chipset/ich9_lpc.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/lock.h"
#include "base/range.h"

enum {
    CFG_PMBASE = 0x40,
    CFG_ACPI_CNTL = 0x44,
    CFG_GPIOBASE = 0x48,
    CFG_GPIO_CNTL = 0x4c,
    CFG_PIRQA = 0x60,
    CFG_SERIRQ = 0x64,
    CFG_PIRQE = 0x68,
    CFG_LPC_IO_DEC = 0x80, /* to 0x94: decode ranges */
    CFG_GEN_PMCON = 0xa0,  /* to 0xa6 */
    CFG_PMIR = 0xac,
    CFG_GPI_ROUT = 0xb8,
    CFG_FWH_SEL = 0xd0, /* to 0xd9 */
    CFG_BIOS_CNTL = 0xdc,
    CFG_RCBA = 0xf0,

    PMBASE_MASK = 0xff80,
    ACPI_EN = 0x80,
    SMI_LOCK = 0x10,
    PIRQ_OFF = 0x80, /* IRQEN: 1 means not routed */

    RCBA_EN = 1,
    RCBA_SIZE = 0x4000,
    RCRB_HPTC = 0x3404,
    RCRB_GCS = 0x3410,
    HPTC_ENABLED = 0x80, /* the HPET is at 0xfed00000 and stays there */
    GCS_NR = 0x20,       /* the TCO watchdog does not reboot: tells drivers not to count on it */

    REGION_APM = 0,
    REGION_PORT92 = 1,

    PORT92_RESET = 1,
    PORT92_A20 = 2,
};
#define RCBA_MASK 0xffffc000u

struct ich9_lpc {
    struct dev_env env;
    struct ich9_lpc_params params;
    struct acpi_pm pm;
    pthread_mutex_t lock; /* all below */
    uint16_t pm_mapped;   /* where, 0: not */
    uint32_t rcba_mapped;

    uint16_t pmbase; /* as decoded: 0 unless ACPI_EN */
    uint32_t rcba;
    uint8_t pirq[ICH9_LPC_PIRQS];
    uint8_t apm_cnt, apm_sts, port92;
};

struct acpi_pm *ich9_lpc_pm(void *dev)
{
    return &((struct ich9_lpc *)dev)->pm;
}

/* Regions that move. */

static uint64_t pm_read(void *ctx, uint64_t offset, unsigned size)
{
    return acpi_pm_read(ctx, offset, size);
}

static void pm_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    acpi_pm_write(ctx, offset, size, value);
}

static uint64_t rcrb_read(void *ctx, uint64_t offset, unsigned size)
{
    uint64_t v = (offset & ~3u) == RCRB_HPTC  ? HPTC_ENABLED
                 : (offset & ~3u) == RCRB_GCS ? GCS_NR
                                              : 0;

    (void)ctx, (void)size;
    return v >> (offset % 4 * 8);
}

static void rcrb_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)ctx, (void)offset, (void)size, (void)value;
}

/* `lock` is held. */
static void move_pm(struct ich9_lpc *l, uint16_t to)
{
    static const struct bus_ops ops = {pm_read, pm_write};
    const struct bus_region region = {
        .name = "ACPI PM", .ops = &ops, .ctx = &l->pm, .size = ACPI_PM_SIZE, .max_width = 4};

    if (to == l->pm_mapped || !l->env.bus)
        return;
    if (l->pm_mapped)
        (void)bus_unmap(l->env.bus, BUS_PIO, l->pm_mapped);
    l->pm_mapped = to && bus_map(l->env.bus, BUS_PIO, to, &region, NULL) == 0 ? to : 0;
}

static void move_rcrb(struct ich9_lpc *l, uint32_t to)
{
    static const struct bus_ops ops = {rcrb_read, rcrb_write};
    const struct bus_region region = {
        .name = "ICH9 root complex", .ops = &ops, .ctx = l, .size = RCBA_SIZE, .max_width = 4};

    if (to == l->rcba_mapped || !l->env.bus)
        return;
    if (l->rcba_mapped)
        (void)bus_unmap(l->env.bus, BUS_MMIO, l->rcba_mapped);
    l->rcba_mapped = to && bus_map(l->env.bus, BUS_MMIO, to, &region, NULL) == 0 ? to : 0;
}

static void route(struct ich9_lpc *l, unsigned pirq, uint8_t to)
{
    if (to == l->pirq[pirq])
        return;
    l->pirq[pirq] = to;
    if (l->params.pirq_routed)
        l->params.pirq_routed(l->params.ctx, pirq, to & PIRQ_OFF ? -1 : to & 0xf);
}

/* Configuration space. */

static void ich9_lpc_config_init(void *dev, uint8_t *config, uint8_t *writable)
{
    const struct ich9_lpc *l = dev;

    le32_store(config + CFG_PMBASE, l->params.pmbase | 1u);
    le32_store(writable + CFG_PMBASE, PMBASE_MASK);
    config[CFG_ACPI_CNTL] = l->params.pmbase ? ACPI_EN : 0;
    writable[CFG_ACPI_CNTL] = ACPI_EN; /* the SCI stays on interrupt 9 */
    config[CFG_GPIOBASE] = 1;
    for (unsigned i = 0; i < 4; i++) {
        config[CFG_PIRQA + i] = config[CFG_PIRQE + i] = PIRQ_OFF;
        writable[CFG_PIRQA + i] = writable[CFG_PIRQE + i] = 0x8f;
    }
    config[CFG_SERIRQ] = 0x10;
    writable[CFG_SERIRQ] = 0xff;
    for (unsigned i = CFG_LPC_IO_DEC; i < 0x94; i++)
        writable[i] = 0xff;
    for (unsigned i = CFG_GEN_PMCON; i < 0xa7; i++)
        writable[i] = 0xff;
    le32_store(writable + CFG_GPI_ROUT, UINT32_MAX);
    le32_store(config + CFG_FWH_SEL, 0x00112233);
    le16_store(config + CFG_FWH_SEL + 4, 0x4567);
    le16_store(config + CFG_FWH_SEL + 8, 0xffcf);
    writable[CFG_BIOS_CNTL] = 0x03;
    le32_store(writable + CFG_RCBA, RCBA_MASK | RCBA_EN);
}

static void ich9_lpc_config_written(void *dev, const uint8_t *config, unsigned offset,
                                    unsigned size)
{
    struct ich9_lpc *l = dev;
    uint32_t rcba = le32_load(config + CFG_RCBA);

    if (offset + size <= CFG_PMBASE)
        return; /* the standard header */
    LOCK_SCOPE(&l->lock);
    l->pmbase = config[CFG_ACPI_CNTL] & ACPI_EN ? le16_load(config + CFG_PMBASE) & PMBASE_MASK : 0;
    l->rcba = rcba & RCBA_EN ? rcba & RCBA_MASK : 0;
    move_pm(l, l->pmbase);
    move_rcrb(l, l->rcba);
    if (config[CFG_GEN_PMCON] & SMI_LOCK)
        acpi_pm_lock_smi(&l->pm);
    for (unsigned i = 0; i < 4; i++) {
        route(l, i, config[CFG_PIRQA + i]);
        route(l, i + 4, config[CFG_PIRQE + i]);
    }
}

/* Fixed ports. */

static uint64_t ich9_lpc_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct ich9_lpc *l = dev;

    (void)size;
    LOCK_SCOPE(&l->lock);
    if (region == REGION_PORT92)
        return l->port92;
    return offset == 0 ? l->apm_cnt : l->apm_sts;
}

static void port92_write(struct ich9_lpc *l, uint8_t v)
{
    bool reset = v & ~l->port92 & PORT92_RESET;

    l->port92 = v & (PORT92_A20 | PORT92_RESET); /* A20 itself is always open */
    if (reset)
        l->env.request(l->env.request_ctx, MACHINE_RESET);
}

static void ich9_lpc_write(void *dev, unsigned region, uint64_t offset, unsigned size,
                           uint64_t value)
{
    struct ich9_lpc *l = dev;
    bool smi = false;

    (void)size;
    {
        LOCK_SCOPE(&l->lock);
        if (region == REGION_PORT92) {
            port92_write(l, (uint8_t)value);
        } else if (offset == 0) {
            l->apm_cnt = (uint8_t)value;
            smi = acpi_pm_apm_command(&l->pm, (uint8_t)value);
        } else {
            l->apm_sts = (uint8_t)value;
        }
    }
    if (smi && l->params.smi)
        l->params.smi(l->params.ctx);
}

/* Life. */

static void ich9_lpc_reset(void *dev)
{
    struct ich9_lpc *l = dev;

    acpi_pm_reset(&l->pm);
    LOCK_SCOPE(&l->lock);
    l->pmbase = l->params.pmbase;
    l->rcba = 0;
    move_pm(l, l->pmbase);
    move_rcrb(l, 0);
    for (unsigned i = 0; i < ICH9_LPC_PIRQS; i++)
        route(l, i, PIRQ_OFF);
    l->apm_cnt = l->apm_sts = 0;
    l->port92 = PORT92_A20;
}

static void ich9_lpc_quiesce(void *dev)
{
    acpi_pm_quiesce(ich9_lpc_pm(dev));
}

static void ich9_lpc_resume(void *dev)
{
    struct ich9_lpc *l = dev;

    {
        LOCK_SCOPE(&l->lock);
        move_pm(l, l->pmbase);
        move_rcrb(l, l->rcba);
        for (unsigned i = 0; i < ICH9_LPC_PIRQS; i++) {
            uint8_t to = l->pirq[i];
            l->pirq[i] = (uint8_t)~to; /* as if new: whoever routes may be so */
            route(l, i, to);
        }
    }
    acpi_pm_resume(&l->pm);
}

static int ich9_lpc_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    const struct ich9_lpc_params *p = params;

    if (p->pmbase & ~PMBASE_MASK)
        return err_set(err, -EINVAL, "ACPI ports at 0x%x: not a multiple of %d", p->pmbase,
                       ACPI_PM_SIZE);
    *ret_layout = (struct dev_layout){
        .region =
            {{.name = "APM control", .space = DEV_PIO, .base = 0xb2, .size = 2, .max_width = 1},
             {.name = "port 92", .space = DEV_PIO, .base = 0x92, .size = 1, .max_width = 1}},
        .region_count = 2,
        .isa_irq = {ACPI_PM_SCI},
        .is_pci = true,
        .pci = {.vendor = 0x8086, .device = 0x2918, .class_code = 0x060100, .revision = 2},
    };
    return 0;
}

static void ich9_lpc_destroy(void *dev)
{
    struct ich9_lpc *l = dev;

    if (!l)
        return;
    move_pm(l, 0);
    move_rcrb(l, 0);
    acpi_pm_fini(&l->pm);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static int ich9_lpc_create(const struct dev_env *env, const void *params, void **ret_dev,
                           struct err *err)
{
    struct ich9_lpc *l = calloc(1, sizeof *l);

    if (!l)
        return err_sys(err, -ENOMEM, "cannot create %s", env->name);
    l->env = *env;
    l->params = *(const struct ich9_lpc_params *)params;
    (void)pthread_mutex_init(&l->lock, NULL);
    int rc = acpi_pm_init(&l->pm, &l->env, l->params.smm, l->params.pmbase != 0);
    if (rc < 0) {
        ich9_lpc_destroy(l);
        return err_sys(err, rc, "cannot create %s", env->name);
    }
    for (unsigned i = 0; i < ICH9_LPC_PIRQS; i++)
        l->pirq[i] = PIRQ_OFF;
    ich9_lpc_reset(l);
    *ret_dev = l;
    return 0;
}

static int ich9_lpc_post_load(void *object, struct err *err)
{
    const struct ich9_lpc *l = object;

    if ((l->pmbase & ~PMBASE_MASK) || (l->rcba & ~RCBA_MASK))
        return err_set(err, -EINVAL, "ich9-lpc: misaligned base address");
    return 0;
}

static const struct state_field ich9_lpc_fields[] = {
    STATE_SUB(struct ich9_lpc, pm, &acpi_pm_state, 1),
    STATE_FIELD(struct ich9_lpc, pmbase, STATE_U16),
    STATE_FIELD(struct ich9_lpc, rcba, STATE_U32),
    STATE_FIELD(struct ich9_lpc, pirq, STATE_U8),
    STATE_FIELD(struct ich9_lpc, apm_cnt, STATE_U8),
    STATE_FIELD(struct ich9_lpc, apm_sts, STATE_U8),
    STATE_FIELD(struct ich9_lpc, port92, STATE_U8),
};

static const struct state_table ich9_lpc_state = {
    .name = "ich9-lpc",
    .version = 1,
    .size = sizeof(struct ich9_lpc),
    .fields = ich9_lpc_fields,
    .field_count = ARRAY_SIZE(ich9_lpc_fields),
    .post_load = ich9_lpc_post_load,
};

const struct dev_class ich9_lpc_class = {
    .name = "ich9-lpc",
    .place = DEV_IN_VMM,
    .layout = ich9_lpc_layout,
    .create = ich9_lpc_create,
    .destroy = ich9_lpc_destroy,
    .reset = ich9_lpc_reset,
    .quiesce = ich9_lpc_quiesce,
    .resume = ich9_lpc_resume,
    .read = ich9_lpc_read,
    .write = ich9_lpc_write,
    .state = &ich9_lpc_state,
    .config_init = ich9_lpc_config_init,
    .config_written = ich9_lpc_config_written,
};
