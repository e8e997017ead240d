/* SPDX-License-Identifier: Apache-2.0 */
/* What a host may send to `socle vm console` behind the handshake: however it is cut into pieces,
 * the same payload comes out, and never more than came in. */
#include "cli/client/websocket.h"

#include <string.h>

#include "fuzz/fuzz.h"

static int take(const uint8_t *data, size_t size, size_t step, struct buf *out, bool *ret_closed)
{
    struct websocket_decoder decoder = {0};
    cleanup_buf struct buf reply = {0};
    int rc = 0;

    for (size_t at = 0; at < size && rc == 0; at += step)
        rc = websocket_take(&decoder, data + at, size - at < step ? size - at : step, out, &reply);
    FUZZ_CHECK(out->len <= size && reply.len <= 4 * size);
    FUZZ_CHECK(decoder.control_len <= WEBSOCKET_CONTROL_MAX);
    *ret_closed = decoder.closed;
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buf struct buf whole = {0}, pieces = {0};
    bool closed_a, closed_b;
    int a = take(data, size, size ? size : 1, &whole, &closed_a);
    int b = take(data, size, 3, &pieces, &closed_b);

    FUZZ_CHECK(a == b && closed_a == closed_b);
    FUZZ_CHECK(whole.len == pieces.len &&
               (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
    return 0;
}
