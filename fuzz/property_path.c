/* SPDX-License-Identifier: Apache-2.0 */
/* A property path of any characters, against the declarations and against the properties of a VM.
 */
#include "hostd/api/property_path.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "hostd/api/vim_types.gen.h"
#include "tests/api/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig;
    if (!rig.api.registry)
        rig_create(&rig, 1);
    struct arena cleanup_arena arena = {0};
    struct call call = {.api = &rig.api, .arena = &arena};
    struct mo *mo = mo_find(rig.api.registry, "1");
    const char *path = arena_strndup(&arena, (const char *)data, strnlen((const char *)data, size));
    const struct vim_property *prop = property_path_check(mo->class->type, path);
    if (prop) {
        FUZZ_CHECK(!strncmp(prop->name, path, strlen(prop->name)));
        struct vim_any value = property_path_walk(mo_get(mo, prop, &call), path);
        struct vim_any copy = vim_copy(&arena, &value);
        FUZZ_CHECK(vim_equal(&value, &copy));
        FUZZ_CHECK(!property_path_is_whole(path) || strlen(path) == strlen(prop->name));
    }
    return 0;
}
