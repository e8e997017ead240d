/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a device's thread should let the guest go on, rather than interrupt it, when a doorbell
 * wakes it on a processor that they share.
 *
 * A doorbell costs an exit, a change of threads and, soon after, an interrupt. A guest that has
 * many requests to make and is answered at once pays all of that for each one, however deep its own
 * queue is, since the device never finds two. A thread that waits until the processor is free
 * (SCHED_BATCH) finds all that the guest had to ask. Where the guest has a processor of its own
 * this changes nothing, and where others compete for it, waiting may cost more than it gains.
 *
 * None of this can be seen from here, so it is found by trying: now and then the thread is patient
 * for a number of requests, and stays so if they took less time than as many before. A trial that
 * does not find two requests at a time ends after TRY_LOOKS looks; one that was slower doubles the
 * time to the next. What was gained is measured again now and then.
 *
 * One thread at a time. Zeroed is ready: not patient. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

enum {
    VQ_PACE_SPAN = 64,             /* requests that are timed */
    VQ_PACE_TRY_LOOKS = 4,         /* looks after which a trial must have gained */
    VQ_PACE_TRY_AFTER = 512,       /* requests between trials, at first and after a short one */
    VQ_PACE_TRY_AFTER_MAX = 16384, /* and when trials keep failing in full length */
    VQ_PACE_HOLD = 16384,          /* requests after which a gain is measured again */
};

struct vq_pace {
    bool patient, trying;
    unsigned count, looks; /* requests and looks since `patient` changed or a trial ended */
    unsigned held;         /* requests since a gain was measured */
    unsigned next;         /* count at which something is to be done */
    unsigned try_after;    /* 0: VQ_PACE_TRY_AFTER */
    uint64_t since, best;  /* when the timed span began, and how long one takes without patience */
};

void vq_pace_decide(struct vq_pace *pace, const struct clock *clock);

/* A look at the queues found `count` requests, one or more; returns whether to be patient now. */
static inline bool vq_pace_took(struct vq_pace *pace, unsigned count, const struct clock *clock)
{
    pace->count += count;
    pace->looks++;
    if (pace->patient || pace->count >= pace->next)
        vq_pace_decide(pace, clock);
    return pace->patient;
}
