/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/snapshot_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { FILES_MAX = 12000 }; /* a dictionary's lines, less what else there is */

struct snapshot_plan *snapshot_plan_create(void)
{
    return calloc(1, sizeof(struct snapshot_plan));
}

void snapshot_plan_destroy(struct snapshot_plan *plan)
{
    if (plan)
        free(plan->file);
    free(plan);
}

int snapshot_plan_add_disk(struct snapshot_plan *plan, const char *node, const char *file)
{
    struct snapshot_plan_disk *disk = &plan->disk[plan->disk_count];

    if (plan->disk_count == VMSD_DISKS_MAX || strlen(node) >= sizeof disk->node ||
        strlen(file) >= sizeof disk->file)
        return -E2BIG;
    (void)snprintf(disk->node, sizeof disk->node, "%s", node);
    (void)snprintf(disk->file, sizeof disk->file, "%s", file);
    plan->disk_count++;
    return 0;
}

int snapshot_plan_add_file(struct snapshot_plan *plan, const char *name)
{
    for (unsigned i = 0; i < plan->file_count; i++)
        if (!strcmp(plan->file[i], name))
            return 0;
    if (plan->file_count == FILES_MAX || strlen(name) >= DISK_NAME_MAX)
        return -E2BIG;
    char(*more)[DISK_NAME_MAX] = reallocarray(plan->file, plan->file_count + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    plan->file = more;
    (void)snprintf(more[plan->file_count++], DISK_NAME_MAX, "%s", name);
    return 0;
}

/* --- as a file --- */

static bool is_local(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_disks(struct snapshot_plan *plan, const struct vmxfile *dict)
{
    const char *node, *file;
    int rc = 0;

    for (unsigned i = 0; rc == 0; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "disk%u.node", i);
        node = vmxfile_get(dict, key);
        (void)snprintf(key, sizeof key, "disk%u.fileName", i);
        file = vmxfile_get(dict, key);
        if (!node || !file)
            break;
        rc = is_local(file) ? snapshot_plan_add_disk(plan, node, file) : -EBADMSG;
    }
    return rc;
}

static int read_files(struct snapshot_plan *plan, const struct vmxfile *dict)
{
    const char *name;
    int rc = 0;

    for (unsigned i = 0; rc == 0; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "file%u", i);
        if (!(name = vmxfile_get(dict, key)))
            break;
        rc = is_local(name) ? snapshot_plan_add_file(plan, name) : -EBADMSG;
    }
    return rc;
}

static int read_fold(struct snapshot_plan *plan, const struct vmxfile *dict)
{
    const char *from = vmxfile_get(dict, "fold.from"), *into = vmxfile_get(dict, "fold.into");

    if (!from && !into)
        return 0;
    if (!from || !into || !is_local(from) || !is_local(into) || !strcmp(from, into) ||
        strlen(from) >= DISK_NAME_MAX || strlen(into) >= DISK_NAME_MAX)
        return -EBADMSG;
    memcpy(plan->fold_from, from, strlen(from) + 1);
    memcpy(plan->fold_into, into, strlen(into) + 1);
    return 0;
}

int snapshot_plan_parse(const char *name, const void *data, size_t len,
                        struct snapshot_plan **ret_plan, struct err *err)
{
    cleanup_vmxfile struct vmxfile *dict = NULL;
    cleanup_snapshot_plan struct snapshot_plan *plan = snapshot_plan_create();
    unsigned nvram = VMSD_NONE;
    int rc = plan ? vmxfile_parse(name, data, len, &dict, err) : err_sys(err, -ENOMEM, "%s", name);

    if (rc == 0)
        rc = vmxfile_get_bool(dict, "done", &plan->done, err);
    if (rc == 0)
        rc = vmxfile_get_bool(dict, "list", &plan->list, err);
    if (rc == 0)
        rc = vmxfile_get_unsigned(dict, "nvram", 0, UINT32_MAX, &nvram, err);
    if (rc < 0)
        return rc;
    plan->nvram = nvram;
    rc = read_fold(plan, dict);
    if (rc == 0)
        rc = read_disks(plan, dict);
    if (rc == 0)
        rc = read_files(plan, dict);
    if (rc < 0)
        return err_set(err, rc == -ENOMEM ? rc : -EBADMSG, "%s: a name in it can not be", name);
    *ret_plan = TAKE_PTR(plan);
    return 0;
}

int snapshot_plan_load(const char *path, struct snapshot_plan **ret_plan, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = file_load(AT_FDCWD, path, VMXFILE_SIZE_MAX, &text, err);

    return rc < 0 ? rc : snapshot_plan_parse(path, text.data, text.len, ret_plan, err);
}

static int write_names(const struct snapshot_plan *plan, struct vmxfile *dict)
{
    char key[40];
    int rc = 0;

    for (unsigned i = 0; i < plan->disk_count && rc == 0; i++) {
        (void)snprintf(key, sizeof key, "disk%u.node", i);
        rc = vmxfile_set(dict, key, plan->disk[i].node);
        (void)snprintf(key, sizeof key, "disk%u.fileName", i);
        if (rc == 0)
            rc = vmxfile_set(dict, key, plan->disk[i].file);
    }
    for (unsigned i = 0; i < plan->file_count && rc == 0; i++) {
        (void)snprintf(key, sizeof key, "file%u", i);
        rc = vmxfile_set(dict, key, plan->file[i]);
    }
    return rc;
}

int snapshot_plan_save(const struct snapshot_plan *plan, const char *path, struct err *err)
{
    cleanup_vmxfile struct vmxfile *dict = NULL;
    int rc = vmxfile_create(path, &dict);

    if (rc == 0)
        rc = vmxfile_set_bool(dict, "done", plan->done);
    if (rc == 0)
        rc = vmxfile_set_bool(dict, "list", plan->list);
    if (rc == 0)
        rc = vmxfile_set_u64(dict, "nvram", plan->nvram);
    if (rc == 0 && *plan->fold_from)
        rc = vmxfile_set(dict, "fold.from", plan->fold_from);
    if (rc == 0 && *plan->fold_from)
        rc = vmxfile_set(dict, "fold.into", plan->fold_into);
    if (rc == 0)
        rc = write_names(plan, dict);
    return rc < 0 ? err_sys(err, rc, "%s", path) : vmxfile_save(dict, path, err);
}
