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

enum { NUMBER_MAX = 999999 };

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

/* --- children --- */

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

void snapshot_disk_remove(struct snapshot_files *files, const char *file)
{
    char flat[DISK_NAME_MAX + 8];
    size_t len = strlen(file);

    (void)files->dir.host.unlink(&files->dir.host, file);
    (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)(len - MIN(len, (size_t)5)), file);
    (void)files->dir.host.unlink(&files->dir.host, flat);
}
