/* SPDX-License-Identifier: Apache-2.0 */
/* VMs come, change and go: each method checks what it is asked on the loop's thread, gives the work
 * on the datastore to a worker, and takes over what came out of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse_num.h"
#include "base/range.h"
#include "config/nvram.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/session/session.h"
#include "hostd/task/haul.h"
#include "hostd/vm/file_holder.h"
#include "hostd/vm/ovf_device.h"
#include "hostd/vm/vm_access.h"
#include "hostd/vm/vm_change.h"
#include "hostd/vm/vm_clone.h"
#include "hostd/vm/vm_edit.h"
#include "hostd/vm/vm_event.h"
#include "hostd/vm/vm_hot.h"
#include "hostd/vm/vm_suspend.h"

enum { UIDS_MAX = 1024, IMAGES_MAX = 8 };

/* One piece of work with the datastore, from the method to the end of its task. */
struct work {
    struct haul haul;
    struct virtual_machine *vm; /* NULL: there is none yet */
    struct resource_pool *pool;
    struct plan plan;
    char name[ENTITY_NAME_MAX + 1];
    char folder[DSPATH_MAX];
    bool devices;            /* reconfigure: they change */
    int hot_rc;              /* reconfigure of a running VM: what became of it */
    uint32_t uids[UIDS_MAX]; /* of snapshots, to be destroyed with the VM */
    unsigned uid_count;
    char image[IMAGES_MAX][64]; /* of CDs, likewise */
    unsigned image_count;
};

static struct work *work_of(struct haul *haul)
{
    return container_of(haul, struct work, haul);
}

static void work_free(struct work *work)
{
    plan_free(&work->plan);
    free(work);
}

static int run_plan(struct haul *haul)
{
    return plan_run(&work_of(haul)->plan, haul_progress, haul);
}

static void save_inventory(struct task *task, struct inventory *inventory, struct vim_any result)
{
    struct err err = ERR_INIT;
    int rc = inventory_save(inventory, &err);

    if (rc < 0)
        task_fail_errno(task, rc, &err, NULL);
    else
        task_succeed(task, result);
}

static void post(struct work *work, int (*run)(struct haul *haul), void (*done)(struct haul *haul))
{
    work->haul.run = run;
    work->haul.done = done;
    haul_start(&work->haul);
}

/* --- create --- */

static struct resource_pool *pool_of(struct call *call, struct vim_ref ref)
{
    struct mo *mo = call_resolve(call, ref);

    if (mo && vim_managed_is(mo->class->type, VIM_MANAGED(ResourcePool)))
        return ENTITY_OF(resource_pool, mo);
    if (mo)
        call_fault_argument(call, "pool");
    return NULL;
}

static void created(struct haul *haul)
{
    struct work *work = work_of(haul);
    struct inventory *inventory = haul->hostd->inventory;
    struct plan *plan = &work->plan;
    struct virtual_machine *vm;

    if (haul->rc == 0)
        haul->rc = vm_add(inventory, 0, plan->datastore, plan->rel, work->pool, &vm, &plan->err);
    if (haul->rc < 0) {
        task_fail_errno(haul->task, haul->rc, &plan->err, plan->failed_file);
    } else {
        EVENT_POST(haul->hostd, VmCreatedEvent, &vm->e, haul->task->user,
                   "New virtual machine %s (%s) was created on %s", vm->e.name, plan->rel,
                   inventory->host.name);
        save_inventory(haul->task, inventory, mo_value(&vm->e.mo));
    }
    work_free(work);
}

static struct work *work_new(struct call *call, struct datastore *datastore, const char *rel)
{
    struct work *work = calloc(1, sizeof *work);

    if (!work || plan_init(&work->plan, datastore, rel) < 0) {
        free(work);
        CALL_FAULT(call, SystemError);
        return NULL;
    }
    work->haul.hostd = hostd_of(call);
    return work;
}

