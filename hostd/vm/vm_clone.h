/* SPDX-License-Identifier: Apache-2.0 */
/* VMs from VMs: clones, templates, and VMs that move to another datastore.
 *
 * A clone is of a VM that is off, or of a snapshot, whose disks nobody writes to. A full one has
 * disks of its own, without snapshots. A linked one (createNewChildDiskBacking, of a snapshot only)
 * has children of the snapshot's disks; these are shared by second names in its own folder
 * (disk_share), so that it lives on when the VM that it came from goes.
 *
 * A template is a VM with socle.template in its .vmx: it is in no pool and can not be switched on.
 *
 * Each disk may go to a datastore of its own and become of another kind (disk locators).
 *
 * Deliberately missing: customization of the guest, live relocation. */
#pragma once

#include "disk/disk.h"
#include "hostd/model/virtual_machine.h"

void vm_clone(struct mo *mo, struct call *call);
void vm_relocate(struct mo *mo, struct call *call); /* vm_relocate.c */
void vm_mark_as_template(struct mo *mo, struct call *call);
void vm_mark_as_vm(struct mo *mo, struct call *call);

/* Where a spec wants the VM itself: what it names, or where it is; NULL: the call has its fault. */
struct vim_VirtualMachineRelocateSpec;
struct datastore *vm_choose_datastore(struct call *call, struct virtual_machine *vm,
                                      const struct vim_VirtualMachineRelocateSpec *spec);

/* Where and how it wants the disk of that key; `otherwise`: where, if it does not say. */
struct disk_wish {
    struct datastore *datastore;
    bool as_source;
    enum disk_provision provision; /* only if not */
};
bool vm_disk_wish(struct call *call, const struct vim_VirtualMachineRelocateSpec *spec, int32_t key,
                  struct datastore *otherwise, struct disk_wish *ret_wish);

bool vm_is_template(const struct virtual_machine *vm);
/* In the file as well. */
int vm_set_template(struct virtual_machine *vm, bool is_template, struct err *err);
