/* SPDX-License-Identifier: Apache-2.0 */
/* The engines there are, and which one runs a VM. */
#include "vm/engine/engine.h"

#include <errno.h>
#include <string.h>

#include "base/range.h"
#if defined(__x86_64__)
#include "vm/engine/bt/bt_engine.h"
#include "vm/engine/kvm/kvm.h"
#endif

/* In order of preference; ends with NULL so that a build without any has a table too. */
static const struct engine *const engines[] = {
#if defined(__x86_64__)
    &engine_kvm,
    &engine_bt,
#endif
    NULL,
};

const struct engine *engine_find(const char *name)
{
    for (unsigned i = 0; engines[i]; i++)
        if (!strcmp(engines[i]->name, name))
            return engines[i];
    return NULL;
}

static const struct engine *choose_named(const char *name, struct err *why)
{
    const struct engine *engine = engine_find(name);
    struct err reason = ERR_INIT;

    if (!engine) {
        (void)err_set(why, -ENOENT, "there is no engine \"%s\" in this build", name);
        return NULL;
    }
    int rc = engine->probe(&reason);
    if (rc) {
        (void)err_set(why, rc, "engine %s cannot be used: %s", name, reason.text);
        return NULL;
    }
    return engine;
}

const struct engine *engine_choose(const char *name, struct err *ret_why)
{
    struct err first = ERR_INIT;

    if (strcmp(name, "auto") != 0)
        return choose_named(name, ret_why);
    for (unsigned i = 0; engines[i]; i++) {
        struct err reason = ERR_INIT;
        int rc = engines[i]->probe(&reason);
        if (!rc) {
            if (first.code)
                (void)err_set(ret_why, first.code, "%s; using engine %s", first.text,
                              engines[i]->name);
            return engines[i];
        }
        if (!first.code)
            (void)err_set(&first, rc, "engine %s cannot be used: %s", engines[i]->name,
                          reason.text);
    }
    if (first.code)
        (void)err_set(ret_why, first.code, "%s", first.text);
    else
        (void)err_set(ret_why, -ENOSYS, "this build has no engine for this processor");
    return NULL;
}
