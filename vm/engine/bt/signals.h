/* SPDX-License-Identifier: Apache-2.0 */
/* Signals of vCPU threads. There is one handler for those that an instruction raises (SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL) and one for the signal by which a vCPU is called; they are the process's.
 * Who runs code of his own asks to be shown the first kind; what nobody takes is a bug of ours, as
 * if there were no handler.
 *
 * While translated code runs RSP is the guest's, so every signal of such a thread is taken on a
 * stack of its own (signals_thread); those whose handlers do not want that are blocked. The stack
 * is disarmed while a handler runs (SS_AUTODISARM): the kernel then does not look at RSP to see
 * whether it is in use, which a guest could pretend. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>

struct bt_vcpu;

/* True: the context has been changed so that the thread goes on elsewhere, or again. `vcpu`: the
 * thread's; NULL: none. Async-signal-safe. */
typedef bool signals_trap_fn(struct bt_vcpu *vcpu, int signal, const siginfo_t *info,
                             ucontext_t *context);
typedef void signals_call_fn(struct bt_vcpu *vcpu);

enum signals_who { SIGNALS_VEC, SIGNALS_JIT, SIGNALS_WHO };

/* Installs the handlers, if they are not there yet, and has `trap` asked, and `call` called when
 * the thread of a vCPU is (NULL: not his). Before the sandbox closes. -errno. */
int signals_watch(enum signals_who who, signals_trap_fn *trap, signals_call_fn *call);

/* The calling thread becomes the vCPU's: signal stack and mask. Before the sandbox closes. -EBUSY:
 * it is another one's. */
int signals_thread(struct bt_vcpu *vcpu);
bool signals_thread_is(const struct bt_vcpu *vcpu); /* the calling thread is */
void signals_thread_end(struct bt_vcpu *vcpu);      /* on it, or without effect */

/* Has the call function run on the thread of that number soon. Any thread. */
void signals_call(int thread);
