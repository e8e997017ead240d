/* SPDX-License-Identifier: Apache-2.0 */
/* VirtualDiskManager: disks of datastores that no VM need have. The disk library does it
 * (disk/disk.h), on a thread (task/haul.h); a disk that a VM has open is locked, and stays as it
 * is.
 *
 * Deliberately missing: raw device mappings, disks that are not files, and what only vCenter does
 * with them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/model/classes.h"
#include "hostd/model/file_job.h"
#include "hostd/task/task.h"
#include "hostd/vm/file_holder.h"
#include "hostd/vm/vm_backing.h"

struct job {
    struct file_job file;
    struct disk_spec spec;
    bool as_source; /* the copy is of the source's kind */
    bool eager;
};

static struct job *job_of(struct haul *haul)
{
    return container_of(haul, struct job, file.haul);
}

static struct job *job_new(struct call *call, const char *from, const char *to)
{
    return file_job_new(call, sizeof(struct job), from, to);
}

static void start(struct call *call, struct job *job, int (*run)(struct haul *haul))
{
    file_job_start(call, job ? &job->file : NULL, run);
}

/* --- what they do --- */

static int run_create(struct haul *haul)
{
    struct job *job = job_of(haul);
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct unfinished record;
    int rc = file_place_begin_disk(&job->file.from, &record, &haul->err);

    if (rc == 0)
        rc = placed_disk_prepare(&p, &job->file.from, &haul->err);
    if (rc == 0)
        rc = disk_create(&p.dir.host, p.name, &job->spec, p.aio, haul_progress, haul, &haul->err);
    unfinished_end(&record);
    return rc;
}

static int copy_to(struct haul *haul, struct disk *source, const struct file_place *to)
{
    struct job *job = job_of(haul);
    struct disk_info info;
    struct disk_dir dir;
    const char *name;
    int rc = file_place_dir(to, &dir, &name, &haul->err);

    if (rc < 0)
        return rc;
    disk_get_info(source, &info);
    if (job->as_source) {
        bool flat = strcmp(info.create_type, "monolithicSparse") != 0;
        job->spec.format = flat ? DISK_VMDK_FLAT : DISK_VMDK_SPARSE;
        job->spec.provision = flat && info.thin ? DISK_THIN : DISK_LAZY;
    }
    rc = disk_convert(source, &dir.host, name, &job->spec, disk_aio(source), haul_progress, haul,
                      &haul->err);
    disk_dir_close(&dir);
    return rc;
}

static int run_copy(struct haul *haul)
{
    struct job *job = job_of(haul);
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct unfinished record = {0};
    int rc = placed_disk_open(&p, &job->file.from, DISK_READONLY, &haul->err);

    if (rc == 0)
        rc = file_place_begin_disk(&job->file.to, &record, &haul->err);
    if (rc == 0)
        rc = copy_to(haul, p.disk, &job->file.to);
    unfinished_end(&record);
    return rc;
}

/* Once it has begun it is done, by the next hostd if this one is killed. */
static int remove_disk(struct haul *haul, const struct placed_disk *p)
{
    const struct file_place *place = &job_of(haul)->file.from;
    cleanup_placed struct placed_disk locked = {.dir.fd = -1};
    struct unfinished record = {0};
    int rc = placed_disk_open(&locked, place, 0, NULL);

    if (rc == -EBUSY)
        return err_sys(&haul->err, rc, "%s", place->text);
    rc = unfinished_begin(&record, UNFINISHED_DISK, place->datastore, place->rel, 0);
    placed_disk_close(&locked);
    if (rc == 0)
        rc = disk_remove(&p->dir.host, p->name, false, p->aio, &haul->err);
    unfinished_end(&record);
    return rc;
}

/* Between file systems it is copied, and stays the same disk: its uuid goes with it. */
static int move_far(struct haul *haul)
{
    struct job *job = job_of(haul);
    cleanup_placed struct placed_disk from = {.dir.fd = -1}, to = {.dir.fd = -1};
    struct unfinished record = {0};
    struct disk_info info;
    int rc = placed_disk_open(&from, &job->file.from, DISK_READONLY, &haul->err);

    if (rc < 0)
        return rc;
    job->as_source = true;
    disk_get_info(from.disk, &info);
    rc = file_place_begin_disk(&job->file.to, &record, &haul->err);
    if (rc == 0)
        rc = copy_to(haul, from.disk, &job->file.to);
    disk_close(TAKE_PTR(from.disk));
    if (rc == 0)
        rc = placed_disk_prepare(&to, &job->file.to, &haul->err);
    if (rc == 0 && *info.uuid)
        rc = disk_set_uuid(&to.dir.host, to.name, info.uuid, to.aio, &haul->err);
    unfinished_end(&record);
    return rc < 0 ? rc : remove_disk(haul, &from);
}

