/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's disks on their way from the parent, which opens and locks them by name, to `vmx`, which
 * opens nothing (disk/given.h). One message a file on vmx's control socket, right after its start:
 * DISK_FILE in the order of the configuration; DISKS ends them. */
#pragma once

#include "config/vmcfg.h"
#include "disk/given.h"
#include "vm/process/link.h"

/* How both sides open a disk. */
struct disk_options disks_options(const struct vmcfg_disk *disk);

/* All that the configuration names, as struct disk_given [cfg->disk_count]. The parent. */
int disks_open(const struct vmcfg *cfg, struct disk_given **ret_disks, struct err *err);
int disks_send(const struct disk_given *disks, unsigned count, int socket, struct err *err);
void disks_free(struct disk_given *disks, unsigned count); /* accepts NULL */

/* `disks` is of vmx: [count], without a folder. */
int disks_receive(struct disk_given *disks, unsigned count, int socket, struct err *err);
