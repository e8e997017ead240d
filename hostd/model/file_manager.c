/* SPDX-License-Identifier: Apache-2.0 */
/* FileManager and VirtualDiskManager: files and disks of datastores that no VM need have. Each
 * operation names one file or two, is checked here, and done on a worker thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "disk/disk.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"
#include "hostd/task/task.h"
#include "hostd/task/worker.h"

struct place {
    int fd; /* of the datastore's folder; ours */
    char rel[DSPATH_MAX], real[PATH_MAX];
    char text[DSPATH_MAX + DSPATH_NAME_MAX + 4];
};

struct job {
    struct task *task;
    struct place from, to;
    bool force;
    struct disk_spec spec;
    int (*run)(struct job *job);
    int rc;
    struct err err;
};

/* --- names --- */

static bool locate(struct call *call, const char *name, const char *priv, struct place *ret_place)
{
    struct dspath path;
    struct datastore *datastore =
        name ? datastore_resolve(hostd_of(call)->inventory, name, &path) : NULL;

    if (!datastore) {
        struct vim_InvalidDatastorePath *fault = VIM_NEW(call->arena, InvalidDatastorePath);
        fault->datastorePath = name;
        call_fault(call, &fault->self);
        return false;
    }
    if (call_authorize(call, &datastore->e.mo, priv))
        return false;
    (void)snprintf(ret_place->rel, sizeof ret_place->rel, "%s", path.rel);
    datastore_real_path(datastore, path.rel, ret_place->real, sizeof ret_place->real);
    dspath_format(datastore->e.name, path.rel, ret_place->text, sizeof ret_place->text);
    ret_place->fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3);
    return true;
}

static struct job *new_job(struct call *call, const char *from, const char *to)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->from.fd = job->to.fd = -1;
    if ((from && !locate(call, from, "Datastore.FileManagement", &job->from)) ||
        (to && !locate(call, to, "Datastore.FileManagement", &job->to))) {
        (void)close_fd(job->from.fd);
        free(job);
        return NULL;
    }
    return job;
}

static void free_job(struct job *job)
{
    (void)close_fd(job->from.fd);
    (void)close_fd(job->to.fd);
    free(job);
}

static void work(void *arg)
{
    struct job *job = arg;

    job->rc = job->run(job);
}

static void done(void *arg)
{
    struct job *job = arg;

    if (job->rc < 0)
        task_fail_errno(job->task, job->rc, &job->err,
                        *job->to.text && job->rc == -EEXIST ? job->to.text : job->from.text);
    else
        task_succeed(job->task, vim_any_none());
    free_job(job);
}

static void start(struct call *call, struct job *job, int (*run)(struct job *job))
{
    struct hostd *hostd = hostd_of(call);

    if (!job)
        return;
    job->run = run;
    job->task = task_start(call, &hostd->inventory->host);
    if (!job->task) {
        free_job(job);
    } else if (worker_post(hostd->worker, work, done, job) < 0) {
        job->rc = -ENOMEM;
        done(job);
    }
}

/* --- files --- */

static int run_delete(struct job *job)
{
    return *job->from.rel ? dspath_remove(job->from.fd, job->from.rel) : -EACCES;
}

static int check_target(struct job *job)
{
    struct stat st;
    int rc = dspath_stat(job->to.fd, job->to.rel, &st);

    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    return job->force && !S_ISDIR(st.st_mode) ? 0 : -EEXIST;
}

static int copy_bytes(int in, int out)
{
    ssize_t n;

    while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
        continue;
    return n < 0 ? -errno : fsync(out) < 0 ? -errno : 0;
}

