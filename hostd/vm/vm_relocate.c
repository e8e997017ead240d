/* SPDX-License-Identifier: Apache-2.0 */
/* RelocateVM_Task on the one host that there is: into another pool, or, while it is off, its folder
 * to another datastore. Within a file system the folder is only named anew; between two it is
 * copied, and the old one goes when the new one is whole. Disks that the VM has elsewhere stay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/event/event.h"
#include "hostd/model/file_place.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/vm/vm_clone.h"
#include "hostd/vm/vm_event.h"
#include "hostd/vm/vm_identity.h"

struct moving {
    struct haul haul;
    struct virtual_machine *vm;
    struct resource_pool *pool; /* NULL: stays */
    struct datastore *datastore;
    struct file_place from, to; /* folders */
    char vmx[DSPATH_MAX];       /* its name in them */
    char prefix[2][DSPATH_MAX]; /* how the .vmx may name the old folder */
    bool copied;
    struct unfinished record[2]; /* of the folder that it is going to, and of the old one */
};

static struct moving *moving_of(struct haul *haul)
{
    return container_of(haul, struct moving, haul);
}

static void moving_free(struct moving *m)
{
    file_place_free(&m->from);
    file_place_free(&m->to);
    free(m);
}

/* --- on a thread --- */

static int rename_folder(const struct file_place *old, const struct file_place *new)
{
    const char *from, *to;
    cleanup_fd int from_dir = dspath_open_parent(old->fd, old->rel, &from);
    cleanup_fd int to_dir = dspath_open_parent(new->fd, new->rel, &to);

    if (from_dir < 0 || to_dir < 0)
        return MIN(from_dir, to_dir);
    return renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

/* Names of files in the old folder become names beside the .vmx. */
static int rename_files(struct moving *m)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    char path[2 * DSPATH_MAX + 40];
    const char *key;
    size_t at = 0;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s/%s", m->to.fd, m->to.rel, m->vmx);
    int rc = vmxfile_load(path, &vmx, &m->haul.err);
    while (rc == 0 && (key = vmxfile_next_key(vmx, &at)))
        for (unsigned i = 0; i < ARRAY_SIZE(m->prefix); i++) {
            const char *value = vmxfile_get(vmx, key);
            size_t len = strlen(m->prefix[i]);
            char name[VMXFILE_KEY_MAX + 1];
            if (strncmp(value, m->prefix[i], len) != 0 || rc < 0)
                continue;
            cleanup_free char *rest = strdup(value + len);
            (void)snprintf(name, sizeof name, "%s", key);
            rc = rest ? vmxfile_set(vmx, name, rest) : -ENOMEM;
        }
    char rel[2 * DSPATH_MAX];
    (void)snprintf(rel, sizeof rel, "%s/%s", m->to.rel, m->vmx);
    if (rc == 0) /* nobody has to ask: it was moved */
        rc = vm_identity_set(vmx, m->datastore, rel);
    return rc < 0 ? rc : vmxfile_save(vmx, path, &m->haul.err);
}

/* Where the VM is, is said by the inventory's file alone: until it says the new folder, whoever is
 * killed, the old one is the VM's, and the other one goes. */
static int begin_rename(struct moving *m)
{
    int rc = unfinished_begin_move(&m->record[0], UNFINISHED_MOVE, m->from.datastore, m->from.rel,
                                   m->to.datastore, m->to.rel);

    if (rc == 0)
        rc = rename_folder(&m->from, &m->to);
    if (rc < 0)
        unfinished_end(&m->record[0]);
    return rc;
}

static int copy_folder(struct moving *m)
{
    struct unfinished growing;
    char beside[DSPATH_MAX];

    file_tree_beside(m->to.rel, beside);
    int rc = unfinished_begin(&growing, UNFINISHED_FILE, m->to.datastore, beside, 0);
    if (rc == 0)
        rc = unfinished_begin(&m->record[0], UNFINISHED_HOME, m->to.datastore, m->to.rel, 0);
    if (rc == 0)
        rc = unfinished_begin(&m->record[1], UNFINISHED_HOME, m->from.datastore, m->from.rel, 0);
    if (rc == 0)
        rc = file_tree_copy(m->from.fd, m->from.rel, m->to.fd, m->to.rel, beside, false,
                            haul_progress, &m->haul);
    unfinished_end(&growing);
    return rc;
}

static int run(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    int rc = begin_rename(m);

    m->copied = rc == -EXDEV;
    if (m->copied)
        rc = copy_folder(m);
    if (rc < 0)
        return rc;
    rc = rename_files(m);
    if (rc < 0 && m->copied)
        (void)dspath_remove(m->to.fd, m->to.rel);
    else if (rc < 0)
        (void)rename_folder(&m->to, &m->from);
    return rc;
}

/* --- on the loop's --- */

