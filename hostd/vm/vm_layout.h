/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualMachine.layoutEx and .layout: the files that a VM has. */
#pragma once

#include "hostd/model/virtual_machine.h"

/* Looks at every file of the VM. */
struct vim_VirtualMachineFileLayoutEx *vm_layout_ex(struct arena *arena,
                                                    struct virtual_machine *vm);
struct vim_any vm_get_layout_ex(struct mo *mo, struct call *call);
struct vim_any vm_get_layout(struct mo *mo, struct call *call);
