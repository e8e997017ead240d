/* SPDX-License-Identifier: Apache-2.0 */
/* The end of every operation, and what the next hostd begins with: the plan in the folder is
 * completed or undone (snapshot_plan.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/snapshot/snapshot_disks.h"
#include "hostd/snapshot/snapshot_files_impl.h"
#include "hostd/snapshot/snapshot_tree.h"

/* --- what nobody needs --- */

/* Of a file STEM-SnapshotN.SUFFIX: N; else VMSD_NONE. */
static uint32_t kept_with(const struct snapshot_files *files, const char *name)
{
    static const char word[] = "-Snapshot";
    size_t len = strlen(files->stem);
    char *end;

    if (strncmp(name, files->stem, len) != 0 || strncmp(name + len, word, sizeof word - 1) != 0)
        return VMSD_NONE;
    unsigned long uid = strtoul(name + len + sizeof word - 1, &end, 10);
    return *end == '.' && uid <= UINT32_MAX ? (uint32_t)uid : VMSD_NONE;
}

static bool names(const struct snapshot_files *files, const char *key, const char *name)
{
    const char *file = vmxfile_get(files->vmx, key);

    return file && !strcmp(snapshot_local_name(files, file), name);
}

static void remove_if_unused(struct snapshot_files *files, const struct snapshot_tree *tree,
                             const char *name)
{
    uint32_t uid = kept_with(files, name);
    size_t len = strlen(name);

    if (len > 5 && !strcasecmp(name + len - 5, ".vmdk")) {
        char part[DISK_NAME_MAX + 8]; /* of one that was being made */
        (void)snprintf(part, sizeof part, "%s.part", name);
        (void)files->dir.host.unlink(&files->dir.host, part);
        if (faccessat(files->dir.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
            !snapshot_tree_is_used(tree, name))
            snapshot_disk_remove(files, name);
    } else if (uid != VMSD_NONE && !snapshot_files_is_listed(files, uid) &&
               !names(files, "checkpoint.vmState", name) && !names(files, "nvram", name)) {
        (void)files->dir.host.unlink(&files->dir.host, name);
    }
}

int snapshot_files_remove_unused(struct snapshot_files *files, const struct snapshot_plan *plan,
                                 struct err *err)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};
    int rc = plan->file_count ? snapshot_tree_read(files, &tree, err) : 0;

    for (unsigned i = 0; rc == 0 && i < plan->file_count; i++)
        remove_if_unused(files, &tree, plan->file[i]);
    return rc;
}

/* --- a layer has become one with its child --- */

static bool names_file(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot && !strcasecmp(dot, ".fileName");
}

/* What snapshot `uid` has kept of the VM's configuration, if it can be read: wherever it names the
 * layer, also where the rest makes no sense. */
static int repoint_kept(struct snapshot_files *files, uint32_t uid, const char *from,
                        const char *into, struct err *err)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    char path[PATH_MAX];
    const char *key;
    bool changed = false;
    size_t at = 0;

    snapshot_files_kept_path(files, uid, ".vmx", path);
    int rc = vmxfile_load(path, &vmx, err);
    if (rc == -ENOENT || rc == -EBADMSG)
        return 0; /* it can not be gone back to: nothing comes of this */
    while (rc == 0 && (key = vmxfile_next_key(vmx, &at))) {
        if (!names_file(key) ||
            strcmp(snapshot_local_name(files, vmxfile_get(vmx, key)), from) != 0)
            continue;
        cleanup_free char *copy = strdup(key);
        rc = copy ? vmxfile_set(vmx, copy, into) : -ENOMEM;
        if (rc < 0)
            (void)err_sys(err, rc, "\"%s\"", path);
        changed = true;
        at = 0; /* lines may have gone */
    }
    return rc < 0 || !changed ? rc : vmxfile_save(vmx, path, err);
}

static bool has_disk(const struct snapshot_files *files, const struct vmsd_snapshot *s,
                     const char *name)
{
    for (unsigned d = 0; d < s->disk_count; d++)
        if (!strcmp(snapshot_local_name(files, s->disk[d].file), name))
            return true;
    return false;
}

/* The list may be the old or the new one. */
static int repoint_all_kept(struct snapshot_files *files, const char *from, const char *into,
                            struct err *err)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);
    int rc = s ? 0 : err_sys(err, -ENOMEM, "snapshots");

    for (unsigned i = 0; i < vmsd_count(files->vmsd) && rc == 0; i++)
        if (vmsd_get(files->vmsd, vmsd_uid(files->vmsd, i), s) == 0 &&
            (has_disk(files, s, from) || has_disk(files, s, into)))
            rc = repoint_kept(files, s->uid, from, into, err);
    return rc;
}

int snapshot_files_apply_fold(struct snapshot_files *files, const struct snapshot_plan *plan,
                              struct err *err)
{
    cleanup_snapshot_tree struct snapshot_tree tree = {0};
    int rc = snapshot_tree_read(files, &tree, err);

