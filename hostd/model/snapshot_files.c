/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/snapshot_files.h"

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

enum { NUMBER_MAX = 999999, CHAIN_MAX = DISK_CHAIN_MAX, NVRAM_MAX = 4 << 20 };

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
    free(TAKE_PTR(files->gone.name));
    files->gone.count = 0;
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

static void add_gone(struct snapshot_files *files, const char *name)
{
    struct snapshot_names *gone = &files->gone;
    char(*more)[DISK_NAME_MAX] = reallocarray(gone->name, gone->count + 1, sizeof *more);

    if (!more)
        return; /* it stays behind */
    gone->name = more;
    (void)snprintf(more[gone->count++], DISK_NAME_MAX, "%s", name);
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

static int list_disks(const struct snapshot_files *files, const struct vmxfile *vmx,
                      struct disks *disks, struct err *err)
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

/* "a-000003.vmdk" and "a.vmdk" both have the children a-000001.vmdk and so on: the first that is
 * not there. */
static int name_child(const struct snapshot_files *files, const char *parent,
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

static int make_child(struct snapshot_files *files, const char *parent, const char *child,
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

static int parent_of(struct snapshot_files *files, const char *file, char parent[DISK_NAME_MAX])
{
    struct disk_info info;
    int rc = look_at(files, file, &info);

    if (rc == 0)
        (void)snprintf(parent, DISK_NAME_MAX, "%s", info.parent);
    return rc;
}

/* A linked clone stands there, too, or it can not be known. */
static bool is_shared(struct snapshot_files *files, const char *file)
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
    bool used = !disks || list_disks(files, files->vmx, disks, NULL) < 0;

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
        return local_path(files, local_name(files, name), path);
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

/* Names for children of all disks, which the dictionary has then. */
static int name_children(struct snapshot_files *files, struct err *err)
{
    cleanup_free struct disks *disks = calloc(1, sizeof *disks);
    int rc = disks ? list_disks(files, files->vmx, disks, err) : -ENOMEM;

    for (unsigned i = 0; rc == 0 && i < disks->count; i++) {
        char child[DISK_NAME_MAX];
        rc = name_child(files, disks->disk[i].file, child, err);
        if (rc == 0)
            rc = set_file(files->vmx, disks->disk[i].node, child);
    }
    return rc;
}

static int copy_vmx(const struct vmxfile *from, struct vmxfile **ret)
{
    cleanup_buf struct buf text = {0};

    vmxfile_write(from, &text);
    return text.failed ? -ENOMEM : vmxfile_parse("vmx", text.data, text.len, ret, NULL);
}

static int make_state(struct snapshot_files *files, uint32_t uid, struct err *err)
{
    (void)snprintf(files->state, sizeof files->state, "%.200s-Snapshot%u.vmsn", files->stem, uid);
    files->state_fd = openat(files->dir.fd, files->state,
                             O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return files->state_fd < 0 ? err_sys(err, -errno, "\"%s\"", files->state) : 0;
}

int snapshot_files_prepare(struct snapshot_files *files, bool memory, struct err *err)
{
    uint32_t uid = vmsd_next_uid(files->vmsd);
    char path[PATH_MAX], nvram[PATH_MAX];
    int rc = copy_vmx(files->vmx, &files->before);

    if (rc < 0)
        return err_sys(err, rc, "snapshots");
    snapshot_files_vmx_path(files, uid, path);
    rc = vmxfile_save(files->vmx, path, err);
    if (rc == 0 && own_nvram(files, nvram) == 0) {
        nvram_path(files, uid, path);
        rc = copy_file(nvram, path, err);
    }
    if (rc == 0 && memory)
        rc = make_state(files, uid, err);
    return rc < 0 ? rc : name_children(files, err);
}

void snapshot_files_forget(struct snapshot_files *files)
{
    uint32_t uid = vmsd_next_uid(files->vmsd);
    char path[PATH_MAX];

    snapshot_files_vmx_path(files, uid, path);
    (void)unlink(path);
    nvram_path(files, uid, path);
    (void)unlink(path);
    state_path(files, uid, path);
    if (*files->state)
        (void)unlink(path);
}

static int make_children(struct snapshot_files *files, const struct disks *of,
                         const struct disks *children, struct err *err)
{
    unsigned made = 0;
    int rc = 0;

    for (; rc == 0 && made < of->count; made += rc == 0)
        rc = make_child(files, of->disk[made].file, children->disk[made].file, err);
    for (unsigned i = 0; rc < 0 && i < made; i++)
        remove_disk(files, children->disk[i].file);
    return rc;
}

/* From the disks of `from` to those of files->vmx, which are at the same places. */
static int branch_from(struct snapshot_files *files, const struct vmxfile *from, struct err *err)
{
    cleanup_free struct disks *of = calloc(1, sizeof *of), *children = calloc(1, sizeof *children);
    int rc = of && children ? list_disks(files, from, of, err) : -ENOMEM;

    if (rc == 0)
        rc = list_disks(files, files->vmx, children, err);
    if (rc == 0)
        rc = make_children(files, of, children, err);
    return rc < 0 ? rc : save_vmx(files, err);
}

int snapshot_files_branch(struct snapshot_files *files, struct err *err)
{
    return branch_from(files, files->before, err);
}

int snapshot_files_list(struct snapshot_files *files, const char *name, const char *description,
                        uint32_t *ret_uid, struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_free struct disks *before = calloc(1, sizeof *before);
    int rc = snapshot && before ? list_disks(files, files->before, before, err) : -ENOMEM;

    if (rc < 0)
        return rc;
    snapshot->parent = vmsd_current(files->vmsd);
    snapshot->name = name;
    snapshot->description = description;
    snapshot->created_usec = clock_realtime(&clock_host) / 1000;
    snapshot->memory = *files->state;
    snapshot->filename = *files->state ? files->state : NULL;
    for (unsigned i = 0; i < before->count; i++)
        snapshot->disk[snapshot->disk_count++] =
            (struct vmsd_disk){before->disk[i].file, before->disk[i].node};
    rc = vmsd_add(files->vmsd, snapshot, ret_uid);
    if (rc == 0)
        rc = vmsd_set_current(files->vmsd, *ret_uid);
    return rc < 0 ? err_sys(err, rc, "the snapshot can not be listed") : save_list(files, err);
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

int snapshot_files_revert(struct snapshot_files *files, uint32_t uid, bool memory, bool *ret_memory,
                          struct err *err)
{
    cleanup_free struct vmsd_snapshot *snapshot = calloc(1, sizeof *snapshot);
    cleanup_free struct disks *gone = calloc(1, sizeof *gone);
    cleanup_vmxfile struct vmxfile *now = NULL, *then = NULL;

    if (!snapshot || !gone)
        return err_sys(err, -ENOMEM, "snapshots");
    if (vmsd_get(files->vmsd, uid, snapshot) < 0)
        return err_set(err, -ENOENT, "the snapshot is not there");
    int rc = load_kept(files, uid, &now, err);
    if (rc == 0)
        rc = list_disks(files, now, gone, err);
    if (rc == 0)
        rc = copy_vmx(files->vmx, &then);
    if (rc == 0)
        rc = name_children(files, err);
    if (rc == 0)
        rc = set_state(files, snapshot, memory, ret_memory);
    if (rc == 0)
        rc = restore_nvram(files, uid, err);
    if (rc == 0)
        rc = branch_from(files, then, err);
    if (rc == 0)
        rc = vmsd_set_current(files->vmsd, uid);
    if (rc == 0)
        rc = save_list(files, err);
    for (unsigned i = 0; rc == 0 && i < gone->count; i++)
        remove_if_orphan(files, gone->disk[i].file);
    return rc;
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

/* What a snapshot that goes had: it may be nobody's afterwards. */
static void unlist_one(struct snapshot_files *files, uint32_t uid, struct vmsd_snapshot *s)
{
    if (vmsd_get(files->vmsd, uid, s) < 0)
        return;
    for (unsigned d = 0; d < s->disk_count; d++)
        add_gone(files, s->disk[d].file);
    (void)vmsd_remove(files->vmsd, uid);
}

/* The files of its own. */
static void remove_kept(const struct snapshot_files *files, uint32_t uid)
{
    char path[PATH_MAX];

    snapshot_files_vmx_path(files, uid, path);
    (void)unlink(path);
    nvram_path(files, uid, path);
    (void)unlink(path);
    state_path(files, uid, path);
    if (is_our_state(path))
        (void)unlink(path);
}

int snapshot_files_unlist(struct snapshot_files *files, uint32_t uid, bool children,
                          struct err *err)
{
    cleanup_free uint32_t *uids = calloc(VMSD_SNAPSHOTS_MAX, sizeof *uids);
    cleanup_free struct vmsd_snapshot *s = malloc(sizeof *s);

    if (!uids || !s)
        return err_sys(err, -ENOMEM, "snapshots");
    unsigned count = collect(files->vmsd, uid, children, uids);
    for (unsigned i = 0; i < count; i++)
        unlist_one(files, uids[i], s);
    int rc = vmsd_set_needs_consolidation(files->vmsd, true);
    rc = rc < 0 ? err_sys(err, rc, "snapshots") : save_list(files, err);
    for (unsigned i = 0; i < count && rc == 0; i++)
        remove_kept(files, uids[i]);
    return rc;
}

/* How far down the VM's disk stands on what nobody lists; 0: on nothing of that kind. */
static int find_one(struct snapshot_files *files, const char *top, struct snapshot_merge *m)
{
    char at[DISK_NAME_MAX], parent[DISK_NAME_MAX];

    (void)snprintf(at, sizeof at, "%s", top);
    (void)snprintf(m->top, sizeof m->top, "%s", top);
    for (m->layers = 0; m->layers < CHAIN_MAX; m->layers++) {
        int rc = parent_of(files, at, parent);
        if (rc < 0)
            return rc;
        if (!*parent || is_listed(files, parent) || is_shared(files, parent))
            break;
        (void)snprintf(m->into, sizeof m->into, "%s", parent);
        (void)snprintf(at, sizeof at, "%s", parent);
    }
    return 0;
}

int snapshot_files_find(struct snapshot_files *files, struct err *err)
{
    cleanup_free struct disks *now = calloc(1, sizeof *now);
    int rc = now ? list_disks(files, files->vmx, now, err) : -ENOMEM;

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

/* All of it, then what the VM uses is what it went into. */
static int merge_one(struct snapshot_files *files, const struct snapshot_merge *m, bool live,
                     disk_progress_fn *progress, void *ctx, struct err *err)
{
    struct disk_merge what = {.name = m->top, .layers = m->layers, .into = m->into, .live = live};
    char at[DISK_NAME_MAX], parent[DISK_NAME_MAX];
    int rc = disk_merge_layers(&files->dir.host, &what, files->aio, progress, ctx, err);

    (void)snprintf(at, sizeof at, "%s", m->top);
    for (unsigned i = 0; rc == 0 && i < m->layers; i++) {
        add_gone(files, at);
        rc = parent_of(files, at, parent);
        (void)snprintf(at, sizeof at, "%s", parent);
    }
    return rc;
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
        rc = name_child(files, m->top, child, err);
        if (rc == 0)
            rc = set_file(files->vmx, m->node, child);
    }
    return rc;
}

static const char *diverted_to(const struct snapshot_files *files, const struct snapshot_merge *m)
{
    const char *file = get(files->vmx, m->node, "fileName");

    return file ? local_name(files, file) : "";
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

    for (unsigned i = 0; i < files->merge_count && rc == 0; i++) {
        add_gone(files, diverted_to(files, &files->merge[i]));
        rc = set_file(files->vmx, files->merge[i].node, files->merge[i].into);
    }
    return rc < 0 ? err_sys(err, rc, "the configuration") : 0;
}

int snapshot_files_tidy(struct snapshot_files *files, struct err *err)
{
    for (unsigned i = 0; i < files->gone.count; i++)
        remove_if_orphan(files, files->gone.name[i]);
    int rc = vmsd_set_needs_consolidation(files->vmsd, false);
    return rc < 0 ? err_sys(err, rc, "snapshots") : save_list(files, err);
}

int snapshot_files_rename(struct snapshot_files *files, uint32_t uid, const char *name,
                          const char *description, struct err *err)
{
    int rc = vmsd_rename(files->vmsd, uid, name, description);

    return rc < 0 ? err_sys(err, rc, "the snapshot can not be renamed") : save_list(files, err);
}