bool vm_plan_new(struct call *call, struct plan *plan,
                 const struct vim_VirtualMachineConfigSpec *spec)
{
    struct inventory *inventory = hostd_of(call)->inventory;

    if (!spec || !spec->files || !spec->files->vmPathName) {
        call_fault_argument(call, "configSpec.files.vmPathName");
        return false;
    }
    if (!entity_check_name(call, &inventory->vm_folder.e, NULL, spec->name) ||
        !plan_place(call, plan, spec->files->vmPathName, spec->name))
        return false;
    if (plan_new_vmx(plan, spec->name) < 0) {
        call_fault_argument(call, "configSpec.name");
        return false;
    }
    return vm_edit(call, NULL, plan, spec);
}

static void create(struct call *call, struct entity *folder, struct resource_pool *pool,
                   const struct vim_VirtualMachineConfigSpec *spec)
{
    struct work *work = work_new(call, NULL, NULL);

    if (!work)
        return;
    work->pool = pool;
    if (!(spec->extraConfig.count &&
          call_authorize(call, &folder->mo, "VirtualMachine.Config.AdvancedConfig")) &&
        vm_plan_new(call, &work->plan, spec) && (work->haul.task = task_start(call, folder)))
        post(work, run_plan, created);
    else
        work_free(work);
}

void vm_create(struct mo *mo, struct call *call)
{
    const struct vim_CreateVM_Task_args *args = call->args;
    struct resource_pool *pool = pool_of(call, args->pool);

    if (ENTITY_OF(entity, mo) != &hostd_of(call)->inventory->vm_folder.e)
        CALL_FAULT(call, NotSupported);
    else if (pool)
        create(call, ENTITY_OF(entity, mo), pool, args->config);
}

void vm_create_in_pool(struct mo *mo, struct call *call)
{
    const struct vim_CreateChildVM_Task_args *args = call->args;

    create(call, ENTITY_OF(entity, mo), ENTITY_OF(resource_pool, mo), args->config);
}

/* --- register --- */

/* It may have what it names, as far as he may who registers it. */
static bool may_register(struct call *call, struct task *task, struct virtual_machine *vm)
{
    struct vim_any answer = call->result;

    if (vm_access_all(call, vm, vm->vmx, NULL))
        return true;
    vm_remove(vm);
    task_fail(task, call->fault, call->fault_text);
    call->fault = NULL; /* it is the task's */
    call_return(call, answer);
    return false;
}

static void load_registered(struct call *call, struct entity *folder, struct resource_pool *pool,
                            struct datastore *datastore, const char *rel, const char *name,
                            bool as_template)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct task *task = task_start(call, folder);
    struct virtual_machine *vm = NULL;
    struct err err = ERR_INIT;
    char file[DSPATH_MAX + DSPATH_NAME_MAX + 4];
    struct stat st;

    if (!task)
        return;
    dspath_format(datastore->e.name, rel, file, sizeof file);
    int rc = dspath_stat(datastore->fd, rel, &st);
    if (rc == 0)
        rc = vm_add(inventory, 0, datastore, rel, pool, &vm, &err);
    if (rc == 0 && !vm->vmx) {
        err = vm->trouble;
        rc = err.code;
        vm_remove(vm);
    }
    if (rc < 0) {
        task_fail_errno(task, rc, &err, file);
        return;
    }
    if (!may_register(call, task, vm))
        return;
    if (name && *name) { /* the file learns it, as ESXi does it */
        char path[PATH_MAX];
        datastore_real_path(datastore, rel, path, sizeof path);
        if (vmxfile_set(vm->vmx, "displayName", name) == 0)
            (void)vmxfile_save(vm->vmx, path, &err);
        (void)snprintf(vm->e.name, sizeof vm->e.name, "%s", name);
    }
    if (as_template)
        (void)vm_set_template(vm, true, &err);
    EVENT_POST(inventory->hostd, VmRegisteredEvent, &vm->e, task->user, "Registered %s on %s",
               vm->e.name, inventory->host.name);
    save_inventory(task, inventory, mo_value(&vm->e.mo));
}

