/* SPDX-License-Identifier: Apache-2.0 */
/* Create and revert: the VM goes on with children, of what it has now or of what a snapshot has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/snapshot/snapshot_disks.h"
#include "hostd/snapshot/snapshot_files_impl.h"

/* --- create --- */

/* Names for children of all disks, which the dictionary has then; and the plan. */
static int name_children(struct snapshot_files *files, struct err *err)
{
    cleanup_free struct snapshot_disks *disks = calloc(1, sizeof *disks);
    int rc = disks ? snapshot_disks_list(files, files->vmx, disks, err) : -ENOMEM;

    for (unsigned i = 0; rc == 0 && i < disks->count; i++) {
        char child[DISK_NAME_MAX];
        rc = snapshot_disk_name_child(files, disks->disk[i].file, child, err);
        if (rc == 0)
            rc = snapshot_disks_set(files->vmx, disks->disk[i].node, child);
        if (rc == 0)
            rc = snapshot_plan_add_disk(files->plan, disks->disk[i].node, child);
        if (rc == 0)
            rc = snapshot_files_plan_file(files, child, err);
    }
    return rc;
}

/* What the VM goes on from, if it is suspended; else NULL. */
static const char *suspended_state(const struct snapshot_files *files)
{
    const char *name = vmxfile_get(files->before, "checkpoint.vmState");

    return name && *name ? snapshot_local_name(files, name) : NULL;
}

/* Nobody writes to it any more, so that one file does for both. */
static int keep_state(struct snapshot_files *files, const char *name, struct err *err)
{
    int dir = files->dir.fd, rc;
    char beside[DSPATH_MAX];

    if (strchr(name, '/'))
        return err_set(err, -ENOTSUP, "the VM's saved state \"%s\" is not in its folder", name);
    if (linkat(dir, name, dir, files->state, 0) == 0)
        return fsync(dir) < 0 ? err_sys(err, -errno, "\"%s\"", files->state) : 0;
    rc = errno == ENOENT ? -ENOENT : 0;
    file_tree_beside(files->state, beside);
    if (rc == 0)
        rc = file_tree_copy(dir, name, dir, files->state, beside, false, NULL, NULL);
    return rc < 0 ? err_sys(err, rc, "the VM's saved state \"%s\"", name) : 0;
}

static int make_state(struct snapshot_files *files, struct err *err)
{
    files->state_fd = openat(files->dir.fd, files->state,
                             O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return files->state_fd < 0 ? err_sys(err, -errno, "\"%s\"", files->state) : 0;
}

/* The list with the snapshot of what the VM is now. */
static int list_new(struct snapshot_files *files, const char *name, const char *description,
                    struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_free struct snapshot_disks *before = calloc(1, sizeof *before);
    int rc = snapshot && before ? snapshot_disks_list(files, files->before, before, err) : -ENOMEM;

    if (rc < 0)
        return rc;
    snapshot->parent = vmsd_current(files->vmsd);
    snapshot->name = name;
    snapshot->description = description;
    snapshot->created_usec = clock_realtime(&clock_host) / 1000;
    snapshot->memory = *files->state;
    snapshot->suspended = suspended_state(files);
    snapshot->filename = *files->state ? files->state : NULL;
    for (unsigned i = 0; i < before->count; i++)
        snapshot->disk[snapshot->disk_count++] =
            (struct vmsd_disk){before->disk[i].file, before->disk[i].node};
    rc = vmsd_add(files->vmsd, snapshot, &files->uid);
    if (rc == 0)
        rc = vmsd_set_current(files->vmsd, files->uid);
    if (rc == -E2BIG)
        return err_set(err, rc, "the list of the VM's snapshots is full");
    return rc < 0 ? err_sys(err, rc, "the snapshot can not be listed")
                  : snapshot_files_save_next_list(files, err);
}

/* Children that the .vmx will name, what is kept beside it, the list: all of it in the plan. */
static int plan_snapshot(struct snapshot_files *files, const char *name, const char *description,
                         struct err *err)
{
    char vmx[PATH_MAX], nvram[PATH_MAX];
    int rc = snapshot_files_begin_plan(files, false, err);

    if (rc == 0)
        rc = list_new(files, name, description, err);
    if (rc < 0)
        return rc;
    snapshot_files_kept_path(files, files->uid, ".vmx", vmx);
    snapshot_files_kept_path(files, files->uid, ".nvram", nvram);
    if ((rc = snapshot_files_plan_path(files, vmx, err)) < 0 ||
        (rc = snapshot_files_plan_path(files, nvram, err)) < 0 ||
        (*files->state && (rc = snapshot_files_plan_file(files, files->state, err)) < 0))
        return rc;
    rc = name_children(files, err);
    files->plan->list = files->plan->disk_count;
    return rc < 0 ? rc : snapshot_files_save_plan(files, err);
}

int snapshot_files_prepare(struct snapshot_files *files, const char *name, const char *description,
                           bool memory, struct err *err)
{
    char path[PATH_MAX], nvram[PATH_MAX];
    int rc = snapshot_files_copy_vmx(files->vmx, &files->before);

    if (rc < 0)
        return err_sys(err, rc, "snapshots");
    const char *suspended = suspended_state(files);
    if (memory || suspended)
        (void)snprintf(files->state, sizeof files->state, "%.200s-Snapshot%u.vmsn", files->stem,
                       vmsd_next_uid(files->vmsd));
    rc = plan_snapshot(files, name, description, err);
    snapshot_files_kept_path(files, files->uid, ".vmx", path);
    if (rc == 0)
        rc = vmxfile_save(files->before, path, err);
    if (rc == 0 && snapshot_files_own_nvram(files, nvram) == 0) {
        snapshot_files_kept_path(files, files->uid, ".nvram", path);
        rc = snapshot_files_copy(nvram, path, err);
    }
    if (rc == 0 && suspended)
        return keep_state(files, suspended, err);
    return rc == 0 && memory ? make_state(files, err) : rc;
}

static int make_children(struct snapshot_files *files, const struct snapshot_disks *of,
                         const struct snapshot_disks *children, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < of->count; i++)
        rc = snapshot_disk_make_child(files, of->disk[i].file, children->disk[i].file, err);
    return rc;
}

