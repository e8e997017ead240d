/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/vm_settle.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/snapshot/snapshot_files.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/worker.h"
#include "hostd/vm/vm_change.h"

struct vm_settling {
    struct virtual_machine *vm; /* NULL: it has gone */
    struct snapshot_files files;
    char id[16];
    bool has_plan, sweep;
    bool again, again_sweep; /* asked for meanwhile */
    int rc;
    struct err err;
    void (*then)(struct virtual_machine *vm); /* NULL: nothing */
    struct call **held;                       /* owned, the array */
    unsigned held_count;
    struct loop_source patience; /* armed for the first that is held */
    bool overdue;
};

/* How long calls wait for the files before they are told that the VM is busy. */
#define PATIENCE_NS (60 * UINT64_C(1000000000))

static void settling_free(struct vm_settling *s)
{
    loop_del(&s->patience);
    snapshot_files_free(&s->files);
    free(s->held);
    free(s);
}

static void work(void *arg)
{
    struct vm_settling *s = arg;

    s->has_plan = snapshot_files_has_plan(&s->files);
    s->rc = snapshot_files_open(&s->files, &s->err);
    if (s->rc == 0)
        s->rc = snapshot_files_settle(&s->files, &s->err);
    if (s->rc == 0 && s->sweep)
        snapshot_files_sweep(&s->files);
    snapshot_files_close(&s->files);
}

static void tell(const struct vm_settling *s)
{
    if (s->rc < 0 && s->rc != -ENOENT) /* its folder is not there: that is told elsewhere */
        log_error("VM %s: what was begun on its snapshots: %s", s->id, s->err.text);
    else if (s->has_plan)
        log_info("VM %s: what was begun on its snapshots has been settled", s->id);
}

static void done(void *arg)
{
    struct vm_settling *s = arg;
    struct virtual_machine *vm = s->vm;

    tell(s);
    if (vm)
        vm->settling = NULL;
    if (vm && s->rc == 0 && s->has_plan) {
        vm_read_again(vm);
        mo_changed(&vm->e.mo, VIM_P_VirtualMachine_runtime);
    }
    if (vm && s->again)
        vm_settle(vm, s->again_sweep);
    if (vm && s->then && !vm->e.hostd->ending)
        s->then(vm);
    if (vm && !vm->settling)
        unfinished_sweep(vm->e.hostd->inventory); /* its snapshots are known now */
    for (unsigned i = 0; i < s->held_count; i++)
        if (s->held[i])
            api_resume(s->held[i]);
    settling_free(s);
}

void vm_settle(struct virtual_machine *vm, bool sweep)
{
    if (vm->settling) {
        vm->settling->again = true;
        vm->settling->again_sweep |= sweep;
        return;
    }
    if (vm->task || vm->keeper_busy || vm->datastore->lost || vm->e.hostd->ending)
        return;
    struct vm_settling *s = calloc(1, sizeof *s);
    if (!s)
        return;
    s->vm = vm;
    s->sweep = sweep;
    (void)snprintf(s->id, sizeof s->id, "%.15s", vm->e.id);
    snapshot_files_init(&s->files);
    vm_snapshots_locate(vm, &s->files);
    if (!sweep && !snapshot_files_has_plan(&s->files))
        settling_free(s);
    else if (worker_post(vm->e.hostd->settlers, work, done, s) < 0)
        settling_free(s);
    else
        vm->settling = s;
}

void vm_settle_forget(struct virtual_machine *vm)
{
    if (vm->settling)
        vm->settling->vm = NULL;
    vm->settling = NULL;
}

bool vm_settle_then(struct virtual_machine *vm, void (*then)(struct virtual_machine *vm))
{
    if (vm->settling)
        vm->settling->then = then;
    return vm->settling;
}

bool vm_settle_must_wait(const struct virtual_machine *vm)
{
    cleanup_free struct snapshot_files *files = calloc(1, sizeof *files);

    if (!vm->keeper_busy || !files)
        return vm->keeper_busy;
    vm_snapshots_locate(vm, files);
    return snapshot_files_has_plan(files);
}

/* --- who waits --- */

static void forget_held(struct call *call)
{
    struct vm_settling *s = call->waiting;

    for (unsigned i = 0; i < s->held_count; i++)
        if (s->held[i] == call)
            s->held[i] = NULL;
}

static void give_up(void *ctx, uint32_t events)
{
    struct vm_settling *s = ctx;
    (void)events;

    s->overdue = true;
    log_warn("VM %s: its datastore does not answer", s->id);
    for (unsigned i = 0; i < s->held_count; i++) {
        struct call *call = s->held[i];
        s->held[i] = NULL;
        if (call)
            api_resume(call);
    }
}

static void be_patient(struct vm_settling *s)
{
    if (loop_add_timer(s->vm->e.hostd->loop, &s->patience, give_up, s) == 0)
        (void)loop_timer_arm(&s->patience, clock_now() + PATIENCE_NS);
}

bool vm_settle_hold(struct call *call)
{
    struct virtual_machine *vm = vm_behind(call->mo);
    struct vm_settling *s = vm ? vm->settling : NULL;

    if (s && s->overdue) {
        CALL_FAULT(call, TaskInProgress);
        return true;
    }
    struct call **held = s ? reallocarray(s->held, s->held_count + 1, sizeof(struct call *)) : NULL;

    if (!held)
        return false;
    if (!s->held)
        be_patient(s);
    s->held = held;
    s->held[s->held_count++] = call;
    call_later(call, forget_held, s);
    return true;
}