static void register_vm(struct call *call, struct entity *folder, struct resource_pool *pool,
                        const char *path, const char *name, bool as_template)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct dspath parsed;
    struct datastore *datastore = datastore_resolve(inventory, path, &parsed);

    if (!datastore_may(call, datastore, path, "Datastore.Browse"))
        return;
    struct virtual_machine *taken = vm_by_path(inventory, datastore, parsed.rel);
    if (taken) {
        struct vim_AlreadyExists *fault = VIM_NEW(call->arena, AlreadyExists);
        fault->name = arena_strdup(call->arena, path);
        call_fault(call, &fault->self);
        return;
    }
    if (name && *name && !entity_check_name(call, &inventory->vm_folder.e, NULL, name))
        return;
    load_registered(call, folder, pool, datastore, parsed.rel, name, as_template);
}

void vm_register(struct mo *mo, struct call *call)
{
    const struct vim_RegisterVM_Task_args *args = call->args;
    struct inventory *inventory = hostd_of(call)->inventory;
    struct resource_pool *pool = args->pool.id ? pool_of(call, args->pool) : inventory->root_pool;

    if (ENTITY_OF(entity, mo) != &inventory->vm_folder.e) {
        CALL_FAULT(call, NotSupported);
        return;
    }
    if (!args->pool.id && call_authorize(call, &pool->e.mo, "Resource.AssignVMToPool"))
        return;
    if (pool)
        register_vm(call, ENTITY_OF(entity, mo), pool, args->path, args->name, args->asTemplate);
}

void vm_register_in_pool(struct mo *mo, struct call *call)
{
    const struct vim_RegisterChildVM_Task_args *args = call->args;

    register_vm(call, ENTITY_OF(entity, mo), ENTITY_OF(resource_pool, mo), args->path, args->name,
                false);
}

/* --- unregister, destroy --- */

static bool fault_power(struct call *call, const struct virtual_machine *vm, bool may_be_suspended)
{
    struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);

    if (vm->power == VM_OFF && (may_be_suspended || !vm_is_suspended(vm)))
        return false;
    fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
    fault->requestedState = VIM_VirtualMachinePowerState_poweredOff;
    call_fault(call, &fault->self);
    return true;
}

void vm_unregister(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct inventory *inventory = hostd_of(call)->inventory;
    struct err err = ERR_INIT;

    if (fault_power(call, vm, true))
        return;
    if (vm_fault_busy(call, vm, NULL))
        return;
    EVENT_POST(hostd_of(call), VmRemovedEvent, &vm->e, call->session->user,
               "Removed %s on %s from the inventory", vm->e.name, inventory->host.name);
    vm_remove(vm);
    if (inventory_save(inventory, &err) < 0)
        CALL_FAULT_TEXT(call, SystemError, "%s", err.text);
}

/* Those that came with its package. */
static void remove_images(const struct work *work)
{
    char rel[2 * DSPATH_MAX];

    for (unsigned i = 0; i < work->image_count; i++) {
        (void)snprintf(rel, sizeof rel, "%s%s%s", work->folder, *work->folder ? "/" : "",
                       work->image[i]);
        (void)dspath_remove(work->plan.vmx_place.fd, rel);
    }
}

/* What belongs to the VM: its disks and .vmx, and what has its name. The folder goes if nothing
 * else is in it. */
