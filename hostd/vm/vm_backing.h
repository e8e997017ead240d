/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual disk's backing: the file that the VM writes to, and as `parent` those that it stands
 * on, as the VM's snapshots list them. Clients tell by it which disk has snapshots below it. */
#pragma once

#include "hostd/model/virtual_machine.h"

/* `slot` "scsi0:0"; `file` as the .vmx calls it, NULL: it names none. */
struct vim_VirtualDiskFlatVer2BackingInfo *vm_backing(struct arena *arena,
                                                      const struct virtual_machine *vm,
                                                      const char *slot, const char *file,
                                                      const char *mode);
/* The measured disk of a slot; NULL: it could not be opened. */
const struct vm_disk *vm_backing_measured(const struct virtual_machine *vm, const char *slot);

/* The disk was changed by somebody else than its VM: VMs that have it look at it again. */
void vm_backing_changed(struct inventory *inventory, const char *datastore_id, const char *rel);

/* "60 00 C2 9f 0e ...-..." as the API writes it, "6000C29f-0e..."; "" for what is no uuid. */
void vm_backing_uuid(const char *text, char uuid[VM_DISK_UUID]);
