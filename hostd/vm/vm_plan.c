/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/vm/vm_coming.h"
#include "hostd/vm/vm_identity.h"

/* --- writing it down --- */

int plan_init(struct plan *plan, struct datastore *datastore, const char *rel)
{
    *plan = (struct plan){.datastore = datastore, .vmx_place.fd = -1, .nvram_from.fd = -1};
    (void)snprintf(plan->rel, sizeof plan->rel, "%s", rel ? rel : "");
    plan->disk = calloc(PLAN_DISKS_MAX, sizeof *plan->disk);
    plan->room = plan->disk ? PLAN_DISKS_MAX : 0;
    return plan->disk ? 0 : -ENOMEM;
}

void plan_free(struct plan *plan)
{
    for (unsigned i = 0; i < plan->records; i++)
        unfinished_end(&plan->record[i]);
    free(plan->record);
    for (unsigned i = 0; i < plan->disk_count; i++) {
        file_place_free(&plan->disk[i].at);
        file_place_free(&plan->disk[i].from);
    }
    free(plan->disk);
    file_place_free(&plan->vmx_place);
    file_place_free(&plan->nvram_from);
    vmxfile_destroy(TAKE_PTR(plan->vmx));
    *plan = (struct plan){.vmx_place.fd = -1, .nvram_from.fd = -1};
}

static bool make_room(struct plan *plan, unsigned most)
{
    if (plan->disk_count >= most)
        return false;
    if (plan->disk_count < plan->room)
        return true;
    struct plan_disk *more = reallocarray(plan->disk, 2 * plan->room, sizeof *more);
    if (!more)
        return false;
    plan->disk = more;
    plan->room *= 2;
    return true;
}

struct plan_disk *plan_add(struct plan *plan, enum plan_what what, const struct datastore *at,
                           const char *rel)
{
    if (!make_room(plan, what >= PLAN_REMOVE ? PLAN_REMOVE_MAX : PLAN_DISKS_MAX))
        return NULL;
    struct plan_disk *disk = &plan->disk[plan->disk_count++];
    *disk = (struct plan_disk){.what = what, .from.fd = -1};
    file_place_set(&disk->at, at, rel);
    return disk;
}

bool plan_has(const struct plan *plan, const struct datastore *datastore, const char *rel)
{
    for (unsigned i = 0; i < plan->disk_count; i++)
        if (plan->disk[i].what < PLAN_REMOVE && !strcmp(plan->disk[i].at.rel, rel) &&
            !strcmp(plan->disk[i].at.datastore, datastore->e.id))
            return true;
    return false;
}

void plan_file_name(const struct plan *plan, const struct datastore *datastore, const char *rel,
                    char *name, size_t size)
{
    const char *slash = strrchr(plan->rel, '/');
    size_t folder = slash ? (size_t)(slash - plan->rel) + 1 : 0;

    if (datastore == plan->datastore && !strncmp(rel, plan->rel, folder) &&
        !strchr(rel + folder, '/'))
        (void)snprintf(name, size, "%s", rel + folder);
    else
        (void)snprintf(name, size, "/vmfs/volumes/%s/%s", datastore->e.id, rel);
}

void plan_drop(struct plan *plan, const char *name)
{
    const char *slash = strrchr(plan->rel, '/');
    size_t folder = slash ? (size_t)(slash - plan->rel) + 1 : 0;

    for (unsigned i = 0; i < plan->disk_count; i++) {
        struct plan_disk *disk = &plan->disk[i];
        char full[DSPATH_MAX + 128];
        (void)snprintf(full, sizeof full, "/vmfs/volumes/%s/%s", disk->at.datastore, disk->at.rel);
        bool beside = !strcmp(disk->at.datastore, plan->datastore->e.id) &&
                      !strncmp(disk->at.rel, plan->rel, folder) &&
                      !strcmp(disk->at.rel + folder, name);
        if (!beside && strcmp(full, name) != 0)
            continue;
        file_place_free(&disk->at);
        file_place_free(&disk->from);
        memmove(disk, disk + 1, (--plan->disk_count - i) * sizeof *disk);
        i--;
    }
}