static int remove_files(struct haul *haul)
{
    struct work *work = work_of(haul);
    struct plan *plan = &work->plan;
    static const char *const suffixes[] = {".nvram", NVRAM_OWN_END, ".vmsd",
                                           ".vmxf",  ".vmx~",       ".log"};
    static const char *const kept[] = {".vmx", ".vmsn", ".nvram"}; /* of snapshots */
    char stem[DSPATH_MAX], rel[DSPATH_MAX + 32];
    size_t len = strlen(plan->rel);

    int rc = plan_may_remove(plan);
    if (rc == 0)
        rc = plan_record(plan);
    if (rc < 0)
        return rc;
    file_place_set(&plan->vmx_place, plan->datastore, plan->rel);
    plan_remove_disks(plan);
    remove_images(work);
    (void)snprintf(stem, sizeof stem, "%.*s", (int)(len > 4 ? len - 4 : len), plan->rel);
    for (unsigned i = 0; i < ARRAY_SIZE(suffixes); i++) {
        (void)snprintf(rel, sizeof rel, "%s%s", stem, suffixes[i]);
        (void)dspath_remove(plan->vmx_place.fd, rel);
    }
    for (unsigned i = 0; i < MIN(work->uid_count, (unsigned)UIDS_MAX); i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(kept); k++) {
            (void)snprintf(rel, sizeof rel, "%.1000s-Snapshot%u%s", stem, work->uids[i], kept[k]);
            (void)dspath_remove(plan->vmx_place.fd, rel);
        }
    }
    rc = dspath_remove(plan->vmx_place.fd, plan->rel); /* the last: it names the others */
    if (rc < 0 && rc != -ENOENT)
        return rc;
    plan_remove_folder(plan);
    return 0;
}

static void destroyed(struct haul *haul)
{
    struct work *work = work_of(haul);
    struct virtual_machine *vm = work->vm;
    struct inventory *inventory = haul->hostd->inventory;

    vm_end(vm);
    vm->removing = false;
    if (haul->rc < 0) {
        const char *failed = work->plan.failed_file;
        (void)inventory_save(inventory, NULL); /* it stays */
        task_fail_errno(haul->task, haul->rc, &work->plan.err, *failed ? failed : work->plan.rel);
    } else {
        EVENT_POST(haul->hostd, VmRemovedEvent, &vm->e, haul->task->user,
                   "Removed %s on %s and its files", vm->e.name, inventory->host.name);
        vm_remove(vm);
        save_inventory(haul->task, inventory, vim_any_none());
    }
    work_free(work);
}

static void plan_snapshots(struct work *work)
{
    const struct vmsd *vmsd = work->vm->vmsd;
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    for (unsigned i = 0; s && vmsd && i < vmsd_count(vmsd); i++) {
        if (vmsd_get(vmsd, vmsd_uid(vmsd, i), s) < 0)
            continue;
        for (unsigned d = 0; d < s->disk_count; d++) {
            char rel[DSPATH_MAX];
            (void)snprintf(rel, sizeof rel, "%.700s%s%.255s", work->folder,
                           *work->folder ? "/" : "", s->disk[d].file);
            plan_remove_all(&work->plan, work->vm, work->vm->datastore, rel);
        }
        work->uids[work->uid_count++ % UIDS_MAX] = s->uid;
    }
}

static void plan_images(struct work *work)
{
    char slot[16], key[40];
    size_t at = 0;

    while (work->vm->vmx && work->image_count < IMAGES_MAX &&
           ovf_next_image(work->vm->vmx, &at, slot)) {
        (void)snprintf(key, sizeof key, "%s.fileName", slot);
        const char *file = vmxfile_get(work->vm->vmx, key);
        struct dspath path;
        const struct datastore *datastore = file ? vm_file(work->vm, file, &path) : NULL;
        if (datastore && ovf_is_own_image(file) && strlen(file) < sizeof *work->image &&
            !file_holder(work->vm, datastore, path.rel))
            (void)snprintf(work->image[work->image_count++], sizeof *work->image, "%s", file);
    }
}

static void plan_all_disks(struct work *work)
{
    struct virtual_machine *vm = work->vm;
    struct plan *plan = &work->plan;

    plan_images(work);

    for (unsigned i = 0; vm->vmx && i < vm->disk_count; i++) {
        char key[40];
        struct dspath path;
        (void)snprintf(key, sizeof key, "%s.fileName", vm->disk[i].slot);
        const char *file = vmxfile_get(vm->vmx, key);
        struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;
        if (datastore)
            plan_remove_all(plan, vm, datastore, path.rel);
    }
}

