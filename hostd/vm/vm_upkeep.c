/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_upkeep.h"

#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/vm/vm_allocation.h"

struct vim_any vm_get_resource_config(struct mo *mo, struct call *call)
{
    const struct virtual_machine *vm = vm_of(mo);
    struct vim_ResourceConfigSpec *spec = VIM_NEW(call->arena, ResourceConfigSpec);

    if (!vm->vmx)
        return vim_any_none();
    spec->entity = mo_ref(mo);
    spec->changeVersion = arena_printf(call->arena, "%u", vm->change);
    spec->cpuAllocation =
        vm_allocation_get(call->arena, vm->vmx, VM_RESOURCE_CPU, (int32_t)(1000 * vm_cpus(vm)));
    spec->memoryAllocation = vm_allocation_get(call->arena, vm->vmx, VM_RESOURCE_MEMORY,
                                               (int32_t)(10 * (vm_memory(vm) >> 20)));
    return vim_any_data(spec);
}

/* --- tools: a guest brings its own (open-vm-tools); there is no image of them here --- */

void vm_mount_tools(struct mo *mo, struct call *call)
{
    if (vm_require_on(call, vm_of(mo)))
        CALL_FAULT_TEXT(
            call, ToolsImageNotAvailable,
            "There is no image of guest tools here: install open-vm-tools in the guest.");
}

void vm_unmount_tools(struct mo *mo, struct call *call)
{
    (void)vm_require_on(call, vm_of(mo)); /* never mounted */
}

void vm_upgrade_tools(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct task *task;

    if (!vm_require_on(call, vm) || !vm_begin(call, vm, &task))
        return;
    vm_end(vm);
    task_fail(task, &VIM_NEW(call->arena, ToolsUnavailable)->self, NULL);
}

void vm_standby_guest(struct mo *mo, struct call *call)
{
    if (vm_require_on(call, vm_of(mo)))
        CALL_FAULT(call, ToolsUnavailable);
}

/* Nothing that a guest told is kept. */
void vm_reset_guest_information(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (vm->power != VM_OFF)
        CALL_FAULT(call, InvalidState);
}

/* --- its end, its files --- */

void vm_terminate(struct mo *mo, struct call *call)
{
    if (vm_require_on(call, vm_of(mo)))
        vm_stop_by_host(vm_of(mo));
}

/* Files belong to whoever the host runs as, all of them. */
void vm_query_unowned(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    (void)mo;
    VIM_EMPTY(&list);
    call_return(call, VIM_ANY_LIST(VIM_STRING, 0, &list));
}
