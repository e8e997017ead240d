/* SPDX-License-Identifier: Apache-2.0 */
/* Suspended VMs. The state of a suspended VM lies beside its .vmx (NAME-xxxxxxxx.vmss), and the
 * .vmx names it, as ESXi's does: checkpoint.vmState. That key alone is what suspended means, so it
 * outlives hostd; the keeper writes it when the state is on stable storage, and takes it out at the
 * moment at which the guest goes on: no guest ever goes on from one state twice.
 *
 * A snapshot with memory that is reverted to makes a suspended VM of its own state file, which
 * stays when the VM has gone on. */
#pragma once

#include "hostd/model/virtual_machine.h"

bool vm_is_suspended(const struct virtual_machine *vm);

/* The keeper has restored the guest, which waits: lets it go on. */
void vm_go_on(struct virtual_machine *vm);
/* It has; and it has not. */
void vm_went_on(struct virtual_machine *vm);

/* Powers a suspended VM off, whose state is lost by that; ends the task. */
void vm_discard_state(struct virtual_machine *vm, struct task *task);
/* The VM is to have another .vmx: the state file of its own goes. */
void vm_drop_state(struct virtual_machine *vm);
