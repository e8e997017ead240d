/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a VM while it runs, in its parent: its state is saved, its disks become others,
 * its cards get or lose a cable. One linear piece of work, on a thread of its own:
 *
 *   0  the guest lets go of disks and cards that are to go (root_port.h), for which it has half a
 *      minute; only what stands in a slot with hot-plug can come or go
 *   1  vmm and vmx stand still (LINK_PAUSE), disks are flushed
 *   2  the state is written to state_fd (savefile.h)
 *   3  disks that are to change are closed in vmx and opened anew by name here: after
 *      VM_CHANGE_CHILDREN has made the new ones, or VM_CHANGE_MERGE has brought down the old ones.
 *      With VM_CHANGE_REOPEN that happens to all, for what they stand on is named otherwise now
 *   4  `commit`: the .vmx on the datastore says the same as the VM does
 *   5  vmx and vmm go on, or end (VM_CHANGE_END); what has come is inserted into its slot
 *
 * What fails in 0 to 4, or is cancelled, is undone: the disks are as before, what the guest has let
 * go of is inserted again, and the guest goes on. A disk that can not be opened again is tried for
 * a minute before the VM is given up.
 * After 4 nothing fails but by a process dying. So whenever one of the three processes is killed,
 * the VM's disks are what its .vmx says, and the .vmx is whole.
 *
 * A VM that was restored is in step 1 already; its first change lets it run. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/vmcfg.h"
#include "vm/process/run.h"

struct vm_change {
    unsigned flags;          /* VM_CHANGE_* (run.h) */
    int state_fd;            /* -1: no state is saved */
    const struct vmcfg *cfg; /* what the VM becomes; NULL: as it is. Taken over are the files of
                                disks and discs, which cables are in, and which disks and cards
                                stand in slots with hot-plug */
    uint64_t grow[VMCFG_DISKS_MAX]; /* bytes that a disk is to have; 0: what it has. No other undoes
                                       that */
    int (*commit)(void *ctx, struct err *err);     /* NULL: nothing to do */
    void (*progress)(void *ctx, unsigned percent); /* on the thread; NULL: nobody listens */
    void *ctx;
    atomic_bool cancel; /* from any thread */

    /* When it is done. `err` with an rc of 0: all is as wanted, but a device that has come is not
     * in its slot. */
    int rc;
    struct err err;
    uint64_t stood_us; /* how long the guest stood still */
};
