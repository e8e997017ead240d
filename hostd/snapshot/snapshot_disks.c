/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/snapshot_disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"

enum { NUMBER_MAX = 999999, CHAIN_MAX = DISK_CHAIN_MAX };

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
const char *snapshot_local_name(const struct snapshot_files *files, const char *file)
{
    for (unsigned i = 0; i < ARRAY_SIZE(files->prefix); i++) {
        size_t len = strlen(files->prefix[i]);
        if (len && !strncmp(file, files->prefix[i], len))
            return file + len;
    }
    return file;
}

int snapshot_disks_list(const struct snapshot_files *files, const struct vmxfile *vmx,
                        struct snapshot_disks *disks, struct err *err)
{
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
        file = snapshot_local_name(files, file);
        if (strchr(file, '/') || strlen(file) >= DISK_NAME_MAX || disks->count == VMSD_DISKS_MAX)
            return err_set(err, -ENOTSUP, "the disk %s is not in the VM's folder", file);
        (void)snprintf(disks->disk[disks->count].node, sizeof node, "%s", node);
        (void)snprintf(disks->disk[disks->count++].file, DISK_NAME_MAX, "%s", file);
    }
    return 0;
}

int snapshot_disks_set(struct vmxfile *vmx, const char *node, const char *file)
{
    char key[48];

    (void)snprintf(key, sizeof key, "%s.fileName", node);
    return vmxfile_set(vmx, key, file);
}

const char *snapshot_disks_get(const struct snapshot_files *files, const char *node)
{
    const char *file = get(files->vmx, node, "fileName");

    return file ? snapshot_local_name(files, file) : NULL;
}

/* --- disks and their parents --- */

/* "a-000003.vmdk" and "a.vmdk" both have the children a-000001.vmdk and so on: the first that is
 * not there. */
int snapshot_disk_name_child(const struct snapshot_files *files, const char *parent,
                             char child[DISK_NAME_MAX], struct err *err)
{
    size_t len = strlen(parent);

    len -= len > 5 && !strcasecmp(parent + len - 5, ".vmdk") ? 5 : 0;
    if (len > 7 && parent[len - 7] == '-' && strspn(parent + len - 6, "0123456789") == 6)
        len -= 7;
    for (unsigned n = 1; n <= NUMBER_MAX; n++) {
        (void)snprintf(child, DISK_NAME_MAX, "%.*s-%06u.vmdk", (int)MIN(len, (size_t)200), parent,
                       n);
        if (faccessat(files->dir.fd, child, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            return 0;
    }
    return err_set(err, -EEXIST, "there are too many snapshots of %s", parent);
}

int snapshot_disk_make_child(struct snapshot_files *files, const char *parent, const char *child,
                             struct err *err)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = parent};

    return disk_create(&files->dir.host, child, &spec, files->aio, NULL, NULL, err);
}

static int look_at(struct snapshot_files *files, const char *file, struct disk_info *ret_info)
{
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK, .format = "vmdk"};
    struct disk *disk;
    int rc = disk_open(&files->dir.host, file, &options, files->aio, &disk, NULL);

    if (rc < 0)
        return rc;
    disk_get_info(disk, ret_info);
    disk_close(disk);
    return 0;
}

int snapshot_disk_parent(struct snapshot_files *files, const char *file, char parent[DISK_NAME_MAX])
{
    struct disk_info info;
    int rc = look_at(files, file, &info);

    if (rc == 0)
        (void)snprintf(parent, DISK_NAME_MAX, "%s", info.parent);
    return rc;
}

/* A linked clone stands there, too, or it can not be known. */
bool snapshot_disk_is_shared(struct snapshot_files *files, const char *file)
{
    struct disk_info info;

    return look_at(files, file, &info) < 0 || info.shared;
}

/* Is `wanted` the file, or one of those that it stands on? */
static bool stands_on(struct snapshot_files *files, const char *file, const char *wanted)
{
    char at[DISK_NAME_MAX], next[DISK_NAME_MAX];

    (void)snprintf(at, sizeof at, "%s", file);
    for (unsigned i = 0; i < CHAIN_MAX && *at; i++) {
        if (!strcmp(at, wanted))
            return true;
        if (snapshot_disk_parent(files, at, next) < 0)
            return true; /* it can not be known: nothing is taken away */
        (void)snprintf(at, sizeof at, "%s", next);
    }
    return false;
}

/* Does a snapshot that is still listed need this file? */
bool snapshot_disk_is_listed(struct snapshot_files *files, const char *file)
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

bool snapshot_disk_is_used(struct snapshot_files *files, const char *file)
{
    struct snapshot_disks *disks = calloc(1, sizeof *disks);
    bool used = !disks || snapshot_disks_list(files, files->vmx, disks, NULL) < 0;

    for (unsigned i = 0; !used && i < disks->count; i++)
        used = stands_on(files, disks->disk[i].file, file);
    free(disks);
    return used || snapshot_disk_is_listed(files, file);
}

void snapshot_disk_remove(struct snapshot_files *files, const char *file)
{
    char flat[DISK_NAME_MAX + 8];
    size_t len = strlen(file);

    (void)files->dir.host.unlink(&files->dir.host, file);
    (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)(len - MIN(len, (size_t)5)), file);
    (void)files->dir.host.unlink(&files->dir.host, flat);
}
