/* SPDX-License-Identifier: Apache-2.0 */
/* How much of its datastores a VM takes: all files that its layoutEx lists, snapshots and the disks
 * behind them included (VirtualMachineStorageSummary, VirtualMachineUsageOnDatastore).
 *
 * Files are looked at when somebody asks for the first time, after vm_usage_forget, after a change
 * of the VM's power, and at most once in a minute while it runs: its disks grow then. In between
 * vm->usage answers. What a file outside of the VM's folder takes counts as unshared unless another
 * VM names that file, too. */
#pragma once

#include "hostd/model/virtual_machine.h"

void vm_usage_forget(struct virtual_machine *vm);
const struct vm_usage *vm_usage_of(struct virtual_machine *vm);

struct vim_any vm_get_storage(struct mo *mo, struct call *call);
