/* SPDX-License-Identifier: Apache-2.0 */
/* Power. hostd starts a keeper (vm/process/keeper.h) on a worker thread and then listens to it;
 * what a VM is doing is what its keeper said last. Nothing here is asked twice: a keeper that is
 * gone means a VM that is off, and its last words say why. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/range.h"
#include "config/nvram.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/event/event.h"
#include "hostd/model/host_maintenance.h"
#include "hostd/perf/perf.h"
#include "hostd/session/session.h"
#include "hostd/snapshot/vm_settle.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/task/worker.h"
#include "hostd/up/rootdir.h"
#include "hostd/vm/vm_change.h"
#include "hostd/vm/vm_clone.h"
#include "hostd/vm/vm_event.h"
#include "hostd/vm/vm_identity.h"
#include "hostd/vm/vm_question.h"
#include "hostd/vm/vm_suspend.h"

enum { FIRST_MESSAGE_MS = 1000 };

static void changed(struct virtual_machine *vm)
{
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_runtime);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_guest);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_config); /* connected devices */
}

/* --- operations --- */

bool vm_fault_busy(struct call *call, struct virtual_machine *vm, const char *text)
{
    struct vim_TaskInProgress *fault = VIM_NEW(call->arena, TaskInProgress);

    if (vm->task) {
        fault->task = mo_ref(&vm->task->mo);
        call_fault(call, &fault->self);
    } else if (vm->identifying || vm->settling || text) {
        CALL_FAULT(call, InvalidState); /* what is under way is the host's own, no task */
    } else {
        return false;
    }
    if (text)
        call->fault_text = arena_strdup(call->arena, text);
    return true;
}

static bool begin(struct call *call, struct virtual_machine *vm, struct task **ret_task)
{
    if (vm_fault_busy(call, vm, NULL))
        return false;
    *ret_task = task_start(call, &vm->e);
    if (*ret_task)
        vm->task = *ret_task;
    vm->expected = vm->changes;
    return *ret_task;
}

/* One that runs since before this hostd, and whose keeper has not said a word: nobody knows yet
 * what it is at. */
static bool is_silent(struct call *call, struct virtual_machine *vm)
{
    return vm->power == VM_ON && vm->keeper.loop && !vm->keeper_heard &&
           vm_fault_busy(call, vm,
                         "The VM's processes have not answered since the host's management service "
                         "was restarted.");
}

bool vm_begin(struct call *call, struct virtual_machine *vm, struct task **ret_task)
{
    return !is_silent(call, vm) && (vm->task || !vm_question_pending(call, vm)) &&
           begin(call, vm, ret_task);
}

void vm_end(struct virtual_machine *vm)
{
    vm->task = NULL;
}

void vm_fail_power(struct task *task, struct virtual_machine *vm, int requested)
{
    struct arena arena = {0};
    struct vim_InvalidPowerState *fault = VIM_NEW(&arena, InvalidPowerState);

    fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
    fault->requestedState = (enum vim_VirtualMachinePowerState)requested;
    vm_end(vm);
    task_fail(task, &fault->self, NULL);
    arena_free(&arena);
}

bool vm_require_power(struct task *task, struct virtual_machine *vm, int state)
{
    if (vm_power_state(vm) == state)
        return true;
    vm_fail_power(task, vm, state);
    return false;
}

/* Why a VM did not start: a file's own fault where it is one. */
static struct vim_data *fault_for(struct arena *arena, const struct virtual_machine *vm, int code,
                                  const char *text)
{
    struct vim_GenericVmConfigFault *generic = VIM_NEW(arena, GenericVmConfigFault);
    const char *file = fault_named_file(arena, text);

    switch (-code) {
    case ENOENT:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOSPC:
    case EDQUOT:
    case EBUSY:
    case EAGAIN:
        return fault_from_errno(arena, code, file ? file : vm_path_text(arena, vm));
    default:
        generic->reason = text;
        return &generic->self;
    }
}

static void fail(struct virtual_machine *vm, int code, const char *text)
{
    struct task *task = vm->task;
    struct arena arena = {0};

    vm_end(vm);
    if (task)
        task_fail(task, fault_for(&arena, vm, code, text), text);
    arena_free(&arena);
}

static void succeed(struct virtual_machine *vm)
{
    struct task *task = vm->task;
    void (*off)(void *ctx) = TAKE_PTR(vm->when_off);

    if (off) {
        off(vm->when_off_ctx); /* the operation goes on */
        return;
    }

    vm_end(vm);
    if (task)
        task_succeed(task, vim_any_none());
}

