/* SPDX-License-Identifier: Apache-2.0 */
/* A plan of any bytes, as it may lie in a VM's folder: what is accepted names files of that folder
 * only. */
#include "hostd/snapshot/snapshot_plan.h"

#include <string.h>

#include "fuzz/fuzz.h"

static void check_name(const char *name)
{
    FUZZ_CHECK(*name && strlen(name) < DISK_NAME_MAX && !strchr(name, '/') &&
               strcmp(name, "..") != 0 && strcmp(name, ".") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_snapshot_plan struct snapshot_plan *plan = NULL;
    struct err err = ERR_INIT;

    if (snapshot_plan_parse("fuzz", data, size, &plan, &err) < 0) {
        FUZZ_CHECK(err.code < 0 && *err.text);
        return 0;
    }
    FUZZ_CHECK(plan->disk_count <= VMSD_DISKS_MAX);
    for (unsigned i = 0; i < plan->disk_count; i++)
        check_name(plan->disk[i].file);
    for (unsigned i = 0; i < plan->file_count; i++)
        check_name(plan->file[i]);
    return 0;
}
