/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC of a processor: Intel SDM volume 3, chapter 10 (xAPIC and x2APIC), version 14h
 * with six local vector table entries, as the kvm engine's. It lives behind bt_vcpu.lapic and is
 * guarded by the irqchip's lock, which the functions here take.
 *
 * Fixed and lowest-priority interrupts appear by BT_REQUEST_INTERRUPT (irqchip.h). The others
 * become requests: BT_REQUEST_NMI, _SMI, _INIT, and _SIPI with vcpu->sipi_vector set. INIT and SIPI
 * may both be there when the vCPU looks: INIT comes first. SIPI counts only in CPU_WAIT_FOR_SIPI,
 * which is for the vCPU to see. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/engine/cpu_state.h"

struct bt_irqchip;
struct bt_vcpu;

/* Gives the processor an APIC in the state after power-on, enabled in xAPIC mode (vcpu->apic_base
 * is set), vcpu->index 0 as bootstrap processor. -ENOMEM. */
int bt_lapic_create(struct bt_irqchip *chip, struct bt_vcpu *vcpu, uint32_t apic_id);
void bt_lapic_destroy(struct bt_vcpu *vcpu); /* accepts a vCPU without */

/* INIT: all registers but the id; APIC_BASE stays (SDM 10.4.7.3). */
void bt_lapic_init(struct bt_vcpu *vcpu);

/* IA32_APIC_BASE: transitions by SDM figure 10-27. Sets vcpu->apic_base. False: #GP. */
bool bt_lapic_set_base(struct bt_vcpu *vcpu, uint64_t value);

/* The page at apic_base in xAPIC mode: true while accesses to it are the APIC's. */
bool bt_lapic_at(const struct bt_vcpu *vcpu, uint64_t gpa);
uint64_t bt_lapic_read(struct bt_vcpu *vcpu, unsigned offset, unsigned size);
void bt_lapic_write(struct bt_vcpu *vcpu, unsigned offset, unsigned size, uint64_t value);

/* MSRs 800h-8FFh. False: #GP (not in x2APIC mode, no such register, reserved bits). */
bool bt_lapic_msr_read(struct bt_vcpu *vcpu, uint32_t msr, uint64_t *ret_value);
bool bt_lapic_msr_write(struct bt_vcpu *vcpu, uint32_t msr, uint64_t value);

/* IA32_TSC_DEADLINE. After a change of tsc_offset: bt_lapic_tsc_changed. */
uint64_t bt_lapic_deadline(struct bt_vcpu *vcpu);
void bt_lapic_set_deadline(struct bt_vcpu *vcpu, uint64_t tsc);
void bt_lapic_tsc_changed(struct bt_vcpu *vcpu);

/* CR8: bits 7-4 of the task priority register. */
uint8_t bt_lapic_cr8(struct bt_vcpu *vcpu);
void bt_lapic_set_cr8(struct bt_vcpu *vcpu, uint8_t priority);

/* The register page as saved state has it (cpu_state.lapic), x2APIC ids and LDR included, the
 * current count in place. set: after bt_lapic_set_base or bt_lapic_restore_base; the timer goes on
 * from the current count. The deadline is set afterwards. */
void bt_lapic_get_state(struct bt_vcpu *vcpu, uint32_t ret_registers[CPU_LAPIC_REGISTERS]);
void bt_lapic_set_state(struct bt_vcpu *vcpu, const uint32_t registers[CPU_LAPIC_REGISTERS]);
/* APIC_BASE of saved state: any mode from any mode. -EINVAL: no legal value. */
int bt_lapic_restore_base(struct bt_vcpu *vcpu, uint64_t value);