static struct work *begin_work(struct call *call, struct virtual_machine *vm)
{
    struct work *work = work_new(call, vm->datastore, vm->rel);

    if (!work)
        return NULL;
    work->vm = vm;
    vm_folder(vm, work->folder);
    return work;
}

/* Disks of which the descriptor is gone and the rest perhaps is not: nobody can measure those. */
static void plan_broken_disks(struct work *work)
{
    const struct virtual_machine *vm = work->vm;
    const char *key;
    size_t at = 0;

    while (vm->vmx && (key = vmxfile_next_key(vm->vmx, &at))) {
        const char *file = vmxfile_get(vm->vmx, key), *dot = strrchr(key, '.');
        size_t len = strlen(file);
        struct dspath path;
        if (!dot || strcasecmp(dot, ".fileName") != 0 || len < 5 ||
            strcasecmp(file + len - 5, ".vmdk") != 0)
            continue;
        struct datastore *datastore = vm_file(vm, file, &path);
        if (datastore && faccessat(datastore->fd, path.rel, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
            !file_holder(vm, datastore, path.rel))
            (void)plan_add(&work->plan, PLAN_REMOVE, datastore, path.rel);
    }
}

bool vm_destroy_rest(struct virtual_machine *vm)
{
    struct work *work = calloc(1, sizeof *work);
    bool done = false;

    if (work && plan_init(&work->plan, vm->datastore, vm->rel) == 0) {
        work->vm = vm;
        vm_folder(vm, work->folder);
        plan_all_disks(work);
        plan_broken_disks(work);
        plan_snapshots(work);
        done = remove_files(&work->haul) == 0;
    }
    if (work)
        work_free(work);
    return done;
}

void vm_destroy_task(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct work *work;
    struct task *task;

    if (call_authorize(call, mo, "VirtualMachine.Inventory.Delete") || !vm_begin(call, vm, &task))
        return;
    if (!vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOff))
        return;
    work = begin_work(call, vm);
    if (!work) {
        vm_end(vm);
        task_fail_errno(task, -ENOMEM, NULL, NULL);
        return;
    }
    work->haul.task = task;
    plan_all_disks(work);
    plan_snapshots(work);
    vm->removing = true;
    (void)inventory_save(vm->e.hostd->inventory, NULL); /* also when the disk is full */
    post(work, remove_files, destroyed);
}

/* --- reconfigure, rename --- */

static void reconfigured(struct haul *haul)
{
    struct work *work = work_of(haul);
    struct virtual_machine *vm = work->vm;

    vm_end(vm);
    if (haul->rc < 0) {
        task_fail_errno(haul->task, haul->rc, &work->plan.err, work->plan.failed_file);
    } else {
        char old_name[sizeof vm->e.name];
        (void)snprintf(old_name, sizeof old_name, "%s", vm->e.name);
        vm_set_vmx(vm, TAKE_PTR(work->plan.vmx));
        vm_event_renamed(vm, haul->task->user, old_name);
        vm_event_reconfigured(vm, haul->task->user, "Reconfigured %s on %s", vm->e.name,
                              haul->hostd->inventory->host.name);
        task_succeed(haul->task, vim_any_none());
    }
    work_free(work);
}

