/* SPDX-License-Identifier: Apache-2.0 */
/* The interrupt controllers of the software engine with processors that have no thread, a clock
 * that a test sets, and a TSC of 3 GHz derived from it. */
#pragma once

#include <errno.h>
#include <string.h>

#include "tests/tap.h"
#include "vm/engine/bt/irqchip_internal.h"
#include "vm/engine/bt/lapic.h"
#include "vm/machine/bus.h"

enum { RIG_CPUS = 4, RIG_TSC_PER_NS = 3, NOTHING = -1 };

static struct {
    struct bt_irqchip *chip;
    struct bus *bus;
    struct bt_vcpu vcpu[RIG_CPUS];
    uint64_t now;
    struct clock clock;
} rig;

void bt_vcpu_request(struct bt_vcpu *vcpu, uint32_t bits)
{
    (void)atomic_fetch_or(&vcpu->request, bits);
}

static uint64_t rig_monotonic(void *ctx)
{
    (void)ctx;
    return rig.now;
}

static uint64_t rig_tsc(void)
{
    return rig.now * RIG_TSC_PER_NS;
}

static inline bool rig_open_with(const uint32_t ids[RIG_CPUS])
{
    memset(&rig, 0, sizeof rig);
    rig.now = 1000000000;
    rig.clock = (struct clock){.monotonic = rig_monotonic};
    struct bt_irqchip_config config = {.clock = &rig.clock,
                                       .host_tsc = rig_tsc,
                                       .tsc_hz = UINT64_C(1000000000) * RIG_TSC_PER_NS,
                                       .no_thread = true};
    bool ok = CHECK_EQ(bus_create(&rig.bus), 0);
    config.bus = rig.bus;
    ok = ok && CHECK_EQ(bt_irqchip_create(&config, &rig.chip, NULL), 0);
    for (unsigned i = 0; ok && i < RIG_CPUS; i++) {
        rig.vcpu[i].index = i;
        ok = CHECK_EQ(bt_lapic_create(rig.chip, &rig.vcpu[i], ids[i]), 0);
    }
    return ok;
}

static inline bool rig_open(void)
{
    static const uint32_t ids[RIG_CPUS] = {0, 1, 2, 3};

    return rig_open_with(ids);
}

static inline void rig_close(void)
{
    for (unsigned i = 0; i < RIG_CPUS; i++)
        bt_lapic_destroy(&rig.vcpu[i]);
    bt_irqchip_destroy(rig.chip);
    bus_destroy(rig.bus);
}

static inline void rig_advance(uint64_t ns)
{
    rig.now += ns;
    bt_timers_run(&rig.chip->timers);
}

/* The interrupt that a processor would take now, or NOTHING. */
static inline int rig_take(unsigned cpu)
{
    bool pending = bt_irqchip_pending(&rig.vcpu[cpu]);
    uint8_t vector = 0;
    bool taken = bt_irqchip_interrupt(&rig.vcpu[cpu], &vector);

    CHECK_EQ(taken, pending);
    return taken ? vector : NOTHING;
}

/* Takes and forgets what has been asked of a processor. */
static inline uint32_t rig_requests(unsigned cpu)
{
    return atomic_fetch_and(&rig.vcpu[cpu].request, BT_REQUEST_INTERRUPT) &
           ~(uint32_t)BT_REQUEST_INTERRUPT;
}

static inline void out(unsigned port, uint8_t value)
{
    bus_write(rig.bus, BUS_PIO, port, 1, value);
}

static inline uint8_t in(unsigned port)
{
    return (uint8_t)bus_read(rig.bus, BUS_PIO, port, 1);
}

static inline void ioapic_out(uint8_t index, uint32_t value)
{
    bus_write(rig.bus, BUS_MMIO, BT_IOAPIC_BASE, 4, index);
    bus_write(rig.bus, BUS_MMIO, BT_IOAPIC_BASE + 0x10, 4, value);
}

static inline uint32_t ioapic_in(uint8_t index)
{
    bus_write(rig.bus, BUS_MMIO, BT_IOAPIC_BASE, 4, index);
    return (uint32_t)bus_read(rig.bus, BUS_MMIO, BT_IOAPIC_BASE + 0x10, 4);
}

/* A redirection entry. */
static inline void ioapic_pin(unsigned pin, uint32_t low, uint8_t destination)
{
    ioapic_out((uint8_t)(0x11 + pin * 2), (uint32_t)destination << 24);
    ioapic_out((uint8_t)(0x10 + pin * 2), low);
}

static inline void apic_out(unsigned cpu, unsigned offset, uint32_t value)
{
    bt_lapic_write(&rig.vcpu[cpu], offset, 4, value);
}

static inline uint32_t apic_in(unsigned cpu, unsigned offset)
{
    return (uint32_t)bt_lapic_read(&rig.vcpu[cpu], offset, 4);
}

static inline void apic_eoi(unsigned cpu)
{
    apic_out(cpu, 0xb0, 0);
}

static inline void apic_enable_all(void)
{
    for (unsigned i = 0; i < RIG_CPUS; i++)
        apic_out(i, 0xf0, 0x1ff);
}

static inline void x2apic_enable_all(void)
{
    apic_enable_all();
    for (unsigned i = 0; i < RIG_CPUS; i++)
        CHECK(bt_lapic_set_base(&rig.vcpu[i], rig.vcpu[i].apic_base | 1 << 10));
}

static inline void msr_out(unsigned cpu, uint32_t msr, uint64_t value)
{
    CHECK(bt_lapic_msr_write(&rig.vcpu[cpu], msr, value));
}

static inline uint64_t msr_in(unsigned cpu, uint32_t msr)
{
    uint64_t value = 0;

    CHECK(bt_lapic_msr_read(&rig.vcpu[cpu], msr, &value));
    return value;
}
