/* SPDX-License-Identifier: Apache-2.0 */
/* What packages, leases and clients call a drive: "/NAME/VirtualLsiLogicController0:1", by the
 * machine's name, the kind and number of its controller and the place there. CreateImportSpec
 * gives these names to the files of a package, a lease to its URLs, and clients bring the two
 * together. */
#pragma once

#include "base/arena.h"
#include "config/vmxfile.h"

/* Of "scsi0:1" in a dictionary. */
const char *ovf_device_id(struct arena *arena, const char *vm_name, const struct vmxfile *vmx,
                          const char *slot);
