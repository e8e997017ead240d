/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/snapshot/snapshot_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/range.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/snapshot/snapshot_disks.h"

enum { CHAIN_MAX = DISK_CHAIN_MAX, NVRAM_MAX = 4 << 20 };

void snapshot_files_list_path(const struct snapshot_files *files, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s.vmsd", files->folder, files->stem);
}

void snapshot_files_vmx_path(const struct snapshot_files *files, uint32_t uid, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s-Snapshot%u.vmx", files->folder, files->stem,
                   uid);
}

/* STEM.vmsd.plan, STEM.vmsd.next */
static void plan_path(const struct snapshot_files *files, const char *what, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s.vmsd.%s", files->folder, files->stem, what);
}

bool snapshot_files_has_plan(const struct snapshot_files *files)
{
    char path[PATH_MAX];

    plan_path(files, "plan", path);
    return access(path, F_OK) == 0;
}

static void vmx_path(const struct snapshot_files *files, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s.vmx", files->folder, files->stem);
}

static void nvram_path(const struct snapshot_files *files, uint32_t uid, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s-Snapshot%u.nvram", files->folder, files->stem,
                   uid);
}

static void state_path(const struct snapshot_files *files, uint32_t uid, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s-Snapshot%u.vmsn", files->folder, files->stem,
                   uid);
}

static int local_path(const struct snapshot_files *files, const char *name, char path[PATH_MAX])
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
    files->dir = (struct disk_dir){0};
}

static int save_vmx(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    vmx_path(files, path);
    return vmxfile_save(files->vmx, path, err);
}

static int save_list(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    snapshot_files_list_path(files, path);
    return vmsd_save(files->vmsd, path, err);
}

/* --- the plan --- */

static int begin_plan(struct snapshot_files *files, bool done, struct err *err)
{
    snapshot_plan_destroy(files->plan);
    files->plan = snapshot_plan_create();
    if (!files->plan)
        return err_sys(err, -ENOMEM, "snapshots");
    files->plan->done = done;
    return 0;
}

static int plan_file(struct snapshot_files *files, const char *name, struct err *err)
{
    int rc = snapshot_plan_add_file(files->plan, name);

    return rc < 0 ? err_sys(err, rc, "\"%s\"", name) : 0;
}

/* The name of a path in the VM's folder. */
static int plan_path_of(struct snapshot_files *files, const char *path, struct err *err)
{
    return plan_file(files, strrchr(path, '/') + 1, err);
}

static int save_plan(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    plan_path(files, "plan", path);
    return snapshot_plan_save(files->plan, path, err);
}

/* files->vmsd is what the list is to be. */
static int save_next_list(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    plan_path(files, "next", path);
    return vmsd_save(files->vmsd, path, err);
}

/* The new list takes its place, if that has not been done before. */
static int put_list(struct snapshot_files *files, struct err *err)
{
    char next[PATH_MAX], path[PATH_MAX];

    plan_path(files, "next", next);
    snapshot_files_list_path(files, path);
    if (rename(next, path) < 0)
        return errno == ENOENT ? 0 : err_sys(err, -errno, "\"%s\"", path);
    int rc = files->dir.host.sync(&files->dir.host);
    return rc < 0 ? err_sys(err, rc, "\"%s\"", files->folder) : 0;
}

/* --- small files that go along --- */

static int copy_file(const char *from, const char *to, struct err *err)
{
    cleanup_buf struct buf data = {0};
    int rc = file_load(AT_FDCWD, from, NVRAM_MAX, &data, err);

    if (rc == -ENOENT)
        return 0; /* none yet */
    return rc < 0 ? rc : file_replace(AT_FDCWD, to, 0600, data.data, data.len, err);
}

/* Firmware's variables: beside the .vmx, or where it says. -ENOENT: not ours to touch. */
static int own_nvram(const struct snapshot_files *files, char path[PATH_MAX])
{
    const char *name = vmxfile_get(files->vmx, "nvram");

    if (name && *name)
        return local_path(files, snapshot_local_name(files, name), path);
    (void)snprintf(path, PATH_MAX, "%.3800s/%.200s.nvram", files->folder, files->stem);
    return 0;
}