/* `rel` without its last element. */
static void parent_of(const char *rel, char folder[DSPATH_MAX])
{
    const char *slash = strrchr(rel, '/');

    (void)snprintf(folder, DSPATH_MAX, "%.*s", slash ? (int)(slash - rel) : 0, rel);
}

/* May disks of this VM go there? A new VM takes nobody's folder. */
static bool may_share(const struct plan *plan, const struct datastore *datastore,
                      const char *folder)
{
    struct inventory *inventory = plan->datastore->e.hostd->inventory;
    char other[DSPATH_MAX];
    struct stat st;

    if (dspath_stat(datastore->fd, folder, &st) == -ENOENT)
        return true;
    for (struct entity *e = NULL;
         (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));) {
        vm_folder(vm_of(&e->mo), other);
        if (vm_of(&e->mo)->datastore == datastore && !strcmp(folder, other))
            return false;
    }
    return !plan->make_folder;
}

void plan_folder_on(const struct plan *plan, const struct datastore *datastore,
                    char folder[DSPATH_MAX])
{
    char own[DSPATH_MAX];

    parent_of(plan->rel, own);
    for (unsigned i = 0; datastore != plan->datastore && i < plan->disk_count; i++)
        if (plan->disk[i].make_folder && !strcmp(plan->disk[i].at.datastore, datastore->e.id)) {
            parent_of(plan->disk[i].at.rel, folder);
            return;
        }
    const char *slash = strrchr(own, '/'), *name = slash ? slash + 1 : own;
    (void)snprintf(folder, DSPATH_MAX, "%s", datastore == plan->datastore ? own : name);
    for (unsigned n = 1; datastore != plan->datastore && *name && n < 1000; n++) {
        if (may_share(plan, datastore, folder))
            break;
        (void)snprintf(folder, DSPATH_MAX, "%.900s_%u", name, n);
    }
}

/* A folder name that any file system takes. */
static void folder_name(const char *name, char out[ENTITY_NAME_MAX + 1])
{
    (void)snprintf(out, ENTITY_NAME_MAX + 1, "%s", name);
    for (char *c = out; *c; c++)
        if (strchr("/\\:*?\"<>|[]%", *c) || (unsigned char)*c < ' ')
            *c = '_';
    if (*out == '.')
        *out = '_';
}

static bool is_free(const struct plan *plan, const char *rel)
{
    struct stat st;

    return dspath_stat(plan->datastore->fd, rel, &st) == -ENOENT;
}

bool plan_place(struct call *call, struct plan *plan, const char *path, const char *name)
{
    struct dspath parsed;
    char stem[ENTITY_NAME_MAX + 1], folder[ENTITY_NAME_MAX + 16];

    plan->datastore = datastore_resolve(hostd_of(call)->inventory, path, &parsed);
    if (!datastore_may(call, plan->datastore, path, "Datastore.AllocateSpace"))
        return false;
    plan->make_folder = true;
    size_t len = strlen(parsed.rel);
    if (len > 4 && !strcasecmp(parsed.rel + len - 4, ".vmx")) {
        (void)snprintf(plan->rel, sizeof plan->rel, "%s", parsed.rel);
    } else {
        folder_name(name, stem);
        (void)snprintf(folder, sizeof folder, "%s", *parsed.rel ? parsed.rel : stem);
        for (unsigned n = 1; !*parsed.rel && !is_free(plan, folder) && n < 1000; n++)
            (void)snprintf(folder, sizeof folder, "%s_%u", stem, n);
        (void)snprintf(plan->rel, sizeof plan->rel, "%s/%s.vmx", folder, stem);
    }
    if (is_free(plan, plan->rel))
        return true;
    struct vim_FileAlreadyExists *fault = VIM_NEW(call->arena, FileAlreadyExists);
    fault->file = arena_printf(call->arena, "[%s] %s", plan->datastore->e.name, plan->rel);
    call_fault(call, &fault->self);
    return false;
}

