/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of a VM that snapshots take part in, as a .vmx names them, and children of these.
 * `files` is open (snapshot_files_open). snapshot_tree.h has what stands on what. */
#pragma once

#include "hostd/snapshot/snapshot_files.h"

/* Where, and which file of the VM's folder. */
struct snapshot_disks {
    unsigned count;
    struct {
        char node[16], file[DISK_NAME_MAX];
    } disk[VMSD_DISKS_MAX];
};

/* A name in the VM's folder without the folder; others as they are. */
const char *snapshot_local_name(const struct snapshot_files *files, const char *file);

/* Those of `vmx`, without CDs and independent ones. -ENOTSUP: one is not in the VM's folder. */
int snapshot_disks_list(const struct snapshot_files *files, const struct vmxfile *vmx,
                        struct snapshot_disks *disks, struct err *err);
/* The local name of what is at `node` in files->vmx; NULL: nothing. */
const char *snapshot_disks_get(const struct snapshot_files *files, const char *node);
int snapshot_disks_set(struct vmxfile *vmx, const char *node, const char *file);

/* "a-000003.vmdk" and "a.vmdk" both have the children a-000001.vmdk and so on: the first that is
 * not there. */
int snapshot_disk_name_child(const struct snapshot_files *files, const char *parent,
                             char child[DISK_NAME_MAX], struct err *err);
int snapshot_disk_make_child(struct snapshot_files *files, const char *parent, const char *child,
                             struct err *err);
void snapshot_disk_remove(struct snapshot_files *files, const char *file);
