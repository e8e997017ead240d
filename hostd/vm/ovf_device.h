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
const char *ovf_nvram_id(struct arena *arena, const char *vm_name);

/* Images of CDs that come with a package are files of the VM's folder with names of our own. */
#define OVF_IMAGE_PREFIX "_deviceImage-"
bool ovf_is_own_image(const char *file);
/* The next drive that has an image; false: there are no more. `at` begins with 0. */
bool ovf_next_image(const struct vmxfile *vmx, size_t *at, char slot[16]);

/* A package's variables of firmware stand in its ExtraConfig "nvram" as "ovf:/file/ID", and so in
 * the spec that is made of it. */
#define OVF_FILE_REFERENCE "ovf:/file/"
bool ovf_is_nvram(const char *key, const char *value);
struct vim_VirtualMachineConfigSpec;
bool ovf_wants_nvram(const struct vim_VirtualMachineConfigSpec *spec);
