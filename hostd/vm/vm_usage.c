/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_usage.h"

#include <string.h>

#include "base/clock.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/vm/vm_layout.h"

#define FRESH_NS (60 * UINT64_C(1000000000)) /* while it runs */

typedef struct vim_VirtualMachineFileLayoutExFileInfo file_info;

void vm_usage_forget(struct virtual_machine *vm)
{
    vm->usage.known = false;
}

static bool named_by_another(const struct virtual_machine *vm, const struct datastore *datastore,
                             const char *rel)
{
    struct inventory *inventory = vm->e.hostd->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (vm_of(&e->mo) != vm && vm_names_file(vm_of(&e->mo), datastore, rel))
            return true;
    return false;
}

static bool in_folder_of(const struct virtual_machine *vm, const struct datastore *datastore,
                         const char *rel)
{
    char folder[DSPATH_MAX];

    vm_folder(vm, folder);
    size_t len = strlen(folder);
    return datastore == vm->datastore && !strncmp(rel, folder, len) && (!len || rel[len] == '/');
}

static struct vm_usage_on *on(struct vm_usage *usage, const struct datastore *datastore)
{
    for (unsigned i = 0; i < usage->count; i++)
        if (usage->on[i].datastore == datastore)
            return &usage->on[i];
    if (usage->count == VM_USAGE_MAX)
        return NULL;
    usage->on[usage->count] = (struct vm_usage_on){.datastore = datastore};
    return &usage->on[usage->count++];
}

static void add(struct vm_usage *usage, const struct virtual_machine *vm, const file_info *file)
{
    struct dspath path;
    const struct datastore *datastore = vm_file(vm, file->name, &path);
    struct vm_usage_on *at = datastore ? on(usage, datastore) : NULL;
    int64_t unshared = file->size;

    if (!datastore)
        return;
    if (!in_folder_of(vm, datastore, path.rel) && named_by_another(vm, datastore, path.rel))
        unshared = 0;
    usage->all.committed += file->size;
    usage->all.unshared += unshared;
    if (!at)
        return;
    at->committed += file->size;
    at->unshared += unshared;
}

/* What a growing disk takes is what it can no longer take: both numbers are of one moment. */
static void update_room(struct virtual_machine *vm, const struct vim_VirtualMachineFileLayoutEx *ex)
{
    for (size_t i = 0; i < ex->disk.count; i++) {
        const struct vim_VirtualMachineFileLayoutExDiskLayout *d = ex->disk.items[i];
        for (unsigned j = 0; d->chain.count && j < vm->disk_count; j++) {
            const struct vim_VirtualMachineFileLayoutExDiskUnit *top =
                d->chain.items[d->chain.count - 1];
            if (vm_key_of_slot(vm->disk[j].slot) != d->key || !vm->disk[j].thin)
                continue;
            vm->disk[j].room = 0;
            for (size_t k = 0; k < top->fileKey.count; k++)
                vm->disk[j].room += (uint64_t)ex->file.items[top->fileKey.items[k]]->size;
        }
    }
}

const struct vm_usage *vm_usage_of(struct virtual_machine *vm)
{
    struct vm_usage *usage = &vm->usage;
    uint64_t now = clock_monotonic(&clock_host);
    struct arena arena = {0};

    if (usage->known && usage->power == vm->power &&
        (vm->power == VM_OFF || now - usage->at < FRESH_NS))
        return usage;
    *usage = (struct vm_usage){.known = true, .power = vm->power, .at = now};
    (void)on(usage, vm->datastore); /* the VM's own is the first, in any case */
    const struct vim_VirtualMachineFileLayoutEx *ex = vm_layout_ex(&arena, vm);
    for (size_t i = 0; i < ex->file.count; i++)
        add(usage, vm, ex->file.items[i]);
    update_room(vm, ex);
    arena_free(&arena);
    return usage;
}

/* A datastore that has gone since is no object any more: only those of the inventory are told. */
struct vim_any vm_get_storage(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    const struct vm_usage *usage = vm_usage_of(vm);
    struct inventory *inventory = hostd_of(call)->inventory;
    struct vim_VirtualMachineStorageInfo *info = VIM_NEW(call->arena, VirtualMachineStorageInfo);

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        for (unsigned i = 0; i < usage->count; i++) {
            if (&usage->on[i].datastore->e != e || !entity_visible(call, &e->mo))
                continue;
            struct vim_VirtualMachineUsageOnDatastore *out =
                VIM_NEW(call->arena, VirtualMachineUsageOnDatastore);
            out->datastore = mo_ref(&e->mo);
            out->committed = usage->on[i].committed;
            out->unshared = usage->on[i].unshared;
            out->uncommitted = e == &vm->datastore->e ? vm_uncommitted(vm) : 0;
            VIM_ADD(call->arena, &info->perDatastoreUsage, out);
        }
    info->timestamp = vm->modified_us;
    return vim_any_data(info);
}
