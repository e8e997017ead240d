/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on snapshots, each a task: pieces of work on files (snapshot_files.h) on a thread,
 * and between them, when the VM runs, what its keeper does (vm_change.h). Each answers the call. */
#pragma once

#include "hostd/model/virtual_machine.h"

void snapshot_create(struct call *call, struct virtual_machine *vm, const char *name,
                     const char *description, bool memory);
/* A VM that runs is powered off first. It runs again if the snapshot has its memory, unless
 * `suppress_power_on`: then it is suspended. */
void snapshot_revert(struct call *call, struct virtual_machine *vm, uint32_t uid,
                     bool suppress_power_on);
enum {
    SNAPSHOT_CHILDREN = 1,   /* those that come from it go, too */
    SNAPSHOT_KEEP_DISKS = 2, /* nothing is merged: that is left to consolidate */
};
/* uid VMSD_NONE: all. */
void snapshot_remove(struct call *call, struct virtual_machine *vm, uint32_t uid, unsigned flags);
void snapshot_consolidate(struct call *call, struct virtual_machine *vm);
