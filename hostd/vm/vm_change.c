/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_change.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/vm/vm_plan.h"

static const char older[] =
    " (the VM was started by an older build of Socle: power it off and on to have what is new)";

static void cancel(struct task *task)
{
    struct virtual_machine *vm = task->ctx;

    (void)keeper_send(vm->keeper.fd, KEEPER_CANCEL);
}

/* The disks that the plan wants larger, as the keeper numbers them. */
static void set_sizes(struct keeper_change *change, const struct plan *plan)
{
    struct stat wanted, have;

    for (unsigned i = 0; plan && i < plan->disk_count; i++) {
        const struct plan_disk *disk = &plan->disk[i];
        if (disk->what != PLAN_GROW || fstatat(disk->at.fd, disk->at.rel, &wanted, 0) < 0)
            continue;
        for (unsigned n = 0; n < change->cfg->disk_count; n++)
            if (change->cfg->disks[n].file && stat(change->cfg->disks[n].file, &have) == 0 &&
                have.st_ino == wanted.st_ino && have.st_dev == wanted.st_dev)
                change->grow[n] = disk->size;
    }
}

int vm_change_send(struct virtual_machine *vm, const struct vm_change_order *order,
                   vm_change_done *done, void *ctx, struct err *err)
{
    struct keeper_change change = {.flags = order->flags, .state_fd = order->state_fd};
    cleanup_vmcfg struct vmcfg cfg = {0};
    cleanup_buf struct buf text = {0};
    char path[PATH_MAX];
    int rc = 0;

    if (vm->change_done || !vm->keeper.loop)
        return err_set(err, -EBUSY, "the VM is not there, or busy");
    if (!order->same_devices) {
        rc = vm_read_config(vm, order->vmx, &cfg, err);
        change.cfg = &cfg;
    }
    vmxfile_write(order->vmx, &text);
    if (rc == 0 && text.failed)
        rc = err_sys(err, -ENOMEM, "the configuration");
    datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
    change.commit_path = path;
    change.commit = text.data;
    change.commit_len = text.len;
    change.changes = vm->expected;
    if (getrandom(&change.token, sizeof change.token, 0) != sizeof change.token)
        rc = err_sys(err, -errno, "random numbers");
    if (rc == 0 && change.cfg)
        set_sizes(&change, order->plan);
    if (rc == 0)
        rc = keeper_change(vm->keeper.fd, &change, err);
    if (rc < 0)
        return rc;
    vm->change_done = done;
    vm->change_ctx = ctx;
    vm->change_token = change.token;
    if (vm->task) {
        vm->task->ctx = vm;
        vm->task->cancel = cancel;
    }
    return 0;
}

static bool same_text(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

bool vm_change_is_done(const struct virtual_machine *vm, const struct vmxfile *vmx)
{
    cleanup_buf struct buf before = {0}, wanted = {0}, now = {0};
    cleanup_vmxfile struct vmxfile *there = NULL;
    char path[PATH_MAX];

    datastore_real_path(vm->datastore, vm->rel, path, sizeof path);
    if (vmxfile_load(path, &there, NULL) < 0)
        return false;
    vmxfile_write(there, &now);
    vmxfile_write(vmx, &wanted);
    if (vm->vmx)
        vmxfile_write(vm->vmx, &before);
    return !now.failed && !wanted.failed && !before.failed && same_text(&now, &wanted) &&
           !same_text(&now, &before);
}

static void finish(struct virtual_machine *vm, int rc, const struct err *why, uint64_t stood_us)
{
    vm_change_done *done = TAKE_PTR(vm->change_done);

    if (vm->task)
        vm->task->cancel = NULL;
    if (done)
        done(vm->change_ctx, rc, why, stood_us);
}

void vm_change_progress(struct virtual_machine *vm, unsigned percent)
{
    if (vm->task && vm->change_done && percent <= 100)
        task_progress(vm->task, (int)percent);
}

/* One that nobody here asked for was asked for by a hostd that is gone: what is on the datastore is
 * what counts. */
void vm_change_answered(struct virtual_machine *vm, const struct keeper_message *message)
{
    int rc = message->value < 4096 ? -(int)message->value : -EIO;
    struct err why = {.code = rc};

    (void)err_set(&why, rc, "%s%s", message->text,
                  rc < 0 && vm->keeper_version < KEEPER_VERSION ? older : "");
    if (rc == 0 && *message->text)
        EVENT_POST(vm->e.hostd, GeneralVmErrorEvent, &vm->e, "", "%s on %s: %s", vm->e.name,
                   vm->e.hostd->inventory->host.name, message->text);
    if (vm->change_done && message->token == vm->change_token) {
        vm->keeper_busy &= rc == -EBUSY; /* else it was at ours, and is at nothing now */
        vm->expected = message->changes;
        finish(vm, rc, &why, (uint64_t)message->us);
        return;
    }
    vm->keeper_busy = false;
    vm_settle(vm, false);
    vm_read_again(vm);
}

void vm_read_again(struct virtual_machine *vm)
{
    vm_reload(vm);
    vm_snapshots_refresh(vm);
    vm_snapshots_tell(vm);
    vm_tell_changes(vm);
}

void vm_change_abandoned(struct virtual_machine *vm, const char *text)
{
    struct err why = ERR_INIT;

    (void)err_set(&why, -EPIPE, "%s", text);
    finish(vm, -EPIPE, &why, 0);
}
