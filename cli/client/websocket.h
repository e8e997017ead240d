/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a WebSocket (RFC 6455) that carries plain bytes: handshake, masked frames
 * out, frames in. Pings are answered; text and binary frames are the same to us; extensions are not
 * offered. The decoder is a state machine over bytes as they come and holds no more than a control
 * frame. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/client/api.h"

enum { WEBSOCKET_CONTROL_MAX = 125 };

struct websocket_decoder {
    unsigned need; /* bytes of the head that are missing; 0: in the payload */
    uint8_t head[10];
    unsigned head_len;
    uint64_t left; /* of the payload */
    uint8_t opcode;
    uint8_t control[WEBSOCKET_CONTROL_MAX];
    unsigned control_len;
    bool closed;
};

/* The handshake on a fresh connection; `session` goes as vmware-api-session-id. */
int websocket_connect(struct api_socket *socket, const char *path, const char *session,
                      struct err *err);

/* Appends a frame with these bytes. */
void websocket_put(struct buf *out, const void *data, size_t len);

/* Takes what came: payload is appended to `data`, what has to be answered to `reply`. -EPROTO: that
 * is no server's WebSocket; decoder->closed: the other side has ended it. */
int websocket_take(struct websocket_decoder *decoder, const void *bytes, size_t len,
                   struct buf *data, struct buf *reply);
