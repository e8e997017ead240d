/* SPDX-License-Identifier: Apache-2.0 */
/* See signals.h. */
#include "vm/engine/bt/signals.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

enum { STACK_ROOM = 32 << 10, GUARD = 4096 };

static const int trap_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static struct sigaction previous[ARRAY_SIZE(trap_signals)];
static _Atomic(signals_trap_fn *) traps[SIGNALS_WHO];
static _Atomic(signals_call_fn *) calls[SIGNALS_WHO];

struct thread {
    struct bt_vcpu *vcpu;
    uint8_t *stack;
    size_t size;
    stack_t before;
    sigset_t mask_before;
};

static _Thread_local struct thread self __attribute__((tls_model("initial-exec")));

static int call_signal(void)
{
    return SIGRTMIN + 1;
}

static bool taken(int signal, const siginfo_t *info, ucontext_t *context)
{
    for (unsigned i = 0; i < SIGNALS_WHO; i++) {
        signals_trap_fn *trap = atomic_load_explicit(&traps[i], memory_order_relaxed);
        if (trap && trap(self.vcpu, signal, info, context))
            return true;
    }
    return false;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
    if (taken(signal, info, context))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(trap_signals); i++)
        if (trap_signals[i] == signal)
            (void)sigaction(signal, &previous[i], NULL);
}

static void on_call(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    for (unsigned i = 0; i < SIGNALS_WHO && self.vcpu; i++) {
        signals_call_fn *call = atomic_load_explicit(&calls[i], memory_order_relaxed);
        if (call)
            call(self.vcpu);
    }
}

static int install(int signal, const struct sigaction *action, struct sigaction *ret_old)
{
    struct sigaction old;

    if (sigaction(signal, NULL, &old))
        return -errno;
    if (old.sa_flags & SA_SIGINFO && old.sa_sigaction == action->sa_sigaction)
        return 0;
    if (ret_old)
        *ret_old = old;
    return sigaction(signal, action, NULL) ? -errno : 0;
}

int signals_watch(enum signals_who who, signals_trap_fn *trap, signals_call_fn *call)
{
    struct sigaction on = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int rc = 0;

    atomic_store(&traps[who], trap);
    atomic_store(&calls[who], call);
    (void)sigfillset(&on.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(trap_signals) && !rc; i++)
        rc = install(trap_signals[i], &on, &previous[i]);
    on.sa_sigaction = on_call;
    on.sa_flags |= SA_RESTART;
    return rc || !call ? rc : install(call_signal(), &on, NULL);
}

/* --- Threads --- */

static int arm_stack(struct thread *t)
{
    size_t frame = getauxval(AT_MINSIGSTKSZ), page = GUARD;
    stack_t stack = {.ss_flags = (int)SS_AUTODISARM};

    t->size = align_up((frame ? frame : 4096) + STACK_ROOM, page) + GUARD;
    t->stack =
        mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (t->stack == MAP_FAILED)
        return -errno;
    stack.ss_sp = t->stack + GUARD;
    stack.ss_size = t->size - GUARD;
    if (mprotect(t->stack, GUARD, PROT_NONE) || sigaltstack(&stack, &t->before)) {
        int rc = -errno;
        (void)munmap(t->stack, t->size);
        return rc;
    }
    return 0;
}

static bool needs_own_stack(int signal)
{
    struct sigaction action;

    return !sigaction(signal, NULL, &action) && action.sa_handler != SIG_DFL &&
           action.sa_handler != SIG_IGN && !(action.sa_flags & SA_ONSTACK);
}

/* No handler that would use the guest's stack may interrupt this thread. */
static void set_mask(struct thread *t)
{
    sigset_t set;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &t->mask_before);
    set = t->mask_before;
    for (int i = 1; i <= SIGRTMAX; i++)
        if (needs_own_stack(i))
            (void)sigaddset(&set, i);
    for (unsigned i = 0; i < ARRAY_SIZE(trap_signals); i++)
        (void)sigdelset(&set, trap_signals[i]);
    (void)sigdelset(&set, call_signal());
    (void)pthread_sigmask(SIG_SETMASK, &set, NULL);
}

int signals_thread(struct bt_vcpu *vcpu)
{
    struct thread t = {.vcpu = vcpu};

    if (self.vcpu)
        return -EBUSY;
    int rc = arm_stack(&t);
    if (rc)
        return rc;
    set_mask(&t);
    self = t;
    return 0;
}

bool signals_thread_is(const struct bt_vcpu *vcpu)
{
    return self.vcpu == vcpu;
}

void signals_thread_end(struct bt_vcpu *vcpu)
{
    if (self.vcpu != vcpu)
        return;
    if (!(self.before.ss_flags & SS_DISABLE))
        self.before.ss_flags = 0;
    (void)sigaltstack(&self.before, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &self.mask_before, NULL);
    (void)munmap(self.stack, self.size);
    self = (struct thread){0};
}

void signals_call(int thread)
{
    (void)tgkill(getpid(), thread, call_signal());
}
