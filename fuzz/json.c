/* SPDX-License-Identifier: Apache-2.0 */
/* A request of the JSON binding: a path on the first line, then a body. What is accepted, written
 * and read again is the same value. */
#include "hostd/api/json.h"

#include <string.h>

#include "fuzz/fuzz.h"
#include "hostd/api/vim_types.gen.h"

enum { MEMORY_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = memchr(data, '\n', size);
    struct arena cleanup_arena arena;
    arena_init(&arena, MEMORY_MAX);
    if (!line || memchr(data, 0, (size_t)(line - data)))
        return 0;
    struct call call = {.arena = &arena}, get = {.arena = &arena};
    const char *path = arena_strndup(&arena, (const char *)data, (size_t)(line - data));
    (void)json_route(&get, true, path);
    if (json_route(&call, false, path) < 0)
        return 0;
    size_t len = size - (size_t)(line + 1 - data);
    if (json_read(&call, line + 1, len) < 0) {
        struct buf cleanup_buf out = {0};
        FUZZ_CHECK(call.fault && call.fault_text);
        FUZZ_CHECK(json_write(&out, &call) == 500);
        return 0;
    }
    struct buf cleanup_buf out = {0}, old = {0};
    struct arena cleanup_arena more = {0};
    struct call again = {.arena = &more, .method = call.method};
    struct vim_any args = vim_any_data_(call.args);
    json_write_value(&old, &args, (struct vim_shape){.kind = VIM_DATA}, 0);
    json_write_value(&out, &args, (struct vim_shape){.kind = VIM_DATA}, vim_version_count - 1);
    FUZZ_CHECK(json_read(&again, out.data, out.len) == 0);
    struct vim_any back = vim_any_data_(again.args);
    FUZZ_CHECK(vim_equal(&args, &back) && vim_hash(&args) == vim_hash(&back));
    return 0;
}
