/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/snapshot_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/range.h"

enum { NUMBER_MAX = 999999, CHAIN_MAX = DISK_CHAIN_MAX };

/* The VM's disks: where, and which file. */
struct disks {
    unsigned count;
    struct {
        char node[16], file[DISK_NAME_MAX];
    } disk[VMSD_DISKS_MAX];
};

void snapshot_files_list_path(const struct snapshot_files *files, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s.vmsd", files->folder, files->stem);
}

void snapshot_files_vmx_path(const struct snapshot_files *files, uint32_t uid, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s-Snapshot%u.vmx", files->folder, files->stem,
                   uid);
}

int snapshot_files_open(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];
    int rc = disk_dir_open(&files->dir, files->folder, err);

    if (rc == 0)
        rc = aio_create(AIO_PLAIN, &files->aio, err);
    snapshot_files_list_path(files, path);
    return rc < 0 ? rc : vmsd_load(path, &files->vmsd, err);
}

void snapshot_files_close(struct snapshot_files *files)
{
    vmsd_destroy(TAKE_PTR(files->vmsd));
    aio_destroy(TAKE_PTR(files->aio));
    if (files->dir.host.open)
        disk_dir_close(&files->dir);
    vmxfile_destroy(TAKE_PTR(files->vmx));
}

/* --- the VM's own disks --- */

static const char *get(const struct vmxfile *vmx, const char *node, const char *what)
{
    char key[48];

    (void)snprintf(key, sizeof key, "%s.%s", node, what);
    return vmxfile_get(vmx, key);
}

/* Snapshots do not touch independent disks and CDs. */
static bool takes_part(const struct vmxfile *vmx, const char *node)
{
    const char *type = get(vmx, node, "deviceType"), *mode = get(vmx, node, "mode");
    const char *there = get(vmx, node, "present");

    return there && !strcasecmp(there, "true") && !(type && strcasestr(type, "cdrom")) &&
           !(mode && !strncasecmp(mode, "independent", 11));
}

/* A name in the VM's folder without the folder; others as they are. */
static const char *local_name(const struct snapshot_files *files, const char *file)
{
    for (unsigned i = 0; i < ARRAY_SIZE(files->prefix); i++) {
        size_t len = strlen(files->prefix[i]);
        if (len && !strncmp(file, files->prefix[i], len))
            return file + len;
    }
    return file;
}

static int list_disks(const struct snapshot_files *files, struct disks *disks, struct err *err)
{
    const struct vmxfile *vmx = files->vmx;
    const char *key;
    size_t at = 0;

    disks->count = 0;
    while ((key = vmxfile_next_key(vmx, &at))) {
        const char *dot = strchr(key, '.'), *file = vmxfile_get(vmx, key);
        char node[16];
        if (!dot || strcasecmp(dot, ".fileName") || !memchr(key, ':', (size_t)(dot - key)) ||
            dot - key >= (ptrdiff_t)sizeof node)
            continue;
        (void)snprintf(node, sizeof node, "%.*s", (int)(dot - key), key);
        if (!takes_part(vmx, node))
            continue;
        file = local_name(files, file);
        if (strchr(file, '/') || strlen(file) >= DISK_NAME_MAX || disks->count == VMSD_DISKS_MAX)
            return err_set(err, -ENOTSUP, "the disk %s is not in the VM's folder", file);
        (void)snprintf(disks->disk[disks->count].node, sizeof node, "%s", node);
        (void)snprintf(disks->disk[disks->count++].file, DISK_NAME_MAX, "%s", file);
    }
    return 0;
}

static int set_file(struct vmxfile *vmx, const char *node, const char *file)
{
    char key[48];

    (void)snprintf(key, sizeof key, "%s.fileName", node);
    return vmxfile_set(vmx, key, file);
}

static int save_vmx(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%.3800s/%.200s.vmx", files->folder, files->stem);
    return vmxfile_save(files->vmx, path, err);
}

