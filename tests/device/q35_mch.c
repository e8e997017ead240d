/* SPDX-License-Identifier: Apache-2.0 */
/* The host bridge's own registers, as OVMF uses them for system management memory. */
#include "vm/pci/q35_mch.h"

#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/pci/pci_regs.h"

enum { SMRAM = 0x9d, ESMRAMC = 0x9e, TSEGMB = 0xac, TOLUD = 0xb0, D_LCK = 0x10, T_EN = 1 };

struct bridge {
    struct bus *bus;
    struct pci_host *host;
    void *dev;
    uint8_t config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE];
    uint64_t tseg;
    unsigned changes;
};

static void on_tseg(void *ctx, uint64_t size)
{
    struct bridge *b = ctx;

    b->tseg = size;
    b->changes++;
}

static void no_request(void *ctx, enum machine_request what)
{
    (void)ctx, (void)what;
}

static void power_on(struct bridge *b)
{
    memset(b->config, 0, sizeof b->config);
    memset(b->writable, 0, sizeof b->writable);
    q35_mch_class.config_init(b->dev, b->config, b->writable);
}

static bool open_bridge(struct bridge *b)
{
    struct dev_env env = {.name = "mch"};
    struct q35_mch_params params = {.tseg = on_tseg, .ctx = b};

    memset(b, 0, sizeof *b);
    if (!CHECK_EQ(bus_create(&b->bus), 0) ||
        !CHECK_EQ(pci_host_create(b->bus, no_request, NULL, &b->host, NULL), 0))
        return false;
    params.host = b->host;
    if (!CHECK_EQ(q35_mch_class.create(&env, &params, &b->dev, NULL), 0))
        return false;
    power_on(b);
    return true;
}

static void close_bridge(struct bridge *b)
{
    q35_mch_class.destroy(b->dev);
    pci_host_destroy(b->host);
    bus_destroy(b->bus);
}

static void write8(struct bridge *b, unsigned at, uint8_t value)
{
    b->config[at] = (uint8_t)((b->config[at] & ~b->writable[at]) | (value & b->writable[at]));
    q35_mch_class.config_written(b->dev, b->config, at, 1);
}

/* OVMF writes where TSEG and the end of low memory are, and believes what it reads back. */
static void places_are_kept(void)
{
    struct bridge b;

    if (open_bridge(&b)) {
        CHECK_EQ(le32_load(b.writable + TSEGMB), 0xfff00000);
        CHECK_EQ(le16_load(b.writable + TOLUD), 0xfff0);
        CHECK_EQ(b.config[ESMRAMC] & 0x38, 0x38); /* what says that there is SMRAM at all */
    }
    close_bridge(&b);
}

static void tseg_opens_closes_and_locks(void)
{
    struct bridge b;

    if (open_bridge(&b)) {
        write8(&b, ESMRAMC, 2 << 1 | T_EN);
        CHECK_EQ(b.tseg, MIB(8));
        write8(&b, ESMRAMC, 2 << 1); /* everybody may look into it */
        CHECK_EQ(b.tseg, 0);
        write8(&b, ESMRAMC, T_EN);
        CHECK_EQ(b.tseg, MIB(1));
        write8(&b, SMRAM, D_LCK);
        write8(&b, ESMRAMC, 0);
        CHECK_EQ(b.tseg, MIB(1)); /* until the next reset */
        CHECK_EQ(b.changes, 3);
        power_on(&b);
        CHECK_EQ(b.tseg, 0);
        write8(&b, ESMRAMC, 1 << 1 | T_EN);
        CHECK_EQ(b.tseg, MIB(2));
    }
    close_bridge(&b);
}

TAP_MAIN(TAP_CASE(places_are_kept), TAP_CASE(tseg_opens_closes_and_locks))