/* From the disks of `from` to those of files->vmx, which are at the same places. */
static int branch_from(struct snapshot_files *files, const struct vmxfile *from, struct err *err)
{
    cleanup_free struct snapshot_disks *of = calloc(1, sizeof *of),
                                       *children = calloc(1, sizeof *children);
    int rc = of && children ? snapshot_disks_list(files, from, of, err) : -ENOMEM;

    if (rc == 0)
        rc = snapshot_disks_list(files, files->vmx, children, err);
    if (rc == 0)
        rc = make_children(files, of, children, err);
    return rc < 0 ? rc : snapshot_files_save_vmx(files, err);
}

int snapshot_files_branch(struct snapshot_files *files, struct err *err)
{
    return branch_from(files, files->before, err);
}

int snapshot_files_complete(struct snapshot_files *files, struct err *err)
{
    if (files->plan->disk_count)
        return 0;
    files->plan->done = files->plan->list = true;
    return snapshot_files_save_plan(files, err);
}

/* --- revert --- */

static bool is_same(const struct vmxfile *a, const struct vmxfile *b)
{
    const char *key;
    size_t at = 0, count = 0;

    while ((key = vmxfile_next_key(a, &at)) && ++count) {
        const char *there = vmxfile_get(b, key);
        if (!there || strcmp(there, vmxfile_get(a, key)) != 0)
            return false;
    }
    for (at = 0; vmxfile_next_key(b, &at);)
        count--;
    return count == 0;
}

static int load_kept(struct snapshot_files *files, uint32_t uid, const struct vmxfile *expected,
                     struct vmxfile **ret_now, struct err *err)
{
    cleanup_vmxfile struct vmxfile *kept = NULL;
    char path[PATH_MAX];

    snapshot_files_kept_path(files, uid, ".vmx", path);
    int rc = vmxfile_load(path, &kept, err);
    if (rc < 0)
        return rc;
    if (expected && !is_same(expected, kept))
        return err_set(err, -ESTALE, "what the snapshot has kept has been changed meanwhile");
    *ret_now = files->vmx;
    files->vmx = TAKE_PTR(kept);
    return 0;
}

/* The state that the VM then had, if it is there. */
static int set_state(struct snapshot_files *files, const struct vmsd_snapshot *snapshot,
                     bool memory, bool *ret_memory)
{
    char path[PATH_MAX];

    *ret_memory = memory && snapshot->memory && snapshot->filename &&
                  snapshot_files_local_path(files, snapshot->filename, path) == 0 &&
                  snapshot_files_is_state(path);
    return vmxfile_set(files->vmx, "checkpoint.vmState", *ret_memory ? snapshot->filename : "");
}

/* New children, what the VM had until now, the list and the variables. */
static int plan_revert(struct snapshot_files *files, const struct vmxfile *now, uint32_t uid,
                       struct err *err)
{
    cleanup_free struct snapshot_disks *gone = calloc(1, sizeof *gone);
    int rc =
        gone ? snapshot_files_begin_plan(files, false, err) : err_sys(err, -ENOMEM, "snapshots");

    if (rc == 0)
        rc = snapshot_disks_list(files, now, gone, err);
    for (unsigned i = 0; rc == 0 && i < gone->count; i++)
        rc = snapshot_files_plan_file(files, gone->disk[i].file, err);
    if (rc == 0)
        rc = name_children(files, err);
    if (rc == 0 && (rc = vmsd_set_current(files->vmsd, uid)) < 0)
        (void)err_sys(err, rc, "snapshots");
    if (rc == 0)
        rc = snapshot_files_save_next_list(files, err);
    if (rc < 0)
        return rc;
    files->plan->list = files->plan->disk_count;
    files->plan->nvram = uid;
    return snapshot_files_save_plan(files, err);
}

int snapshot_files_revert(struct snapshot_files *files, uint32_t uid,
                          const struct vmxfile *expected, bool memory, bool *ret_running,
                          struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_vmxfile struct vmxfile *now = NULL, *then = NULL;

    if (!snapshot)
        return err_sys(err, -ENOMEM, "snapshots");
    if (vmsd_get(files->vmsd, uid, snapshot) < 0)
        return err_set(err, -ENOENT, "the snapshot is not there");
    int rc = load_kept(files, uid, expected, &now, err);
    if (rc == 0)
        rc = snapshot_files_copy_vmx(files->vmx, &then);
    if (rc == 0)
        rc = set_state(files, snapshot, memory, ret_running);
    *ret_running = rc == 0 && *ret_running && !snapshot->suspended;
    if (rc == 0)
        rc = plan_revert(files, now, uid, err);
    if (rc == 0)
        rc = branch_from(files, then, err);
    return rc < 0 ? rc : snapshot_files_complete(files, err);
}
