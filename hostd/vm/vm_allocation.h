/* SPDX-License-Identifier: Apache-2.0 */
/* What of the host's CPUs and memory a VM shall get, as .vmx files have it: sched.cpu.min, .max,
 * .shares (MHz), sched.mem.min, .max, .shares (MiB). Today it is kept and told, as that of pools is
 * (resource_pool.h). */
#pragma once

#include "config/vmxfile.h"
#include "hostd/api/vim.h"

struct vim_ResourceAllocationInfo;
struct vim_ResourceConfigOption;

enum vm_resource { VM_RESOURCE_CPU, VM_RESOURCE_MEMORY };

/* What is set in `from` (NULL: nothing) replaces what stands there. -EINVAL: a number that cannot
 * be. */
int vm_allocation_set(struct vmxfile *vmx, enum vm_resource resource,
                      const struct vim_ResourceAllocationInfo *from);

/* `normal`: the shares of level "normal", by the VM's size. */
struct vim_ResourceAllocationInfo *vm_allocation_get(struct arena *arena, const struct vmxfile *vmx,
                                                     enum vm_resource resource, int32_t normal);

/* What shares a client may ask for, and what level "normal" is: of a pool, or of a VM with one
 * vCPU. */
struct vim_ResourceConfigOption *allocation_options(struct arena *arena, int32_t normal_cpu,
                                                    int32_t normal_memory);