static int run_copy(struct job *job)
{
    const char *last;
    struct stat st;
    int rc = check_target(job);

    if (rc < 0)
        return rc;
    cleanup_fd int in = dspath_open(job->from.fd, job->from.rel, O_RDONLY | O_NONBLOCK, 0);
    if (in < 0 || fstat(in, &st) < 0)
        return in < 0 ? in : -errno;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    cleanup_fd int parent = dspath_open_parent(job->to.fd, job->to.rel, &last);
    if (parent < 0)
        return parent;
    cleanup_fd int out =
        openat(parent, last, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    rc = out < 0 ? -errno : copy_bytes(in, out);
    if (rc < 0 && out >= 0)
        (void)unlinkat(parent, last, 0);
    return rc;
}

static int run_move(struct job *job)
{
    const char *from, *to;
    int rc = check_target(job);

    if (rc < 0)
        return rc;
    cleanup_fd int from_dir = dspath_open_parent(job->from.fd, job->from.rel, &from);
    cleanup_fd int to_dir = dspath_open_parent(job->to.fd, job->to.rel, &to);
    if (from_dir < 0 || to_dir < 0)
        return MIN(from_dir, to_dir);
    if (renameat(from_dir, from, to_dir, to) == 0)
        return 0;
    if (errno != EXDEV)
        return -errno;
    rc = run_copy(job);
    return rc < 0 ? rc : run_delete(job);
}

static void delete_file(struct mo *mo, struct call *call)
{
    const struct vim_DeleteDatastoreFile_Task_args *args = call->args;

    (void)mo;
    start(call, new_job(call, args->name, NULL), run_delete);
}

static void copy_file(struct mo *mo, struct call *call)
{
    const struct vim_CopyDatastoreFile_Task_args *args = call->args;
    struct job *job = new_job(call, args->sourceName, args->destinationName);

    (void)mo;
    if (job)
        job->force = args->force.set && args->force.v;
    start(call, job, run_copy);
}

static void move_file(struct mo *mo, struct call *call)
{
    const struct vim_MoveDatastoreFile_Task_args *args = call->args;
    struct job *job = new_job(call, args->sourceName, args->destinationName);

    (void)mo;
    if (job)
        job->force = args->force.set && args->force.v;
    start(call, job, run_move);
}

static void make_directory(struct mo *mo, struct call *call)
{
    const struct vim_MakeDirectory_args *args = call->args;
    struct place place = {.fd = -1};
    const char *last;

    (void)mo;
    if (!locate(call, args->name, "Datastore.FileManagement", &place))
        return;
    int rc = args->createParentDirectories.set && args->createParentDirectories.v
                 ? dspath_make_parents(place.fd, place.rel)
                 : 0;
    cleanup_fd int parent = rc < 0 ? rc : dspath_open_parent(place.fd, place.rel, &last);
    if (rc == 0)
        rc = parent < 0 ? parent : mkdirat(parent, last, 0755) < 0 ? -errno : 0;
    (void)close_fd(place.fd);
    if (rc < 0)
        call_fault(call, fault_from_errno(call->arena, rc, place.text));
}

static const struct mo_method file_methods[] = {
    MO_METHOD(DeleteDatastoreFile_Task, delete_file),
    MO_METHOD(CopyDatastoreFile_Task, copy_file),
    MO_METHOD(MoveDatastoreFile_Task, move_file),
    MO_METHOD(MakeDirectory, make_directory),
};
const struct mo_class file_manager_class = {
    .type = VIM_MANAGED(FileManager),
    .methods = file_methods,
    .method_count = ARRAY_SIZE(file_methods),
};

/* --- disks --- */

/* A disk opened for reading, and what it needs. */
struct opened {
    struct disk_dir dir;
    struct aio *aio;
    struct disk *disk;
};

static void close_disk(struct opened *o)
{
    disk_close(o->disk);
    aio_destroy(o->aio);
    if (o->dir.host.open)
        disk_dir_close(&o->dir);
}

static int open_disk(struct opened *o, const char *real, unsigned flags, struct err *err)
{
    struct disk_options options = {.flags = flags, .format = "vmdk"};
    const char *name;

    *o = (struct opened){0};
    int rc = disk_dir_open_for(&o->dir, real, &name, err);
    if (rc == 0)
        rc = aio_create(AIO_PLAIN, &o->aio, err);
    if (rc == 0)
        rc = disk_open(&o->dir.host, name, &options, o->aio, &o->disk, err);
    if (rc < 0)
        close_disk(o);
    return rc;
}

static int run_create(struct job *job)
{
    struct disk_dir dir;
    struct aio *aio = NULL;
    const char *name;
    int rc = disk_dir_open_for(&dir, job->from.real, &name, &job->err);

    if (rc < 0)
        return rc;
    rc = aio_create(AIO_PLAIN, &aio, &job->err);
    if (rc == 0)
        rc = disk_create(&dir.host, name, &job->spec, aio, NULL, NULL, &job->err);
    aio_destroy(aio);
    disk_dir_close(&dir);
    return rc;
}

static int run_copy_disk(struct job *job)
{
    struct opened from;
    struct disk_dir dir;
    const char *name;
    int rc = open_disk(&from, job->from.real, DISK_READONLY, &job->err);

    if (rc < 0)
        return rc;
    rc = disk_dir_open_for(&dir, job->to.real, &name, &job->err);
    if (rc == 0) {
        rc = disk_convert(from.disk, &dir.host, name, &job->spec, from.aio, NULL, NULL, &job->err);
        disk_dir_close(&dir);
    }
    close_disk(&from);
    return rc;
}

/* The descriptor and the extent that our own flat disks have; not one that a VM has open. */
static int run_delete_disk(struct job *job)
{
    char flat[DSPATH_MAX + 8];
    struct opened disk;
    size_t len = strlen(job->from.rel);
    int rc = open_disk(&disk, job->from.real, 0, &job->err);

    if (rc < 0)
        return rc;
    close_disk(&disk);
    rc = dspath_remove(job->from.fd, job->from.rel);
    (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)(len - MIN(len, (size_t)5)),
                   job->from.rel);
    (void)dspath_remove(job->from.fd, flat);
    return rc;
}

