/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"
#include "vm/backend/chr.h"
#include "vm/machine/gmem.h"
#include "vm/process/change_run.h"
#include "vm/process/config_fd.h"
#include "vm/process/console_process.h"
#include "vm/process/link.h"
#include "vm/process/resources.h"
#include "vm/process/savefile.h"
#include "vm/process/spawn.h"
#include "vm/process/usage.h"

/* One of the pair, as its parent sees it. */
struct child {
    struct vm *vm;
    const char *name;
    pid_t pid;
    int control; /* socket, -1 when closed */
    int pidfd;
    struct loop_source control_source, exit_source;
};

enum { CHILD_VMM, CHILD_VMX, CHILDREN, REAP_MS = 10000, CAUSE_MS = 1000 };

struct vm {
    struct loop *loop;
    struct child child[CHILDREN];
    struct resources resources;
    struct console_process console;
    int usage_fd; /* usage.h */
    bool ended;
    enum vm_end end;
    uint8_t status; /* of VM_END_EXIT */
    struct err err;
    void (*started)(void *ctx); /* NULL: nobody waits for it */
    void *started_ctx;
    void (*restored)(void *ctx); /* NULL: it goes on by itself */
    void *restored_ctx;
    void (*no_space)(void *ctx, const char *file); /* NULL: nobody is asked */
    void *no_space_ctx;
    bool held; /* a write waits for room */

    /* Changes: `machine` is the thread's while there is one. */
    struct vmcfg cfg;
    struct gmem *gmem;
    struct change_machine machine;
    struct vm_change *change; /* under way; else NULL */
    bool is_restored;         /* and has not begun to run */
    struct vm_change go_on;   /* our own, of a restored VM that nobody waits for */
    void (*changed)(void *ctx);
    void *changed_ctx;
    pthread_t thread;
    atomic_bool thread_done;
    int told_fd; /* eventfd: from the thread */
    struct loop_source told;
};

/* The first reason counts: what follows from it (the other process ending, a broken pipe) is no
 * news. */
static void end(struct vm *vm, enum vm_end why, const char *text)
{
    if (vm->ended)
        return;
    vm->ended = true;
    vm->end = why;
    if (text && *text)
        (void)err_set(&vm->err, -EIO, "%s", text);
    loop_stop(vm->loop, (int)why);
}

/* One of the pair said so. */
static void end_as_told(struct vm *vm, const struct link_message *m)
{
    if (!vm->ended)
        vm->status = (uint8_t)m->status;
    end(vm, m->value < VM_END_MAX ? (enum vm_end)m->value : VM_END_DIED, m->text);
}

