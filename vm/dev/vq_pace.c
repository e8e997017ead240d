/* SPDX-License-Identifier: Apache-2.0 */
/* Patience by trial. See vq_pace.h. Deliberately missing: other measures than the time of a fixed
 * number of requests, however large each is. */
#include "vm/dev/vq_pace.h"

#include "base/range.h"

static void start_over(struct vq_pace *pace, bool patient, unsigned next)
{
    pace->patient = patient;
    pace->trying = false;
    pace->count = pace->looks = pace->held = 0;
    pace->next = next;
    pace->since = 0;
}

static void settle(struct vq_pace *pace, unsigned try_after)
{
    pace->try_after = try_after;
    start_over(pace, false, try_after - VQ_PACE_SPAN);
}

static void begin_trial(struct vq_pace *pace, uint64_t now)
{
    start_over(pace, true, VQ_PACE_SPAN);
    pace->trying = true;
    pace->since = now;
}

static void end_trial(struct vq_pace *pace, uint64_t now)
{
    uint64_t scaled = (now - pace->since) * VQ_PACE_SPAN / pace->count;

    if (scaled < pace->best) {
        pace->try_after = VQ_PACE_TRY_AFTER;
        start_over(pace, true, 0);
    } else {
        unsigned longer = MAX(pace->try_after, (unsigned)VQ_PACE_TRY_AFTER) * 2;
        settle(pace, MIN(longer, (unsigned)VQ_PACE_TRY_AFTER_MAX));
    }
}

static void measure(struct vq_pace *pace, const struct clock *clock)
{
    uint64_t now = clock_monotonic(clock);

    if (!pace->since) {
        pace->since = now;
        pace->next = pace->count + VQ_PACE_SPAN;
    } else {
        /* What came with the last look is more than a span. */
        pace->best = (now - pace->since) * VQ_PACE_SPAN / (pace->count - pace->next + VQ_PACE_SPAN);
        begin_trial(pace, now);
    }
}

/* Patience goes on while looks find two or more, and is put to the test again after a while. */
static void hold(struct vq_pace *pace)
{
    pace->held += pace->count;
    pace->count = pace->looks = 0;
    if (pace->held >= VQ_PACE_HOLD)
        settle(pace, VQ_PACE_SPAN);
}

void vq_pace_decide(struct vq_pace *pace, const struct clock *clock)
{
    if (!pace->try_after)
        settle(pace, VQ_PACE_TRY_AFTER);
    else if (!pace->patient)
        measure(pace, clock);
    else if (pace->looks >= VQ_PACE_TRY_LOOKS && pace->count < 2 * pace->looks)
        settle(pace, VQ_PACE_TRY_AFTER);
    else if (pace->trying && pace->count >= pace->next)
        end_trial(pace, clock_monotonic(clock));
    else if (!pace->trying && pace->looks >= VQ_PACE_TRY_LOOKS)
        hold(pace);
}