static int set_uuids(struct vmxfile *vmx, bool only_missing)
{
    static const char *const keys[] = {"uuid.bios", "vc.uuid"};
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(keys) && rc == 0; i++) {
        char text[VMCFG_UUID_TEXT];
        uint8_t uuid[16];
        if (only_missing && vmxfile_get(vmx, keys[i]))
            continue;
        if (getrandom(uuid, sizeof uuid, 0) != sizeof uuid)
            return -errno;
        uuid[6] = (uuid[6] & 0x0f) | 0x40;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        vmcfg_uuid_format(uuid, text);
        rc = vmxfile_set(vmx, keys[i], text);
    }
    return rc;
}

int plan_new_uuids(struct vmxfile *vmx)
{
    return set_uuids(vmx, false);
}

int plan_missing_uuids(struct vmxfile *vmx)
{
    return set_uuids(vmx, true);
}

int plan_new_vmx(struct plan *plan, const char *name)
{
    static const char *const keys[][2] = {
        {".encoding", "UTF-8"},
        {"config.version", "8"},
        {"virtualHW.version", "21"},
        {"memSize", "1024"},
        {"numvcpus", "1"},
        {"guestOS", "other-64"},
        {"pciBridge0.present", "TRUE"},
        {"vmci0.present", "TRUE"},
        {"hpet0.present", "TRUE"},
    };
    int rc = vmxfile_create(plan->rel, &plan->vmx);

    for (unsigned i = 0; i < ARRAY_SIZE(keys) && rc == 0; i++)
        rc = vmxfile_set(plan->vmx, keys[i][0], keys[i][1]);
    rc = rc < 0 ? rc : plan_new_uuids(plan->vmx);
    return rc < 0 ? rc : vmxfile_set(plan->vmx, "displayName", name);
}

static bool is_new(const struct plan_disk *disk)
{
    return disk->what < PLAN_REMOVE && disk->what != PLAN_GROW;
}

/* --- records --- */

static struct unfinished *new_record(struct plan *plan)
{
    struct unfinished *more = reallocarray(plan->record, plan->records + 1, sizeof *more);

    if (!more)
        return NULL;
    plan->record = more;
    more[plan->records] = (struct unfinished){0};
    return &more[plan->records++];
}

static int record(struct plan *plan, enum unfinished_what what, const struct file_place *at)
{
    struct unfinished *r = new_record(plan);

    return r ? unfinished_begin(r, what, at->datastore, at->rel, 0) : -ENOMEM;
}

/* The disk beside `at` that is called so. */
static void beside(const struct file_place *at, const char *name, char rel[DSPATH_MAX])
{
    const char *slash = strrchr(at->rel, '/');

    (void)snprintf(rel, DSPATH_MAX, "%.*s%s", slash ? (int)(slash + 1 - at->rel) : 0, at->rel,
                   name);
}

/* Is it one of the first `count`: of those that go as a whole, or of all? */
static bool is_planned(const struct plan *plan, unsigned count, const char *datastore,
                       const char *rel, bool removed)
{
    for (unsigned i = 0; i < count; i++)
        if ((!removed || plan->disk[i].what == PLAN_REMOVE) && !strcmp(plan->disk[i].at.rel, rel) &&
            !strcmp(plan->disk[i].at.datastore, datastore))
            return true;
    return false;
}