static void done(struct haul *haul)
{
    struct moving *m = moving_of(haul);
    struct virtual_machine *vm = m->vm;
    struct inventory *inventory = haul->hostd->inventory;

    vm_end(vm);
    if (haul->rc == 0) {
        vm->datastore = m->datastore;
        if (m->pool)
            vm_set_pool(vm, m->pool);
        (void)snprintf(vm->rel, sizeof vm->rel, "%.800s/%.200s", m->to.rel, m->vmx);
        vm_reload(vm);
        vm_snapshots_refresh(vm);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_config);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_datastore);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_layoutEx);
        vm_event_reconfigured(vm, haul->task->user, "Relocated %s to %s", vm->e.name, m->to.text);
        haul->rc = inventory_save(inventory, &haul->err);
        if (haul->rc == 0 && m->copied)
            (void)dspath_remove(m->from.fd, m->from.rel);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(m->record); i++)
        unfinished_end(&m->record[i]);
    haul_end(haul, vim_any_none(), m->to.text);
    moving_free(m);
}

/* A folder that is this VM's alone. */
static bool own_folder(struct call *call, struct virtual_machine *vm, char folder[DSPATH_MAX])
{
    struct inventory *inventory = hostd_of(call)->inventory;
    char other[DSPATH_MAX];

    vm_folder(vm, folder);
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        vm_folder(vm_of(&e->mo), other);
        if (e != &vm->e && vm_of(&e->mo)->datastore == vm->datastore && !strcmp(folder, other))
            return false;
    }
    return *folder;
}

/* The same name there, or NAME_1 ... */
static void choose_folder(struct moving *m, const char *folder)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    char rel[DSPATH_MAX];
    struct stat st;

    (void)snprintf(rel, sizeof rel, "%s", name);
    for (unsigned n = 1; dspath_stat(m->datastore->fd, rel, &st) != -ENOENT && n < 1000; n++)
        (void)snprintf(rel, sizeof rel, "%.900s_%u", name, n);
    file_place_set(&m->to, m->datastore, rel);
}

static bool prepare(struct call *call, struct moving *m)
{
    struct virtual_machine *vm = m->vm;
    char folder[DSPATH_MAX];

    if (!own_folder(call, vm, folder)) {
        CALL_FAULT(call, NotSupported);
        return false;
    }
    if (call_authorize(call, &m->datastore->e.mo, "Datastore.AllocateSpace"))
        return false;
    const char *slash = strrchr(vm->rel, '/');
    (void)snprintf(m->vmx, sizeof m->vmx, "%s", slash ? slash + 1 : vm->rel);
    file_place_set(&m->from, vm->datastore, folder);
    choose_folder(m, folder);
    (void)snprintf(m->prefix[0], DSPATH_MAX, "/vmfs/volumes/%s/%.800s/", vm->datastore->e.id,
                   folder);
    (void)snprintf(m->prefix[1], DSPATH_MAX, "/vmfs/volumes/%s/%.800s/", vm->datastore->e.name,
                   folder);
    return true;
}

static void move_pool(struct call *call, struct virtual_machine *vm, struct resource_pool *pool)
{
    struct task *task;
    struct err err = ERR_INIT;

    if (!vm_begin(call, vm, &task))
        return;
    vm_end(vm);
    if (pool)
        vm_set_pool(vm, pool);
    int rc = inventory_save(hostd_of(call)->inventory, &err);
    if (rc < 0)
        task_fail_errno(task, rc, &err, NULL);
    else
        task_succeed(task, vim_any_none());
}

static bool choose_pool(struct call *call, struct vim_ref ref, struct resource_pool **ret_pool)
{
    *ret_pool = NULL;
    if (!ref.id)
        return true;
    struct mo *mo = call_resolve_as(call, ref, VIM_MANAGED(ResourcePool));
    if (!mo || call_authorize(call, mo, "Resource.AssignVMToPool"))
        return false;
    *ret_pool = ENTITY_OF(resource_pool, mo);
    return true;
}

void vm_relocate(struct mo *mo, struct call *call)
{
    const struct vim_RelocateVM_Task_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    struct datastore *datastore = vm_choose_datastore(call, vm, args->spec);
    struct resource_pool *pool;

    if (!datastore || !choose_pool(call, args->spec->pool, &pool))
        return;
    if (args->spec->deviceChange.count || args->spec->transform) {
        CALL_FAULT(call, NotSupported);
        return;
    }
    if (datastore == vm->datastore) {
        move_pool(call, vm, pool);
        return;
    }
    struct moving *m = calloc(1, sizeof *m);
    if (!m) {
        CALL_FAULT(call, SystemError);
        return;
    }
    m->vm = vm;
    m->pool = pool;
    m->datastore = datastore;
    m->from.fd = m->to.fd = -1;
    m->haul.hostd = hostd_of(call);
    m->haul.run = run;
    m->haul.done = done;
    if (!prepare(call, m) || !vm_begin(call, vm, &m->haul.task) ||
        !vm_require_power(m->haul.task, vm, VIM_VirtualMachinePowerState_poweredOff))
        moving_free(m);
    else
        haul_start(&m->haul);
}
