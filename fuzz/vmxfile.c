/* SPDX-License-Identifier: Apache-2.0 */
/* A .vmx file of any bytes, read as a dictionary and as a VM. What is accepted must be written back
 * byte for byte, and mean the same after a way through vmcfg. */
#include <errno.h>
#include <string.h>

#include "config/vmcfg.h"
#include "fuzz/fuzz.h"

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

/* Every key can be set and removed, and the rest of the file does not mind. */
static void change(struct vmxfile *vmx)
{
    cleanup_vmxfile struct vmxfile *again = NULL;
    cleanup_buf struct buf out = {0};
    char key[VMXFILE_KEY_MAX + 1];
    size_t at = 0;
    const char *first = vmxfile_next_key(vmx, &at);

    if (!first)
        return;
    (void)snprintf(key, sizeof key, "%s", first);
    int rc = vmxfile_set(vmx, key, "a|\"\n");
    FUZZ_CHECK(rc < 0 || !strcmp(vmxfile_get(vmx, key), "a|\"\n"));
    vmxfile_write(vmx, &out);
    FUZZ_CHECK(vmxfile_parse("again", out.data, out.len, &again, NULL) == 0);
    vmxfile_remove(vmx, key);
    FUZZ_CHECK(!vmxfile_get(vmx, key));
}

static void describe(const struct vmxfile *vmx)
{
    cleanup_buf struct buf warnings = {0}, first = {0}, second = {0};
    cleanup_vmcfg struct vmcfg cfg, back;
    struct err err = ERR_INIT;

    vmcfg_init(&cfg);
    vmcfg_init(&back);
    if (vmcfg_from_vmx(&cfg, vmx, "folder", &warnings, &err) < 0 || vmcfg_finish(&cfg, &err) < 0) {
        FUZZ_CHECK(err.code < 0 && *err.text && !strchr(err.text, '\n'));
        return;
    }
    vmcfg_substitutions(&cfg, &warnings);
    int rc = vmcfg_encode(&cfg, &first);
    FUZZ_CHECK(rc == 0 || rc == -E2BIG);
    if (rc < 0)
        return;
    FUZZ_CHECK(vmcfg_decode(first.data, first.len, &back, &err) == 0);
    FUZZ_CHECK(vmcfg_encode(&back, &second) == 0);
    FUZZ_CHECK(same_bytes(&first, &second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct buf in = {.data = (uint8_t *)(uintptr_t)data, .len = size};
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_buf struct buf out = {0};
    struct err err = ERR_INIT;

    if (vmxfile_parse("fuzz", data, size, &vmx, &err) < 0) {
        FUZZ_CHECK(err.code < 0 && *err.text);
        return 0;
    }
    vmxfile_write(vmx, &out);
    FUZZ_CHECK(same_bytes(&in, &out));
    describe(vmx);
    change(vmx);
    return 0;
}
