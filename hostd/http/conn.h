/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, for server.c and stream.c only. */
#pragma once

#include <pthread.h>

#include "hostd/http/server.h"

enum conn_state {
    CONN_HEAD,     /* reading a head; idle when nothing of it is there */
    CONN_BODY,     /* collecting a body */
    CONN_HANDLING, /* the handler has it */
    CONN_WRITING,
    CONN_TRANSFER, /* a thread has it */
    /* The answer is out, to a request that was not read to its end. What still comes is read away
     * for DRAIN_S: closed at once, the socket would take the answer back. */
    CONN_DRAINING,
    CONN_CLOSING,
};

struct conn {
    struct http_server *server;
    struct conn *next, *prev;
    int fd;
    struct loop_source source;
    enum conn_state state;
    uint64_t deadline; /* of this state without progress; 0: none */
    bool advancing;    /* conn_advance is on the stack */
    bool last;         /* close after the answer */
    bool unread;       /* with some of the request still to come */

    struct http_exchange x;
    struct http_body framing;
    struct buf in; /* received, from in_at on unused */
    size_t in_at;
    char *head; /* owned: the text that x.head points into */
    struct buf body;
    size_t body_max;
    bool asked_more; /* handler->body_more has been asked */
    struct buf out;
    size_t out_at;
};

/* Takes the connection out of the loop for a thread; false: there are too many. */
bool server_transfer_begin(struct http_server *server, struct conn *conn);

/* A transfer's thread has done its part; from any thread. `ok`: the connection may go on. */
void server_transfer_done(struct http_server *server, struct conn *conn, bool ok);

/* The head of an answer. */
void conn_put_head(struct conn *conn, struct buf *out, int status, const char *content_type,
                   const char *headers, uint64_t length);