/* A state of ours, not one that ESXi has saved. */
static bool is_our_state(const char *path)
{
    static const char magic[] = "Socle VM state";
    char head[sizeof magic - 1];
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    return fd >= 0 && read(fd, head, sizeof head) == (ssize_t)sizeof head &&
           !memcmp(head, magic, sizeof head);
}

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
            rc = plan_file(files, child, err);
    }
    return rc;
}

static int copy_vmx(const struct vmxfile *from, struct vmxfile **ret)
{
    cleanup_buf struct buf text = {0};

    vmxfile_write(from, &text);
    return text.failed ? -ENOMEM : vmxfile_parse("vmx", text.data, text.len, ret, NULL);
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
    return rc < 0 ? err_sys(err, rc, "the snapshot can not be listed") : save_next_list(files, err);
}

/* Children that the .vmx will name, what is kept beside it, the list: all of it in the plan. */
static int plan_snapshot(struct snapshot_files *files, const char *name, const char *description,
                         struct err *err)
{
    char vmx[PATH_MAX], nvram[PATH_MAX];
    int rc = begin_plan(files, false, err);

    if (rc == 0)
        rc = list_new(files, name, description, err);
    if (rc < 0)
        return rc;
    snapshot_files_vmx_path(files, files->uid, vmx);
    nvram_path(files, files->uid, nvram);
    if ((rc = plan_path_of(files, vmx, err)) < 0 || (rc = plan_path_of(files, nvram, err)) < 0 ||
        (*files->state && (rc = plan_file(files, files->state, err)) < 0))
        return rc;
    rc = name_children(files, err);
    files->plan->list = files->plan->disk_count;
    return rc < 0 ? rc : save_plan(files, err);
}

