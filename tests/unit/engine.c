/* SPDX-License-Identifier: Apache-2.0 */
/* Which engine is chosen, and what is said when there is none. What runs is tests/guest. */
#include "vm/engine/engine.h"

#include "base/loop.h"
#include "base/range.h"
#include "tests/tap.h"

static void unknown_name(void)
{
    struct err err = ERR_INIT;

    CHECK(!engine_find("no-such-engine"));
    CHECK(!engine_choose("no-such-engine", &err));
    CHECK_STR(err.text, "there is no engine \"no-such-engine\" in this build");
    CHECK(!engine_choose("no-such-engine", NULL));
    CHECK(!engine_find("auto")); /* a choice, not an engine */
}

/* Usable or not, the probe answers soon, and a refusal says why in one line. */
static void probe_answers(void)
{
    const struct engine *engine = engine_find("kvm");
    struct err err = ERR_INIT;
    uint64_t start = clock_now();

    if (!engine)
        return;
    for (unsigned i = 0; i < 3; i++) {
        int rc = engine->probe(&err);
        CHECK(rc <= 0);
        CHECK_EQ(!!rc, err.text[0] != 0);
        CHECK(!strchr(err.text, '\n'));
        if (rc && !i)
            (void)printf("# kvm: %s\n", err.text);
    }
    CHECK(clock_now() - start < UINT64_C(4000000000)); /* three times its limit, and a bit */
}

/* "auto" gives what works, or says of the first engine why it does not. */
static void automatic_choice(void)
{
    struct err err = ERR_INIT, reason = ERR_INIT;
    const struct engine *chosen = engine_choose("auto", &err), *kvm = engine_find("kvm");
    bool usable = kvm && !kvm->probe(&reason);

    if (usable)
        CHECK(chosen == kvm && !err.code);
    else
        CHECK(err.code < 0 && strstr(err.text, kvm ? reason.text : "no engine"));
    CHECK(usable || !chosen || chosen != kvm);
}

TAP_MAIN(TAP_CASE(unknown_name), TAP_CASE(probe_answers), TAP_CASE(automatic_choice))
