/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_event.h"

#include <stdarg.h>
#include <string.h>

#include "hostd/api/vim_types.gen.h"
#include "hostd/model/inventory.h"

void vm_event_reconfigured(struct virtual_machine *vm, const char *user, const char *fmt, ...)
{
    struct arena cleanup_arena arena = {0};
    struct vim_VmReconfiguredEvent *event = VIM_NEW(&arena, VmReconfiguredEvent);
    va_list ap;

    event->configSpec = VIM_NEW(&arena, VirtualMachineConfigSpec);
    event->configSpec->name = vm->e.name;
    event->configSpec->numCPUs = vim_int((int32_t)vm_cpus(vm));
    event->configSpec->memoryMB = vim_long((int64_t)(vm_memory(vm) >> 20));
    va_start(ap, fmt);
    const char *text = arena_vprintf(&arena, fmt, ap);
    va_end(ap);
    event_post(vm->e.hostd, (struct vim_Event *)(void *)event, &vm->e, user, "%s", text);
}

void vm_event_renamed(struct virtual_machine *vm, const char *user, const char *old_name)
{
    struct arena cleanup_arena arena = {0};
    struct vim_VmRenamedEvent *event = VIM_NEW(&arena, VmRenamedEvent);

    if (!strcmp(old_name, vm->e.name))
        return;
    event->oldName = old_name;
    event->newName = vm->e.name;
    event_post(vm->e.hostd, (struct vim_Event *)(void *)event, &vm->e, user,
               "Renamed %s from %s to %s", vm->e.name, old_name, vm->e.name);
}
