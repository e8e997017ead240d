/* SPDX-License-Identifier: Apache-2.0 */
/* FileManager: files and folders of datastores. Each operation names one or two, is checked here,
 * and done on a thread of its own kind (task/haul.h): a big one says how far it is and can be
 * cancelled. What a VM has open is not touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/file_tree.h"
#include "hostd/datastore/unfinished.h"
#include "hostd/model/classes.h"
#include "hostd/model/file_job.h"
#include "hostd/task/task.h"

struct job {
    struct file_job file;
    bool force;
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

static int run_delete(struct haul *haul)
{
    struct job *job = job_of(haul);
    uint64_t bytes;

    if (!*job->file.from.rel)
        return -EACCES;
    int rc = file_tree_measure(job->file.from.fd, job->file.from.rel, &bytes);
    /* A link goes itself, whatever it leads to. */
    return rc < 0 && rc != -EACCES ? rc : dspath_remove(job->file.from.fd, job->file.from.rel);
}

static int run_copy(struct haul *haul)
{
    const struct job *job = job_of(haul);
    const struct file_place *from = &job->file.from, *to = &job->file.to;
    struct unfinished record;
    char beside[DSPATH_MAX];

    if (!*from->rel || !*to->rel)
        return -EACCES;
    file_tree_beside(to->rel, beside);
    int rc = unfinished_begin(&record, UNFINISHED_FILE, to->datastore, beside, 0);
    if (rc == 0)
        rc = file_tree_copy(from->fd, from->rel, to->fd, to->rel, beside, job->force, haul_progress,
                            haul);
    unfinished_end(&record);
    return rc;
}

static int rename_it(struct job *job)
{
    const char *from, *to;
    struct stat st;
    cleanup_fd int from_dir = dspath_open_parent(job->file.from.fd, job->file.from.rel, &from);
    cleanup_fd int to_dir = dspath_open_parent(job->file.to.fd, job->file.to.rel, &to);

    if (from_dir < 0 || to_dir < 0)
        return MIN(from_dir, to_dir);
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && !(job->force && S_ISREG(st.st_mode)))
        return -EEXIST;
    return renameat(from_dir, from, to_dir, to) < 0 ? -errno : 0;
}

/* The other is whole: from here on this goes, also if hostd does. */
static int remove_rest(const struct file_place *from)
{
    struct unfinished record;
    int rc = unfinished_begin(&record, UNFINISHED_FILE, from->datastore, from->rel, 0);

    if (rc == 0)
        rc = dspath_remove(from->fd, from->rel);
    unfinished_end(&record);
    return rc;
}

static int run_move(struct haul *haul)
{
    struct job *job = job_of(haul);
    uint64_t bytes;
    int rc = file_tree_measure(job->file.from.fd, job->file.from.rel, &bytes);

    if (rc == 0)
        rc = rename_it(job);
    if (rc != -EXDEV)
        return rc;
    rc = run_copy(haul);
    return rc < 0 ? rc : remove_rest(&job->file.from);
}

/* --- methods --- */

static void delete_file(struct mo *mo, struct call *call)
{
    const struct vim_DeleteDatastoreFile_Task_args *args = call->args;

    (void)mo;
    start(call, job_new(call, args->name, NULL), run_delete);
}

static void copy_file(struct mo *mo, struct call *call)
{
    const struct vim_CopyDatastoreFile_Task_args *args = call->args;
    struct job *job = job_new(call, args->sourceName, args->destinationName);

    (void)mo;
    if (job)
        job->force = args->force.set && args->force.v;
    start(call, job, run_copy);
}

static void move_file(struct mo *mo, struct call *call)
{
    const struct vim_MoveDatastoreFile_Task_args *args = call->args;
    struct job *job = job_new(call, args->sourceName, args->destinationName);

    (void)mo;
    if (job)
        job->force = args->force.set && args->force.v;
    start(call, job, run_move);
}

static void make_directory(struct mo *mo, struct call *call)
{
    const struct vim_MakeDirectory_args *args = call->args;
    struct file_place place = {.fd = -1};
    const char *last;

    (void)mo;
    if (!file_place_find(call, args->name, "Datastore.FileManagement", &place))
        return;
    int rc = args->createParentDirectories.set && args->createParentDirectories.v
                 ? dspath_make_parents(place.fd, place.rel)
                 : 0;
    cleanup_fd int parent = rc < 0 ? rc : dspath_open_parent(place.fd, place.rel, &last);
    if (rc == 0)
        rc = parent < 0 ? parent : mkdirat(parent, last, 0755) < 0 ? -errno : 0;
    file_place_free(&place);
    if (rc < 0)
        call_fault(call, fault_from_errno(call->arena, rc, place.text));
}

static const struct mo_method methods[] = {
    MO_METHOD(DeleteDatastoreFile_Task, delete_file),
    MO_METHOD(CopyDatastoreFile_Task, copy_file),
    MO_METHOD(MoveDatastoreFile_Task, move_file),
    MO_METHOD(MakeDirectory, make_directory),
};
const struct mo_class file_manager_class = {
    .type = VIM_MANAGED(FileManager),
    .methods = methods,
    .method_count = ARRAY_SIZE(methods),
};
