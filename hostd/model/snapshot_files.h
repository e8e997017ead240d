/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots do to the files of a VM that is off (vm_snapshot.h has the order and why). Runs on
 * a worker thread; knows files only. */
#pragma once

#include <limits.h>

#include "base/err.h"
#include "config/vmsd.h"
#include "config/vmxfile.h"
#include "disk/disk.h"

struct snapshot_files {
    char folder[PATH_MAX];    /* the VM's, as Linux knows it */
    char stem[256];           /* NAME of NAME.vmx */
    char prefix[2][PATH_MAX]; /* how a .vmx may name the folder: "/vmfs/volumes/.../" */
    struct vmxfile *vmx;      /* as it is, then as it became; owned */
    /* Of the work. */
    struct vmsd *vmsd;
    struct disk_dir dir;
    struct aio *aio;
};

/* Opens the folder and reads the list. snapshot_files_close in any case. */
int snapshot_files_open(struct snapshot_files *files, struct err *err);
void snapshot_files_close(struct snapshot_files *files);

int snapshot_files_create(struct snapshot_files *files, const char *name, const char *description,
                          uint32_t *ret_uid, struct err *err);
int snapshot_files_revert(struct snapshot_files *files, uint32_t uid, struct err *err);
/* uid VMSD_NONE: all of them. */
int snapshot_files_remove(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err);
int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err);

/* Path of the .vmsd, and of the .vmx that snapshot `uid` has kept. */
void snapshot_files_list_path(const struct snapshot_files *files, char path[PATH_MAX]);
void snapshot_files_vmx_path(const struct snapshot_files *files, uint32_t uid, char path[PATH_MAX]);
