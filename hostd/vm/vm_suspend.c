/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_suspend.h"
#include "hostd/vm/vm_event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/task/worker.h"
#include "hostd/vm/vm_change.h"

#define KEY "checkpoint.vmState"

static const char *state_name(const struct virtual_machine *vm)
{
    const char *name = vm->vmx ? vmxfile_get(vm->vmx, KEY) : NULL;

    return name && *name ? name : NULL;
}

bool vm_is_suspended(const struct virtual_machine *vm)
{
    return vm->power == VM_OFF && state_name(vm);
}

/* --- the file goes, in its own time: it may be large --- */

struct removal {
    int fd; /* the datastore's, borrowed */
    char rel[DSPATH_MAX];
};

static void remove_work(void *arg)
{
    const struct removal *removal = arg;

    (void)dspath_remove(removal->fd, removal->rel);
}

static void remove_state(struct virtual_machine *vm, const char *name)
{
    size_t len = strlen(name);
    struct removal *removal = calloc(1, sizeof *removal);
    struct dspath path;
    struct datastore *datastore = vm_file(vm, name, &path);

    /* A snapshot's is needed again. */
    if (!removal || !datastore || len < 5 || strcasecmp(name + len - 5, ".vmss") != 0) {
        free(removal);
        return;
    }
    removal->fd = datastore->fd;
    (void)snprintf(removal->rel, sizeof removal->rel, "%s", path.rel);
    if (worker_post(vm->e.hostd->worker, remove_work, free, removal) < 0)
        free(removal);
}

/* --- suspend --- */

struct suspending {
    struct virtual_machine *vm;
    struct vmxfile *vmx;
    int fd;
    char name[300];
    char text[DSPATH_MAX + DSPATH_NAME_MAX + 4]; /* for faults */
};

static void suspending_free(struct suspending *s)
{
    vmxfile_destroy(s->vmx);
    (void)close_fd(s->fd);
    free(s);
}

/* What the state's file has to do with; the rest is the VM's. */
static bool is_of_file(int rc)
{
    static const int codes[] = {-ENOSPC, -EDQUOT, -EROFS, -EACCES, -ENOENT, -EIO};

    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
        if (rc == codes[i])
            return true;
    return false;
}

static void fail_suspend(struct suspending *s, int rc, const struct err *why)
{
    struct virtual_machine *vm = s->vm;
    struct task *task = vm->task;

    struct arena cleanup_arena arena = {0};
    VM_EVENT_FAILED(VmFailedToSuspendEvent, vm, task ? task->user : "",
                    fault_from_errno(&arena, rc, fault_named_file(&arena, why->text)), why->text,
                    "%s can not be suspended: %s", vm->e.name, why->text);
    /* One that runs and does not answer may still be at it: the file goes when it ends
     * (vm_settle). */
    bool unknown = rc == -EPIPE && vm->power != VM_OFF;
    if (*s->name && !unknown && !(s->vmx && vm_change_is_done(vm, s->vmx)))
        remove_state(vm, s->name);
    vm_end(vm);
    if (task)
        task_fail_errno(task, rc, why, is_of_file(rc) ? s->text : NULL);
    suspending_free(s);
}

/* The .vmx names the state, which was on stable storage before: it is suspended, though its
 * processes ended before they could say so. */
static void end_unheard(struct suspending *s)
{
    struct virtual_machine *vm = s->vm;
    struct task *task = vm->task;

    vm_end(vm);
    vm_reload(vm);
    vm_tell_changes(vm);
    if (task)
        task_succeed(task, vim_any_none());
    suspending_free(s);
}

/* The rest comes with the keeper's last words. */
static void suspended(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct suspending *s = ctx;

    (void)stood_us;
    if (rc == -EPIPE && vm_change_is_done(s->vm, s->vmx)) {
        end_unheard(s);
    } else if (rc < 0) {
        fail_suspend(s, rc, why);
    } else {
        vm_end_is_tasks(s->vm);
        suspending_free(s);
    }
}