/* --- the keeper's words --- */

void vm_hang_up(struct virtual_machine *vm)
{
    int fd = vm->keeper.fd;

    if (!vm->keeper.loop)
        return;
    perf_vm_off(vm);
    loop_del(&vm->keeper);
    (void)close_fd(fd);
}

static const char *user_of(const struct task *task)
{
    return task ? task->user : "";
}

/* The VM went on by itself, until this. */
static bool is_trouble(enum vm_end end)
{
    return end == VM_END_DIED || end == VM_END_TRIPLE_FAULT;
}

static void now_off(struct virtual_machine *vm, enum vm_end end, int code, const char *text)
{
    struct hostd *hostd = vm->e.hostd;
    enum vm_power before = vm->power;
    bool asked = before == VM_STOPPING && vm->end_is_tasks;

    vm_hang_up(vm);
    vm_question_withdraw(vm);
    keeper_forget(vm->keeper_path);
    vm->keeper_busy = false;
    vm->power = VM_OFF;
    vm->end_is_tasks = false;
    vm_change_abandoned(vm, "the VM has ended");
    vm->boot_us = 0;
    vm->clean_off = end == VM_END_POWER_OFF;
    if (before == VM_STARTING) {
        struct arena cleanup_arena arena = {0};
        VM_EVENT_FAILED(VmFailedToPowerOnEvent, vm, user_of(vm->task),
                        fault_for(&arena, vm, code, text), text, "Failed to power on %s on %s: %s",
                        vm->e.name, hostd->inventory->host.name, text);
        fail(vm, code, text);
    } else if (end == VM_END_SUSPENDED) {
        vm_reload(vm);
        vm_tell_changes(vm);
        EVENT_POST(hostd, VmSuspendedEvent, &vm->e, user_of(vm->task), "%s on %s is suspended",
                   vm->e.name, hostd->inventory->host.name);
        if (asked)
            succeed(vm);
    } else {
        if (is_trouble(end))
            EVENT_POST(hostd, GeneralVmErrorEvent, &vm->e, "", "%s on %s ended by a failure: %s",
                       vm->e.name, hostd->inventory->host.name, text);
        EVENT_POST(hostd, VmPoweredOffEvent, &vm->e, asked ? user_of(vm->task) : "",
                   "%s on %s is powered off%s%s", vm->e.name, hostd->inventory->host.name,
                   *text ? ": " : "", text);
        if (asked)
            succeed(vm);
    }
    vm_settle(vm, true);
    if (is_trouble(end))
        vm_read_again(vm); /* its last change may have been done, though nobody heard of it */
    changed(vm);
}

static void now_on(struct virtual_machine *vm, int64_t since)
{
    bool started = vm->power == VM_STARTING;

    vm->power = VM_ON;
    vm->boot_us = since;
    vm_went_on(vm);
    if (!started)
        vm_read_again(vm);
    if (started) {
        EVENT_POST(vm->e.hostd, VmPoweredOnEvent, &vm->e, user_of(vm->task),
                   "%s on %s is powered on", vm->e.name, vm->e.hostd->inventory->host.name);
        vm->start_waits = vm->change_done;
        if (!vm->start_waits)
            succeed(vm);
    }
    changed(vm);
}

void vm_gone_on(struct virtual_machine *vm)
{
    bool waits = vm->start_waits;

    vm->start_waits = false;
    if (waits)
        succeed(vm);
}

static int listen_to_keeper(struct virtual_machine *vm);

/* Nobody is at the other end: what did it leave? A keeper that has only hung up is called again,
 * for its VM runs. */
static void keeper_gone(struct virtual_machine *vm)
{
    bool heard = vm->keeper_heard;
    struct keeper_message m;

    vm_hang_up(vm);
    if (heard && listen_to_keeper(vm) == 0) {
        log_error("VM %s: its keeper hung up", vm->e.id);
        vm_change_abandoned(vm, "the VM's keeper did not understand");
        return;
    }
    if (keeper_last_words(vm->keeper_path, &m) == 0 && m.kind == KEEPER_ENDED)
        now_off(vm, (enum vm_end)m.value, (int)m.us, m.text);
    else
        now_off(vm, VM_END_DIED, 0,
                "the process that kept it was killed, or the machine restarted");
}