static int run_move(struct haul *haul)
{
    struct job *job = job_of(haul);
    const struct file_place *old = &job->file.from, *new = &job->file.to;
    cleanup_placed struct placed_disk from = {.dir.fd = -1};
    struct unfinished record = {0};
    struct disk_dir dir;
    const char *name;
    int rc = placed_disk_prepare(&from, old, &haul->err);

    if (rc == 0)
        rc = file_place_dir(new, &dir, &name, &haul->err);
    if (rc < 0)
        return rc;
    rc = file_place_check_free(new, &haul->err);
    if (rc == 0)
        rc = unfinished_begin_move(&record, UNFINISHED_RENAME, old->datastore, old->rel,
                                   new->datastore, new->rel);
    if (rc == 0)
        rc = disk_move(&from.dir.host, from.name, &dir.host, name, from.aio, &haul->err);
    unfinished_end(&record);
    disk_dir_close(&dir);
    if (rc != -EXDEV)
        return rc;
    haul->err = ERR_INIT;
    return move_far(haul);
}

static int run_delete(struct haul *haul)
{
    struct job *job = job_of(haul);
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    int rc = placed_disk_prepare(&p, &job->file.from, &haul->err);

    return rc < 0 ? rc : remove_disk(haul, &p);
}

typedef int change_fn(const struct disk_host *host, const char *name, struct aio *aio,
                      disk_progress_fn *progress, void *ctx, struct err *err);

/* Its descriptor is written anew beside it. */
static int run_change(struct haul *haul, change_fn *change)
{
    const struct file_place *place = &job_of(haul)->file.from;
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct unfinished record;
    int rc = unfinished_begin(&record, UNFINISHED_PARTS, place->datastore, place->rel, 0);

    if (rc == 0)
        rc = placed_disk_prepare(&p, place, &haul->err);
    if (rc == 0)
        rc = change(&p.dir.host, p.name, p.aio, haul_progress, haul, &haul->err);
    unfinished_end(&record);
    return rc;
}

static int extend(const struct disk_host *host, const char *name, struct aio *aio,
                  disk_progress_fn *progress, void *ctx, struct err *err)
{
    const struct job *job = job_of(ctx);

    return disk_extend(host, name, job->spec.size, job->eager, aio, progress, ctx, err);
}

/* What stands on it reads through it: its content and size are not to change below that. */
static int run_alone(struct haul *haul, change_fn *change)
{
    const struct file_place *place = &job_of(haul)->file.from;

    if (disk_has_child(place, NULL))
        return err_set(&haul->err, -ENOTSUP,
                       "another disk stands on %s: remove its snapshots first", place->text);
    return run_change(haul, change);
}

static int run_extend(struct haul *haul)
{
    return run_alone(haul, extend);
}

static int run_inflate(struct haul *haul)
{
    return run_change(haul, disk_inflate);
}

static int run_shrink(struct haul *haul)
{
    return run_change(haul, disk_shrink);
}

/* A sparse one is written anew without what reads zero; a flat one gives it back. */
static int shrink_by_copy(const struct disk_host *host, const char *name, struct aio *aio,
                          disk_progress_fn *progress, void *ctx, struct err *err)
{
    int rc = disk_shrink(host, name, aio, progress, ctx, err);

    return rc < 0 ? rc : disk_defragment(host, name, aio, progress, ctx, err);
}

static int run_shrink_by_copy(struct haul *haul)
{
    return run_change(haul, shrink_by_copy);
}

static int run_wipe(struct haul *haul)
{
    return run_alone(haul, disk_wipe);
}

static int run_defragment(struct haul *haul)
{
    return run_change(haul, disk_defragment);
}

/* --- kinds of disks --- */

/* What a client asks for and we make; false: we do not. */
static bool set_kind(struct job *job, const struct vim_VirtualDiskSpec *spec)
{
    static const struct {
        const char *type;
        enum disk_format_id format;
        enum disk_provision provision;
    } kinds[] = {
        {"thin", DISK_VMDK_FLAT, DISK_THIN},
        {"preallocated", DISK_VMDK_FLAT, DISK_LAZY},
        {"thick", DISK_VMDK_FLAT, DISK_LAZY},
        {"flatMonolithic", DISK_VMDK_FLAT, DISK_LAZY},
        {"eagerZeroedThick", DISK_VMDK_FLAT, DISK_EAGER},
        {"sparseMonolithic", DISK_VMDK_SPARSE, DISK_THIN},
    };

    for (unsigned i = 0; spec->diskType && i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(spec->diskType, kinds[i].type) != 0)
            continue;
        job->spec.format = kinds[i].format;
        job->spec.provision = kinds[i].provision;
        job->spec.adapter = !spec->adapterType                           ? NULL
                            : !strcasecmp(spec->adapterType, "ide")      ? "ide"
                            : !strcasecmp(spec->adapterType, "busLogic") ? "buslogic"
                                                                         : "lsilogic";
        return true;
    }
    return false;
}

