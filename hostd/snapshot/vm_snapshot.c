/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/vm_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/snapshot/snapshot_files.h"
#include "hostd/snapshot/vm_snapshot_work.h"
#include "hostd/vm/vm_change.h"
#include "hostd/vm/vm_transfer.h"
#include "hostd/vm/vm_usage.h"

/* A snapshot as an object: the .vmsd has the rest. */
struct vm_snapshot {
    struct mo mo;
    struct vm_snapshot *next;
    struct virtual_machine *vm;
    uint32_t uid;
    bool listed;
    char id[40];
};

static const struct mo_class snapshot_class;

/* One behind the other. Disks are in chains of DISK_CHAIN_MAX at most, and what a client reads XML
 * with may take 256 elements within one another for enough (libxml2). ESXi has 32. */
enum { LEVELS_MAX = 240, DESCRIPTION_MAX = 32 << 10 /* as a VM's annotation */ };

/* --- the objects --- */

void vm_snapshots_locate(const struct virtual_machine *vm, struct snapshot_files *files)
{
    char folder[DSPATH_MAX];
    const char *slash = strrchr(vm->rel, '/'), *name = slash ? slash + 1 : vm->rel;
    size_t len = strlen(name);

    vm_folder(vm, folder);
    datastore_real_path(vm->datastore, folder, files->folder, sizeof files->folder);
    (void)snprintf(files->prefix[0], PATH_MAX, "/vmfs/volumes/%s/%s%s", vm->datastore->e.id, folder,
                   *folder ? "/" : "");
    (void)snprintf(files->prefix[1], PATH_MAX, "/vmfs/volumes/%s/%s%s", vm->datastore->e.name,
                   folder, *folder ? "/" : "");
    len -= len > 4 && !strcasecmp(name + len - 4, ".vmx") ? 4 : 0;
    (void)snprintf(files->stem, sizeof files->stem, "%.*s", (int)MIN(len, (size_t)200), name);
}

static struct vm_snapshot *find(struct virtual_machine *vm, uint32_t uid)
{
    struct vm_snapshot *s = vm->snapshots;

    while (s && s->uid != uid)
        s = s->next;
    return s;
}

static void add_object(struct virtual_machine *vm, uint32_t uid)
{
    struct vm_snapshot *s = calloc(1, sizeof *s);

    if (!s)
        return;
    s->vm = vm;
    s->uid = uid;
    s->listed = true;
    (void)snprintf(s->id, sizeof s->id, "%.16s-snapshot-%u", vm->e.id, uid);
    s->mo.class = &snapshot_class;
    s->mo.id = s->id;
    if (mo_add(vm->e.hostd->api.registry, NULL, &s->mo) < 0) {
        free(s);
        return;
    }
    s->next = vm->snapshots;
    vm->snapshots = s;
}

static void drop_unlisted(struct virtual_machine *vm)
{
    for (struct vm_snapshot **at = &vm->snapshots; *at;) {
        struct vm_snapshot *s = *at;
        if (s->listed) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        mo_remove(&s->mo);
        free(s);
    }
}

void vm_snapshots_refresh(struct virtual_machine *vm)
{
    struct snapshot_files files = {0};
    struct vmsd *vmsd = NULL;
    char path[PATH_MAX];

    vm_snapshots_locate(vm, &files);
    snapshot_files_path(&files, ".vmsd", path);
    if (vmsd_load(path, &vmsd, NULL) < 0)
        vmsd = NULL;
    vmsd_destroy(vm->vmsd);
    vm->vmsd = vmsd;
    vm_usage_forget(vm);
    for (struct vm_snapshot *s = vm->snapshots; s; s = s->next)
        s->listed = false;
    for (unsigned i = 0; vmsd && i < vmsd_count(vmsd); i++) {
        struct vm_snapshot *s = find(vm, vmsd_uid(vmsd, i));
        if (s)
            s->listed = true;
        else
            add_object(vm, vmsd_uid(vmsd, i));
    }
    drop_unlisted(vm);
}

void vm_snapshots_forget(struct virtual_machine *vm)
{
    for (struct vm_snapshot *s = vm->snapshots; s; s = s->next)
        s->listed = false;
    drop_unlisted(vm);
    vmsd_destroy(TAKE_PTR(vm->vmsd));
}

struct virtual_machine *vm_of_snapshot(struct mo *mo)
{
    return container_of(mo, struct vm_snapshot, mo)->vm;
}

uint32_t vm_snapshot_uid(struct mo *mo)
{
    return container_of(mo, struct vm_snapshot, mo)->uid;
}

struct virtual_machine *vm_behind(struct mo *mo)
{
    return mo->class == &virtual_machine_class ? vm_of(mo)
           : mo->class == &snapshot_class      ? vm_of_snapshot(mo)
                                               : NULL;
}

bool vm_needs_consolidation(const struct virtual_machine *vm)
{
    return vm->vmsd && vmsd_needs_consolidation(vm->vmsd);
}

void vm_snapshots_tell(struct virtual_machine *vm)
{
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_snapshot);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_rootSnapshot);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_storage);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_layoutEx);
}

/* --- properties --- */