static int make_file(struct suspending *s, struct err *err)
{
    const struct virtual_machine *vm = s->vm;
    const char *slash = strrchr(vm->rel, '/'), *name = slash ? slash + 1 : vm->rel, *last;
    char rel[2 * DSPATH_MAX];
    size_t len = strlen(name);
    uint32_t number;

    len -= len > 4 && !strcasecmp(name + len - 4, ".vmx") ? 4 : 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return err_sys(err, -errno, "a name");
    (void)snprintf(s->name, sizeof s->name, "%.*s-%08x.vmss", (int)MIN(len, (size_t)200), name,
                   number);
    (void)snprintf(rel, sizeof rel, "%.*s%s", slash ? (int)(slash - vm->rel) + 1 : 0, vm->rel,
                   s->name);
    dspath_format(vm->datastore->e.name, rel, s->text, sizeof s->text);
    int dir = dspath_open_parent(vm->datastore->fd, rel, &last);
    if (dir < 0)
        return err_sys(err, dir, "the VM's folder");
    s->fd = openat(dir, last, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = s->fd < 0 ? -errno : 0;
    (void)close_fd(dir);
    return rc < 0 ? err_sys(err, rc, "\"%s\"", s->name) : 0;
}

static int begin_suspend(struct suspending *s, struct err *err)
{
    int rc = make_file(s, err);

    if (rc == 0 &&
        ((rc = vm_copy_vmx(s->vm, &s->vmx)) < 0 || (rc = vmxfile_set(s->vmx, KEY, s->name)) < 0))
        (void)err_sys(err, rc, "the configuration");
    struct vm_change_order order = {
        .flags = VM_CHANGE_END, .state_fd = s->fd, .vmx = s->vmx, .same_devices = true};
    return rc < 0 ? rc : vm_change_send(s->vm, &order, suspended, s, err);
}

void vm_suspend(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct err err = ERR_INIT;
    struct task *task;

    if (!vm_begin(call, vm, &task) ||
        !vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOn))
        return;
    struct suspending *s = calloc(1, sizeof *s);
    if (!s) {
        vm_end(vm);
        task_fail_errno(task, -ENOMEM, NULL, NULL);
        return;
    }
    s->vm = vm;
    s->fd = -1;
    EVENT_POST(vm->e.hostd, VmSuspendingEvent, &vm->e, task->user, "%s is being suspended",
               vm->e.name);
    int rc = begin_suspend(s, &err);
    if (rc < 0)
        fail_suspend(s, rc, &err);
}

/* --- going on --- */

static void gone_on(void *ctx, int rc, const struct err *why, uint64_t stood_us)
{
    struct virtual_machine *vm = ctx;

    (void)stood_us;
    if (rc == 0 || rc == -EPIPE) {
        vm_gone_on(vm); /* RUNNING has come or follows; or ENDED */
        return;
    }
    log_error("VM %s can not go on: %s", vm->e.id, why->text);
    (void)keeper_send(vm->keeper.fd, KEEPER_STOP);
}

void vm_go_on(struct virtual_machine *vm)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    struct err err = ERR_INIT;
    int rc = vm_copy_vmx(vm, &vmx);

    vm->expected = vm->changes;
    if (rc == 0)
        rc = vmxfile_set(vmx, KEY, "");
    struct vm_change_order order = {.state_fd = -1, .vmx = vmx, .same_devices = true};
    if (rc == 0)
        rc = vm_change_send(vm, &order, gone_on, vm, &err);
    if (rc < 0)
        (void)keeper_send(vm->keeper.fd, KEEPER_STOP);
}

void vm_went_on(struct virtual_machine *vm)
{
    const char *name = state_name(vm);
    char copy[DSPATH_MAX];

    if (!name)
        return;
    (void)snprintf(copy, sizeof copy, "%s", name);
    vm_reload(vm);
    vm_tell_changes(vm);
    if (!state_name(vm)) /* else it is not true that it went on */
        remove_state(vm, copy);
}

void vm_drop_state(struct virtual_machine *vm)
{
    if (state_name(vm))
        remove_state(vm, state_name(vm));
}

/* --- power off --- */

struct discarding {
    struct virtual_machine *vm;
    struct task *task;
    struct vmxfile *vmx;
    char path[PATH_MAX];
    int rc;
    struct err err;
};

static void discard_work(void *arg)
{
    struct discarding *d = arg;

    d->rc = vmxfile_save(d->vmx, d->path, &d->err);
}

static void discarded(void *arg)
{
    struct discarding *d = arg;
    struct virtual_machine *vm = d->vm;

    vm_end(vm);
    if (d->rc < 0) {
        task_fail_errno(d->task, d->rc, &d->err, NULL);
    } else {
        if (state_name(vm))
            remove_state(vm, state_name(vm));
        vm_set_vmx(vm, TAKE_PTR(d->vmx));
        EVENT_POST(vm->e.hostd, VmPoweredOffEvent, &vm->e, d->task->user, "%s on %s is powered off",
                   vm->e.name, vm->e.hostd->inventory->host.name);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_runtime);
        task_succeed(d->task, vim_any_none());
    }
    vmxfile_destroy(d->vmx);
    free(d);
}

void vm_discard_state(struct virtual_machine *vm, struct task *task)
{
    struct discarding *d = calloc(1, sizeof *d);
    int rc = d ? vm_copy_vmx(vm, &d->vmx) : -ENOMEM;

    if (rc == 0)
        rc = vmxfile_set(d->vmx, KEY, "");
    if (rc == 0) {
        d->vm = vm;
        d->task = task;
        datastore_real_path(vm->datastore, vm->rel, d->path, sizeof d->path);
        rc = worker_post(vm->e.hostd->worker, discard_work, discarded, d);
    }
    if (rc == 0)
        return;
    vmxfile_destroy(d ? d->vmx : NULL);
    free(d);
    vm_end(vm);
    task_fail_errno(task, rc, NULL, NULL);
}