int snapshot_files_prepare(struct snapshot_files *files, const char *name, const char *description,
                           bool memory, struct err *err)
{
    char path[PATH_MAX], nvram[PATH_MAX];
    int rc = copy_vmx(files->vmx, &files->before);

    if (rc < 0)
        return err_sys(err, rc, "snapshots");
    const char *suspended = suspended_state(files);
    if (memory || suspended)
        (void)snprintf(files->state, sizeof files->state, "%.200s-Snapshot%u.vmsn", files->stem,
                       vmsd_next_uid(files->vmsd));
    rc = plan_snapshot(files, name, description, err);
    snapshot_files_vmx_path(files, files->uid, path);
    if (rc == 0)
        rc = vmxfile_save(files->before, path, err);
    if (rc == 0 && own_nvram(files, nvram) == 0) {
        nvram_path(files, files->uid, path);
        rc = copy_file(nvram, path, err);
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
    return rc < 0 ? rc : save_vmx(files, err);
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
    return save_plan(files, err);
}

bool snapshot_files_is_listed(const struct snapshot_files *files, uint32_t uid)
{
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    return s && vmsd_get(files->vmsd, uid, s) == 0;
}

/* --- revert --- */

static int load_kept(struct snapshot_files *files, uint32_t uid, struct vmxfile **ret_now,
                     struct err *err)
{
    struct vmxfile *kept = NULL;
    char path[PATH_MAX];

    snapshot_files_vmx_path(files, uid, path);
    int rc = vmxfile_load(path, &kept, err);
    if (rc < 0)
        return rc;
    *ret_now = files->vmx;
    files->vmx = kept;
    return 0;
}

/* The state that the VM then had, if it is there. */
static int set_state(struct snapshot_files *files, const struct vmsd_snapshot *snapshot,
                     bool memory, bool *ret_memory)
{
    char path[PATH_MAX];

    *ret_memory = memory && snapshot->memory && snapshot->filename &&
                  local_path(files, snapshot->filename, path) == 0 && is_our_state(path);
    return vmxfile_set(files->vmx, "checkpoint.vmState", *ret_memory ? snapshot->filename : "");
}

static int restore_nvram(struct snapshot_files *files, uint32_t uid, struct err *err)
{
    char path[PATH_MAX], nvram[PATH_MAX];

    nvram_path(files, uid, path);
    return own_nvram(files, nvram) < 0 ? 0 : copy_file(path, nvram, err);
}

/* New children, what the VM had until now, the list and the variables. */
static int plan_revert(struct snapshot_files *files, const struct vmxfile *now, uint32_t uid,
                       struct err *err)
{
    cleanup_free struct snapshot_disks *gone = calloc(1, sizeof *gone);
    int rc = gone ? begin_plan(files, false, err) : err_sys(err, -ENOMEM, "snapshots");

    if (rc == 0)
        rc = snapshot_disks_list(files, now, gone, err);
    for (unsigned i = 0; rc == 0 && i < gone->count; i++)
        rc = plan_file(files, gone->disk[i].file, err);
    if (rc == 0)
        rc = name_children(files, err);
    if (rc == 0 && (rc = vmsd_set_current(files->vmsd, uid)) < 0)
        (void)err_sys(err, rc, "snapshots");
    if (rc == 0)
        rc = save_next_list(files, err);
    if (rc < 0)
        return rc;
    files->plan->list = files->plan->disk_count;
    files->plan->nvram = uid;
    return save_plan(files, err);
}

int snapshot_files_revert(struct snapshot_files *files, uint32_t uid, bool memory,
                          bool *ret_running, struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_vmxfile struct vmxfile *now = NULL, *then = NULL;

    if (!snapshot)
        return err_sys(err, -ENOMEM, "snapshots");
    if (vmsd_get(files->vmsd, uid, snapshot) < 0)
        return err_set(err, -ENOENT, "the snapshot is not there");
    int rc = load_kept(files, uid, &now, err);
    if (rc == 0)
        rc = copy_vmx(files->vmx, &then);
    if (rc == 0)
        rc = set_state(files, snapshot, memory, ret_running);
    *ret_running = rc == 0 && *ret_running && !snapshot->suspended;
    if (rc == 0)
        rc = plan_revert(files, now, uid, err);
    if (rc == 0)
        rc = branch_from(files, then, err);
    return rc < 0 ? rc : snapshot_files_complete(files, err);
}

/* --- remove --- */

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

/* What a snapshot that goes had, and the files of its own: they may be nobody's afterwards. */
static int unlist_one(struct snapshot_files *files, uint32_t uid, struct vmsd_snapshot *s,
                      struct err *err)
{
    char path[PATH_MAX];
    int rc = 0;

    if (vmsd_get(files->vmsd, uid, s) < 0)
        return 0;
    for (unsigned d = 0; d < s->disk_count && rc == 0; d++)
        if (!strchr(s->disk[d].file, '/'))
            rc = plan_file(files, s->disk[d].file, err);
    snapshot_files_vmx_path(files, uid, path);
    if (rc == 0)
        rc = plan_path_of(files, path, err);
    nvram_path(files, uid, path);
    if (rc == 0)
        rc = plan_path_of(files, path, err);
    state_path(files, uid, path);
    if (rc == 0 && is_our_state(path))
        rc = plan_path_of(files, path, err);
    (void)vmsd_remove(files->vmsd, uid);
    return rc;
}

int snapshot_files_unlist(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err)
{
    cleanup_free uint32_t *uids = calloc(VMSD_SNAPSHOTS_MAX, sizeof *uids);
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    if (!uids || !s)
        return err_sys(err, -ENOMEM, "snapshots");
    unsigned count = collect(files->vmsd, uid, children, uids);
    int rc = begin_plan(files, true, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = unlist_one(files, uids[i], s, err);
    if (rc == 0 && (rc = vmsd_set_needs_consolidation(files->vmsd, true)) < 0)
        (void)err_sys(err, rc, "snapshots");
    if (rc == 0)
        rc = save_next_list(files, err);
    files->plan->list = true;
    if (rc == 0)
        rc = save_plan(files, err);
    return rc < 0 ? rc : put_list(files, err);
}

/* How far down the VM's disk stands on what nobody lists; 0: on nothing of that kind. */
static int find_one(struct snapshot_files *files, const char *top, struct snapshot_merge *m)
{
    char at[DISK_NAME_MAX], parent[DISK_NAME_MAX];

    (void)snprintf(at, sizeof at, "%s", top);
    (void)snprintf(m->top, sizeof m->top, "%s", top);
    for (m->layers = 0; m->layers < CHAIN_MAX; m->layers++) {
        int rc = snapshot_disk_parent(files, at, parent);
        if (rc < 0)
            return rc;
        if (!*parent || snapshot_disk_is_listed(files, parent) ||
            snapshot_disk_is_shared(files, parent))
            break;
        (void)snprintf(m->into, sizeof m->into, "%s", parent);
        (void)snprintf(at, sizeof at, "%s", parent);
    }
    return 0;
}

static int find_merges(struct snapshot_files *files, struct err *err)
{
    cleanup_free struct snapshot_disks *now = calloc(1, sizeof *now);
    int rc = now ? snapshot_disks_list(files, files->vmx, now, err) : -ENOMEM;

    files->merge_count = 0;
    for (unsigned i = 0; rc == 0 && i < now->count; i++) {
        struct snapshot_merge *m = &files->merge[files->merge_count];
        (void)snprintf(m->node, sizeof m->node, "%s", now->disk[i].node);
        rc = find_one(files, now->disk[i].file, m);
        if (rc < 0)
            return err_sys(err, rc, "\"%s\"", now->disk[i].file);
        files->merge_count += m->layers > 0;
    }
    return rc;
}

static int plan_layers(struct snapshot_files *files, const struct snapshot_merge *m,
                       struct err *err)
{
    char at[DISK_NAME_MAX], parent[DISK_NAME_MAX];
    int rc = 0;

    (void)snprintf(at, sizeof at, "%s", m->top);
    for (unsigned i = 0; rc == 0 && i < m->layers; i++) {
        rc = plan_file(files, at, err);
        if (rc == 0 && (rc = snapshot_disk_parent(files, at, parent)) < 0)
            (void)err_sys(err, rc, "\"%s\"", at);
        (void)snprintf(at, sizeof at, "%s", parent);
    }
    return rc;
}

int snapshot_files_find(struct snapshot_files *files, struct err *err)
{
    int rc = find_merges(files, err);

    if (rc == 0 && !files->plan)
        rc = begin_plan(files, true, err);
    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = plan_layers(files, &files->merge[i], err);
    return rc < 0 || !files->merge_count ? rc : save_plan(files, err);
}

/* All of it, then what the VM uses is what it went into. */
static int merge_one(struct snapshot_files *files, const struct snapshot_merge *m, bool live,
                     disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_merge what = {.name = m->top, .layers = m->layers, .into = m->into, .live = live};

    return disk_merge_layers(&files->dir.host, &what, files->aio, progress, ctx, err);
}

int snapshot_files_merge(struct snapshot_files *files, bool live, disk_progress_fn *progress,
                         void *ctx, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = merge_one(files, &files->merge[i], live, progress, ctx, err);
    if (rc < 0 || live)
        return rc;
    rc = snapshot_files_land(files, err);
    return rc < 0 ? rc : save_vmx(files, err);
}

int snapshot_files_divert(struct snapshot_files *files, struct err *err)
{
    char child[DISK_NAME_MAX];
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++) {
        const struct snapshot_merge *m = &files->merge[i];
        rc = snapshot_disk_name_child(files, m->top, child, err);
        if (rc == 0)
            rc = snapshot_disks_set(files->vmx, m->node, child);
        if (rc == 0)
            rc = plan_file(files, child, err);
    }
    return rc < 0 ? rc : save_plan(files, err);
}

static const char *diverted_to(const struct snapshot_files *files, const struct snapshot_merge *m)
{
    const char *file = snapshot_disks_get(files, m->node);

    return file ? file : "";
}

uint64_t snapshot_files_diverted(const struct snapshot_files *files)
{
    uint64_t total = 0;
    char path[PATH_MAX];
    struct stat st;

    for (unsigned i = 0; i < files->merge_count; i++)
        if (local_path(files, diverted_to(files, &files->merge[i]), path) == 0 &&
            stat(path, &st) == 0)
            total += (uint64_t)st.st_blocks * 512;
    return total;
}

void snapshot_files_advance(struct snapshot_files *files)
{
    for (unsigned i = 0; i < files->merge_count; i++) {
        struct snapshot_merge *m = &files->merge[i];
        (void)snprintf(m->top, sizeof m->top, "%s", diverted_to(files, m));
        m->layers = 1;
    }
}

int snapshot_files_land(struct snapshot_files *files, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++)
        rc = snapshot_disks_set(files->vmx, files->merge[i].node, files->merge[i].into);
    return rc < 0 ? err_sys(err, rc, "the configuration") : 0;
}