/* What `disk` stands on goes with `top`, in whose folder it is. */
static int record_chain(struct plan *plan, const struct file_place *disk,
                        const struct file_place *top)
{
    cleanup_placed struct placed_disk at = {.dir.fd = -1};
    struct disk_options options = {.flags = DISK_READONLY | DISK_NOLOCK, .format = "vmdk"};
    int rc = placed_disk_open(&at, disk, options.flags, NULL);
    struct disk_info info = {0};

    if (rc == 0)
        disk_get_info(at.disk, &info);
    for (unsigned i = 0; rc == 0 && *info.parent && i < DISK_CHAIN_MAX; i++) {
        struct disk *parent = NULL;
        char rel[DSPATH_MAX];
        beside(top, info.parent, rel);
        if (is_planned(plan, plan->disk_count, top->datastore, rel, true))
            break; /* with all below it: its snapshot's */
        struct unfinished *r = new_record(plan);
        rc = r ? unfinished_begin_move(r, UNFINISHED_UNDER, top->datastore, top->rel,
                                       top->datastore, rel)
               : -ENOMEM;
        if (rc < 0 || disk_open(&at.dir.host, info.parent, &options, at.aio, &parent, NULL) < 0)
            break;
        disk_get_info(parent, &info);
        disk_close(parent);
    }
    return rc == -ENOMEM || rc == -EBUSY ? rc : 0; /* of one that is damaged it is not known */
}

static int record_disk(struct plan *plan, const struct plan_disk *disk)
{
    struct unfinished *r;
    int rc;

    if (is_new(disk)) {
        r = new_record(plan);
        rc = r ? file_place_begin_disk(&disk->at, r, &plan->err) : -ENOMEM;
        return rc == 0 && disk->what == PLAN_LINK ? record_chain(plan, &disk->from, &disk->at) : rc;
    }
    rc = record(plan, disk->what == PLAN_GROW ? UNFINISHED_PARTS : UNFINISHED_DISK, &disk->at);
    if (rc == 0 && disk->what == PLAN_REMOVE)
        rc = record_chain(plan, &disk->at, &disk->at);
    return rc == -ENOSPC || rc == -EDQUOT ? 0 : rc; /* what makes room is not to fail for it */
}

int plan_record(struct plan *plan)
{
    int rc = 0;

    for (unsigned i = 0; i < plan->disk_count && rc == 0 && !plan->recorded; i++) {
        const struct file_place *at = &plan->disk[i].at;
        rc = is_planned(plan, i, at->datastore, at->rel, false) ? 0
                                                                : record_disk(plan, &plan->disk[i]);
        if (rc < 0) {
            (void)snprintf(plan->failed_file, sizeof plan->failed_file, "%s",
                           plan->disk[i].at.text);
            if (!plan->err.code)
                (void)err_sys(&plan->err, rc, "%s", plan->disk[i].at.text);
        }
    }
    plan->recorded = rc == 0;
    return rc;
}

void plan_leave(struct plan *plan)
{
    for (unsigned i = 0; i < plan->records; i++)
        unfinished_leave(&plan->record[i]);
}

/* --- carrying it out, on a thread --- */

/* Where a plan is: its own part of the whole, as the disk library's progress. */
struct progress {
    disk_progress_fn *fn;
    void *ctx;
    unsigned at, count;
};

static int advance(void *ctx, uint64_t done, uint64_t total)
{
    const struct progress *p = ctx;
    uint64_t part = total ? (uint64_t)((double)done / (double)total * 1000) : 0;

    return p->fn ? p->fn(p->ctx, p->at * UINT64_C(1000) + part, p->count * UINT64_C(1000)) : 0;
}

static int make_disk(const struct plan_disk *disk, struct placed_disk *to, struct progress *p,
                     struct err *err)
{
    struct disk_spec spec = {.format = DISK_VMDK_FLAT,
                             .provision = disk->provision,
                             .size = disk->size,
                             .adapter = disk->adapter};

    return disk_create(&to->dir.host, to->name, &spec, to->aio, advance, p, err);
}

static int copy_disk(const struct plan_disk *disk, struct placed_disk *to, struct progress *p,
                     struct err *err)
{
    cleanup_placed struct placed_disk from = {.dir.fd = -1};
    struct disk_spec spec = {
        .format = DISK_VMDK_FLAT, .provision = disk->provision, .adapter = disk->adapter};
    struct disk_info info;
    int rc = placed_disk_open(&from, &disk->from, DISK_READONLY, err);