/* The first on each connection. */
static void take_state(struct virtual_machine *vm, const struct keeper_message *m)
{
    vm->changes = m->changes;
    if (vm->keeper_heard)
        return;
    vm->keeper_heard = true;
    vm->keeper_version = m->token;
    vm->keeper_busy = vm->keeper_version ? m->value & KEEPER_BUSY : m->kind == KEEPER_RUNNING;
    if (vm->keeper_version < KEEPER_VERSION)
        EVENT_POST(vm->e.hostd, GeneralVmInfoEvent, &vm->e, "",
                   "%s on %s was started by an older build of Socle and runs on under it: "
                   "power it off and on to have all that this one can do",
                   vm->e.name, vm->e.hostd->inventory->host.name);
    vm_settle(vm, false);
}

/* One message; the last may end what was listened to. */
static void hear(struct virtual_machine *vm)
{
    struct keeper_message m;
    int fd = -1, rc = keeper_receive(vm->keeper.fd, &m, &fd);

    if (rc == 0 && m.kind == KEEPER_USAGE)
        perf_vm_on(vm, &m, TAKE_FD(fd));
    (void)close_fd(fd);
    if (rc == -EAGAIN)
        return;
    if (rc == 0 && m.kind <= KEEPER_RUNNING)
        take_state(vm, &m);
    if (rc == 0 && m.kind == KEEPER_CHANGED)
        vm->changes = m.changes;
    if (rc < 0)
        keeper_gone(vm);
    else if (m.kind == KEEPER_ENDED)
        now_off(vm, (enum vm_end)m.value, (int)m.us, m.text);
    else if (m.kind == KEEPER_RUNNING && vm->power != VM_STOPPING)
        now_on(vm, m.us);
    else if (m.kind == KEEPER_PAUSED)
        vm_go_on(vm);
    else if (m.kind == KEEPER_PROGRESS)
        vm_change_progress(vm, m.value);
    else if (m.kind == KEEPER_NO_SPACE)
        vm_question_no_space(vm, m.text);
    else if (m.kind == KEEPER_CHANGED)
        vm_change_answered(vm, &m);
    else if (m.kind == KEEPER_UNKNOWN)
        log_error("VM %s: its keeper does not know request %u", vm->e.id, m.value);
}

static void on_keeper(void *ctx, uint32_t events)
{
    struct virtual_machine *vm = ctx;
    struct inventory *inventory = vm->e.hostd->inventory;
    bool was_busy = vm->keeper_busy;

    (void)events;
    hear(vm);
    if (was_busy && !vm->keeper_busy)
        unfinished_sweep(inventory);
}

static int listen_to_keeper(struct virtual_machine *vm)
{
    int fd, rc = keeper_connect(vm->keeper_path, &fd);

    if (rc < 0)
        return rc;
    vm->keeper_heard = false;
    vm->keeper_busy = true; /* as far as is known */
    rc = loop_add_fd(vm->e.hostd->loop, &vm->keeper, fd, EPOLLIN, on_keeper, vm);
    if (rc < 0)
        (void)close_fd(fd);
    else
        (void)keeper_send(fd, KEEPER_USAGE);
    return rc;
}

/* A VM that nobody switched off while we were away still has its socket, or its last words. */
void vm_adopt(struct virtual_machine *vm)
{
    struct keeper_message m;
    int rc = listen_to_keeper(vm);

    if (rc == 0) {
        /* Its first message says so in more detail. A change that was under way may have written
         * the .vmx since we read it; from that message on we hear of such. */
        struct pollfd first = {.fd = vm->keeper.fd, .events = POLLIN};
        vm->power = VM_ON;
        if (poll(&first, 1, FIRST_MESSAGE_MS) == 1)
            on_keeper(vm, 0);
        return;
    }
    if (rc == -ECONNREFUSED || keeper_last_words(vm->keeper_path, &m) == 0) {
        vm->power = VM_ON;
        keeper_gone(vm);
        vm_read_again(vm); /* it may have written the .vmx after that was read */
    }
}

/* --- starting --- */

struct starting {
    struct virtual_machine *vm; /* stays: an operation is under way */
    struct vmcfg cfg;
    char log[32];
    struct vmxfile *vmx; /* new, where the firmware's variables of another product were found */
    struct err err;
    int rc;
};

