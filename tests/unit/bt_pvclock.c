/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine's paravirtual clock: what a guest computes from the page is the VM's clock.
 */
#include "vm/engine/bt/pvclock.h"

#include "base/bytes.h"
#include "tests/unit/bt_rig.h"
#include "vm/engine/bt/bt_vm.h"

static struct bt_vm vm;
static uint8_t memory[4096];
static unsigned odd_versions; /* seen while the rest was written */

bool bt_vm_read(struct bt_vm *of, uint64_t gpa, void *data, unsigned len, bool smm)
{
    (void)smm;
    if (of != &vm || gpa > sizeof memory || len > sizeof memory - gpa)
        return false;
    memcpy(data, memory + gpa, len);
    return true;
}

bool bt_vm_write(struct bt_vm *of, uint64_t gpa, const void *data, unsigned len, bool smm)
{
    (void)smm;
    if (of != &vm || gpa > sizeof memory || len > sizeof memory - gpa)
        return false;
    if (len > 4)
        odd_versions += le32_load(memory + gpa - 4) & 1;
    memcpy(memory + gpa, data, len);
    return true;
}

/* What a guest does (pvclock-abi.h). */
static uint64_t guest_clock(uint64_t at, unsigned cpu)
{
    const uint8_t *page = memory + at;
    uint64_t ticks = rig_tsc() + rig.vcpu[cpu].tsc_offset - le64_load(page + 8);
    int8_t shift = (int8_t)page[28];

    CHECK_EQ(le32_load(page) & 1, 0);
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return le64_load(page + 16) + (uint64_t)((unsigned __int128)ticks * le32_load(page + 24) >> 32);
}

static bool near(uint64_t a, uint64_t b)
{
    return a - b + 2 <= 4;
}

static void enable(unsigned cpu, uint64_t at)
{
    rig.vcpu[cpu].vm = &vm;
    rig.vcpu[cpu].msr[MSR_SLOT_kvm_system_time] = at | 1;
    bt_pvclock_system_time(&rig.vcpu[cpu]);
}

static void keeps_time(void)
{
    REQUIRE(rig_open());
    vm.irqchip = rig.chip;
    odd_versions = 0;
    rig.vcpu[1].tsc_offset = 123456789;
    rig_advance(5000);
    enable(0, 0x100);
    enable(1, 0x200);
    CHECK_EQ(odd_versions, 2);
    CHECK_EQ(le32_load(memory + 0x100), 4);
    CHECK_EQ(memory[0x100 + 29], 1);
    CHECK(near(guest_clock(0x100, 0), 5000));
    rig_advance(UINT64_C(3600000000000));
    CHECK(guest_clock(0x100, 0) - bt_irqchip_clock(rig.chip) + 2000 < 4000); /* 2^-31 of an hour */
    CHECK_EQ(guest_clock(0x100, 0), guest_clock(0x200, 1));
    rig.vcpu[0].msr[MSR_SLOT_kvm_system_time] = 0x100; /* off: the page is left alone */
    memory[0x100 + 29] = 77;
    bt_pvclock_system_time(&rig.vcpu[0]);
    CHECK_EQ(memory[0x100 + 29], 77);
    enable(0, UINT64_C(1) << 40); /* nowhere */
    rig_close();
}

/* A clock that is set reaches each processor before it runs. */
static void restored(void)
{
    struct irqchip_state state;

    REQUIRE(rig_open());
    vm.irqchip = rig.chip;
    enable(0, 0x100);
    CHECK_EQ(bt_irqchip_get(rig.chip, &state), 0);
    CHECK_EQ(state.clock_ns, 0);
    state.clock_ns = 77000000;
    CHECK_EQ(bt_irqchip_set(rig.chip, &state), 0);
    rig_advance(1000);
    uint32_t version = le32_load(memory + 0x100);
    bt_pvclock_refresh(&rig.vcpu[0]);
    CHECK(near(guest_clock(0x100, 0), 77001000));
    CHECK(le32_load(memory + 0x100) != version);
    version = le32_load(memory + 0x100);
    bt_pvclock_refresh(&rig.vcpu[0]);
    CHECK_EQ(le32_load(memory + 0x100), version); /* once */
    CHECK_EQ(bt_irqchip_clock(rig.chip), 77001000);
    rig_close();
}

static void wall_clock(void)
{
    REQUIRE(rig_open());
    vm.irqchip = rig.chip;
    rig_advance(UINT64_C(30000000000));
    rig.vcpu[0].vm = &vm;
    rig.vcpu[0].msr[MSR_SLOT_kvm_wall_clock] = 0x300;
    bt_pvclock_wall_clock(&rig.vcpu[0]);
    int64_t start = clock_realtime(&clock_host) / 1000000000 - 30;
    CHECK(start - le32_load(memory + 0x304) <= 1);
    CHECK(le32_load(memory + 0x308) < 1000000000);
    rig_close();
}

TAP_MAIN(TAP_CASE(keeps_time), TAP_CASE(restored), TAP_CASE(wall_clock))