    if (rc < 0)
        return rc;
    disk_get_info(from.disk, &info);
    if (disk->as_source)
        spec.provision = info.thin ? DISK_THIN : DISK_LAZY;
    return disk_convert(from.disk, &to->dir.host, to->name, &spec, from.aio, advance, p, err);
}

static int link_disk(const struct plan_disk *disk, struct placed_disk *to, struct err *err)
{
    cleanup_placed struct placed_disk from = {.dir.fd = -1};
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE};
    int rc = placed_disk_prepare(&from, &disk->from, err);

    if (rc < 0)
        return rc;
    spec.parent = from.name;
    rc = disk_share(&from.dir.host, from.name, &to->dir.host, from.aio, err);
    if (rc < 0)
        return rc;
    rc = disk_create(&to->dir.host, to->name, &spec, to->aio, NULL, NULL, err);
    if (rc < 0)
        (void)disk_remove(&to->dir.host, from.name, true, to->aio, NULL);
    return rc;
}

/* What the disk library says of files that are damaged, or gone. */
static bool is_no_disk(int rc)
{
    static const int codes[] = {-ENOENT,      -ENOTDIR, -EINVAL, -EUCLEAN,
                                -EMEDIUMTYPE, -ENOTSUP, -EFBIG,  -ELOOP};

    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
        if (rc == codes[i])
            return true;
    return false;
}

static void remove_unused(int dir_fd, const char *rel)
{
    uint64_t bytes;

    if (file_tree_measure(dir_fd, rel, &bytes) == 0)
        (void)dspath_remove(dir_fd, rel);
}

/* By name only where it is no disk that opens. One that is locked is another VM's at this time. */
static void remove_disk(const struct plan_disk *disk, bool ancestors)
{
    cleanup_placed struct placed_disk at = {.dir.fd = -1};
    size_t len = strlen(disk->at.rel);
    char flat[DSPATH_MAX + 8];
    int rc = placed_disk_prepare(&at, &disk->at, NULL);

    if (rc == 0)
        rc = disk_remove(&at.dir.host, at.name, ancestors, at.aio, NULL);
    if (!is_no_disk(rc))
        return;
    remove_unused(disk->at.fd, disk->at.rel);
    if (len > 5 && !strcasecmp(disk->at.rel + len - 5, ".vmdk")) {
        (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)len - 5, disk->at.rel);
        remove_unused(disk->at.fd, flat);
    }
}

int plan_may_remove(struct plan *plan)
{
    for (unsigned i = 0; i < plan->disk_count; i++) {
        cleanup_placed struct placed_disk at = {.dir.fd = -1};
        struct err err = ERR_INIT;
        const struct plan_disk *disk = &plan->disk[i];
        if (disk->what < PLAN_REMOVE || placed_disk_open(&at, &disk->at, 0, &err) != -EBUSY)
            continue;
        plan->err = err;
        (void)snprintf(plan->failed_file, sizeof plan->failed_file, "%s", disk->at.text);
        return -EBUSY;
    }
    return 0;
}

bool plan_removes_disks(const struct plan *plan)
{
    for (unsigned i = 0; i < plan->disk_count; i++)
        if (plan->disk[i].what >= PLAN_REMOVE)
            return true;
    return false;
}

/* A folder that the VM has on another datastore is named like its own one (plan_folder_on), and
 * goes with the last that is in it. */
static void remove_disk_folder(const struct plan *plan, const struct plan_disk *disk)
{
    char own[DSPATH_MAX], folder[DSPATH_MAX];

    parent_of(plan->rel, own);
    parent_of(disk->at.rel, folder);
    const char *slash = strrchr(own, '/'), *name = slash ? slash + 1 : own;
    if (strcmp(disk->at.datastore, plan->datastore->e.id) != 0 && *name &&
        !strncmp(folder, name, strlen(name)) && !strchr(folder, '/'))
        unfinished_remove_folders(disk->at.fd, disk->at.rel, 1);
}

