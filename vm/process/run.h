/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one VM, the pair `vmm` and `vmx`, for a caller who owns an event loop: `socle run` now,
 * tests too.
 *
 * The VM puts its own sources (the processes' pidfds, their control sockets) into the caller's
 * loop. When it has ended, by itself or because a process died, it stops the loop with its enum
 * vm_end; vm_ended tells the reason. vm_destroy ends a VM that still runs and leaves nothing
 * behind: both processes are dead and reaped when it returns. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "config/vmcfg.h"

enum vm_end {
    VM_END_POWER_OFF,    /* the guest switched itself off */
    VM_END_STOPPED,      /* somebody outside asked */
    VM_END_TRIPLE_FAULT, /* the guest can not go on; err has the details there are */
    VM_END_DIED,         /* vmm or vmx ended by itself; err says which and how */
    VM_END_NO_ENGINE,    /* not started: err says why the engine can not be used here */
    VM_END_BAD_FILE,     /* not started: err names the file and the reason */
    VM_END_SUSPENDED,    /* its state is saved, and it was to end then */
    VM_END_EXIT,         /* the guest ended it with a status, vm_exit_status (debug_exit.h) */
    VM_END_MAX,
};

/* Kinds of changes of a VM that runs (change.h). */
enum vm_change_flags {
    VM_CHANGE_END = 1,      /* the VM ends when its state is saved: VM_END_SUSPENDED */
    VM_CHANGE_CHILDREN = 2, /* each disk that changes is made, as a child of what it was */
    /* Each disk that changes becomes an ancestor of what it was, into which goes what it held by
     * itself; what stands between has been brought there before. */
    VM_CHANGE_MERGE = 4,
    VM_CHANGE_REOPEN = 8, /* disks that stay what they are, too, are closed and opened by name */
    VM_CHANGE_FLAGS = 15,
};

struct vm;
struct vm_change;

/* `stdio_fd` is the VM's end of a stream socket pair when cfg->serial is VMCFG_STREAM_STDIO,
 * otherwise -1; taken: closed here in every case. A negative errno comes with err: -ENOENT,
 * -EACCES, -EBADMSG for a file of the configuration. */
int vm_start(const struct vmcfg *cfg, int stdio_fd, struct loop *loop, struct vm **ret_vm,
             struct err *err);
/* Presses the power button; what the guest does about it is its own decision. */
int vm_power_button(struct vm *vm);
/* The card (disk, network card) that the VM has in a slot (1 up) is to come out, which the guest
 * decides, or goes in again. */
int vm_move_card(struct vm *vm, unsigned slot);
/* `socket`, which stays the caller's, speaks console.h from now on: the VM's screen and keyboard.
 * A VM without a display has a blank one. */
int vm_console(struct vm *vm, int socket, struct err *err);
int vm_reset(struct vm *vm); /* as the reset button does it */
/* Called once, from the loop, when the guest's first instruction is about to run. */
void vm_on_started(struct vm *vm, void (*started)(void *ctx), void *ctx);
/* Called once, from the loop: a VM with a state file (cfg->state) has it, and waits for the first
 * vm_change. Without this such a VM goes on by itself. */
void vm_on_restored(struct vm *vm, void (*restored)(void *ctx), void *ctx);

/* Called from the loop: a write waits because the file system is full that disk `file` lies on, and
 * the VM stands still, until vm_retry. May come again at once. Nothing else can be done to the VM
 * meanwhile but to end it. Without this the VM just stands still. */
void vm_on_no_space(struct vm *vm, void (*no_space)(void *ctx, const char *file), void *ctx);
int vm_retry(struct vm *vm);

/* Does `change` (change.h) on a thread of its own and calls `done` from the loop. -EBUSY: one is
 * under way, or the VM waits for room. `change` is borrowed until then; vm_destroy cancels it and
 * waits, without `done`. */
int vm_change(struct vm *vm, struct vm_change *change, void (*done)(void *ctx), void *ctx);
/* Its processes, and the page of its counters (usage.h); the descriptor stays the VM's. */
int vm_usage(const struct vm *vm, pid_t *ret_vmm, pid_t *ret_vmx);
bool vm_ended(const struct vm *vm, enum vm_end *ret_end, struct err *err);
uint8_t vm_exit_status(const struct vm *vm); /* after VM_END_EXIT */
void vm_destroy(struct vm *vm);              /* accepts NULL */
