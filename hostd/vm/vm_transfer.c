/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "config/vmsd.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/model/nfc_lease.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/haul.h"
#include "hostd/task/task.h"
#include "hostd/vm/ovf_device.h"
#include "hostd/vm/vm_edit.h"

/* Each disk of the dictionary, under the name that clients know it by. */
static int add_disks(struct nfc_lease *lease, const struct virtual_machine *vm)
{
    struct arena cleanup_arena arena = {0};

    for (unsigned i = 0; i < vm->disk_count; i++) {
        const struct vm_disk *disk = &vm->disk[i];
        struct dspath path;
        char key[40];
        (void)snprintf(key, sizeof key, "%s.fileName", disk->slot);
        const char *file = vmxfile_get(vm->vmx, key);
        struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;
        if (!datastore ||
            !nfc_lease_add(lease, NFC_DISK, ovf_device_id(&arena, vm->e.name, vm->vmx, disk->slot),
                           datastore, path.rel, disk->capacity))
            return -E2BIG;
    }
    return 0;
}

/* Images of CDs: what a drive has, or, of a VM that comes, what it is to have. */
static int add_images(struct nfc_lease *lease, const struct virtual_machine *vm, bool comes)
{
    struct arena cleanup_arena arena = {0};
    char slot[16], key[40];
    struct dspath path;
    size_t at = 0;

    while (ovf_next_image(vm->vmx, &at, slot)) {
        struct stat st = {0};
        (void)snprintf(key, sizeof key, "%s.fileName", slot);
        const char *file = vmxfile_get(vm->vmx, key);
        struct datastore *datastore = file ? vm_file(vm, file, &path) : NULL;
        if (!datastore || (comes && !ovf_is_own_image(file)) ||
            (!comes && dspath_stat(datastore->fd, path.rel, &st) < 0))
            continue;
        if (!nfc_lease_add(lease, NFC_IMAGE, ovf_device_id(&arena, vm->e.name, vm->vmx, slot),
                           datastore, path.rel, (uint64_t)st.st_size))
            return -E2BIG;
    }
    return 0;
}

/* Firmware's variables, as far as there are any. */
static int add_nvram(struct nfc_lease *lease, const struct virtual_machine *vm, uint32_t snapshot,
                     bool comes)
{
    struct arena cleanup_arena arena = {0};
    struct dspath path;
    struct datastore *datastore = vm_nvram(vm, snapshot, &path);
    struct stat st = {0};

    if (!datastore || (!comes && dspath_stat(datastore->fd, path.rel, &st) < 0))
        return 0;
    return nfc_lease_add(lease, NFC_NVRAM, ovf_nvram_id(&arena, vm->e.name), datastore, path.rel,
                         (uint64_t)st.st_size)
               ? 0
               : -E2BIG;
}

/* --- import --- */

struct importing {
    struct haul haul;
    struct plan plan;
    struct resource_pool *pool;
    struct virtual_machine *vm; /* once it is there */
    struct nfc_lease *lease;
    bool nvram; /* the package has some */
};

static struct importing *importing_of(struct haul *haul)
{
    return container_of(haul, struct importing, haul);
}

static void importing_free(struct importing *im)
{
    plan_free(&im->plan);
    free(im);
}

static int run_import(struct haul *haul)
{
    return plan_run(&importing_of(haul)->plan, haul_progress, haul);
}

static int run_undo(struct haul *haul)
{
    const struct nfc_lease *lease = importing_of(haul)->lease;

    for (unsigned i = 0; i < lease->device_count; i++)
        if (lease->device[i].what != NFC_DISK)
            (void)dspath_remove(lease->device[i].place.fd, lease->device[i].place.rel);
    plan_undo(&importing_of(haul)->plan);
    return 0;
}

static void fail_import(struct importing *im)
{
    struct arena cleanup_arena arena = {0};
    struct vim_data *fault = fault_from_errno(&arena, im->haul.rc, im->plan.failed_file);

    nfc_lease_fail(im->lease, fault, im->plan.err.code ? im->plan.err.text : NULL);
    task_fail_errno(im->haul.task, im->haul.rc, &im->plan.err, im->plan.failed_file);
    importing_free(im);
}

static void undone(struct haul *haul)
{
    struct importing *im = importing_of(haul);

    vm_end(im->vm);
    vm_remove(im->vm);
    task_fail(haul->task, &im->lease->error->fault->self, im->lease->error->localizedMessage);
    importing_free(im);
}

/* The host goes: no thread is left to do it. */
static void undo_now(struct importing *im)
{
    (void)run_undo(&im->haul);
    undone(&im->haul);
}

static void complete_import(struct importing *im)
{
    struct virtual_machine *vm = im->vm;
    struct inventory *inventory = im->haul.hostd->inventory;

    vm->unfinished = false;
    vm_end(vm);
    vm_measure_disks(vm);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_storage);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
    EVENT_POST(im->haul.hostd, VmCreatedEvent, &vm->e, im->haul.task->user,
               "Imported virtual machine %s (%s) on %s", vm->e.name, vm->rel, inventory->host.name);
    im->haul.rc = inventory_save(inventory, &im->haul.err);
    haul_end(&im->haul, mo_value(&vm->e.mo), NULL);
    importing_free(im);
}

static void import_ended(struct nfc_lease *lease, bool complete)
{
    struct importing *im = lease->ctx;

    if (complete) {
        complete_import(im);
    } else if (im->haul.hostd->ending) {
        undo_now(im);
    } else {
        im->haul.run = run_undo;
        im->haul.done = undone;
        haul_start(&im->haul);
    }
}