void plan_remove_disks(struct plan *plan)
{
    for (unsigned i = 0; i < plan->disk_count; i++) {
        const struct plan_disk *disk = &plan->disk[i];
        if (disk->what < PLAN_REMOVE)
            continue;
        remove_disk(disk, disk->what == PLAN_REMOVE);
        remove_disk_folder(plan, disk);
    }
}

static int make_disk_folder(struct plan_disk *disk)
{
    if (!disk->make_folder)
        return 0;
    disk->folders = unfinished_folders(disk->at.fd, disk->at.rel);
    return dspath_make_parents(disk->at.fd, disk->at.rel);
}

static int do_disk(struct plan_disk *disk, struct progress *p, struct err *err)
{
    cleanup_placed struct placed_disk at = {.dir.fd = -1};
    int rc = make_disk_folder(disk);

    if (rc < 0)
        return err_sys(err, rc, "the folder of %s", disk->at.text);
    rc = placed_disk_prepare(&at, &disk->at, err);
    if (rc < 0)
        return rc;
    switch (disk->what) {
    case PLAN_MAKE:
        return make_disk(disk, &at, p, err);
    case PLAN_GROW:
        return disk_extend(&at.dir.host, at.name, disk->size, false, at.aio, advance, p, err);
    case PLAN_COPY:
        return copy_disk(disk, &at, p, err);
    case PLAN_LINK:
        return link_disk(disk, &at, err);
    default:
        return 0;
    }
}

bool plan_makes_disks(const struct plan *plan)
{
    for (unsigned i = 0; i < plan->disk_count; i++)
        if (is_new(&plan->disk[i]))
            return true;
    return false;
}

static void undo_disks(struct plan *plan, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        const struct plan_disk *disk = &plan->disk[i];
        if (!is_new(disk))
            continue;
        remove_disk(disk, disk->what == PLAN_LINK);
        unfinished_remove_folders(disk->at.fd, disk->at.rel, disk->folders);
    }
}

static int do_disks(struct plan *plan, bool grow, disk_progress_fn *progress, void *ctx)
{
    struct progress p = {progress, ctx, 0, MAX(plan->disk_count, 1u)};
    int rc = 0;

    for (; p.at < plan->disk_count && rc == 0; p.at++) {
        if (plan->disk[p.at].what == PLAN_GROW && !grow)
            continue;
        rc = do_disk(&plan->disk[p.at], &p, &plan->err);
        if (rc < 0) {
            (void)snprintf(plan->failed_file, sizeof plan->failed_file, "%s",
                           plan->disk[p.at].at.text);
            unfinished_remove_folders(plan->disk[p.at].at.fd, plan->disk[p.at].at.rel,
                                      plan->disk[p.at].folders);
            undo_disks(plan, p.at);
        }
    }
    return rc;
}

int plan_make_disks(struct plan *plan, disk_progress_fn *progress, void *ctx)
{
    int rc = plan_record(plan);

    return rc < 0 ? rc : do_disks(plan, false, progress, ctx);
}

void plan_undo_disks(struct plan *plan)
{
    undo_disks(plan, plan->disk_count);
}

static bool folder_of(const struct plan *plan, char folder[DSPATH_MAX])
{
    const char *slash = strrchr(plan->rel, '/');

    (void)snprintf(folder, DSPATH_MAX, "%.*s", slash ? (int)(slash - plan->rel) : 0, plan->rel);
    return slash;
}

static int make_folder(struct plan *plan, bool *ret_made)
{
    const char *last;
    char folder[DSPATH_MAX];

    *ret_made = false;
    if (!folder_of(plan, folder))
        return 0;
    cleanup_fd int parent = dspath_open_parent(plan->vmx_place.fd, folder, &last);
    int rc = parent < 0 ? parent : vm_coming_make(parent, last);
    *ret_made = rc == 0;
    if (rc == -EEXIST)
        rc = 0;
    return rc < 0 ? err_sys(&plan->err, rc, "cannot make the folder \"%s\"", folder) : 0;
}

