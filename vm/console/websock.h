/* SPDX-License-Identifier: Apache-2.0 */
/* A server's side of WebSocket framing (RFC 6455, section 5), after the handshake: bytes of binary
 * or text messages, whose boundaries mean nothing here. Fragments, pings and closing are handled;
 * extensions are none.
 *
 * The peer is foreign: nothing is kept of a frame but its head and a control frame's few bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { WEBSOCK_CONTROL_MAX = 125, WEBSOCK_HEAD_MAX = 14 };

/* Zeroed: at the beginning. */
struct websock {
    uint8_t head[WEBSOCK_HEAD_MAX];
    unsigned head_len;
    uint64_t left;    /* of the current frame's payload */
    unsigned mask_at; /* 0-3 */
    bool in_message;  /* fragments are to come */
    bool closed;      /* a close frame has come and been answered */
    uint8_t control[WEBSOCK_CONTROL_MAX];
    unsigned control_len;
};

/* Takes bytes from the peer; `data` gets what they carry, `answer` frames to be sent back. -EPROTO:
 * it breaks the rules, and `answer` has the closing frame that says so. */
int websock_take(struct websock *ws, const uint8_t *bytes, size_t len, struct buf *data,
                 struct buf *answer);
/* Appends `len` bytes as one binary message. */
void websock_put(struct buf *out, const uint8_t *data, size_t len);
/* Appends a closing frame with a status of section 7.4. */
void websock_put_close(struct buf *out, uint16_t status);
