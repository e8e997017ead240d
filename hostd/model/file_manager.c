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
#include "hostd/model/classes.h"
#include "hostd/model/file_place.h"
#include "hostd/task/haul.h"
#include "hostd/task/task.h"

struct job {
    struct haul haul;
    struct file_place from, to;
    bool force;
};

static struct job *job_of(struct haul *haul)
{
    return container_of(haul, struct job, haul);
}

static void job_free(struct job *job)
{
    file_place_free(&job->from);
    file_place_free(&job->to);
    free(job);
}

static struct job *job_new(struct call *call, const char *from, const char *to)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->from.fd = job->to.fd = -1;
    if (!file_place_find(call, from, "Datastore.FileManagement", &job->from) ||
        (to && !file_place_find(call, to, "Datastore.FileManagement", &job->to))) {
        job_free(job);
        return NULL;
    }
    return job;
}

static void done(struct haul *haul)
{
    struct job *job = job_of(haul);

    haul_end(haul, vim_any_none(),
             *job->to.text && haul->rc == -EEXIST ? job->to.text : job->from.text);
    job_free(job);
}

static void start(struct call *call, struct job *job, int (*run)(struct haul *haul))
{
    struct hostd *hostd = hostd_of(call);

    if (!job)
        return;
    job->haul.hostd = hostd;
    job->haul.run = run;
    job->haul.done = done;
    job->haul.task = task_start(call, &hostd->inventory->host);
    if (job->haul.task)
        haul_start(&job->haul);
    else
        job_free(job);
}

/* --- what they do --- */

static int run_delete(struct haul *haul)
{
    struct job *job = job_of(haul);
    uint64_t bytes;

    if (!*job->from.rel)
        return -EACCES;
    int rc = file_tree_measure(job->from.fd, job->from.rel, &bytes);
    /* A link goes itself, whatever it leads to. */
    return rc < 0 && rc != -EACCES ? rc : dspath_remove(job->from.fd, job->from.rel);
}

static int run_copy(struct haul *haul)
{
    struct job *job = job_of(haul);

    if (!*job->from.rel || !*job->to.rel)
        return -EACCES;
    return file_tree_copy(job->from.fd, job->from.rel, job->to.fd, job->to.rel, job->force,
                          haul_progress, haul);
}

static int rename_it(struct job *job)
{
    const char *from, *to;
    struct stat st;
    cleanup_fd int from_dir = dspath_open_parent(job->from.fd, job->from.rel, &from);
    cleanup_fd int to_dir = dspath_open_parent(job->to.fd, job->to.rel, &to);

    if (from_dir < 0 || to_dir < 0)
        return MIN(from_dir, to_dir);
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && !(job->force && S_ISREG(st.st_mode)))
        return -EEXIST;
    return renameat(from_dir, from, to_dir, to) < 0 ? -errno : 0;
}

static int run_move(struct haul *haul)
{
    struct job *job = job_of(haul);
    uint64_t bytes;
    int rc = file_tree_measure(job->from.fd, job->from.rel, &bytes);

    if (rc == 0)
        rc = rename_it(job);
    if (rc != -EXDEV)
        return rc;
    rc = run_copy(haul);
    return rc < 0 ? rc : dspath_remove(job->from.fd, job->from.rel);
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