void plan_remove_folder(struct plan *plan)
{
    const char *last;
    char folder[DSPATH_MAX];
    int parent =
        folder_of(plan, folder) ? dspath_open_parent(plan->vmx_place.fd, folder, &last) : -1;

    if (parent >= 0) {
        vm_coming_unmark(plan->vmx_place.fd, folder);
        (void)unlinkat(parent, last, AT_REMOVEDIR);
    }
    (void)close_fd(parent);
}

/* "a/b.vmx" has its variables in "a/b.nvram". */
static void nvram_of(const struct plan *plan, char rel[DSPATH_MAX])
{
    size_t len = strlen(plan->rel);

    len -= len > 4 && !strcasecmp(plan->rel + len - 4, ".vmx") ? 4 : 0;
    (void)snprintf(rel, DSPATH_MAX, "%.*s.nvram", (int)MIN(len, (size_t)DSPATH_MAX - 8), plan->rel);
}

static int copy_nvram(struct plan *plan)
{
    char rel[DSPATH_MAX], beside[DSPATH_MAX];
    int rc;

    if (plan->nvram_from.fd < 0)
        return 0;
    nvram_of(plan, rel);
    file_tree_beside(rel, beside);
    rc = file_tree_copy(plan->nvram_from.fd, plan->nvram_from.rel, plan->vmx_place.fd, rel, beside,
                        true, NULL, NULL);
    return rc == -ENOENT ? 0
           : rc < 0      ? err_sys(&plan->err, rc, "cannot copy %s", plan->nvram_from.text)
                         : 0;
}

static int save_vmx(struct plan *plan)
{
    char path[DSPATH_MAX + 40];

    if (plan->make_folder && vm_identity_set(plan->vmx, plan->datastore, plan->rel) < 0)
        return err_sys(&plan->err, -ENOMEM, "the VM's identity");
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", plan->vmx_place.fd, plan->rel);
    return vmxfile_save(plan->vmx, path, &plan->err);
}

/* A new VM in a folder that was there has no mark. */
static int record_own(struct plan *plan)
{
    struct file_place own = plan->vmx_place;
    int rc = record(plan, UNFINISHED_DISK, &own);

    nvram_of(plan, own.rel);
    if (rc == 0 && plan->nvram_from.fd >= 0)
        rc = record(plan, UNFINISHED_DISK, &own);
    return rc < 0 ? err_sys(&plan->err, rc, "%s", plan->vmx_place.text) : 0;
}

static int run_all(struct plan *plan, disk_progress_fn *progress, void *ctx, bool *ret_folder)
{
    int rc = plan->make_folder ? make_folder(plan, ret_folder) : 0;

    if (rc == 0 && plan->make_folder && !*ret_folder)
        rc = record_own(plan);
    if (rc == 0)
        rc = plan_record(plan);
    if (rc == 0)
        rc = do_disks(plan, true, progress, ctx);
    if (rc < 0)
        return rc;
    rc = copy_nvram(plan);
    if (rc == 0)
        rc = save_vmx(plan);
    if (rc < 0)
        undo_disks(plan, plan->disk_count);
    return rc;
}

int plan_run(struct plan *plan, disk_progress_fn *progress, void *ctx)
{
    bool made_folder = false;

    file_place_free(&plan->vmx_place);
    file_place_set(&plan->vmx_place, plan->datastore, plan->rel);
    (void)snprintf(plan->failed_file, sizeof plan->failed_file, "%s", plan->vmx_place.text);
    int rc = plan_may_remove(plan);
    if (rc == 0)
        rc = run_all(plan, progress, ctx, &made_folder);
    if (rc < 0 && made_folder)
        plan_remove_folder(plan);
    if (rc == 0)
        plan_remove_disks(plan);
    return rc;
}

void plan_undo(struct plan *plan)
{
    char nvram[DSPATH_MAX];

    (void)dspath_remove(plan->vmx_place.fd, plan->rel);
    nvram_of(plan, nvram);
    (void)dspath_remove(plan->vmx_place.fd, nvram);
    undo_disks(plan, plan->disk_count);
    plan_remove_folder(plan);
}
