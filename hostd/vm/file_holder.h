/* SPDX-License-Identifier: Apache-2.0 */
/* Who else has a file, or stands on it: asked before anything is removed or carried off that
 * another VM may need. A VM has what its .vmx names, what its listed snapshots name, and all that
 * the chains of these disks stand on, listed or not. Of a VM whose .vmx can not be read that is not
 * known: it has what lies in its folder, and all of its datastore outside the asking VM's own one.
 * In doubt somebody has it.
 *
 * On the loop's thread. Descriptors are read only in folders that two VMs have to do with. */
#pragma once

#include "hostd/model/virtual_machine.h"
#include "hostd/vm/vm_plan.h"

/* A VM other than `vm`; NULL: none. */
const struct virtual_machine *file_holder(const struct virtual_machine *vm,
                                          const struct datastore *datastore, const char *rel);
/* One that lives in the folder or below it, or has a file there. */
const struct virtual_machine *folder_holder(const struct virtual_machine *vm,
                                            const struct datastore *datastore, const char *folder);

/* Does a disk other than `except` (a name in the same folder; NULL) say that this is its parent?
 * Any thread. True also when the folder can not be read. */
bool disk_has_child(const struct file_place *place, const char *except);

/* Does another VM have the disk, or one that it stands on? */
bool chain_holder(const struct virtual_machine *vm, const struct datastore *datastore,
                  const char *rel);

/* Plans that the disk goes, and what it stands on as far as nobody else has that; false: the disk
 * itself is another's, or another disk's parent, or there is no room in the plan. `top`: it alone.
 */
bool plan_remove_own(struct plan *plan, const struct virtual_machine *vm,
                     const struct datastore *datastore, const char *rel, bool top);
/* The same when the VM goes: its disks in its folder may stand on each other. */
void plan_remove_all(struct plan *plan, const struct virtual_machine *vm,
                     const struct datastore *datastore, const char *rel);