/* A .vmx is foreign: whatever it names must lie on a datastore. Names that mean datastores become
 * names that mean files; one that leads elsewhere ("/etc/x", "../../x") is refused. */
static int confine(struct virtual_machine *vm, char **path, struct err *err)
{
    static const char below[] = ROOTDIR_DATASTORES "/";
    struct dspath parsed;
    char real[PATH_MAX], volume[PATH_MAX];

    if (!*path)
        return 0;
    (void)snprintf(volume, sizeof volume, "/vmfs/volumes/%s",
                   strncmp(*path, below, sizeof below - 1) ? "" : *path + sizeof below - 1);
    if (dspath_parse_vmfs(**path == '/' ? *path : volume, &parsed) < 0)
        return err_set(err, -EXDEV, "\"%s\" is not on a datastore", *path);
    struct datastore *datastore = datastore_find(vm->e.hostd->inventory, parsed.datastore);
    if (!datastore)
        return err_set(err, -ENOENT, "\"%s\": its datastore is not there", *path);
    datastore_real_path(datastore, parsed.rel, real, sizeof real);
    free(*path);
    *path = strdup(real);
    return *path ? 0 : err_sys(err, -ENOMEM, "names");
}

static int confine_all(struct virtual_machine *vm, struct vmcfg *cfg, struct err *err)
{
    char **const paths[] = {&cfg->nvram,  &cfg->state,       &cfg->firmware_log, &cfg->kernel,
                            &cfg->initrd, &cfg->serial.path, &cfg->console.path};
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(paths) && rc == 0; i++)
        rc = confine(vm, paths[i], err);
    for (unsigned i = 0; i < cfg->disk_count && rc == 0; i++)
        rc = confine(vm, &cfg->disks[i].file, err);
    return rc;
}

/* What the VM is, from its file as it is on the datastore now. In hosted mode the network is the
 * user-mode one, whatever the port group's name. */
int vm_read_config(struct virtual_machine *vm, const struct vmxfile *vmx, struct vmcfg *cfg,
                   struct err *err)
{
    cleanup_buf struct buf warnings = {0};
    char folder[DSPATH_MAX], real[PATH_MAX];

    if (!vmx)
        return err_set(err, -EBADMSG, "%s", vm->trouble.text);
    vmcfg_init(cfg);
    vm_folder(vm, folder);
    datastore_real_path(vm->datastore, folder, real, sizeof real);
    int rc = vmcfg_from_vmx(cfg, vmx, real, &warnings, err);
    if (rc == 0)
        rc = confine_all(vm, cfg, err);
    for (unsigned i = 0; i < cfg->nic_count; i++)
        cfg->nics[i].type = VMCFG_NIC_USER;
    if (cfg->serial.type == VMCFG_STREAM_AUTO && cfg->console.type != VMCFG_STREAM_STDIO)
        cfg->serial.type = VMCFG_STREAM_STDIO; /* the keeper's (keeper_serial) */
    if (cfg->usb == VMCFG_USB_AUTO)
        cfg->usb = VMCFG_USB_YES; /* somebody may look, and point */
    if (rc == 0)
        rc = vmcfg_finish(cfg, err);
    datastore_real_path(vm->datastore, vm->rel, real, sizeof real);
    if (rc == 0)
        rc = nvram_default(cfg, real, err);
    if (warnings.len)
        log_info("VM %s: %s", vm->e.id, buf_cstr(&warnings));
    return rc;
}

/* See config/nvram.h; the .vmx says it before the file is there. */
static int leave_foreign_nvram(struct starting *s)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_free char *own = NULL;
    char path[PATH_MAX];

    datastore_real_path(s->vm->datastore, s->vm->rel, path, sizeof path);
    int rc = nvram_leave_foreign(&s->cfg, path, &own, &s->err);
    if (rc < 0 || !own || (rc = vmxfile_load(path, &vmx, &s->err)) < 0)
        return rc;
    rc = vmxfile_set(vmx, NVRAM_OWN_KEY, own);
    rc = rc < 0 ? err_sys(&s->err, rc, "%s", path) : vmxfile_save(vmx, path, &s->err);
    if (rc == 0)
        s->vmx = TAKE_PTR(vmx);
    return rc;
}

static void start_work(void *arg)
{
    struct starting *s = arg;

    s->rc = leave_foreign_nvram(s);
    if (s->rc == 0)
        s->rc = keeper_start(&s->cfg, s->vm->keeper_path, s->log, &s->err);
}

