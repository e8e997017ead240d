/* SPDX-License-Identifier: Apache-2.0 */
/* The paravirtual clock that KVM's leaf announces (Linux Documentation/virt/kvm/x86/msr.rst:
 * 4b564d00h and 4b564d01h): the guest computes nanoseconds from its TSC by a scale that we put into
 * its memory, and learns the TSC's rate from it instead of measuring it, which a busy host spoils.
 *
 * The clock of a VM is one pair of TSC and nanoseconds (irqchip.h), so that all processors agree.
 * Called on the vCPU's own thread. */
#pragma once

#include <stdint.h>

struct bt_vcpu;

/* The guest has written the register, whose value is in vcpu->msr already. */
void bt_pvclock_system_time(struct bt_vcpu *vcpu);
void bt_pvclock_wall_clock(struct bt_vcpu *vcpu);

/* Before the vCPU runs, and after a change of its TSC (vcpu->pvclock_generation = 0): brings the
 * guest's copy up to date if the VM's clock was set since. */
void bt_pvclock_refresh(struct bt_vcpu *vcpu);
