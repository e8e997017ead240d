/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/vm_snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/snapshot_files.h"
#include "hostd/task/worker.h"

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

/* --- the objects --- */

static void locate(const struct virtual_machine *vm, struct snapshot_files *files)
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

    locate(vm, &files);
    snapshot_files_list_path(&files, path);
    if (vmsd_load(path, &vmsd, NULL) < 0)
        vmsd = NULL;
    vmsd_destroy(vm->vmsd);
    vm->vmsd = vmsd;
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

/* --- properties --- */

static struct vim_ref ref_of(struct virtual_machine *vm, uint32_t uid)
{
    struct vm_snapshot *s = find(vm, uid);

    return s ? mo_ref(&s->mo) : (struct vim_ref){0};
}

typedef VIM_LIST(struct vim_VirtualMachineSnapshotTree *) tree_list;

static void add_trees(struct arena *arena, struct virtual_machine *vm, uint32_t parent,
                      tree_list *list, unsigned depth)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    for (unsigned i = 0; s && depth < 64 && i < vmsd_count(vm->vmsd); i++) {
        if (vmsd_get(vm->vmsd, vmsd_uid(vm->vmsd, i), s) < 0 || s->parent != parent)
            continue;
        struct vim_VirtualMachineSnapshotTree *tree = VIM_NEW(arena, VirtualMachineSnapshotTree);
        tree_list below = {0};
        tree->snapshot = ref_of(vm, s->uid);
        tree->vm = mo_ref(&vm->e.mo);
        tree->name = arena_strdup(arena, s->name ? s->name : "");
        tree->description = arena_strdup(arena, s->description ? s->description : "");
        tree->id = (int32_t)s->uid;
        tree->createTime = s->created_usec;
        tree->state = VIM_VirtualMachinePowerState_poweredOff;
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
    info->currentSnapshot = ref_of(vm, vmsd_current(vm->vmsd));
    return vim_any_data(info);
}

static struct vim_any children_of(struct call *call, struct virtual_machine *vm, uint32_t parent)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);
    VIM_LIST(struct vim_ref) list = {0};

    for (unsigned i = 0; s && vm->vmsd && i < vmsd_count(vm->vmsd); i++)
        if (vmsd_get(vm->vmsd, vmsd_uid(vm->vmsd, i), s) == 0 && s->parent == parent)
            VIM_ADD(call->arena, &list, ref_of(vm, s->uid));
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

    locate(s->vm, &files);
    snapshot_files_vmx_path(&files, s->uid, path);
    return vmxfile_load(path, ret_vmx, err);
}

/* What the VM was then: its kept .vmx, read as the VM's own is. */
static struct vim_any get_config(struct mo *mo, struct call *call)
{
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);
    struct snapshot_files files = {0};
    struct virtual_machine then = *s->vm;
    char path[PATH_MAX];

    locate(s->vm, &files);
    snapshot_files_vmx_path(&files, s->uid, path);
    then.vmx = NULL;
    if (vmxfile_load(path, &then.vmx, NULL) < 0)
        return vim_any_none();
    then.power = VM_OFF;
    then.disk_count = 0;
    vm_measure_disks(&then);
    struct vim_any config = vim_any_data(vm_config_info(call->arena, &then));
    config = vim_copy(call->arena, &config);
    vmxfile_destroy(then.vmx);
    return config;
}

/* --- operations --- */

struct snapshot_work {
    struct hostd *hostd;
    struct task *task;
    struct virtual_machine *vm;
    struct snapshot_files files;
    int (*run)(struct snapshot_work *work);
    char *name, *description;
    uint32_t uid;
    bool children;
    int rc;
    struct err err;
};

static int run_create(struct snapshot_work *w)
{
    return snapshot_files_create(&w->files, w->name, w->description, &w->uid, &w->err);
}

static int run_revert(struct snapshot_work *w)
{
    return snapshot_files_revert(&w->files, w->uid, &w->err);
}

static int run_remove(struct snapshot_work *w)
{
    return snapshot_files_remove(&w->files, w->uid, w->children, &w->err);
}

static void work(void *arg)
{
    struct snapshot_work *w = arg;

    w->rc = snapshot_files_open(&w->files, &w->err);
    if (w->rc == 0)
        w->rc = w->run(w);
}