static int save_list(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_list_path(files, path);
    return vmsd_save(files->vmsd, path, err);
}

/* --- disks and their parents --- */

/* "a-000003.vmdk" and "a.vmdk" both have the children a-000001.vmdk and so on. */
static int make_child(struct snapshot_files *files, const char *parent, char child[DISK_NAME_MAX],
                      struct err *err)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = parent};
    size_t len = strlen(parent);

    len -= len > 5 && !strcasecmp(parent + len - 5, ".vmdk") ? 5 : 0;
    if (len > 7 && parent[len - 7] == '-' && strspn(parent + len - 6, "0123456789") == 6)
        len -= 7;
    for (unsigned n = 1; n <= NUMBER_MAX; n++) {
        struct err why = ERR_INIT;
        (void)snprintf(child, DISK_NAME_MAX, "%.*s-%06u.vmdk", (int)MIN(len, (size_t)200), parent,
                       n);
        int rc = disk_create(&files->dir.host, child, &spec, files->aio, NULL, NULL, &why);
        if (rc != -EEXIST) {
            if (rc < 0 && err)
                *err = why;
            return rc;
        }
    }
    return err_set(err, -EEXIST, "there are too many snapshots of %s", parent);
}

static int parent_of(struct snapshot_files *files, const char *file, char parent[DISK_NAME_MAX])
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK, .format = "vmdk"};
    struct disk_info info;
    struct disk *disk;
    int rc = disk_open(&files->dir.host, file, &options, files->aio, &disk, NULL);

    if (rc < 0)
        return rc;
    disk_get_info(disk, &info);
    disk_close(disk);
    (void)snprintf(parent, DISK_NAME_MAX, "%s", info.parent);
    return 0;
}

/* Is `wanted` the file, or one of those that it stands on? */
static bool stands_on(struct snapshot_files *files, const char *file, const char *wanted)
{
    char at[DISK_NAME_MAX], next[DISK_NAME_MAX];

    (void)snprintf(at, sizeof at, "%s", file);
    for (unsigned i = 0; i < CHAIN_MAX && *at; i++) {
        if (!strcmp(at, wanted))
            return true;
        if (parent_of(files, at, next) < 0)
            return true; /* it can not be known: nothing is taken away */
        (void)snprintf(at, sizeof at, "%s", next);
    }
    return false;
}

/* Does a snapshot that is still listed need this file? */
static bool is_listed(struct snapshot_files *files, const char *file)
{
    cleanup_free struct vmsd_snapshot *snapshot = malloc(sizeof *snapshot);

    for (unsigned i = 0; i < vmsd_count(files->vmsd); i++) {
        if (!snapshot || vmsd_get(files->vmsd, vmsd_uid(files->vmsd, i), snapshot) < 0)
            return true;
        for (unsigned d = 0; d < snapshot->disk_count; d++)
            if (stands_on(files, snapshot->disk[d].file, file))
                return true;
    }
    return false;
}

static bool is_used(struct snapshot_files *files, const char *file)
{
    struct disks *disks = calloc(1, sizeof *disks);
    bool used = !disks || list_disks(files, disks, NULL) < 0;

    for (unsigned i = 0; !used && i < disks->count; i++)
        used = stands_on(files, disks->disk[i].file, file);
    free(disks);
    return used || is_listed(files, file);
}

static void remove_disk(struct snapshot_files *files, const char *file)
{
    char flat[DISK_NAME_MAX + 8];
    size_t len = strlen(file);

    (void)files->dir.host.unlink(&files->dir.host, file);
    (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)(len - MIN(len, (size_t)5)), file);
    (void)files->dir.host.unlink(&files->dir.host, flat);
}

static void remove_if_orphan(struct snapshot_files *files, const char *file)
{
    if (!is_used(files, file))
        remove_disk(files, file);
}

/* --- create --- */