/* The VM is there, with empty disks: its lease begins. */
static void imported(struct haul *haul)
{
    struct importing *im = importing_of(haul);
    struct plan *plan = &im->plan;
    struct virtual_machine *vm = NULL;
    bool made = haul->rc == 0;

    if (made)
        haul->rc = vm_add(haul->hostd->inventory, 0, plan->datastore, plan->rel, im->pool, &vm,
                          &plan->err);
    if (haul->rc == 0) {
        vm->unfinished = true;
        vm->task = haul->task;
        haul->rc = add_disks(im->lease, vm);
        if (haul->rc == 0)
            haul->rc = add_images(im->lease, vm, true);
        if (haul->rc == 0 && im->nvram)
            haul->rc = add_nvram(im->lease, vm, VMSD_NONE, true);
        if (haul->rc < 0)
            vm_remove(vm);
    }
    if (haul->rc < 0) {
        if (made)
            plan_undo(plan);
        fail_import(im);
        return;
    }
    im->vm = vm;
    nfc_lease_ready(im->lease, &vm->e);
}

static struct importing *prepare_import(struct call *call, struct resource_pool *pool,
                                        const struct vim_VirtualMachineConfigSpec *spec)
{
    struct importing *im = calloc(1, sizeof *im);

    if (!im || plan_init(&im->plan, NULL, NULL) < 0) {
        free(im);
        CALL_FAULT(call, SystemError);
        return NULL;
    }
    im->haul.hostd = hostd_of(call);
    im->haul.run = run_import;
    im->haul.done = imported;
    im->pool = pool;
    im->nvram = ovf_wants_nvram(spec);
    if (vm_plan_new(call, &im->plan, spec))
        return im;
    importing_free(im);
    return NULL;
}

/* The task's answer gives way to the lease. */
static struct nfc_lease *start_lease(struct call *call, enum nfc_kind kind, struct task *task,
                                     void (*ended)(struct nfc_lease *lease, bool complete),
                                     void *ctx)
{
    struct nfc_lease *lease = nfc_lease_new(hostd_of(call), kind, task, ended, ctx);
    struct arena cleanup_arena arena = {0};

    if (lease) {
        call_return(call, mo_value(&lease->mo));
        return lease;
    }
    task_fail(task, &VIM_NEW(&arena, InsufficientResourcesFault)->self, NULL);
    CALL_FAULT(call, InsufficientResourcesFault);
    return NULL;
}

void vm_import(struct mo *mo, struct call *call)
{
    const struct vim_ImportVApp_args *args = call->args;
    const struct vim_VirtualMachineImportSpec *spec = VIM_AS(VirtualMachineImportSpec, args->spec);

    if (!spec) {
        CALL_FAULT(call, NotSupported);
        return;
    }
    struct importing *im = prepare_import(call, ENTITY_OF(resource_pool, mo), spec->configSpec);
    if (!im)
        return;
    im->haul.task = task_start(call, ENTITY_OF(entity, mo));
    if (im->haul.task)
        im->lease = start_lease(call, NFC_IMPORT, im->haul.task, import_ended, im);
    if (im->lease)
        haul_start(&im->haul);
    else
        importing_free(im);
}

/* --- export --- */

struct exporting {
    struct virtual_machine *vm; /* held by its task */
    struct task *task;
};

static void export_ended(struct nfc_lease *lease, bool complete)
{
    struct exporting *ex = lease->ctx;

    vm_end(ex->vm);
    if (complete)
        task_succeed(ex->task, vim_any_none());
    else
        task_fail(ex->task, &lease->error->fault->self, lease->error->localizedMessage);
    free(ex);
}

/* `then`: the VM as it is to be exported. */
static void start_export(struct call *call, struct virtual_machine *vm,
                         const struct virtual_machine *then, uint32_t snapshot)
{
    struct exporting *ex = calloc(1, sizeof *ex);
    struct arena cleanup_arena arena = {0};

    if (!ex || !vm_begin(call, vm, &ex->task)) {
        free(ex);
        return;
    }
    ex->vm = vm;
    struct nfc_lease *lease = start_lease(call, NFC_EXPORT, ex->task, export_ended, ex);
    if (lease && add_disks(lease, then) == 0 && add_images(lease, then, false) == 0 &&
        add_nvram(lease, then, snapshot, false) == 0) {
        nfc_lease_ready(lease, &vm->e);
        return;
    }
    vm_end(vm);
    if (lease) {
        nfc_lease_fail(lease, &VIM_NEW(&arena, InvalidState)->self, NULL);
        task_fail(ex->task, &VIM_NEW(&arena, InvalidState)->self, NULL);
    }
    free(ex);
}

void vm_export(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (!vm->vmx) {
        CALL_FAULT(call, InvalidState);
    } else if (vm->power != VM_OFF) {
        struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);
        fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
        fault->requestedState = VIM_VirtualMachinePowerState_poweredOff;
        call_fault(call, &fault->self);
    } else {
        start_export(call, vm, vm, VMSD_NONE);
    }
}

void vm_export_snapshot(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of_snapshot(mo), *then;

    if (call_authorize(call, &vm->e.mo, "VApp.Export"))
        return;
    then = vm_at_snapshot(mo);
    if (then)
        start_export(call, vm, then, vm_snapshot_uid(mo));
    else
        CALL_FAULT(call, InvalidState);
    vm_at_snapshot_free(then);
}
