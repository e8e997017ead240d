/* SPDX-License-Identifier: Apache-2.0 */
/* A stream socket in a loop, plain or with WebSocket framing, as viewers and serial consoles have
 * it: bytes in, and bytes out that wait until the peer takes them. */
#pragma once

#include "base/buf.h"
#include "base/loop.h"
#include "vm/console/websock.h"

enum {
    CONN_READ_MAX = 16 << 10,
    CONN_OWED_MAX =
        1 << 20, /* bytes that wait; a peer that leaves more of them is not listened to */
};

struct conn {
    struct loop_source source; /* owns its fd; not in a loop: not open */
    bool web, ended;           /* nothing more is read; closes when all is sent */
    struct websock ws;
    struct buf out;
    size_t sent;      /* of out */
    uint32_t watched; /* what the loop waits for (epoll's) */
};

/* Takes `fd`. A failure leaves it closed. */
int conn_open(struct conn *conn, struct loop *loop, int fd, bool web,
              void (*ready)(void *ctx, uint32_t events), void *ctx);
void conn_close(struct conn *conn); /* accepts one that is not open */

/* Appends what has come, at most CONN_READ_MAX. -EAGAIN: nothing; -EPIPE: it has ended; others: it
 * failed. */
int conn_read(struct conn *conn, struct buf *data);
/* After a WebSocket's farewell, ours or the peer's, it is lost. */
void conn_put(struct conn *conn, const uint8_t *data, size_t len);
/* A WebSocket's farewell; reading ends. */
void conn_end(struct conn *conn);
/* Sends away one that is one too many: a WebSocket is told to come again later (its status 1013).
 * Takes `fd`, which says nothing else. */
void conn_refuse(int fd, bool web);
/* Sends what the peer takes and waits for it to take the rest. 0: all of it is sent, 1: not yet. */
int conn_flush(struct conn *conn);
static inline bool conn_pending(const struct conn *conn)
{
    return conn->sent < conn->out.len;
}
/* Whether to listen for what it says, or let it wait. */
void conn_listen(struct conn *conn, bool on);