/* --- methods --- */

static bool check_capacity(struct call *call, int64_t kb, const char *property)
{
    if (kb > 0 && (uint64_t)kb <= DISK_SIZE_MAX >> 10)
        return true;
    call_fault_argument(call, property);
    return false;
}

static void create_disk(struct mo *mo, struct call *call)
{
    const struct vim_CreateVirtualDisk_Task_args *args = call->args;
    const struct vim_FileBackedVirtualDiskSpec *spec =
        VIM_AS(FileBackedVirtualDiskSpec, args->spec);

    (void)mo;
    if (!check_capacity(call, spec ? spec->capacityKb : 0, "spec.capacityKb"))
        return;
    struct job *job = job_new(call, args->name, NULL);
    if (job && !set_kind(job, args->spec)) {
        file_job_free(&job->file);
        call_fault_argument(call, "spec.diskType");
        return;
    }
    if (job) {
        job->spec.size = (uint64_t)spec->capacityKb << 10;
        job->file.makes = true;
    }
    start(call, job, run_create);
}

static void copy_disk(struct mo *mo, struct call *call)
{
    const struct vim_CopyVirtualDisk_Task_args *args = call->args;
    struct job *job = job_new(call, args->sourceName, args->destName);

    (void)mo;
    if (job)
        job->as_source = !args->destSpec;
    if (job && args->destSpec && !set_kind(job, args->destSpec)) {
        file_job_free(&job->file);
        call_fault_argument(call, "destSpec.diskType");
        return;
    }
    if (job)
        job->file.makes = true;
    start(call, job, run_copy);
}

static void move_disk(struct mo *mo, struct call *call)
{
    const struct vim_MoveVirtualDisk_Task_args *args = call->args;

    (void)mo;
    struct job *job = job_new(call, args->sourceName, args->destName);
    if (job)
        job->file.makes = true;
    start(call, job, run_move);
}

static void delete_disk(struct mo *mo, struct call *call)
{
    const struct vim_DeleteVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_delete);
}

static void extend_disk(struct mo *mo, struct call *call)
{
    const struct vim_ExtendVirtualDisk_Task_args *args = call->args;

    (void)mo;
    if (!check_capacity(call, args->newCapacityKb, "newCapacityKb"))
        return;
    struct job *job = job_new(call, args->name, NULL);
    if (job) {
        job->spec.size = (uint64_t)args->newCapacityKb << 10;
        job->eager = args->eagerZero.set && args->eagerZero.v;
    }
    start(call, job, run_extend);
}

static void inflate_disk(struct mo *mo, struct call *call)
{
    const struct vim_InflateVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_inflate);
}

static void eager_zero_disk(struct mo *mo, struct call *call)
{
    const struct vim_EagerZeroVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_inflate);
}

static void shrink_disk(struct mo *mo, struct call *call)
{
    const struct vim_ShrinkVirtualDisk_Task_args *args = call->args;
    bool copy = args->copy.set && args->copy.v;

    (void)mo;
    start(call, job_new(call, args->name, NULL), copy ? run_shrink_by_copy : run_shrink);
}

static void zero_fill_disk(struct mo *mo, struct call *call)
{
    const struct vim_ZeroFillVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_wipe);
}

static void defragment_disk(struct mo *mo, struct call *call)
{
    const struct vim_DefragmentVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_defragment);
}

/* --- questions: a look at the descriptor --- */

static void fault_file(struct call *call, int rc, const struct err *err, const char *file)
{
    struct vim_data *fault = fault_from_errno(call->arena, rc, file);

    if (rc == -ENOENT)
        call_fault(call, fault);
    else
        call_fault_text(call, fault, "%s", err->text);
}

static int get_info(struct disk *disk, void *ret_info)
{
    disk_get_info(disk, ret_info);
    return 0;
}

static int measure_fragments(struct disk *disk, void *ret_percent)
{
    return disk_fragmentation(disk, ret_percent);
}

