/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/q35_mch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/pci/pci_regs.h"

enum {
    PCIEXBAR = 0x60, /* bit 0 enable, bits 2:1 length (00: 256 buses), bits 35:28 base */
    PCIEXBAR_SIZE = 8,
    PCIEXBAR_ENABLE = 1,
    EXT_TSEG = 0x50, /* plain storage: reading back the query 0xffff says "no extension" (OVMF) */
    PAM0 = 0x90,
    PAM_COUNT = 7,
    SMRAM = 0x9d,
    SMRAM_LOCKED = 0x10,
    ESMRAMC = 0x9e,
    ESMRAMC_ENABLE = 0x01, /* bits 2:1: 1, 2 or 8 MiB */
    TSEGMB = 0xac,         /* firmware notes where TSEG and the end of low memory are: storage */
    TOLUD = 0xb0,
};
#define PCIEXBAR_BASE UINT64_C(0xff0000000)

struct q35_mch {
    struct q35_mch_params params;
    uint32_t tseg; /* bytes set aside now */
    bool locked;   /* until the next reset */
};

static int layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params;
    (void)err;
    *ret_layout = (struct dev_layout){
        .is_pci = true,
        .pci = {.vendor = 0x8086,
                .device = 0x29c0,
                .subsystem_vendor = 0x1af4,
                .subsystem = 0x1100,
                .class_code = 0x060000},
    };
    return 0;
}

static int create(const struct dev_env *env, const void *params, void **ret_dev, struct err *err)
{
    struct q35_mch *mch = calloc(1, sizeof *mch);

    (void)env;
    if (!mch)
        return err_set(err, -ENOMEM, "out of memory");
    mch->params = *(const struct q35_mch_params *)params;
    *ret_dev = mch;
    return 0;
}

static void pciexbar_written(struct q35_mch *mch, const uint8_t *config)
{
    uint64_t bar = le64_load(config + PCIEXBAR);
    uint64_t base = bar & PCIEXBAR_ENABLE ? bar & PCIEXBAR_BASE : 0;
    if (pci_host_set_ecam(mch->params.host, base) == 0 && mch->params.ecam)
        atomic_store(mch->params.ecam, base);
}

/* `loaded`: saved state, or reset. What was locked then is put in place now. */
static void smram_written(struct q35_mch *mch, const uint8_t *config, bool loaded)
{
    static const uint32_t sizes[] = {MIB(1), MIB(2), MIB(8), 0};
    uint8_t esmramc = config[ESMRAMC];
    uint32_t size = esmramc & ESMRAMC_ENABLE ? sizes[esmramc >> 1 & 3] : 0;

    if ((mch->locked && !loaded) || !mch->params.tseg)
        return;
    if (size != mch->tseg || (loaded && size))
        mch->params.tseg(mch->params.ctx, size);
    mch->tseg = size;
    mch->locked = config[SMRAM] & SMRAM_LOCKED;
}

static void config_written(void *dev, const uint8_t *config, unsigned offset, unsigned size)
{
    if (range_overlaps(offset, size, PCIEXBAR, PCIEXBAR_SIZE))
        pciexbar_written(dev, config);
    if (range_overlaps(offset, size, SMRAM, 2))
        smram_written(dev, config, size == PCI_CONFIG_SIZE);
}

static void config_init(void *dev, uint8_t *config, uint8_t *writable)
{
    struct q35_mch *mch = dev;

    le64_store(config + PCIEXBAR, PCI_ECAM_DEFAULT | (mch->params.ecam_on ? PCIEXBAR_ENABLE : 0));
    le64_store(writable + PCIEXBAR, PCIEXBAR_BASE | PCIEXBAR_ENABLE);
    /* All off at power-on: SeaBIOS takes anything else for a warm start and does not shadow itself.
     */
    for (unsigned i = 0; i < PAM_COUNT; i++)
        writable[PAM0 + i] = 0x33;
    config[SMRAM] = 0x02;
    writable[SMRAM] = 0x78;
    config[ESMRAMC] = 0x38;
    writable[ESMRAMC] = 0x87;
    le16_store(writable + EXT_TSEG, 0xffff);
    le32_store(writable + TSEGMB, 0xfff00000);
    le16_store(writable + TOLUD, 0xfff0);
    mch->locked = false;
    config_written(dev, config, 0, PCI_CONFIG_SIZE);
}

static const struct state_field fields[] = {
    STATE_FIELD(struct q35_mch, tseg, STATE_U32),
    STATE_FIELD(struct q35_mch, locked, STATE_BOOL),
};
static const struct state_table state = {"q35-mch",          1,   sizeof(struct q35_mch), fields,
                                         ARRAY_SIZE(fields), NULL};

static void reset(void *dev)
{
    (void)dev; /* its registers are the shell's configuration space */
}

const struct dev_class q35_mch_class = {
    .name = "q35-mch",
    .place = DEV_IN_VMM,
    .layout = layout,
    .create = create,
    .destroy = free,
    .reset = reset,
    .read = dev_read_nothing,
    .write = dev_write_nothing,
    .state = &state,
    .config_init = config_init,
    .config_written = config_written,
};
