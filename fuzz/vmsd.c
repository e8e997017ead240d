/* SPDX-License-Identifier: Apache-2.0 */
/* A .vmsd file of any bytes. What is accepted is written back byte for byte, and stays acceptable
 * while its snapshots are removed, one after the other, and another comes. */
#include "config/vmsd.h"

#include <string.h>

#include "fuzz/fuzz.h"

static void must_parse(const struct vmsd *vmsd)
{
    cleanup_vmsd struct vmsd *again = NULL;
    cleanup_buf struct buf out = {0};

    vmsd_write(vmsd, &out);
    FUZZ_CHECK(vmsd_parse("again", out.data, out.len, &again, NULL) == 0);
    FUZZ_CHECK(vmsd_count(again) == vmsd_count(vmsd));
    FUZZ_CHECK(vmsd_current(again) == vmsd_current(vmsd));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vmsd_snapshot snapshot;
    cleanup_vmsd struct vmsd *vmsd = NULL;
    cleanup_buf struct buf out = {0};
    struct err err = ERR_INIT;
    uint32_t uid;

    if (vmsd_parse("fuzz", data, size, &vmsd, &err) < 0) {
        FUZZ_CHECK(err.code < 0 && *err.text);
        return 0;
    }
    vmsd_write(vmsd, &out);
    FUZZ_CHECK(out.len == size && (!size || !memcmp(out.data, data, size)));
    for (unsigned i = 0; i < vmsd_count(vmsd); i++) {
        FUZZ_CHECK(vmsd_get(vmsd, vmsd_uid(vmsd, i), &snapshot) == 0);
        FUZZ_CHECK(snapshot.name && snapshot.description && snapshot.disk_count <= VMSD_DISKS_MAX);
    }
    snapshot = (struct vmsd_snapshot){.name = "n", .description = "d"};
    if (vmsd_add(vmsd, &snapshot, &uid) == 0)
        must_parse(vmsd);
    for (unsigned i = 0; vmsd_count(vmsd) && i < 4; i++)
        if (vmsd_remove(vmsd, vmsd_uid(vmsd, size % vmsd_count(vmsd))) == 0)
            must_parse(vmsd);
    return 0;
}