static void has_started(struct vm *vm)
{
    if (vm->started)
        vm->started(vm->started_ctx);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void has_been_restored(struct vm *vm)
{
    free(TAKE_PTR(vm->cfg.state));
    vm->machine.paused = vm->is_restored = true;
    if (vm->restored) {
        vm->restored(vm->restored_ctx);
        return;
    }
    vm->go_on = (struct vm_change){.state_fd = -1};
    (void)vm_change(vm, &vm->go_on, ignore, NULL);
}

static int tell_child(struct vm *vm, unsigned which, enum link_kind kind)
{
    struct link_message m = {.kind = kind};

    return link_send(vm->child[which].control, &m, NULL, 0);
}

/* The guest stands still so that it does not lose patience with its disk. */
static void hold(struct vm *vm, unsigned place)
{
    const char *file = NULL;

    for (unsigned i = 0; i < vm->cfg.disk_count; i++)
        if (vmcfg_disk_place(&vm->cfg, i) == place)
            file = vm->cfg.disks[i].file;
    if (vm->held || !file)
        return;
    vm->held = true;
    (void)tell_child(vm, CHILD_VMM, LINK_HOLD);
    if (vm->no_space)
        vm->no_space(vm->no_space_ctx, file);
}

static void on_control(void *ctx, uint32_t events)
{
    struct child *child = ctx;
    struct link_message m;

    (void)events;
    int rc = link_receive(child->control, &m, NULL, 0, NULL);
    if (rc == 0 && m.kind == LINK_ENDED) {
        m.text[sizeof m.text - 1] = '\0';
        end_as_told(child->vm, &m);
    }
    if (rc == 0 && m.kind == LINK_NO_SPACE)
        hold(child->vm, m.value);
    if (rc == 0 && m.kind == LINK_STARTED)
        has_started(child->vm);
    if (rc == 0 && m.kind == LINK_DONE && child->vm->cfg.state)
        has_been_restored(child->vm);
    if (rc < 0)
        loop_del(&child->control_source); /* the exit follows */
}

static void describe_exit(const struct child *child, const siginfo_t *info, char *text, size_t size)
{
    if (info->si_code == CLD_EXITED)
        (void)snprintf(text, size, "the VM's process %s ended by itself with status %d",
                       child->name, info->si_status);
    else if (info->si_status == SIGSYS)
        (void)snprintf(text, size,
                       "the VM's process %s was stopped by its sandbox (a forbidden system call)",
                       child->name);
    else
        (void)snprintf(text, size, "the VM's process %s was killed by signal %d (%s)", child->name,
                       info->si_status, strsignal(info->si_status));
}

static bool has_exited(const struct child *child, siginfo_t *ret_info)
{
    *ret_info = (siginfo_t){0};
    return child->pid > 0 &&
           waitid(P_PID, (id_t)child->pid, ret_info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
           ret_info->si_pid;
}

/* One that ended in good order did so because of the other, whose descriptors close a moment before
 * it can be seen to have ended. */
static const struct child *first_cause(const struct child *child, siginfo_t *info)
{
    const struct child *other = &child->vm->child[child == child->vm->child ? 1 : 0];
    struct pollfd exited = {.fd = other->pidfd, .events = POLLIN};
    siginfo_t others;

    if (info->si_code != CLD_EXITED || info->si_status || poll(&exited, 1, CAUSE_MS) != 1 ||
        !has_exited(other, &others))
        return child;
    *info = others;
    return other;
}

static void on_exit_(void *ctx, uint32_t events)
{
    struct child *child = ctx;
    siginfo_t info;
    char text[160];

    (void)events;
    if (!has_exited(child, &info))
        return;
    /* Its last words may still be in the socket. */
    while (child->control_source.loop && !child->vm->ended)
        on_control(child, 0);
    loop_del(&child->exit_source);
    describe_exit(first_cause(child, &info), &info, text, sizeof text);
    end(child->vm, VM_END_DIED, text);
}

static int socket_pair(int sv[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return err_sys(err, -errno, "cannot make a socket");
    return 0;
}

static int make_usage(struct vm *vm, const struct vmcfg *cfg, struct spawn_fds *vmx,
                      struct err *err)
{
    int rc = usage_create(cfg, &vm->usage_fd, err);

    if (rc == 0 && (rc = spawn_fds_share(vmx, VM_FD_USAGE, vm->usage_fd)) < 0)
        (void)err_sys(err, rc, "cannot share descriptors");
    return rc;
}

/* Memory and sockets that both processes get, each under its number. */
static int make_common(const struct vmcfg *cfg, struct gmem **ret_gmem,
                       struct spawn_fds *fds /* [CHILDREN] */, struct err *err)
{
    int sv[2], fd, rc;

    rc = gmem_create(cfg->memory, cfg->huge_pages ? GMEM_PAGES_HUGE_2M : GMEM_PAGES_AUTO, ret_gmem,
                     err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        rc = spawn_fds_share(&fds[i], VM_FD_RAM, (*ret_gmem)->fd);

    if (rc == 0 && (rc = link_shared_create(&fd, err)) == 0) {
        for (int i = 0; i < CHILDREN && rc == 0; i++)
            rc = spawn_fds_share(&fds[i], VM_FD_SHARED, fd);
        (void)close_fd(fd);
    }
    if (rc == 0 && (rc = config_fd(cfg, &fd, err)) == 0) {
        for (int i = 0; i < CHILDREN && rc == 0; i++)
            rc = spawn_fds_share(&fds[i], VM_FD_CONFIG, fd);
        (void)close_fd(fd);
    }
    if (rc == 0 && (rc = socket_pair(sv, err)) == 0)
        for (int i = 0; i < CHILDREN; i++)
            rc = MIN(rc, spawn_fds_put(&fds[i], VM_FD_LINK, sv[i]));
    return rc < 0 && err && !err->code ? err_sys(err, rc, "cannot share descriptors") : rc;
}

/* The state that it is to go on from: RAM here, the rest to each process as its own. */
static int open_state(struct vm *vm, struct spawn_fds *fds, struct err *err)
{
    cleanup_fd int fd = open(vm->cfg.state, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct savefile_parts parts;
    struct savefile file;
    int rc = fd < 0 ? err_sys(err, -errno, "cannot open it") : savefile_open(fd, &file, err);

    if (rc == 0)
        rc = savefile_matches(&file, &vm->cfg, err);
    if (rc == 0)
        rc = savefile_memory(&file, vm->gmem, err);
    if (rc == 0 && (rc = savefile_parts(&file, &parts, err)) == 0) {
        rc = spawn_fds_put(&fds[CHILD_VMM], VM_FD_STATE, parts.vmm);
        rc = MIN(rc, spawn_fds_put(&fds[CHILD_VMX], VM_FD_STATE, parts.vmx));
    }
    return rc < 0 ? err_prefix(err, rc, "the saved state \"%s\"", vm->cfg.state) : 0;
}

static int start_child(struct vm *vm, int which, const char *name, struct spawn_fds *fds,
                       struct err *err)
{
    struct child *child = &vm->child[which];
    int sv[2];

    child->name = name;
    int rc = socket_pair(sv, err);
    if (rc < 0)
        return rc;
    child->control = sv[0];
    rc = spawn_fds_put(fds, VM_FD_CONTROL, sv[1]);
    if (rc == 0)
        rc = spawn(name, fds, &child->pid, err);
    if (rc < 0)
        return err_prefix(err, rc, "the VM's process %s", name);
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->pidfd < 0)
        return err_sys(err, -errno, "cannot watch the VM's process %s", name);
    rc = loop_add_fd(vm->loop, &child->control_source, child->control, EPOLLIN, on_control, child);
    if (rc == 0)
        rc = loop_add_fd(vm->loop, &child->exit_source, child->pidfd, EPOLLIN, on_exit_, child);
    return rc < 0 ? err_sys(err, rc, "cannot watch the VM's process %s", name) : 0;
}

/* A process whose parent's socket closes ends in good order (disks are flushed); one that does not
 * is killed. */
static void reap(struct child *child)
{
    struct pollfd exited = {.fd = child->pidfd, .events = POLLIN};

    loop_del(&child->control_source);
    loop_del(&child->exit_source);
    child->control = close_fd(child->control);
    if (child->pid > 0) {
        if (child->pidfd < 0 || poll(&exited, 1, REAP_MS) != 1)
            (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
    }
    child->pidfd = close_fd(child->pidfd);
}

/* --- changes --- */

static void tell(void *ctx)
{
    const uint64_t one = 1;

    (void)!write(((struct vm *)ctx)->told_fd, &one, sizeof one);
}

static void *change_main(void *arg)
{
    struct vm *vm = arg;

    change_run(&vm->machine, vm->change);
    atomic_store(&vm->thread_done, true);
    tell(vm);
    return NULL;
}

/* The control sockets are the loop's again. */
static int listen_again(struct vm *vm)
{
    int rc = 0;

    for (int i = 0; i < CHILDREN && rc == 0; i++) {
        struct child *child = &vm->child[i];
        rc = loop_add_fd(vm->loop, &child->control_source, child->control, EPOLLIN, on_control,
                         child);
    }
    return rc;
}

static void finish_change(struct vm *vm)
{
    struct change_machine *m = &vm->machine;
    struct vm_change *change = TAKE_PTR(vm->change);

    (void)pthread_join(vm->thread, NULL);
    if (listen_again(vm) < 0)
        end(vm, VM_END_DIED, "the VM's processes can not be watched any more");
    if (m->has_ended)
        end_as_told(vm, &m->last_word);
    else if (m->lost.code)
        end(vm, VM_END_DIED, m->lost.text);
    if (vm->is_restored && !m->paused && !m->has_ended) {
        vm->is_restored = false;
        has_started(vm);
    }
    if (change->rc == 0 && change->cfg)
        (void)usage_rename(vm->usage_fd, &vm->cfg);
    if (m->no_space) /* it is said again, if it is still so */
        (void)tell_child(vm, CHILD_VMX, LINK_RETRY);
    m->no_space = false;
    vm->changed(vm->changed_ctx);
    if (change->rc == 0 && change->flags & VM_CHANGE_END)
        end(vm, VM_END_SUSPENDED, NULL);
}

static void on_told(void *ctx, uint32_t events)
{
    struct vm *vm = ctx;
    uint64_t count;

    (void)events;
    (void)!read(vm->told_fd, &count, sizeof count);
    if (!vm->change)
        return;
    if (atomic_load(&vm->thread_done))
        finish_change(vm);
    else if (vm->change->progress)
        vm->change->progress(vm->change->ctx, atomic_load(&vm->machine.percent));
}

int vm_change(struct vm *vm, struct vm_change *change, void (*done)(void *ctx), void *ctx)
{
    if (vm->change || vm->held)
        return -EBUSY;
    if (vm->ended)
        return -EPIPE;
    for (int i = 0; i < CHILDREN; i++)
        loop_del(&vm->child[i].control_source);
    vm->machine.vmm = vm->child[CHILD_VMM].control;
    vm->machine.vmx = vm->child[CHILD_VMX].control;
    vm->machine.gmem = vm->gmem;
    vm->change = change;
    vm->changed = done;
    vm->changed_ctx = ctx;
    atomic_store(&vm->thread_done, false);
    int rc = thread_start(&vm->thread, "change", change_main, vm);
    if (rc < 0) {
        vm->change = NULL;
        (void)listen_again(vm);
    }
    return rc;
}

/* The thread waits for answers that nobody gives any more. */
static void abandon_change(struct vm *vm)
{
    if (!vm->change)
        return;
    atomic_store(&vm->change->cancel, true);
    for (int i = 0; i < CHILDREN; i++)
        (void)shutdown(vm->child[i].control, SHUT_RDWR);
    (void)pthread_join(vm->thread, NULL);
    vm->change = NULL;
}

static int copy_config(const struct vmcfg *from, struct vmcfg *ret, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = vmcfg_encode(from, &text);

    return rc < 0 ? err_sys(err, rc, "the configuration")
                  : vmcfg_decode(text.data, text.len, ret, err);
}

static int prepare_changes(struct vm *vm, const struct vmcfg *cfg, struct err *err)
{
    int rc = copy_config(cfg, &vm->cfg, err);

    if (rc < 0)
        return rc;
    vm->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = vm->told_fd < 0 ? -errno
                         : loop_add_fd(vm->loop, &vm->told, vm->told_fd, EPOLLIN, on_told, vm);
    vm->machine.cfg = &vm->cfg;
    vm->machine.tell = tell;
    vm->machine.tell_ctx = vm;
    return rc < 0 ? err_sys(err, rc, "cannot watch the VM") : 0;
}

int vm_start(const struct vmcfg *cfg, int stdio_fd, struct loop *loop, struct vm **ret_vm,
             struct err *err)
{
    struct spawn_fds fds[CHILDREN];
    struct vm *vm = calloc(1, sizeof *vm);
    int rc;

    for (int i = 0; i < CHILDREN; i++)
        spawn_fds_init(&fds[i]);
    if (!vm) {
        (void)close_fd(stdio_fd);
        return err_set(err, -ENOMEM, "out of memory");
    }
    vm->loop = loop;
    vm->told_fd = -1;
    console_process_init(&vm->console);
    vm->usage_fd = -1;
    for (int i = 0; i < CHILDREN; i++)
        vm->child[i] = (struct child){.vm = vm, .control = -1, .pidfd = -1};
    rc = prepare_changes(vm, cfg, err);
    if (rc < 0) {
        (void)close_fd(stdio_fd);
        vm_destroy(vm);
        return rc;
    }
    rc = resources_open(cfg, stdio_fd, &vm->resources, &fds[CHILD_VMM], &fds[CHILD_VMX], err);
    if (rc == 0)
        rc = make_common(cfg, &vm->gmem, fds, err);
    if (rc == 0 && cfg->state)
        rc = open_state(vm, fds, err) < 0 ? -EBADMSG : 0;
    if (rc == 0)
        rc = console_process_open(&vm->console, cfg, loop, &fds[CHILD_VMM], &fds[CHILD_VMX], err);
    if (rc == 0)
        rc = make_usage(vm, cfg, &fds[CHILD_VMX], err);
    if (rc == 0)
        rc = start_child(vm, CHILD_VMM, "vmm", &fds[CHILD_VMM], err);
    if (rc == 0)
        rc = start_child(vm, CHILD_VMX, "vmx", &fds[CHILD_VMX], err);
    if (rc == 0)
        rc = resources_hand_over(&vm->resources, vm->child[CHILD_VMX].control, err);
    for (int i = 0; i < CHILDREN; i++)
        spawn_fds_close(&fds[i]);
    if (rc < 0) {
        vm_destroy(vm);
        return rc;
    }
    *ret_vm = vm;
    return 0;
}

static int tell_vmm(struct vm *vm, enum link_kind kind, uint32_t value)
{
    struct link_message m = {.kind = kind, .value = value};

    return link_send(vm->child[CHILD_VMM].control, &m, NULL, 0);
}

int vm_power_button(struct vm *vm)
{
    return tell_vmm(vm, LINK_POWER_BUTTON, 0);
}

int vm_console(struct vm *vm, int socket, struct err *err)
{
    return console_process_connect(&vm->console, socket, err);
}

int vm_move_card(struct vm *vm, unsigned slot)
{
    return tell_vmm(vm, LINK_MOVE_CARD, slot);
}

int vm_reset(struct vm *vm)
{
    return tell_vmm(vm, LINK_RESET, 0);
}

void vm_on_restored(struct vm *vm, void (*restored)(void *ctx), void *ctx)
{
    vm->restored = restored;
    vm->restored_ctx = ctx;
}

void vm_on_no_space(struct vm *vm, void (*no_space)(void *ctx, const char *file), void *ctx)
{
    vm->no_space = no_space;
    vm->no_space_ctx = ctx;
}

int vm_retry(struct vm *vm)
{
    if (!vm->held)
        return -EINVAL;
    vm->held = false;
    int rc = tell_child(vm, CHILD_VMX, LINK_RETRY);
    return rc < 0 ? rc : tell_child(vm, CHILD_VMM, LINK_RETRY);
}

void vm_on_started(struct vm *vm, void (*started)(void *ctx), void *ctx)
{
    vm->started = started;
    vm->started_ctx = ctx;
}

int vm_usage(const struct vm *vm, pid_t *ret_vmm, pid_t *ret_vmx)
{
    *ret_vmm = vm->child[CHILD_VMM].pid;
    *ret_vmx = vm->child[CHILD_VMX].pid;
    return vm->usage_fd;
}

bool vm_ended(const struct vm *vm, enum vm_end *ret_end, struct err *err)
{
    if (!vm->ended)
        return false;
    *ret_end = vm->end;
    if (err && vm->err.code)
        *err = vm->err;
    return true;
}

uint8_t vm_exit_status(const struct vm *vm)
{
    return vm->status;
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    abandon_change(vm);
    loop_del(&vm->told);
    (void)close_fd(vm->told_fd);
    /* vmm first: no guest runs while the disks are closed. */
    for (int i = 0; i < CHILDREN; i++)
        reap(&vm->child[i]);
    console_process_close(&vm->console);
    resources_close(&vm->resources);
    gmem_destroy(vm->gmem);
    vmcfg_free(&vm->cfg);
    (void)close_fd(vm->usage_fd);
    free(vm);
}
