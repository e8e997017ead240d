/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that come and go by NFC leases (model/nfc_lease.h).
 *
 * An import makes the VM with empty disks, and while its lease lives the VM is there but can not be
 * used, nor is it kept over a restart; only Complete makes it one like the others. Whatever else
 * happens to the lease takes all of it away again. */
#pragma once

#include "hostd/model/virtual_machine.h"

void vm_import(struct mo *mo, struct call *call);          /* ResourcePool.ImportVApp */
void vm_export(struct mo *mo, struct call *call);          /* VirtualMachine.ExportVm */
void vm_export_snapshot(struct mo *mo, struct call *call); /* VirtualMachineSnapshot */
