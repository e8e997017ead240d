/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/pvclock.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/irqchip.h"

enum { ENABLED = 1, TSC_STABLE = 1 };
#define NS_PER_S UINT64_C(1000000000)

/* Where the guest finds what; little-endian. */
enum { VERSION = 0, TSC = 8, NS = 16, MULTIPLIER = 24, SHIFT = 28, FLAGS = 29, TIME_SIZE = 32 };
enum { WALL_SECONDS = 4, WALL_NS = 8, WALL_SIZE = 12 };

/* ns = (ticks << shift) * multiplier >> 32, the multiplier's highest bit set. */
static void scale(uint64_t tsc_hz, uint32_t *ret_multiplier, int8_t *ret_shift)
{
    unsigned __int128 ns = (unsigned __int128)NS_PER_S << 32, ticks = tsc_hz;
    int8_t shift = 0;

    while (ns / ticks > UINT32_MAX) {
        ticks <<= 1;
        shift++;
    }
    while (ns / ticks < UINT64_C(1) << 31) {
        ns <<= 1;
        shift--;
    }
    *ret_multiplier = (uint32_t)(ns / ticks);
    *ret_shift = shift;
}

/* The version is odd while the rest is written. False: no memory there. */
static bool publish(struct bt_vcpu *vcpu, uint64_t at, uint8_t *data, unsigned len)
{
    uint8_t version[4];

    if (!bt_vm_read(vcpu->vm, at, version, sizeof version, false))
        return false;
    le32_store(version, (le32_load(version) | 1) + 2);
    if (!bt_vm_write(vcpu->vm, at, version, sizeof version, false))
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    (void)bt_vm_write(vcpu->vm, at + sizeof version, data + sizeof version,
                      len - (unsigned)sizeof version, false);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    le32_store(version, le32_load(version) + 1);
    return bt_vm_write(vcpu->vm, at, version, sizeof version, false);
}

void bt_pvclock_system_time(struct bt_vcpu *vcpu)
{
    uint64_t value = vcpu->msr[MSR_SLOT_kvm_system_time];
    struct bt_clock_base base = bt_irqchip_clock_base(vcpu->vm->irqchip);
    uint8_t time[TIME_SIZE] = {0};
    uint32_t multiplier;
    int8_t shift;

    vcpu->pvclock_generation = base.generation;
    if (!(value & ENABLED))
        return;
    scale(base.tsc_hz, &multiplier, &shift);
    le64_store(time + TSC, base.host_tsc + vcpu->tsc_offset);
    le64_store(time + NS, base.ns);
    le32_store(time + MULTIPLIER, multiplier);
    time[SHIFT] = (uint8_t)shift;
    time[FLAGS] = TSC_STABLE;
    (void)publish(vcpu, value & ~(uint64_t)ENABLED, time, sizeof time);
}

/* The wall clock when the VM's clock was 0. */
void bt_pvclock_wall_clock(struct bt_vcpu *vcpu)
{
    uint64_t start = (uint64_t)clock_realtime(&clock_host) - bt_irqchip_clock(vcpu->vm->irqchip);
    uint8_t wall[WALL_SIZE] = {0};

    le32_store(wall + WALL_SECONDS, (uint32_t)(start / NS_PER_S));
    le32_store(wall + WALL_NS, (uint32_t)(start % NS_PER_S));
    (void)publish(vcpu, vcpu->msr[MSR_SLOT_kvm_wall_clock], wall, sizeof wall);
}

void bt_pvclock_refresh(struct bt_vcpu *vcpu)
{
    if (vcpu->pvclock_generation != bt_irqchip_clock_base(vcpu->vm->irqchip).generation)
        bt_pvclock_system_time(vcpu);
}