static void left_foreign_nvram(struct virtual_machine *vm, struct vmxfile *vmx)
{
    const char *was = vmxfile_get(vmx, "nvram");

    EVENT_POST(vm->e.hostd, GeneralVmInfoEvent, &vm->e, user_of(vm->task),
               "%s on %s has the firmware variables of another product%s%s, which are left as they "
               "are: it starts with fresh ones, in %s",
               vm->e.name, vm->e.hostd->inventory->host.name, was ? " in " : "", was ? was : "",
               vmxfile_get(vmx, NVRAM_OWN_KEY));
    vm_set_vmx(vm, vmx);
}

static void start_done(void *arg)
{
    struct starting *starting = arg;
    struct virtual_machine *vm = starting->vm;
    int rc = starting->rc;

    if (starting->vmx)
        left_foreign_nvram(vm, starting->vmx);
    if (rc == 0)
        rc = listen_to_keeper(vm);
    if (rc < 0 && starting->rc == 0)
        keeper_gone(vm); /* it has ended already */
    else if (rc < 0)
        now_off(vm, VM_END_DIED, starting->err.code, starting->err.text);
    vmcfg_free(&starting->cfg);
    free(starting);
}

static bool may_start(const struct virtual_machine *vm)
{
    return !maintenance_closed(vm->e.hostd) && !vm_is_template(vm);
}

static void refuse_start(struct virtual_machine *vm)
{
    struct arena cleanup_arena arena = {0};
    struct task *task = vm->task;

    vm_end(vm);
    if (task)
        task_fail(task, &VIM_NEW(&arena, InvalidState)->self, NULL);
}

/* A question may have waited before this for as long as somebody liked (vm_identity.h). */
static void begin_start(struct virtual_machine *vm)
{
    if (!may_start(vm)) {
        refuse_start(vm);
        return;
    }
    struct starting *starting = calloc(1, sizeof *starting);

    if (!starting) {
        fail(vm, 0, "out of memory");
        return;
    }
    starting->vm = vm;
    vm->power = VM_STARTING;
    if (vm_is_suspended(vm))
        EVENT_POST(vm->e.hostd, VmResumingEvent, &vm->e, user_of(vm->task), "%s on %s is resumed",
                   vm->e.name, vm->e.hostd->inventory->host.name);
    else
        EVENT_POST(vm->e.hostd, VmStartingEvent, &vm->e, user_of(vm->task), "%s on %s is starting",
                   vm->e.name, vm->e.hostd->inventory->host.name);
    keeper_forget(vm->keeper_path);
    (void)snprintf(starting->log, sizeof starting->log, "log/vm-%.16s.log", vm->e.id);
    int rc = vm_read_config(vm, vm->vmx, &starting->cfg, &starting->err);
    if (rc == 0)
        rc = worker_post(vm->e.hostd->worker, start_work, start_done, starting);
    if (rc == 0)
        return;
    now_off(vm, VM_END_BAD_FILE, starting->err.code, starting->err.text);
    vmcfg_free(&starting->cfg);
    free(starting);
}

static void power_on(struct virtual_machine *vm, struct task *task)
{
    if (vm->power != VM_OFF)
        vm_fail_power(task, vm, VIM_VirtualMachinePowerState_poweredOff);
    else if (!may_start(vm))
        refuse_start(vm);
    else
        vm_identify(vm, begin_start); /* a suspended one goes on */
}

void vm_start_for_task(struct virtual_machine *vm)
{
    begin_start(vm);
}

static void stop(struct virtual_machine *vm)
{
    vm->power = VM_STOPPING;
    EVENT_POST(vm->e.hostd, VmStoppingEvent, &vm->e, user_of(vm->task), "%s on %s is stopping",
               vm->e.name, vm->e.hostd->inventory->host.name);
    if (keeper_send(vm->keeper.fd, KEEPER_STOP) < 0)
        keeper_gone(vm);
}

void vm_end_is_tasks(struct virtual_machine *vm)
{
    vm->power = VM_STOPPING;
    vm->end_is_tasks = true;
}

void vm_stop_for_task(struct virtual_machine *vm, void (*off)(void *ctx), void *ctx)
{
    if (vm->power == VM_OFF) {
        off(ctx);
        return;
    }
    vm->when_off = off;
    vm->when_off_ctx = ctx;
    vm_end_is_tasks(vm);
    stop(vm);
}