static void tell_snapshots(struct virtual_machine *vm)
{
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_snapshot);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_rootSnapshot);
}

static void work_free(struct snapshot_work *w)
{
    snapshot_files_close(&w->files);
    free(w->name);
    free(w->description);
    free(w);
}

/* Whatever came of it, what is on the datastore now is what counts. */
static void done(void *arg)
{
    struct snapshot_work *w = arg;
    struct virtual_machine *vm = w->vm;
    struct vim_any result = vim_any_none();

    vm_end(vm);
    vm_reload(vm);
    vm_snapshots_refresh(vm);
    if (w->rc == 0 && w->run == run_create)
        result = vim_any_ref(ref_of(vm, w->uid));
    if (w->rc < 0)
        task_fail_errno(w->task, w->rc, &w->err, NULL);
    else
        task_succeed(w->task, result);
    tell_snapshots(vm);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_config);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_layoutEx);
    work_free(w);
}

static void start(struct call *call, struct virtual_machine *vm, struct snapshot_work order)
{
    struct snapshot_work *w = malloc(sizeof *w);
    struct task *task;

    if (!w || !vm_begin(call, vm, &task)) {
        free(w);
        return;
    }
    *w = order;
    w->hostd = hostd_of(call);
    w->vm = vm;
    w->task = task;
    locate(vm, &w->files);
    if (!vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOff)) {
        work_free(w);
        return;
    }
    w->rc = vm_copy_vmx(vm, &w->files.vmx);
    if (w->rc == 0)
        w->rc = worker_post(w->hostd->worker, work, done, w);
    if (w->rc < 0)
        done(w);
}

static void create(struct call *call, struct virtual_machine *vm, const char *name,
                   const char *description)
{
    if (!name || !*name || strlen(name) > ENTITY_NAME_MAX) {
        struct vim_InvalidName *fault = VIM_NEW(call->arena, InvalidName);
        fault->name = name;
        call_fault(call, &fault->self);
        return;
    }
    start(call, vm,
          (struct snapshot_work){.run = run_create,
                                 .name = strdup(name),
                                 .description = strdup(description ? description : "")});
}

void vm_create_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_CreateSnapshot_Task_args *args = call->args;

    create(call, vm_of(mo), args->name, args->description);
}

void vm_create_snapshot_ex(struct mo *mo, struct call *call)
{
    const struct vim_CreateSnapshotEx_Task_args *args = call->args;

    create(call, vm_of(mo), args->name, args->description);
}

void vm_revert_to_current(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    uint32_t uid = vm->vmsd ? vmsd_current(vm->vmsd) : VMSD_NONE;

    if (uid == VMSD_NONE)
        CALL_FAULT(call, NotFound);
    else
        start(call, vm, (struct snapshot_work){.run = run_revert, .uid = uid});
}

void vm_remove_all_snapshots(struct mo *mo, struct call *call)
{
    start(call, vm_of(mo), (struct snapshot_work){.run = run_remove, .uid = VMSD_NONE});
}

static void revert(struct mo *mo, struct call *call)
{
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);

    start(call, s->vm, (struct snapshot_work){.run = run_revert, .uid = s->uid});
}

static void remove_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_RemoveSnapshot_Task_args *args = call->args;
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);

    start(
        call, s->vm,
        (struct snapshot_work){.run = run_remove, .uid = s->uid, .children = args->removeChildren});
}

static void rename_snapshot(struct mo *mo, struct call *call)
{
    const struct vim_RenameSnapshot_args *args = call->args;
    struct vm_snapshot *s = container_of(mo, struct vm_snapshot, mo);
    struct snapshot_files files = {0};
    struct err err = ERR_INIT;

    if (s->vm->task) {
        CALL_FAULT(call, TaskInProgress);
        return;
    }
    locate(s->vm, &files);
    int rc = snapshot_files_open(&files, &err);
    if (rc == 0)
        rc = snapshot_files_rename(&files, s->uid, args->name, args->description, &err);
    snapshot_files_close(&files);
    if (rc < 0)
        CALL_FAULT_TEXT(call, InvalidName, "%s", err.text);
    vm_snapshots_refresh(s->vm);
    tell_snapshots(s->vm);
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
};
static const struct mo_class snapshot_class = {
    .type = VIM_MANAGED(VirtualMachineSnapshot),
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
