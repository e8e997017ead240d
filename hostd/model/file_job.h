/* SPDX-License-Identifier: Apache-2.0 */
/* What FileManager and VirtualDiskManager do: a haul with one or two files that the client named.
 * A kind of job is a struct that begins with this one. */
#pragma once

#include "hostd/model/file_place.h"
#include "hostd/task/haul.h"

struct file_job {
    struct haul haul;
    struct file_place from, to; /* `to` without a second one: fd -1, no text */
    bool makes;                 /* the task's result is where the file is now: `to`, or `from` */
};

/* `size` bytes, the rest zero. `to` NULL: one name. NULL: the call has its fault. */
void *file_job_new(struct call *call, size_t size, const char *from, const char *to);
void file_job_free(struct file_job *job);

/* Takes the job, also NULL. */
void file_job_start(struct call *call, struct file_job *job, int (*run)(struct haul *haul));
