/* SPDX-License-Identifier: Apache-2.0 */
/* The ports and the page of the interrupt controllers and the PIT, on the VM's bus. */
#include "base/lock.h"
#include "base/range.h"
#include "vm/engine/bt/irqchip_internal.h"
#include "vm/machine/bus.h"

/* A handler gets an offset within its region, so each region's operations add its base. */
#define PORTS(name, model, base)                                                        \
    static uint64_t name##_read(void *ctx, uint64_t offset, unsigned size)              \
    {                                                                                   \
        struct bt_irqchip *chip = ctx;                                                  \
        (void)size;                                                                     \
        LOCK_SCOPE(&chip->lock);                                                        \
        uint8_t value = bt_##model##_read(&chip->model, (base) + (unsigned)offset);     \
        bt_irqchip_update_pic(chip);                                                    \
        return value;                                                                   \
    }                                                                                   \
    static void name##_write(void *ctx, uint64_t offset, unsigned size, uint64_t value) \
    {                                                                                   \
        struct bt_irqchip *chip = ctx;                                                  \
        (void)size;                                                                     \
        LOCK_SCOPE(&chip->lock);                                                        \
        bt_##model##_write(&chip->model, (base) + (unsigned)offset, (uint8_t)value);    \
        bt_irqchip_update_pic(chip);                                                    \
    }                                                                                   \
    static const struct bus_ops name##_ops = {name##_read, name##_write};

PORTS(first_pic, pic, 0x20)
PORTS(second_pic, pic, 0xa0)
PORTS(elcr, pic, 0x4d0)
PORTS(pit_ports, pit, 0x40)
PORTS(system_port, pit, 0x61)

static uint64_t ioapic_read(void *ctx, uint64_t offset, unsigned size)
{
    struct bt_irqchip *chip = ctx;

    (void)size;
    LOCK_SCOPE(&chip->lock);
    return bt_ioapic_read(&chip->ioapic, (unsigned)offset);
}

static void ioapic_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct bt_irqchip *chip = ctx;

    (void)size;
    LOCK_SCOPE(&chip->lock);
    bt_ioapic_write(&chip->ioapic, (unsigned)offset, (uint32_t)value);
}

static const struct bus_ops ioapic_ops = {ioapic_read, ioapic_write};

static const struct {
    enum bus_space space;
    uint64_t base, size;
    const char *name;
    const struct bus_ops *ops;
    uint8_t width;
} regions[] = {
    {BUS_PIO, 0x20, 2, "pic", &first_pic_ops, 1},
    {BUS_PIO, 0xa0, 2, "pic", &second_pic_ops, 1},
    {BUS_PIO, 0x4d0, 2, "pic", &elcr_ops, 1},
    {BUS_PIO, 0x40, 4, "pit", &pit_ports_ops, 1},
    {BUS_PIO, 0x61, 1, "pit", &system_port_ops, 1},
    {BUS_MMIO, BT_IOAPIC_BASE, BT_IOAPIC_SIZE, "ioapic", &ioapic_ops, 4},
};

int bt_irqchip_map(struct bt_irqchip *chip, struct err *err)
{
    for (unsigned i = 0; chip->bus && i < ARRAY_SIZE(regions); i++) {
        struct bus_region region = {.name = regions[i].name,
                                    .ops = regions[i].ops,
                                    .ctx = chip,
                                    .size = regions[i].size,
                                    .min_width = 1,
                                    .max_width = regions[i].width};
        int rc = bus_map(chip->bus, regions[i].space, regions[i].base, &region, err);
        if (rc)
            return rc;
        chip->regions++;
    }
    return 0;
}

void bt_irqchip_unmap(struct bt_irqchip *chip)
{
    for (; chip->regions; chip->regions--)
        (void)bus_unmap(chip->bus, regions[chip->regions - 1].space,
                        regions[chip->regions - 1].base);
}
