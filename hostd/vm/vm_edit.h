/* SPDX-License-Identifier: Apache-2.0 */
/* A VirtualMachineConfigSpec applied to a dictionary. Nothing is touched on the datastore by this:
 * what must happen there stands in the plan afterwards (vm_plan.h). */
#pragma once

#include "hostd/vm/vm_plan.h"

struct vim_VirtualMachineConfigSpec;

/* `vm` NULL: a new one. plan->datastore, rel and vmx (a copy of what is now) are the caller's to
 * fill in first. False: the call has its fault. */
bool vm_edit(struct call *call, const struct virtual_machine *vm, struct plan *plan,
             const struct vim_VirtualMachineConfigSpec *spec);
bool vm_edit_devices(struct call *call, const struct virtual_machine *vm, struct plan *plan,
                     const struct vim_VirtualMachineConfigSpec *spec);

/* Generated MAC addresses become those of this VM's uuid. */
void vm_edit_new_addresses(struct plan *plan);
/* Cards without any get one. */
void vm_edit_missing_addresses(struct plan *plan);
/* A key that extraConfig may not change: it is about a device or names a file. */
bool vm_edit_is_reserved(const char *key);
