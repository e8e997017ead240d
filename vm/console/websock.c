/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/console/websock.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    MASKED = 0x80,
    OP_CONTINUE = 0,
    OP_TEXT = 1,
    OP_BINARY = 2,
    OP_CONTROL = 8, /* this bit makes it a control frame */
    OP_CLOSE = 8,
    OP_PING = 9,
    OP_PONG = 10,
    LEN_16 = 126,
    LEN_64 = 127,
    STATUS_NORMAL = 1000,
    STATUS_PROTOCOL = 1002,
};

static void put_frame(struct buf *out, unsigned op, const uint8_t *data, size_t len)
{
    buf_put_u8(out, (uint8_t)(FIN | op));
    if (len < LEN_16) {
        buf_put_u8(out, (uint8_t)len);
    } else if (len <= UINT16_MAX) {
        uint8_t bytes[2];
        be16_store(bytes, (uint16_t)len);
        buf_put_u8(out, LEN_16);
        buf_put(out, bytes, sizeof bytes);
    } else {
        uint8_t bytes[8];
        be64_store(bytes, len);
        buf_put_u8(out, LEN_64);
        buf_put(out, bytes, sizeof bytes);
    }
    buf_put(out, data, len);
}

void websock_put(struct buf *out, const uint8_t *data, size_t len)
{
    put_frame(out, OP_BINARY, data, len);
}

void websock_put_close(struct buf *out, uint16_t status)
{
    uint8_t bytes[2];

    be16_store(bytes, status);
    put_frame(out, OP_CLOSE, bytes, sizeof bytes);
}

static unsigned op_of(const struct websock *ws)
{
    return ws->head[0] & 15;
}

static bool is_control(const struct websock *ws)
{
    return op_of(ws) & OP_CONTROL;
}

/* How long the head is, as far as its first two bytes say. */
static unsigned head_size(const struct websock *ws)
{
    unsigned len = ws->head[1] & 0x7f;

    return ws->head_len < 2 ? 2 : 2 + (len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0) + 4;
}

/* A whole head: may it stand here? */
static int begin_frame(struct websock *ws)
{
    unsigned op = op_of(ws), len = ws->head[1] & 0x7f;
    bool fin = ws->head[0] & FIN;

    ws->left = len == LEN_16   ? be16_load(ws->head + 2)
               : len == LEN_64 ? be64_load(ws->head + 2)
                               : len;
    ws->mask_at = ws->control_len = 0;
    if ((ws->head[0] & RESERVED) || !(ws->head[1] & MASKED) || ws->left >> 63)
        return -EPROTO;
    if (is_control(ws))
        return op <= OP_PONG && fin && ws->left <= WEBSOCK_CONTROL_MAX ? 0 : -EPROTO;
    if (op > OP_BINARY || (op == OP_CONTINUE) != ws->in_message)
        return -EPROTO;
    ws->in_message = !fin;
    return 0;
}

static int end_control(struct websock *ws, struct buf *answer)
{
    if (op_of(ws) == OP_PING)
        put_frame(answer, OP_PONG, ws->control, ws->control_len);
    if (op_of(ws) != OP_CLOSE)
        return 0;
    websock_put_close(answer, ws->control_len == 1 ? STATUS_PROTOCOL : STATUS_NORMAL);
    ws->closed = true;
    return 0;
}

/* Some of a frame's payload; returns how much. */
static size_t take_payload(struct websock *ws, const uint8_t *bytes, size_t len, struct buf *data)
{
    const uint8_t *mask = ws->head + head_size(ws) - 4;
    size_t n = (size_t)MIN((uint64_t)len, ws->left);
    uint8_t *to = is_control(ws) ? ws->control + ws->control_len : buf_grow(data, n);

    for (size_t i = 0; i < n && to; i++)
        to[i] = bytes[i] ^ mask[(ws->mask_at + i) & 3];
    ws->mask_at = (unsigned)(ws->mask_at + n) & 3;
    if (is_control(ws))
        ws->control_len += (unsigned)n;
    ws->left -= n;
    return n;
}

int websock_take(struct websock *ws, const uint8_t *bytes, size_t len, struct buf *data,
                 struct buf *answer)
{
    int rc = 0;

    while (len && !ws->closed && rc == 0) {
        unsigned want = head_size(ws);
        if (ws->head_len < want) {
            ws->head[ws->head_len++] = *bytes++;
            len--;
            if (ws->head_len < head_size(ws))
                continue;
            rc = begin_frame(ws);
        } else {
            size_t n = take_payload(ws, bytes, len, data);
            bytes += n;
            len -= n;
        }
        if (rc < 0 || ws->left || ws->head_len < head_size(ws))
            continue;
        if (is_control(ws))
            rc = end_control(ws, answer);
        ws->head_len = 0;
    }
    if (rc < 0)
        websock_put_close(answer, STATUS_PROTOCOL);
    return rc;
}
