/* SPDX-License-Identifier: Apache-2.0 */
/* A SOAP request of any bytes. What is accepted, written and read again is the same value, and what
 * is written for old clients can be read too. */
#include "hostd/api/soap.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "hostd/api/vim_types.gen.h"

enum { MEMORY_MAX = 8 << 20 };

static void write_request(struct buf *out, const struct call *call, unsigned version)
{
    struct vim_any args = vim_any_data_(call->args), target = vim_any_ref(call->target);
    struct vim_shape declared = {.kind = VIM_DATA,
                                 .of = (uint16_t)(call->method->args - vim_types)};
    struct vim_shape this = {.kind = VIM_REF};
    struct buf cleanup_buf body = {0};
    size_t open = strlen(call->method->name) + 2;
    soap_write_value(&body, call->method->name, &args, declared, version);
    buf_put_str(out, "<Envelope xmlns:xsi='x'><Body>");
    buf_put(out, body.data, open);
    soap_write_value(out, "_this", &target, this, version);
    buf_put(out, body.data + open, body.len - open);
    buf_put_str(out, "</Body></Envelope>");
}

static void check_again(const struct call *call, unsigned version, bool same)
{
    struct arena cleanup_arena arena = {0};
    struct buf cleanup_buf out = {0};
    struct call again = {.arena = &arena};
    const char *cookie;
    write_request(&out, call, version);
    int r = soap_read(&again, NULL, out.data, out.len, &cookie);
    if (!same)
        return;
    FUZZ_CHECK(r == 0);
    struct vim_any a = vim_any_data_(call->args), b = vim_any_data_(again.args);
    FUZZ_CHECK(vim_equal(&a, &b));
    FUZZ_CHECK(vim_hash(&a) == vim_hash(&b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena cleanup_arena arena;
    const char *cookie;
    arena_init(&arena, MEMORY_MAX);
    struct call call = {.arena = &arena};
    if (soap_read(&call, NULL, data, size, &cookie) < 0) {
        struct buf cleanup_buf out = {0};
        FUZZ_CHECK(call.fault && call.fault_text);
        soap_write(&out, &call);
        return 0;
    }
    FUZZ_CHECK(call.method && call.args && call.target.id && *call.target.id);
    check_again(&call, vim_version_count - 1, true);
    check_again(&call, 0, false);
    struct vim_any args = vim_any_data_(call.args), copy = vim_copy(&arena, &args);
    FUZZ_CHECK(vim_equal(&args, &copy));
    return 0;
}
