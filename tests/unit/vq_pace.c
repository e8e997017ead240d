/* SPDX-License-Identifier: Apache-2.0 */
/* A device's patience, with guests that are a few numbers: one makes a request every REQUEST ns
 * until `depth` are unanswered. An impatient device answers each as it comes; a patient one when
 * the guest can make no more and whoever else wants the processor has had it for `others` ns. Each
 * look costs LOOK ns. */
#include "vm/dev/vq_pace.h"

#include "base/range.h"
#include "tests/tap.h"

enum { REQUEST = 10000, LOOK = 20000, MANY = 60000 };

static uint64_t now = 1;

static uint64_t fake_monotonic(void *ctx)
{
    (void)ctx;
    return now;
}

static const struct clock fake_clock = {.monotonic = fake_monotonic};

struct guest {
    unsigned depth;
    uint64_t others;
    bool own_processor; /* patience changes nothing */
};

struct outcome {
    uint64_t time;
    unsigned patient, most; /* looks in patience, and the most of them in a row */
    bool ends_patient;
};

static struct outcome serve(struct vq_pace *pace, struct guest guest, unsigned requests)
{
    struct outcome out = {0};
    uint64_t start = now;
    unsigned row = 0;

    for (unsigned done = 0; done < requests;) {
        bool patient = pace->patient && !guest.own_processor;
        unsigned found = patient ? guest.depth : 1;

        row = pace->patient ? row + 1 : 0;
        out.patient += pace->patient;
        out.most = MAX(out.most, row);
        now += (uint64_t)found * REQUEST + LOOK + (patient ? guest.others : 0);
        out.ends_patient = vq_pace_took(pace, found, &fake_clock);
        done += found;
    }
    out.time = now - start;
    return out;
}

static uint64_t impatient(unsigned requests)
{
    return (uint64_t)requests * (REQUEST + LOOK);
}

static void one_at_a_time(void)
{
    struct vq_pace pace = {0};
    struct outcome out = serve(&pace, (struct guest){.depth = 1}, MANY);

    CHECK(out.patient > 0);
    CHECK(out.patient <= MANY / VQ_PACE_TRY_AFTER * VQ_PACE_TRY_LOOKS);
    CHECK(out.most <= VQ_PACE_TRY_LOOKS);
}

static void many_at_a_time(void)
{
    struct vq_pace pace = {0};
    struct outcome out = serve(&pace, (struct guest){.depth = 16}, MANY);

    CHECK(out.time <= impatient(MANY) * 45 / 100); /* all patient: 37 */
}

/* A guest that runs beside us is answered as fast as before. */
static void own_processor(void)
{
    struct vq_pace pace = {0};
    struct outcome out = serve(&pace, (struct guest){.depth = 16, .own_processor = true}, MANY);

    CHECK_EQ(out.time, impatient(MANY));
    CHECK(out.most <= VQ_PACE_TRY_LOOKS);
}

/* Others take their turn whenever we wait: two or more are found, and still it is a loss. */
static void contended(void)
{
    struct vq_pace pace = {0};
    struct guest guest = {.depth = 16, .others = 3000000};
    struct outcome out = serve(&pace, guest, MANY);

    CHECK(out.patient > 0);
    CHECK(out.patient <= 8 * VQ_PACE_SPAN / 16);
    CHECK(!out.ends_patient);
}

static void guest_changes(void)
{
    struct vq_pace pace = {0};
    struct outcome out;

    (void)serve(&pace, (struct guest){.depth = 16}, 4000);
    CHECK(pace.patient);
    out = serve(&pace, (struct guest){.depth = 1}, 100);
    CHECK(!out.ends_patient);
    CHECK(out.patient <= 2 * VQ_PACE_TRY_LOOKS);
    (void)serve(&pace, (struct guest){.depth = 16}, 4000);
    CHECK(pace.patient);
}

/* What was a gain once is no more: found out without the guest's help. */
static void host_changes(void)
{
    struct vq_pace pace = {0};

    (void)serve(&pace, (struct guest){.depth = 16}, 4000);
    CHECK(pace.patient);
    (void)serve(&pace, (struct guest){.depth = 16, .others = 3000000}, 2 * VQ_PACE_HOLD);
    CHECK(!pace.patient);
}

TAP_MAIN(TAP_CASE(one_at_a_time), TAP_CASE(many_at_a_time), TAP_CASE(own_processor),
         TAP_CASE(contended), TAP_CASE(guest_changes), TAP_CASE(host_changes))
