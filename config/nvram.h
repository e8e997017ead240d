/* SPDX-License-Identifier: Apache-2.0 */
/* Which file has the variables of a VM's UEFI firmware. The .vmx names it: `socle.nvram`, else
 * `nvram`; without either it is NAME.nvram beside NAME.vmx.
 *
 * A folder that comes from ESXi has a file under `nvram` that only VMware's firmware reads (it
 * begins with "MRVN"; the format is not published). That file and its key stay as they are, for
 * whoever goes back; ours is NAME.socle.nvram from the first start on, and `socle.nvram` says so.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "config/vmcfg.h"
#include "config/vmxfile.h"

#define NVRAM_OWN_KEY "socle.nvram"
#define NVRAM_OWN_END ".socle.nvram"

/* What the .vmx says; NULL: nothing. */
const char *nvram_named(const struct vmxfile *vmx);

/* Gives a UEFI VM that names no file the one beside its .vmx, whose path this is. */
int nvram_default(struct vmcfg *cfg, const char *vmx_path, struct err *err);

/* Before a start: is the file there, and no UEFI firmware volume at all? An empty one is nobody's,
 * and a damaged store of ours is no other product's: efi_open refuses both. */
bool nvram_is_foreign(const char *path);

/* Another product's file gives way to ours: cfg->nvram becomes that, and *ret_name what is to be
 * the value of NVRAM_OWN_KEY. NULL: there was nothing to do. */
int nvram_leave_foreign(struct vmcfg *cfg, const char *vmx_path, char **ret_name, struct err *err);
