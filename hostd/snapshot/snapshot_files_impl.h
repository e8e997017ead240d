/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of snapshot_files.h have in common: names, lists, the plan. `files` is open. */
#pragma once

#include "hostd/snapshot/snapshot_files.h"

/* Of a file of the VM's folder; -ENOENT: the name leads out of it. */
int snapshot_files_local_path(const struct snapshot_files *files, const char *name,
                              char path[PATH_MAX]);
/* Firmware's variables: beside the .vmx, or where it says. -ENOENT: not ours to touch. */
int snapshot_files_own_nvram(const struct snapshot_files *files, char path[PATH_MAX]);
bool snapshot_files_is_state(const char *path); /* one of ours, not one that ESXi has saved */
int snapshot_files_copy(const char *from, const char *to, struct err *err); /* no `from`: 0 */
int snapshot_files_copy_vmx(const struct vmxfile *from, struct vmxfile **ret);

int snapshot_files_save_vmx(struct snapshot_files *files, struct err *err);
int snapshot_files_save_list(struct snapshot_files *files, struct err *err);
/* files->vmsd is what the list is to be; it takes its place, if that has not been done before. */
int snapshot_files_save_next_list(struct snapshot_files *files, struct err *err);
int snapshot_files_put_list(struct snapshot_files *files, struct err *err);

int snapshot_files_begin_plan(struct snapshot_files *files, bool done, struct err *err);
int snapshot_files_plan_file(struct snapshot_files *files, const char *name, struct err *err);
/* The file of a path in the VM's folder. */
int snapshot_files_plan_path(struct snapshot_files *files, const char *path, struct err *err);
int snapshot_files_save_plan(struct snapshot_files *files, struct err *err);

/* Who stands on fold_from becomes a child of fold_into, and what snapshots have kept names that. To
 * be begun any number of times. */
int snapshot_files_apply_fold(struct snapshot_files *files, const struct snapshot_plan *plan,
                              struct err *err);
/* Each file of the plan that neither files->vmx nor files->vmsd needs goes. */
int snapshot_files_remove_unused(struct snapshot_files *files, const struct snapshot_plan *plan,
                                 struct err *err);
/* Is there anything left to be merged? In doubt what the list says. */
bool snapshot_files_need_merging(struct snapshot_files *files);