static void set_kind(struct job *job, const struct vim_VirtualDiskSpec *spec)
{
    const char *type = spec && spec->diskType ? spec->diskType : "thin";

    job->spec.format = DISK_VMDK_FLAT;
    job->spec.provision = !strcmp(type, "thin")               ? DISK_THIN
                          : !strcmp(type, "eagerZeroedThick") ? DISK_EAGER
                                                              : DISK_LAZY;
    job->spec.adapter =
        spec && spec->adapterType && !strcasecmp(spec->adapterType, "ide") ? "ide" : "lsilogic";
}

static void create_disk(struct mo *mo, struct call *call)
{
    const struct vim_CreateVirtualDisk_Task_args *args = call->args;
    const struct vim_FileBackedVirtualDiskSpec *spec =
        VIM_AS(FileBackedVirtualDiskSpec, args->spec);
    struct job *job;

    (void)mo;
    if (!spec || spec->capacityKb <= 0 || (uint64_t)spec->capacityKb > DISK_SIZE_MAX >> 10) {
        call_fault_argument(call, "spec.capacityKb");
        return;
    }
    job = new_job(call, args->name, NULL);
    if (job) {
        set_kind(job, args->spec);
        job->spec.size = (uint64_t)spec->capacityKb << 10;
    }
    start(call, job, run_create);
}

static void copy_disk(struct mo *mo, struct call *call)
{
    const struct vim_CopyVirtualDisk_Task_args *args = call->args;
    struct job *job = new_job(call, args->sourceName, args->destName);

    (void)mo;
    if (job)
        set_kind(job, args->destSpec);
    start(call, job, run_copy_disk);
}

static void delete_disk(struct mo *mo, struct call *call)
{
    const struct vim_DeleteVirtualDisk_Task_args *args = call->args;

    (void)mo;
    start(call, new_job(call, args->name, NULL), run_delete_disk);
}

static bool look_at(struct call *call, const char *name, struct disk_info *ret_info)
{
    struct place place = {.fd = -1};
    struct opened disk;
    struct err err = ERR_INIT;

    if (!locate(call, name, "Datastore.Browse", &place))
        return false;
    (void)close_fd(place.fd);
    int rc = open_disk(&disk, place.real, DISK_READONLY | DISK_NOLOCK, &err);
    if (rc < 0) {
        call_fault(call, fault_from_errno(call->arena, rc, place.text));
        return false;
    }
    disk_get_info(disk.disk, ret_info);
    close_disk(&disk);
    return true;
}

static void query_uuid(struct mo *mo, struct call *call)
{
    const struct vim_QueryVirtualDiskUuid_args *args = call->args;
    struct disk_info info;

    (void)mo;
    if (look_at(call, args->name, &info))
        call_return(call, vim_any_string(arena_strdup(call->arena, info.uuid)));
}

/* The BIOS's usual translation: 255 heads, 63 sectors. */
static void query_geometry(struct mo *mo, struct call *call)
{
    const struct vim_QueryVirtualDiskGeometry_args *args = call->args;
    struct vim_HostDiskDimensionsChs *chs = VIM_NEW(call->arena, HostDiskDimensionsChs);
    struct disk_info info;

    (void)mo;
    if (!look_at(call, args->name, &info))
        return;
    chs->head = 255;
    chs->sector = 63;
    chs->cylinder = (int64_t)(info.size / DISK_SECTOR / (255 * 63));
    call_return(call, vim_any_data(chs));
}

static const struct mo_method disk_methods[] = {
    MO_METHOD(CreateVirtualDisk_Task, create_disk),
    MO_METHOD(CopyVirtualDisk_Task, copy_disk),
    MO_METHOD(DeleteVirtualDisk_Task, delete_disk),
    MO_METHOD(QueryVirtualDiskUuid, query_uuid),
    MO_METHOD(QueryVirtualDiskGeometry, query_geometry),
};
const struct mo_class virtual_disk_manager_class = {
    .type = VIM_MANAGED(VirtualDiskManager),
    .methods = disk_methods,
    .method_count = ARRAY_SIZE(disk_methods),
};