void vm_power_on_by_host(struct virtual_machine *vm)
{
    if (vm_settle_then(vm, vm_power_on_by_host))
        return;
    if (vm->power == VM_OFF && !vm->task && !vm->question && !vm->identifying && may_start(vm))
        vm_identify(vm, begin_start);
}

void vm_stop_by_host(struct virtual_machine *vm)
{
    if (vm->power != VM_ON)
        return;
    if (vm->task && vm->task->cancel)
        vm->task->cancel(vm->task);
    stop(vm);
}

void vm_press_power(struct virtual_machine *vm)
{
    if (vm->power == VM_ON)
        (void)keeper_send(vm->keeper.fd, KEEPER_POWER_BUTTON);
}

/* --- methods --- */

void vm_power_on(struct mo *mo, struct call *call)
{
    struct task *task;

    if (vm_begin(call, vm_of(mo), &task))
        power_on(vm_of(mo), task);
}

void vm_power_off(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    bool was_starting = vm_identify_cancel(vm);
    struct task *task;

    if (!begin(call, vm, &task))
        return;
    if (was_starting) { /* and does not start any more: that is all there is to do */
        vm_end(vm);
        task_succeed(task, vim_any_none());
        return;
    }
    if (vm_is_suspended(vm)) {
        vm_discard_state(vm, task);
        return;
    }
    if (!vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOn))
        return;
    vm_end_is_tasks(vm);
    stop(vm);
}

void vm_reset_task(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);
    struct task *task;

    if (!vm_begin(call, vm, &task) ||
        !vm_require_power(task, vm, VIM_VirtualMachinePowerState_poweredOn))
        return;
    if (keeper_send(vm->keeper.fd, KEEPER_RESET) < 0) {
        fail(vm, 0, "the VM does not answer");
        return;
    }
    EVENT_POST(vm->e.hostd, VmResettingEvent, &vm->e, task->user, "%s on %s is reset", vm->e.name,
               vm->e.hostd->inventory->host.name);
    succeed(vm);
}

bool vm_require_on(struct call *call, struct virtual_machine *vm)
{
    if (vm->power == VM_ON)
        return true;
    struct vim_InvalidPowerState *fault = VIM_NEW(call->arena, InvalidPowerState);
    fault->existingState = (enum vim_VirtualMachinePowerState)vm_power_state(vm);
    fault->requestedState = VIM_VirtualMachinePowerState_poweredOn;
    call_fault(call, &fault->self);
    return false;
}

/* Until there are tools in the guest, it is asked by ACPI: by the power button. */
void vm_shutdown_guest(struct mo *mo, struct call *call)
{
    struct virtual_machine *vm = vm_of(mo);

    if (!vm_require_on(call, vm))
        return;
    if (keeper_send(vm->keeper.fd, KEEPER_POWER_BUTTON) < 0)
        CALL_FAULT(call, ToolsUnavailable);
    else
        EVENT_POST(vm->e.hostd, VmGuestShutdownEvent, &vm->e, call->session->user,
                   "Guest OS shut down for %s", vm->e.name);
}

/* ACPI has no button for it. */
void vm_reboot_guest(struct mo *mo, struct call *call)
{
    if (vm_require_on(call, vm_of(mo)))
        CALL_FAULT(call, ToolsUnavailable);
}

/* One task for the question, one for each VM. */
void vm_power_on_many(struct mo *mo, struct call *call)
{
    const struct vim_PowerOnMultiVM_Task_args *args = call->args;
    struct vim_ClusterPowerOnVmResult *result = VIM_NEW(call->arena, ClusterPowerOnVmResult);
    struct task *all = task_start(call, entity_from(mo));
    struct vim_any answer = call->result;

    if (!all)
        return;
    for (size_t i = 0; i < args->vm.count; i++) {
        struct mo *one = call_resolve(call, args->vm.items[i]);
        struct task *task;
        if (!one || !vm_begin(call, vm_of(one), &task))
            continue;
        struct vim_ClusterAttemptedVmInfo *info = VIM_NEW(call->arena, ClusterAttemptedVmInfo);
        info->vm = mo_ref(one);
        info->task = mo_ref(&task->mo);
        VIM_ADD(call->arena, &result->attempted, info);
        power_on(vm_of(one), task);
    }
    call->fault = NULL;
    call_return(call, answer);
    task_succeed(all, vim_any_data(result));
}