struct vim_ref vm_snapshot_ref(struct virtual_machine *vm, uint32_t uid)
{
    struct vm_snapshot *s = find(vm, uid);

    return s ? mo_ref(&s->mo) : (struct vim_ref){0};
}

typedef VIM_LIST(struct vim_VirtualMachineSnapshotTree *) tree_list;

static void add_trees(struct arena *arena, struct virtual_machine *vm, uint32_t parent,
                      tree_list *list, unsigned depth)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    for (unsigned i = 0; s && depth < LEVELS_MAX && i < vmsd_count(vm->vmsd); i++) {
        if (vmsd_parent(vm->vmsd, i) != parent || vmsd_get(vm->vmsd, vmsd_uid(vm->vmsd, i), s) < 0)
            continue;
        struct vim_VirtualMachineSnapshotTree *tree = VIM_NEW(arena, VirtualMachineSnapshotTree);
        tree_list below = {0};
        tree->snapshot = vm_snapshot_ref(vm, s->uid);
        tree->vm = mo_ref(&vm->e.mo);
        tree->name = arena_strdup(arena, s->name ? s->name : "");
        tree->description = arena_strdup(arena, s->description ? s->description : "");
        tree->id = (int32_t)s->uid;
        tree->createTime = s->created_usec;
        tree->state = s->suspended ? VIM_VirtualMachinePowerState_suspended
                      : s->memory  ? VIM_VirtualMachinePowerState_poweredOn
                                   : VIM_VirtualMachinePowerState_poweredOff;
        tree->quiesced = s->quiesced;
        tree->replaySupported = vim_bool(false);
        add_trees(arena, vm, s->uid, &below, depth + 1);
        tree->childSnapshotList.items = below.items;
        tree->childSnapshotList.count = below.count;
        VIM_ADD(arena, list, tree);
    }
}

struct vim_any vm_get_snapshot(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (!vm->vmsd || !vmsd_count(vm->vmsd))
        return vim_any_none();
    struct vim_VirtualMachineSnapshotInfo *info = VIM_NEW(call->arena, VirtualMachineSnapshotInfo);
    tree_list list = {0};
    add_trees(call->arena, vm, VMSD_NONE, &list, 0);
    info->rootSnapshotList.items = list.items;
    info->rootSnapshotList.count = list.count;
    info->currentSnapshot = vm_snapshot_ref(vm, vmsd_current(vm->vmsd));
    return vim_any_data(info);
}

static struct vim_any children_of(struct call *call, struct virtual_machine *vm, uint32_t parent)
{
    VIM_LIST(struct vim_ref) list = {0};

    for (unsigned i = 0; vm->vmsd && i < vmsd_count(vm->vmsd); i++)
        if (vmsd_parent(vm->vmsd, i) == parent)
            VIM_ADD(call->arena, &list, vm_snapshot_ref(vm, vmsd_uid(vm->vmsd, i)));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_REF, VIM_M_VirtualMachineSnapshot, &list);
}

struct vim_any vm_get_root_snapshot(struct mo *mo, struct call *call)
{
    return children_of(call, vm_of(mo), VMSD_NONE);
}

static struct vim_any get_children(struct mo *mo, struct call *call)
{
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);

    return children_of(call, s->vm, s->uid);
}

static struct vim_any get_vm(struct mo *mo, struct call *call)
{
    (void)call;
    return mo_value(&vm_of_snapshot(mo)->e.mo);
}

int vm_snapshot_load(struct mo *mo, struct vmxfile **ret_vmx, struct err *err)
{
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);
    struct snapshot_files files = {0};
    char path[PATH_MAX];

    vm_snapshots_locate(s->vm, &files);
    snapshot_files_kept_path(&files, s->uid, ".vmx", path);
    return vmxfile_load(path, ret_vmx, err);
}

struct virtual_machine *vm_at_snapshot(struct mo *mo)
{
    struct virtual_machine *then = malloc(sizeof *then);

    if (!then)
        return NULL;
    *then = *vm_of_snapshot(mo);
    then->vmx = NULL;
    then->power = VM_OFF;
    then->disk_count = 0;
    if (vm_snapshot_load(mo, &then->vmx, NULL) < 0) {
        free(then);
        return NULL;
    }
    vm_measure_disks(then);
    return then;
}

void vm_at_snapshot_free(struct virtual_machine *then)
{
    if (then)
        vmxfile_destroy(then->vmx);
    free(then);
}

/* What the VM was then: its kept .vmx, read as the VM's own is. */
static struct vim_any get_config(struct mo *mo, struct call *call)
{
    struct virtual_machine *then = vm_at_snapshot(mo);
    struct vim_any config = vim_any_data(then ? vm_config_info(call->arena, then) : NULL);

    config = vim_copy(call->arena, &config);
    vm_at_snapshot_free(then);
    return config;
}

/* --- methods --- */

static unsigned level_of_current(const struct vmsd *vmsd)
{
    uint32_t at = vmsd ? vmsd_current(vmsd) : VMSD_NONE;
    unsigned level = 0;

    while (at != VMSD_NONE && level++ < VMSD_SNAPSHOTS_MAX) {
        unsigned i = 0;
        while (vmsd_uid(vmsd, i) != at) /* vmsd.h: each parent is there */
            i++;
        at = vmsd_parent(vmsd, i);
    }
    return level;
}

