/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which a VM's firmware tries its devices, as .vmx files have it:
 *   bios.bootOrder = "cdrom,hdd,ethernet0"   bios.hddOrder = "scsi0:1,scsi0:0"
 * and as the API has it, a list of devices. What stands in neither comes last. */
#pragma once

#include "config/vmxfile.h"
#include "hostd/api/vim.h"

struct vim_VirtualMachineBootOptions;

/* -EINVAL: a device of no kind that there is. An empty list takes the order away. */
int vm_boot_order_set(struct vmxfile *vmx, const struct vim_VirtualMachineBootOptions *boot);
void vm_boot_order_get(struct arena *arena, const struct vmxfile *vmx,
                       struct vim_VirtualMachineBootOptions *boot);
