/* SPDX-License-Identifier: Apache-2.0 */
/* A client's WebSocket frames: in one piece or by the byte they mean the same; what is kept of them
 * is bounded; answers are frames of ours. */
#include <string.h>

#include "base/range.h"
#include "fuzz/fuzz.h"
#include "vm/console/websock.h"

/* Control frames and no others, whole, not masked. */
static void check_answer(const struct buf *answer)
{
    size_t at = 0;

    while (at < answer->len) {
        FUZZ_CHECK(answer->len - at >= 2);
        FUZZ_CHECK(answer->data[at] == 0x8a || answer->data[at] == 0x88);
        FUZZ_CHECK(answer->data[at + 1] <= WEBSOCK_CONTROL_MAX);
        at += 2u + answer->data[at + 1];
    }
    FUZZ_CHECK(at == answer->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf cleanup_buf whole = {0}, answer = {0}, bytes = {0}, answers = {0};
    struct websock a = {0}, b = {0};
    int rc_a = websock_take(&a, data, size, &whole, &answer), rc_b = 0;

    for (size_t i = 0; i < size && rc_b == 0; i++)
        rc_b = websock_take(&b, data + i, 1, &bytes, &answers);
    FUZZ_CHECK(rc_a == rc_b && a.closed == b.closed);
    FUZZ_CHECK(whole.len <= size && answer.len <= size + 4);
    FUZZ_CHECK(whole.len == bytes.len && answer.len == answers.len);
    FUZZ_CHECK(!whole.len || !memcmp(whole.data, bytes.data, whole.len));
    FUZZ_CHECK(!answer.len || !memcmp(answer.data, answers.data, answer.len));
    check_answer(&answer);
    return 0;
}