/* Either may be NULL. False: the call has its fault. */
static bool texts_fit(struct call *call, const char *name, const char *description)
{
    if (name && (!*name || strlen(name) > ENTITY_NAME_MAX)) {
        struct vim_InvalidName *fault = VIM_NEW(call->arena, InvalidName);
        fault->name = name;
        call_fault(call, &fault->self);
        return false;
    }
    if (description && strlen(description) > DESCRIPTION_MAX) {
        struct vim_InvalidArgument *fault = VIM_NEW(call->arena, InvalidArgument);
        fault->invalidProperty = "description";
        call_fault_text(call, &fault->self, "A description has up to %d bytes.", DESCRIPTION_MAX);
        return false;
    }
    return true;
}

static void create(struct call *call, struct virtual_machine *vm, const char *name,
                   const char *description, bool memory)
{
    if (!texts_fit(call, name ? name : "", description))
        return;
    if (level_of_current(vm->vmsd) >= LEVELS_MAX) {
        CALL_FAULT(call, TooManySnapshotLevels);
        return;
    }
    /* What takes room asks so; what is undone, merged or suspended does not. */
    if (call_authorize(call, &vm->datastore->e.mo, "Datastore.AllocateSpace"))
        return;
    snapshot_create(call, vm, name, description ? description : "", memory);
}

/* Without tools in the guest nobody can quiesce it: the disks are as after a power failure. */
void vm_create_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_CreateSnapshot_Task_args *args = call->args;

    create(call, vm_of(mo), args->name, args->description, args->memory);
}

void vm_create_snapshot_ex(struct mo *mo, struct call *call)
{
    const struct vim_CreateSnapshotEx_Task_args *args = call->args;

    create(call, vm_of(mo), args->name, args->description, args->memory);
}

void vm_revert_to_current(struct mo *mo, struct call *call)
{
    const struct vim_RevertToCurrentSnapshot_Task_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    uint32_t uid = vm->vmsd ? vmsd_current(vm->vmsd) : VMSD_NONE;

    if (uid == VMSD_NONE)
        CALL_FAULT(call, NotFound);
    else
        snapshot_revert(call, vm, uid, args->suppressPowerOn.set && args->suppressPowerOn.v);
}

/* Disks are merged unless the caller says that they shall not be. */
static unsigned keeping(struct vim_opt_bool consolidate)
{
    return consolidate.set && !consolidate.v ? SNAPSHOT_KEEP_DISKS : 0;
}

void vm_remove_all_snapshots(struct mo *mo, struct call *call)
{
    const struct vim_RemoveAllSnapshots_Task_args *args = call->args;

    snapshot_remove(call, vm_of(mo), VMSD_NONE, keeping(args->consolidate));
}

void vm_consolidate_disks(struct mo *mo, struct call *call)
{
    snapshot_consolidate(call, vm_of(mo));
}

static void revert(struct mo *mo, struct call *call)
{
    const struct vim_RevertToSnapshot_Task_args *args = call->args;
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);

    snapshot_revert(call, s->vm, s->uid, args->suppressPowerOn.set && args->suppressPowerOn.v);
}

static void remove_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_RemoveSnapshot_Task_args *args = call->args;
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);

    snapshot_remove(call, s->vm, s->uid,
                    keeping(args->consolidate) | (args->removeChildren ? SNAPSHOT_CHILDREN : 0));
}

static void rename_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_RenameSnapshot_args *args = call->args;
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);
    struct snapshot_files files = {0};
    struct err err = ERR_INIT;

    if (!texts_fit(call, args->name, args->description))
        return;
    vm_snapshots_locate(s->vm, &files);
    bool planned = snapshot_files_has_plan(&files);
    if (s->vm->task || planned) {
        (void)vm_fault_busy(call, s->vm, planned ? "Its snapshots are being changed." : NULL);
        return;
    }
    int rc = snapshot_files_open(&files, &err);
    if (rc == 0)
        rc = snapshot_files_rename(&files, s->uid, args->name, args->description, &err);
    snapshot_files_close(&files);
    if (rc < 0)
        CALL_FAULT_TEXT(call, InvalidName, "%s", err.text);
    vm_snapshots_refresh(s->vm);
    vm_snapshots_tell(s->vm);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(VirtualMachineSnapshot, config, get_config),
    MO_PROPERTY(VirtualMachineSnapshot, vm, get_vm),
    MO_PROPERTY(VirtualMachineSnapshot, childSnapshot, get_children),
};
static const struct mo_method methods[] = {
    MO_METHOD(RevertToSnapshot_Task, revert),
    MO_METHOD(RemoveSnapshot_Task, remove_snapshot),
    MO_METHOD(RenameSnapshot, rename_snapshot),
    MO_METHOD(ExportSnapshot, vm_export_snapshot),
};
static const struct mo_class snapshot_class = {
    .type = VIM_MANAGED(VirtualMachineSnapshot),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
