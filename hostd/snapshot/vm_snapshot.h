/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of a VM. Its .vmsd lists them (config/vmsd.h); each froze the disks that the VM had
 * then, and the VM went on with children of these (disk/disk.h), NAME-000001.vmdk and so on. What
 * the .vmx said then is kept beside it, as NAME-SnapshotN.vmx, firmware's variables as
 * NAME-SnapshotN.nvram, and memory, where it was asked for, as NAME-SnapshotN.vmsn.
 *
 * Order on the datastore, so that a crash never lets a VM write to a disk that a snapshot has: new
 * children first, then the .vmx that uses them, then the list. A disk that nobody lists any more is
 * merged down, and removed when nothing stands on it; what more than one other stands on stays.
 * Before any of it a plan is written, by which the next hostd brings to an end what this one could
 * not (snapshot_plan.h, vm_settle.h). snapshot.needConsolidate says that a merge is due, or was
 * broken off.
 *
 * A running VM stands still for a moment while its disks become others (vm_change.h), and runs
 * while they are merged: what is merged then is frozen, the VM writes to a new child of it
 * meanwhile, and what that has gathered is brought down at the end, while it stands still again.
 *
 * Quiescing needs tools in the guest, which there are none of: it is asked for in vain. */
#pragma once

#include "hostd/model/virtual_machine.h"

struct snapshot_files;

/* Objects for what the VM's .vmsd lists now. After each reading of it. */
void vm_snapshots_refresh(struct virtual_machine *vm);
void vm_snapshots_forget(struct virtual_machine *vm);
void vm_snapshots_tell(struct virtual_machine *vm); /* watchers */

/* Where its files are. */
void vm_snapshots_locate(const struct virtual_machine *vm, struct snapshot_files *files);
struct vim_ref vm_snapshot_ref(struct virtual_machine *vm, uint32_t uid);

bool vm_needs_consolidation(const struct virtual_machine *vm);
struct vim_any vm_get_snapshot(struct mo *mo, struct call *call);
struct vim_any vm_get_root_snapshot(struct mo *mo, struct call *call);

void vm_create_snapshot(struct mo *mo, struct call *call);
void vm_create_snapshot_ex(struct mo *mo, struct call *call);
void vm_revert_to_current(struct mo *mo, struct call *call);
void vm_remove_all_snapshots(struct mo *mo, struct call *call);
void vm_consolidate_disks(struct mo *mo, struct call *call);

/* The VM that a snapshot object belongs to. */
struct virtual_machine *vm_of_snapshot(struct mo *mo);
uint32_t vm_snapshot_uid(struct mo *mo);
/* The same of any object, VMs themselves too; NULL: it is none of theirs. */
struct virtual_machine *vm_behind(struct mo *mo);
/* What the VM's .vmx was then. */
int vm_snapshot_load(struct mo *mo, struct vmxfile **ret_vmx, struct err *err);
/* The VM as it was then, off, with its disks measured: to look at, and to give back. NULL: its
 * .vmx can not be read. */
struct virtual_machine *vm_at_snapshot(struct mo *mo);
void vm_at_snapshot_free(struct virtual_machine *then); /* accepts NULL */