static int add_to_list(struct snapshot_files *files, const struct disks *before, const char *name,
                       const char *description, uint32_t *ret_uid, struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);

    if (!snapshot)
        return err_sys(err, -ENOMEM, "snapshots");
    snapshot->parent = vmsd_current(files->vmsd);
    snapshot->name = name;
    snapshot->description = description;
    snapshot->created_usec = clock_realtime(&clock_host) / 1000;
    for (unsigned i = 0; i < before->count; i++)
        snapshot->disk[snapshot->disk_count++] =
            (struct vmsd_disk){before->disk[i].file, before->disk[i].node};
    int rc = vmsd_add(files->vmsd, snapshot, ret_uid);
    if (rc == 0)
        rc = vmsd_set_current(files->vmsd, *ret_uid);
    return rc < 0 ? err_sys(err, rc, "the snapshot can not be listed") : save_list(files, err);
}

/* Children of all `disks`, and the dictionary uses them. On failure those that were made go. */
static int branch(struct snapshot_files *files, const struct disks *disks, struct err *err)
{
    cleanup_free struct disks *made = calloc(1, sizeof *made);
    int rc = made ? 0 : err_sys(err, -ENOMEM, "snapshots");

    for (unsigned i = 0; rc == 0 && i < disks->count; i++) {
        rc = make_child(files, disks->disk[i].file, made->disk[i].file, err);
        made->count += rc == 0;
        if (rc == 0)
            rc = set_file(files->vmx, disks->disk[i].node, made->disk[i].file);
    }
    for (unsigned i = 0; rc < 0 && made && i < made->count; i++)
        remove_disk(files, made->disk[i].file);
    return rc;
}

int snapshot_files_create(struct snapshot_files *files, const char *name, const char *description,
                          uint32_t *ret_uid, struct err *err)
{
    cleanup_free struct disks *before = calloc(1, sizeof *before);
    char path[PATH_MAX];
    int rc = before ? list_disks(files, before, err) : -ENOMEM;

    if (rc < 0)
        return rc;
    snapshot_files_vmx_path(files, vmsd_next_uid(files->vmsd), path);
    rc = vmxfile_save(files->vmx, path, err);
    if (rc == 0)
        rc = branch(files, before, err);
    if (rc == 0)
        rc = save_vmx(files, err);
    return rc < 0 ? rc : add_to_list(files, before, name, description, ret_uid, err);
}

/* --- revert --- */

int snapshot_files_revert(struct snapshot_files *files, uint32_t uid, struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_free struct disks *now = calloc(1, sizeof *now), *then = calloc(1, sizeof *then);
    struct vmxfile *kept = NULL;
    char path[PATH_MAX];

    if (!snapshot || !now || !then)
        return err_sys(err, -ENOMEM, "snapshots");
    if (vmsd_get(files->vmsd, uid, snapshot) < 0)
        return err_set(err, -ENOENT, "the snapshot is not there");
    int rc = list_disks(files, now, err);
    snapshot_files_vmx_path(files, uid, path);
    if (rc == 0)
        rc = vmxfile_load(path, &kept, err);
    if (rc < 0)
        return rc;
    vmxfile_destroy(files->vmx);
    files->vmx = kept;
    rc = list_disks(files, then, err);
    if (rc == 0)
        rc = branch(files, then, err);
    if (rc == 0)
        rc = save_vmx(files, err);
    if (rc == 0)
        rc = vmsd_set_current(files->vmsd, uid);
    if (rc == 0)
        rc = save_list(files, err);
    for (unsigned i = 0; rc == 0 && i < now->count; i++)
        remove_if_orphan(files, now->disk[i].file);
    return rc;
}

/* --- remove --- */

/* Brings the VM's disk into what it stands on, as long as nobody else stands there. */
static int merge_down(struct snapshot_files *files, const char *node, const char *first,
                      struct err *err)
{
    char file[DISK_NAME_MAX], parent[DISK_NAME_MAX];
    int rc = 0;

