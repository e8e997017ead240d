/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of VirtualMachine around its life: tools, a hard end, its pool's view. */
#pragma once

#include "hostd/model/virtual_machine.h"

struct vim_any vm_get_resource_config(struct mo *mo, struct call *call);
void vm_mount_tools(struct mo *mo, struct call *call);
void vm_unmount_tools(struct mo *mo, struct call *call);
void vm_upgrade_tools(struct mo *mo, struct call *call);
void vm_standby_guest(struct mo *mo, struct call *call);
void vm_terminate(struct mo *mo, struct call *call);
void vm_query_unowned(struct mo *mo, struct call *call);
void vm_reset_guest_information(struct mo *mo, struct call *call);