static bool look_at(struct call *call, const char *name, int (*look)(struct disk *disk, void *ctx),
                    void *ctx)
{
    struct file_place place = {.fd = -1};
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct err err = ERR_INIT;

    if (!file_place_find(call, name, "Datastore.Browse", &place))
        return false;
    int rc = placed_disk_open(&p, &place, DISK_READONLY | DISK_NOLOCK, &err);
    file_place_free(&place);
    if (rc == 0)
        rc = look(p.disk, ctx);
    if (rc < 0)
        fault_file(call, rc, &err, place.text);
    return rc == 0;
}

static void query_uuid(struct mo *mo, struct call *call)
{
    const struct vim_QueryVirtualDiskUuid_args *args = call->args;
    struct disk_info info;

    (void)mo;
    if (look_at(call, args->name, get_info, &info))
        call_return(call, vim_any_string(arena_strdup(call->arena, info.uuid)));
}

/* "6000c29..." with or without blanks and dashes becomes "60 00 C2 ..-.. ..". */
static bool format_uuid(const char *text, char uuid[48])
{
    unsigned n = 0, at = 0;

    for (; *text; text++) {
        if (strchr(" -", *text))
            continue;
        if (!strchr("0123456789abcdefABCDEF", *text) || n == 32)
            return false;
        if (n && n % 2 == 0)
            uuid[at++] = n == 16 ? '-' : ' ';
        uuid[at++] = *text;
        n++;
    }
    uuid[at] = '\0';
    return n == 32;
}

static void set_uuid(struct mo *mo, struct call *call)
{
    const struct vim_SetVirtualDiskUuid_args *args = call->args;
    struct file_place place = {.fd = -1};
    cleanup_placed struct placed_disk p = {.dir.fd = -1};
    struct err err = ERR_INIT;
    char uuid[48];

    (void)mo;
    if (!format_uuid(args->uuid, uuid)) {
        call_fault_argument(call, "uuid");
        return;
    }
    if (!file_place_find(call, args->name, "Datastore.FileManagement", &place))
        return;
    int rc = placed_disk_prepare(&p, &place, &err);
    if (rc == 0)
        rc = disk_set_uuid(&p.dir.host, p.name, uuid, p.aio, &err);
    if (rc == 0)
        vm_backing_changed(hostd_of(call)->inventory, place.datastore, place.rel);
    file_place_free(&place);
    if (rc < 0)
        fault_file(call, rc, &err, place.text);
}

/* The BIOS's usual translation: 255 heads, 63 sectors. */
static void query_geometry(struct mo *mo, struct call *call)
{
    const struct vim_QueryVirtualDiskGeometry_args *args = call->args;
    struct vim_HostDiskDimensionsChs *chs = VIM_NEW(call->arena, HostDiskDimensionsChs);
    struct disk_info info;

    (void)mo;
    if (!look_at(call, args->name, get_info, &info))
        return;
    chs->head = 255;
    chs->sector = 63;
    chs->cylinder = (int64_t)(info.size / DISK_SECTOR / (255 * 63));
    call_return(call, vim_any_data(chs));
}

static void query_fragmentation(struct mo *mo, struct call *call)
{
    const struct vim_QueryVirtualDiskFragmentation_args *args = call->args;
    unsigned percent = 0;

    (void)mo;
    if (look_at(call, args->name, measure_fragments, &percent))
        call_return(call, vim_any_int((int32_t)percent));
}

static const struct mo_method methods[] = {
    MO_METHOD(CreateVirtualDisk_Task, create_disk),
    MO_METHOD(CopyVirtualDisk_Task, copy_disk),
    MO_METHOD(MoveVirtualDisk_Task, move_disk),
    MO_METHOD(DeleteVirtualDisk_Task, delete_disk),
    MO_METHOD(ExtendVirtualDisk_Task, extend_disk),
    MO_METHOD(InflateVirtualDisk_Task, inflate_disk),
    MO_METHOD(EagerZeroVirtualDisk_Task, eager_zero_disk),
    MO_METHOD(ShrinkVirtualDisk_Task, shrink_disk),
    MO_METHOD(ZeroFillVirtualDisk_Task, zero_fill_disk),
    MO_METHOD(DefragmentVirtualDisk_Task, defragment_disk),
    MO_METHOD(QueryVirtualDiskUuid, query_uuid),
    MO_METHOD(SetVirtualDiskUuid, set_uuid),
    MO_METHOD(QueryVirtualDiskGeometry, query_geometry),
    MO_METHOD(QueryVirtualDiskFragmentation, query_fragmentation),
};
const struct mo_class virtual_disk_manager_class = {
    .type = VIM_MANAGED(VirtualDiskManager),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