    (void)snprintf(file, sizeof file, "%s", first);
    for (unsigned i = 0; i < CHAIN_MAX && rc == 0; i++) {
        struct err why = ERR_INIT;
        rc = parent_of(files, file, parent);
        if (rc < 0 || !*parent || is_listed(files, parent))
            return rc;
        rc = disk_merge(&files->dir.host, file, files->aio, NULL, NULL, &why);
        if (rc == -EMLINK) /* a linked clone stands there, too */
            return 0;
        if (rc < 0 && err)
            *err = why;
        if (rc == 0)
            rc = set_file(files->vmx, node, parent);
        if (rc == 0)
            rc = save_vmx(files, err);
        if (rc == 0)
            remove_disk(files, file);
        (void)snprintf(file, sizeof file, "%s", parent);
    }
    return rc;
}

/* The uids to go, children after their parents; returns how many. */
static unsigned collect(const struct vmsd *vmsd, uint32_t uid, bool children, uint32_t *uids)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);
    unsigned count = 0;

    if (uid != VMSD_NONE)
        uids[count++] = uid;
    for (unsigned i = 0; uid == VMSD_NONE && i < vmsd_count(vmsd); i++)
        uids[count++] = vmsd_uid(vmsd, i);
    for (unsigned at = 0; s && children && at < count; at++)
        for (unsigned i = 0; i < vmsd_count(vmsd); i++)
            if (vmsd_get(vmsd, vmsd_uid(vmsd, i), s) == 0 && s->parent == uids[at])
                uids[count++] = s->uid;
    return count;
}

/* What the snapshots that go had: it may be nobody's afterwards. */
static int unlist(struct snapshot_files *files, const uint32_t *uids, unsigned count,
                  char (**ret_gone)[DISK_NAME_MAX], unsigned *ret_gone_count)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);
    char(*gone)[DISK_NAME_MAX] = calloc((size_t)count * 16 + 1, sizeof *gone), path[PATH_MAX];
    unsigned n = 0;

    for (unsigned i = 0; s && gone && i < count; i++) {
        if (vmsd_get(files->vmsd, uids[i], s) < 0)
            continue;
        for (unsigned d = 0; d < s->disk_count && n < count * 16; d++)
            (void)snprintf(gone[n++], sizeof *gone, "%s", s->disk[d].file);
        snapshot_files_vmx_path(files, uids[i], path);
        (void)unlink(path);
        (void)vmsd_remove(files->vmsd, uids[i]);
    }
    *ret_gone = gone;
    *ret_gone_count = n;
    return s && gone ? 0 : -ENOMEM;
}

int snapshot_files_remove(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err)
{
    cleanup_free uint32_t *uids = calloc(VMSD_SNAPSHOTS_MAX, sizeof *uids);
    cleanup_free struct disks *now = calloc(1, sizeof *now);
    char(*gone)[DISK_NAME_MAX] = NULL;
    unsigned gone_count = 0;

    if (!uids || !now)
        return err_sys(err, -ENOMEM, "snapshots");
    int rc = list_disks(files, now, err);
    unsigned count = collect(files->vmsd, uid, children, uids);
    if (rc == 0)
        rc = unlist(files, uids, count, &gone, &gone_count);
    if (rc == 0)
        rc = save_list(files, err);
    for (unsigned i = 0; rc == 0 && i < now->count; i++)
        rc = merge_down(files, now->disk[i].node, now->disk[i].file, err);
    for (unsigned i = 0; rc == 0 && i < gone_count; i++)
        remove_if_orphan(files, gone[i]);
    free(gone);
    return rc;
}

int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err)
{
    int rc = vmsd_rename(files->vmsd, uid, name, description);

    return rc < 0 ? err_sys(err, rc, "the snapshot can not be renamed") : save_list(files, err);
}
