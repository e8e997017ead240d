/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/file_job.h"

#include <errno.h>
#include <stdlib.h>

#include "base/range.h"
#include "hostd/model/inventory.h"
#include "hostd/task/task.h"

void file_job_free(struct file_job *job)
{
    file_place_free(&job->from);
    file_place_free(&job->to);
    free(job);
}

void *file_job_new(struct call *call, size_t size, const char *from, const char *to)
{
    struct file_job *job = calloc(1, size);

    if (!job)
        return NULL;
    job->from.fd = job->to.fd = -1;
    if (file_place_find(call, from, "Datastore.FileManagement", &job->from) &&
        (!to || file_place_find(call, to, "Datastore.FileManagement", &job->to)))
        return job;
    file_job_free(job);
    return NULL;
}

static void done(struct haul *haul)
{
    struct file_job *job = container_of(haul, struct file_job, haul);
    const struct file_place *made = *job->to.text ? &job->to : &job->from;

    haul_end(haul, vim_any_string(job->makes ? made->text : NULL),
             haul->rc == -EEXIST ? made->text : job->from.text);
    file_job_free(job);
}

void file_job_start(struct call *call, struct file_job *job, int (*run)(struct haul *haul))
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
        file_job_free(job);
}
