/* SPDX-License-Identifier: Apache-2.0 */
/* A running VM that is to become another: what is wanted goes to its keeper (keeper_change) with
 * the .vmx that is true from then on, and an answer comes, whatever happens. Of the operation that
 * `vm` has begun; its task shows the progress, and cancelling the task cancels the change. */
#pragma once

#include "hostd/model/virtual_machine.h"

struct plan;

struct vm_change_order {
    unsigned flags; /* VM_CHANGE_* (vm/process/run.h) */
    int state_fd;   /* borrowed; -1: none */
    struct vmxfile
        *vmx; /* what the .vmx becomes; borrowed. Its disks and cards are what the VM gets */
    bool same_devices;       /* only the .vmx changes */
    const struct plan *plan; /* NULL, or what has the disks that are to grow */
};

/* `done` comes later, from the loop: 0, or -errno with what the keeper said (-EPIPE: the VM has
 * ended). stood_us: how long the guest stood still. A negative errno here: it does not come. */
typedef void vm_change_done(void *ctx, int rc, const struct err *why, uint64_t stood_us);
int vm_change_send(struct virtual_machine *vm, const struct vm_change_order *order,
                   vm_change_done *done, void *ctx, struct err *err);

/* An answer that never came (-EPIPE) does not say that nothing was done. This does: the .vmx on the
 * datastore is `vmx`, and that is another than the VM's was. Before it is read again. */
bool vm_change_is_done(const struct virtual_machine *vm, const struct vmxfile *vmx);

/* .vmx and snapshots as they are on the datastore now. */
void vm_read_again(struct virtual_machine *vm);

/* What the keeper said; and it is gone. */
void vm_change_progress(struct virtual_machine *vm, unsigned percent);
void vm_change_answered(struct virtual_machine *vm, const struct keeper_message *message);
void vm_change_abandoned(struct virtual_machine *vm, const char *why);