int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err)
{
    int rc = vmsd_rename(files->vmsd, uid, name, description);

    return rc < 0 ? err_sys(err, rc, "the snapshot can not be renamed") : save_list(files, err);
}

/* --- settle --- */

static bool is_done(const struct snapshot_files *files, const struct snapshot_plan *plan)
{
    bool done = plan->done || plan->disk_count;

    for (unsigned i = 0; i < plan->disk_count && done && !plan->done; i++) {
        const char *file = snapshot_disks_get(files, plan->disk[i].node);
        done = file && !strcmp(file, plan->disk[i].file);
    }
    return done;
}

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

static void remove_if_unused(struct snapshot_files *files, const char *name)
{
    uint32_t uid = kept_with(files, name);
    size_t len = strlen(name);

    if (len > 5 && !strcasecmp(name + len - 5, ".vmdk")) {
        char part[DISK_NAME_MAX + 8]; /* of one that was being made */
        (void)snprintf(part, sizeof part, "%s.part", name);
        (void)files->dir.host.unlink(&files->dir.host, part);
        if (faccessat(files->dir.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
            !snapshot_disk_is_used(files, name))
            snapshot_disk_remove(files, name);
    } else if (uid != VMSD_NONE && !snapshot_files_is_listed(files, uid) &&
               !names(files, "checkpoint.vmState", name) && !names(files, "nvram", name)) {
        (void)files->dir.host.unlink(&files->dir.host, name);
    }
}

/* The list says whether there is something left to merge. */
static int mark_needs(struct snapshot_files *files, struct err *err)
{
    bool needs = find_merges(files, NULL) < 0 ? vmsd_needs_consolidation(files->vmsd)
                                              : files->merge_count > 0;

    files->merge_count = 0;
    if (needs == vmsd_needs_consolidation(files->vmsd))
        return 0;
    int rc = vmsd_set_needs_consolidation(files->vmsd, needs);
    return rc < 0 ? err_sys(err, rc, "snapshots") : save_list(files, err);
}

static int read_both(struct snapshot_files *files, struct err *err)
{
    char path[PATH_MAX];

    vmxfile_destroy(TAKE_PTR(files->vmx));
    vmx_path(files, path);
    int rc = vmxfile_load(path, &files->vmx, err);
    vmsd_destroy(TAKE_PTR(files->vmsd));
    snapshot_files_list_path(files, path);
    return rc < 0 ? rc : vmsd_load(path, &files->vmsd, err);
}

static void end_plan(struct snapshot_files *files)
{
    char path[PATH_MAX];

    (void)files->dir.host.sync(&files->dir.host); /* what went has gone before the plan does */
    plan_path(files, "plan", path);
    (void)unlink(path);
    plan_path(files, "next", path);
    (void)unlink(path);
    snapshot_plan_destroy(TAKE_PTR(files->plan));
}

int snapshot_files_settle(struct snapshot_files *files, struct err *err)
{
    cleanup_snapshot_plan struct snapshot_plan *plan = NULL;
    char path[PATH_MAX];

    plan_path(files, "plan", path);
    int rc = snapshot_plan_load(path, &plan, err);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = read_both(files, err);
    if (rc == 0 && is_done(files, plan)) {
        if (plan->list && (rc = put_list(files, err)) == 0)
            rc = read_both(files, err);
        if (rc == 0 && plan->nvram != VMSD_NONE)
            rc = restore_nvram(files, plan->nvram, err);
    }
    for (unsigned i = 0; rc == 0 && i < plan->file_count; i++)
        remove_if_unused(files, plan->file[i]);
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
