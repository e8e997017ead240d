/* SPDX-License-Identifier: Apache-2.0 */
/* What of a ConfigSpec a running VM can take: another disc, a cable in or out, a larger disk; disks
 * and network cards that come, each into a free slot with hot-plug, and that go, if they stand in
 * one (vm/pci/root_port.h). Controllers of disks are names only, and come with the first of them.
 */
#pragma once

#include "hostd/vm/vm_plan.h"

struct vim_VirtualMachineConfigSpec;

/* By its devices alone, whatever slots there are. */
bool vm_hot_may(const struct vim_VirtualMachineConfigSpec *spec);
/* plan->vmx has the devices as they are to be: those that come get their slots. False: the call has
 * its fault, TooManyDevices or DeviceHotPlugNotSupported. */
bool vm_hot_place(struct call *call, struct virtual_machine *vm, struct plan *plan);