/* Which privileges a change needs, by what it changes. */
static bool may_change(struct call *call, struct mo *mo,
                       const struct vim_VirtualMachineConfigSpec *spec)
{
    const struct {
        bool asked;
        const char *priv;
    } parts[] = {
        {spec->name, "VirtualMachine.Config.Rename"},
        {spec->annotation, "VirtualMachine.Config.Annotation"},
        {spec->numCPUs.set || spec->numCoresPerSocket.set, "VirtualMachine.Config.CPUCount"},
        {spec->memoryMB.set, "VirtualMachine.Config.Memory"},
        {spec->extraConfig.count, "VirtualMachine.Config.AdvancedConfig"},
        {spec->guestId || spec->bootOptions || spec->firmware || spec->flags || spec->uuid ||
             spec->instanceUuid,
         "VirtualMachine.Config.Settings"},
        {spec->cpuAllocation || spec->memoryAllocation, "VirtualMachine.Config.Resource"},
        {spec->version, "VirtualMachine.Config.UpgradeVirtualHardware"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        if (parts[i].asked && call_authorize(call, mo, parts[i].priv))
            return false;
    return true;
}

static bool same_version(struct call *call, const struct virtual_machine *vm, const char *version)
{
    const char *now = arena_printf(call->arena, "%s-%u", vm->e.id, vm->change);

    if (!version || !*version || !strcmp(version, now))
        return true;
    CALL_FAULT(call, ConcurrentAccess);
    return false;
}

/* The rest of a running VM's hardware stays, and all of a suspended one's. */
static bool may_change_now(struct call *call, const struct virtual_machine *vm,
                           const struct vim_VirtualMachineConfigSpec *spec)
{
    bool hardware = spec->numCPUs.set || spec->numCoresPerSocket.set || spec->memoryMB.set ||
                    spec->firmware || spec->version || spec->uuid;
    bool devices = spec->deviceChange.count && !(vm->power == VM_ON && vm_hot_may(spec));

    return !(hardware || devices) || !fault_power(call, vm, false);
}

static int undo_disks(struct haul *haul)
{
    struct work *work = work_of(haul);

    plan_undo_disks(&work->plan);
    return work->hot_rc;
}

static int remove_disks(struct haul *haul)
{
    plan_remove_disks(&work_of(haul)->plan);
    return 0;
}

static void reconfigured_hot(struct haul *haul)
{
    struct work *work = work_of(haul);

    if (haul->rc != -ETIMEDOUT) {
        reconfigured(haul);
        return;
    }
    /* What the guest would not do is no fault of a file. */
    struct arena cleanup_arena arena = {0};
    struct vim_GenericVmConfigFault *fault = VIM_NEW(&arena, GenericVmConfigFault);
    fault->reason = work->plan.err.text;
    vm_end(work->vm);
    task_fail(haul->task, &fault->self, work->plan.err.text);
    work_free(work);
}

/* Disks that were made for nothing go again, and so do those that are not wanted any more. What was
 * done counts, also when nobody heard of it; while that is not known yet, for the VM runs and does
 * not answer, all stay. */
static void changed_hot(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct work *work = ctx;
    const struct virtual_machine *vm = work->vm;
    bool done = rc == 0 || vm_change_is_done(vm, work->plan.vmx);
    bool unknown = rc == -EPIPE && !done && vm->power != VM_OFF;

    (void)stood_us;
    if (done && rc == -EPIPE)
        rc = 0;
    work->hot_rc = rc;
    work->haul.tidies = true;
    if (rc < 0)
        work->plan.err = *why;
    if (rc < 0 && !done && !unknown && plan_makes_disks(&work->plan)) {
        post(work, undo_disks, reconfigured_hot);
    } else if (rc == 0 && plan_removes_disks(&work->plan)) {
        post(work, remove_disks, reconfigured_hot);
    } else {
        if (unknown)
            plan_leave(&work->plan);
        work->haul.rc = rc;
        reconfigured_hot(&work->haul);
    }
}

/* The VM becomes what the new .vmx says. */
static void change_hot(struct haul *haul)
{
    struct work *work = work_of(haul);
    struct vm_change_order order = {.state_fd = -1, .vmx = work->plan.vmx, .plan = &work->plan};
    struct err err = ERR_INIT;
    int rc;

    if (haul->rc < 0) {
        reconfigured(haul);
        return;
    }
    if (haul_is_cancelled(haul)) /* when it was too late for `run` */
        rc = err_set(&err, -ECANCELED, "cancelled");
    else if ((rc = plan_record(&work->plan)) < 0)
        err = work->plan.err;
    else
        rc = vm_change_send(work->vm, &order, changed_hot, work, &err);
    if (rc < 0)
        changed_hot(work, rc, &err, 0);
}

static int make_disks(struct haul *haul)
{
    return plan_make_disks(&work_of(haul)->plan, haul_progress, haul);
}

static void change_vm(struct call *call, struct virtual_machine *vm,
                      const struct vim_VirtualMachineConfigSpec *spec)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    bool ready = false;
    struct work *work;

    if (!vm->vmx) {
        CALL_FAULT_TEXT(call, InvalidVmConfig, "%s", vm->trouble.text);
        return;
    }
    if (!same_version(call, vm, spec->changeVersion) || !may_change(call, &vm->e.mo, spec) ||
        !may_change_now(call, vm, spec) ||
        (spec->name && !entity_check_name(call, &inventory->vm_folder.e, &vm->e, spec->name)))
        return;
    work = begin_work(call, vm);
    if (!work)
        return;
    work->devices = spec->deviceChange.count;
    if (vm_copy_vmx(vm, &work->plan.vmx) < 0)
        CALL_FAULT(call, SystemError);
    else if (vm_edit(call, vm, &work->plan, spec) &&
             (vm->power != VM_ON || !work->devices || vm_hot_place(call, vm, &work->plan)) &&
             vm_begin(call, vm, &work->haul.task))
        ready = true;
    if (!ready)
        work_free(work);
    else if (vm->power != VM_ON)
        post(work, run_plan, reconfigured);
    else if (plan_makes_disks(&work->plan))
        post(work, make_disks, change_hot);
    else
        change_hot(&work->haul); /* no haul of others is waited for */
}

void vm_reconfigure(struct mo *mo, struct call *call)
{
    const struct vim_ReconfigVM_Task_args *args = call->args;

    change_vm(call, vm_of(mo), args->spec);
}

void vm_rename(struct mo *mo, struct call *call)
{
    const struct vim_Rename_Task_args *args = call->args;
    struct vim_VirtualMachineConfigSpec *spec = VIM_NEW(call->arena, VirtualMachineConfigSpec);

    spec->name = args->newName;
    change_vm(call, vm_of(mo), spec);
}

/* The newest version of virtual hardware, unless an older one is asked for; never backwards. */
void vm_upgrade(struct mo *mo, struct call *call)
{
    const struct vim_UpgradeVM_Task_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);
    struct vim_VirtualMachineConfigSpec *spec = VIM_NEW(call->arena, VirtualMachineConfigSpec);
    const char *text = vm->vmx ? vmxfile_get(vm->vmx, "virtualHW.version") : NULL;
    unsigned now, wanted;

    spec->version = args->version && *args->version
                        ? args->version
                        : arena_printf(call->arena, "vmx-%d", VM_HARDWARE_NEWEST);
    bool known = text && parse_unsigned(text, 0, UINT16_MAX, &now) == 0 &&
                 !strncmp(spec->version, "vmx-", 4) &&
                 parse_unsigned(spec->version + 4, 0, UINT16_MAX, &wanted) == 0;
    if (known && now >= wanted)
        CALL_FAULT(call, AlreadyUpgraded);
    else
        change_vm(call, vm, spec); /* what is no version is refused there */
}

/* What the .vmx names that it did not name when it was read last, he may use who has it read. */
static bool may_reload(struct call *call, struct virtual_machine *vm)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    char path[PATH_MAX];

    datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
    return vmxfile_load(path, &vmx, NULL) < 0 || vm_access_all(call, vm, vmx, vm->vmx);
}

void vm_reload_method(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (vm->task || !may_reload(call, vm))
        return;
    vm_reload(vm);
    mo_changed(mo, VIM_P_VirtualMachine_config);
    mo_changed(mo, VIM_P_VirtualMachine_summary);
    mo_changed(mo, VIM_P_ManagedEntity_name);
}
