/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vm/backend/chr.h"
#include "vm/machine/gmem.h"
#include "vm/process/config_fd.h"
#include "vm/process/link.h"
#include "vm/process/resources.h"
#include "vm/process/spawn.h"

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
    bool ended;
    enum vm_end end;
    struct err err;
    void (*started)(void *ctx); /* NULL: nobody waits for it */
    void *started_ctx;
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

static void on_control(void *ctx, uint32_t events)
{
    struct child *child = ctx;
    struct link_message m;

    (void)events;
    int rc = link_receive(child->control, &m, NULL, 0, NULL);
    if (rc == 0 && m.kind == LINK_ENDED && m.value < VM_END_MAX) {
        m.text[sizeof m.text - 1] = '\0';
        end(child->vm, (enum vm_end)m.value, m.text);
    }
    if (rc == 0 && m.kind == LINK_STARTED && child->vm->started)
        child->vm->started(child->vm->started_ctx);
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

/* Memory and sockets that both processes get, each under its number. */
static int make_common(const struct vmcfg *cfg, struct spawn_fds *fds /* [CHILDREN] */,
                       struct err *err)
{
    struct gmem *gmem = NULL;
    int sv[2], fd, rc;

    rc = gmem_create(cfg->memory, cfg->huge_pages ? GMEM_PAGES_HUGE_2M : GMEM_PAGES_AUTO, &gmem,
                     err);
    if (rc < 0)
        return rc;
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        rc = spawn_fds_share(&fds[i], VM_FD_RAM, gmem->fd);
    gmem_destroy(gmem);

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
    for (int i = 0; i < CHILDREN; i++)
        vm->child[i] = (struct child){.vm = vm, .control = -1, .pidfd = -1};
    rc = resources_open(cfg, stdio_fd, &vm->resources, &fds[CHILD_VMM], &fds[CHILD_VMX], err);
    if (rc == 0)
        rc = make_common(cfg, fds, err);
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

int vm_move_card(struct vm *vm, unsigned slot)
{
    return tell_vmm(vm, LINK_MOVE_CARD, slot);
}

int vm_reset(struct vm *vm)
{
    return tell_vmm(vm, LINK_RESET, 0);
}

void vm_on_started(struct vm *vm, void (*started)(void *ctx), void *ctx)
{
    vm->started = started;
    vm->started_ctx = ctx;
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

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    /* vmm first: no guest runs while the disks are closed. */
    for (int i = 0; i < CHILDREN; i++)
        reap(&vm->child[i]);
    resources_close(&vm->resources);
    free(vm);
}