    for (uint32_t i = 0; i < tree.count && rc == 0; i++)
        if (!strcmp(tree.image[i].parent, plan->fold_from))
            rc = disk_reparent(&files->dir.host, tree.image[i].name, plan->fold_into, false,
                               files->aio, err);
    return rc < 0 ? rc : repoint_all_kept(files, plan->fold_from, plan->fold_into, err);
}

/* --- settling --- */

static bool is_done(const struct snapshot_files *files, const struct snapshot_plan *plan)
{
    bool done = plan->done || plan->disk_count;

    for (unsigned i = 0; i < plan->disk_count && done && !plan->done; i++) {
        const char *file = snapshot_disks_get(files, plan->disk[i].node);
        done = file && !strcmp(file, plan->disk[i].file);
    }
    return done;
}

/* The list says whether there is something left to merge. */
static int mark_needs(struct snapshot_files *files, struct err *err)
{
    bool needs = snapshot_files_need_merging(files);

    if (needs == vmsd_needs_consolidation(files->vmsd))
        return 0;
    int rc = vmsd_set_needs_consolidation(files->vmsd, needs);
    return rc < 0 ? err_sys(err, rc, "snapshots") : snapshot_files_save_list(files, err);
}

static int read_both(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    vmxfile_destroy(TAKE_PTR(files->vmx));
    snapshot_files_path(files, ".vmx", path);
    int rc = vmxfile_load(path, &files->vmx, err);
    vmsd_destroy(TAKE_PTR(files->vmsd));
    snapshot_files_path(files, ".vmsd", path);
    return rc < 0 ? rc : vmsd_load(path, &files->vmsd, err);
}

static int restore_nvram(struct snapshot_files *files, uint32_t uid, struct err *err)
{
    char path[PATH_MAX], nvram[PATH_MAX];

    snapshot_files_kept_path(files, uid, ".nvram", path);
    return snapshot_files_own_nvram(files, nvram) < 0 ? 0 : snapshot_files_copy(path, nvram, err);
}

static void end_plan(struct snapshot_files *files)
{
    char path[PATH_MAX];

    (void)files->dir.host.sync(&files->dir.host); /* what went has gone before the plan does */
    snapshot_files_path(files, ".vmsd.plan", path);
    (void)unlink(path);
    snapshot_files_path(files, ".vmsd.next", path);
    (void)unlink(path);
    snapshot_plan_destroy(TAKE_PTR(files->plan));
}

int snapshot_files_settle(struct snapshot_files *files, struct err *err)
{
    cleanup_snapshot_plan struct snapshot_plan *plan = NULL;
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmsd.plan", path);
    int rc = snapshot_plan_load(path, &plan, err);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = read_both(files, err);
    if (rc == 0 && is_done(files, plan)) {
        if (*plan->fold_from)
            rc = snapshot_files_apply_fold(files, plan, err);
        if (rc == 0 && plan->list && (rc = snapshot_files_put_list(files, err)) == 0)
            rc = read_both(files, err);
        if (rc == 0 && plan->nvram != VMSD_NONE)
            rc = restore_nvram(files, plan->nvram, err);
    }
    if (rc == 0)
        rc = snapshot_files_remove_unused(files, plan, err);
    if (rc == 0)
        rc = mark_needs(files, err);
    if (rc == 0)
        end_plan(files);
    return rc;
}

/* Of this VM, which has no plan: a state that its .vmx does not name (STEM-xxxxxxxx.vmss), a list
 * that never got a plan, a file that was to take the place of another (base/file.h). */
static bool is_left_over(const struct snapshot_files *files, const char *name)
{
    static const char *const replaced[] = {".vmx", ".vmsd", ".nvram", ".vmsd.plan", ".vmsd.next"};
    size_t len = strlen(files->stem), total = strlen(name), of = file_replaces(name);
    const char *rest = name + len;

    if (strncmp(name, files->stem, len) != 0)
        return false;
    if (total == len + 14 && *rest == '-' && strspn(rest + 1, "0123456789abcdef") == 8 &&
        !strcmp(rest + 9, ".vmss"))
        return !names(files, "checkpoint.vmState", name);
    for (unsigned i = 0; of > len && i < ARRAY_SIZE(replaced); i++)
        if (of - len == strlen(replaced[i]) && !strncmp(rest, replaced[i], of - len))
            return true;
    return !strcmp(rest, ".vmsd.next") || (of && kept_with(files, name) != VMSD_NONE);
}

void snapshot_files_sweep(struct snapshot_files *files)
{
    DIR *dir = opendir(files->folder);
    const struct dirent *entry;

    /* By what is on the datastore now, whatever files->vmx was to become. */
    bool known = dir && read_both(files, NULL) == 0;
    while (known && (entry = readdir(dir)))
        if (is_left_over(files, entry->d_name))
            (void)files->dir.host.unlink(&files->dir.host, entry->d_name);
    if (dir)
        (void)closedir(dir);
}
