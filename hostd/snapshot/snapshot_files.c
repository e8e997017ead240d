/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "config/nvram.h"
#include "hostd/snapshot/snapshot_disks.h"
#include "hostd/snapshot/snapshot_files_impl.h"

enum { NVRAM_MAX = 4 << 20 };

void snapshot_files_path(const struct snapshot_files *files, const char *suffix,
                         char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s%s", files->folder, files->stem, suffix);
}

void snapshot_files_kept_path(const struct snapshot_files *files, uint32_t uid, const char *suffix,
                              char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s-Snapshot%u%s", files->folder, files->stem, uid,
                   suffix);
}

int snapshot_files_local_path(const struct snapshot_files *files, const char *name,
                              char path[PATH_MAX])
{
    if (!*name || strchr(name, '/') || strlen(name) >= DISK_NAME_MAX)
        return -ENOENT;
    (void)snprintf(path, PATH_MAX, "%.3800s/%s", files->folder, name);
    return 0;
}

void snapshot_files_init(struct snapshot_files *files)
{
    *files = (struct snapshot_files){.state_fd = -1};
}

void snapshot_files_free(struct snapshot_files *files)
{
    snapshot_files_close(files);
    vmxfile_destroy(TAKE_PTR(files->vmx));
    vmxfile_destroy(TAKE_PTR(files->before));
    files->state_fd = close_fd(files->state_fd);
    snapshot_plan_destroy(TAKE_PTR(files->plan));
    free(TAKE_PTR(files->merge));
    free(TAKE_PTR(files->fold));
}

int snapshot_files_open(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];
    int rc = disk_dir_open(&files->dir, files->folder, err);

    if (rc == 0)
        rc = aio_create(AIO_PLAIN, &files->aio, err);
    snapshot_files_path(files, ".vmsd", path);
    return rc < 0 ? rc : vmsd_load(path, &files->vmsd, err);
}

void snapshot_files_close(struct snapshot_files *files)
{
    vmsd_destroy(TAKE_PTR(files->vmsd));
    aio_destroy(TAKE_PTR(files->aio));
    if (files->dir.host.open)
        disk_dir_close(&files->dir);
    files->dir = (struct disk_dir){0};
}

int snapshot_files_save_vmx(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmx", path);
    return vmxfile_save(files->vmx, path, err);
}

int snapshot_files_save_list(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmsd", path);
    return vmsd_save(files->vmsd, path, err);
}

/* --- the plan --- */

bool snapshot_files_has_plan(const struct snapshot_files *files)
{
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmsd.plan", path);
    return access(path, F_OK) == 0;
}

int snapshot_files_begin_plan(struct snapshot_files *files, bool done, struct err *err)
{
    snapshot_plan_destroy(files->plan);
    files->plan = snapshot_plan_create();
    if (!files->plan)
        return err_sys(err, -ENOMEM, "snapshots");
    files->plan->done = done;
    return 0;
}

int snapshot_files_plan_file(struct snapshot_files *files, const char *name, struct err *err)
{
    int rc = snapshot_plan_add_file(files->plan, name);

    return rc < 0 ? err_sys(err, rc, "\"%s\"", name) : 0;
}

int snapshot_files_plan_path(struct snapshot_files *files, const char *path, struct err *err)
{
    return snapshot_files_plan_file(files, strrchr(path, '/') + 1, err);
}

int snapshot_files_save_plan(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmsd.plan", path);
    return snapshot_plan_save(files->plan, path, err);
}

int snapshot_files_save_next_list(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_path(files, ".vmsd.next", path);
    return vmsd_save(files->vmsd, path, err);
}

int snapshot_files_put_list(struct snapshot_files *files, struct err *err)
{
    char next[PATH_MAX], path[PATH_MAX];

    snapshot_files_path(files, ".vmsd.next", next);
    snapshot_files_path(files, ".vmsd", path);
    if (rename(next, path) < 0)
        return errno == ENOENT ? 0 : err_sys(err, -errno, "\"%s\"", path);
    int rc = files->dir.host.sync(&files->dir.host);
    return rc < 0 ? err_sys(err, rc, "\"%s\"", files->folder) : 0;
}

/* --- small files that go along --- */

int snapshot_files_copy(const char *from, const char *to, struct err *err)
{
    cleanup_buf struct buf data = {0};
    int rc = file_load(AT_FDCWD, from, NVRAM_MAX, &data, err);

    if (rc == -ENOENT)
        return 0; /* none yet */
    return rc < 0 ? rc : file_replace(AT_FDCWD, to, 0600, data.data, data.len, err);
}

int snapshot_files_own_nvram(const struct snapshot_files *files, char path[PATH_MAX])
{
    const char *name = nvram_named(files->vmx);

    if (name)
        return snapshot_files_local_path(files, snapshot_local_name(files, name), path);
    snapshot_files_path(files, ".nvram", path);
    return 0;
}

bool snapshot_files_is_state(const char *path)
{
    static const char magic[] = "Socle VM state";
    char head[sizeof magic - 1];
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    return fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
           !memcmp(head, magic, sizeof head);
}

int snapshot_files_copy_vmx(const struct vmxfile *from, struct vmxfile **ret)
{
    cleanup_buf struct buf text = {0};

    vmxfile_write(from, &text);
    return text.failed ? -ENOMEM : vmxfile_parse("vmx", text.data, text.len, ret, NULL);
}

bool snapshot_files_is_listed(const struct snapshot_files *files, uint32_t uid)
{
    for (unsigned i = 0; i < vmsd_count(files->vmsd); i++)
        if (vmsd_uid(files->vmsd, i) == uid)
            return true;
    return false;
}

int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err)
{
    int rc = vmsd_rename(files->vmsd, uid, name, description);

    return rc < 0 ? err_sys(err, rc, "the snapshot can not be renamed")
                  : snapshot_files_save_list(files, err);
}
